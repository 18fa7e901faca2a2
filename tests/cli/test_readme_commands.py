"""The first commands of the README, run as they stand there, on a small clip."""

from __future__ import annotations

import shlex
import shutil
from fractions import Fraction
from pathlib import Path

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
    "dub": ("--pauses", "closed", "--landmarks"),
}  # fmt: skip


def commands(section: str) -> list[list[str]]:
    """The words of the commands of a section, without `pirctl`."""
    text = README.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("    pirctl ")]
    return [words[1:] for words in lines]


def test_the_commands_of_the_readme_make_their_videos(
    pirctl: Command, tmp_path: Path, speech: Path
) -> None:
    step_by_step = commands("Or step by step")[:3]
    assert [words[0] for words in step_by_step] == ["preprocess", "train", "reenact"]
    (film := tmp_path / "film").mkdir()
    shutil.move(make_clip(film), tmp_path / "video.mp4")
    points = landmark_file(film, Fraction(25))
    for words in [*step_by_step, *commands("One command")]:
        options = _MORE[words[0]]
        more = (*options, points) if "--landmarks" in options else options
        outcome = pirctl(*words, *more)
        assert outcome.status == 0, outcome.err
    made = probe(tmp_path / "video_speech.mp4")
    assert (made.frames, made.has_audio) == (13, True)  # Half a second, the last frame a part.
    source, dubbed = (probe(tmp_path / name) for name in ("video.mp4", "video_dubbed.mp4"))
    assert (dubbed.frames, dubbed.has_audio) == (source.frames, True)
