"""The three commands of the README, run as they stand there, on a small clip."""

from __future__ import annotations

import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from pirctl.media import probe
from tests.cli.conftest import Command
from tests.prepare.test_preprocess import landmark_file, make_clip

README = Path(__file__).resolve().parents[2] / "README.md"

# What makes a small clip, drawn faces and one step of every stage do: no other difference.
_MORE = {
    "preprocess": ("--parser", "geometry", "--preset", "tiny", "--landmarks"),
    "train": ("--holdout", "0.2", *(f"--set=train.{stage}.max_steps=1" for stage in
                                    ("audio", "face", "render"))),
    "reenact": (),
}  # fmt: skip


@pytest.fixture
def commands() -> list[list[str]]:
    """The words of the three lines under "Three commands", without `pirctl`."""
    section = README.read_text(encoding="utf-8").split("## Three commands")[1].split("\n## ")[0]
    lines = [shlex.split(line) for line in section.splitlines() if line.startswith("    pirctl ")]
    return [words[1:] for words in lines[:3]]


def test_the_three_commands_of_the_readme_make_a_video(
    pirctl: Command, tmp_path: Path, speech: Path, commands: list[list[str]]
) -> None:
    assert [words[0] for words in commands] == list(_MORE)
    (film := tmp_path / "film").mkdir()
    shutil.move(make_clip(film), tmp_path / "video.mp4")
    points = landmark_file(film, Fraction(25))
    for words in commands:
        more = (*_MORE[words[0]], points) if words[0] == "preprocess" else _MORE[words[0]]
        outcome = pirctl(*words, *more)
        assert outcome.status == 0, outcome.err
    made = probe(tmp_path / "video_speech.mp4")
    assert (made.frames, made.has_audio) == (13, True)  # Half a second, the last frame a part.
    assert outcome.out.strip().endswith("video_speech.mp4")
