"""The Python interface: the examples of its page, run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

import pirctl as package
from pirctl import config
from pirctl.errors import TargetError
from pirctl.media import probe
from pirctl.prepare.options import TrackerOptions
from tests.cli.conftest import OVERRIDES
from tests.prepare.test_preprocess import landmark_file, make_clip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_the_page_run_one_after_another(
    tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place := tmp_path / "place").mkdir()
    shutil.move(make_clip(place), tmp_path / "video.mp4")
    points = TrackerOptions(landmarks=landmark_file(place, Fraction(25)))
    monkeypatch.chdir(tmp_path)
    # A drawn face, and one step of every stage: no other difference.
    load = config.load
    quick = (*OVERRIDES, "train.holdout_s=0.4")
    monkeypatch.setattr(config, "load", lambda preset, changes=(): load("tiny", quick))
    monkeypatch.setattr(
        package, "make_target", partial(package.make_target, tracker=points), raising=False
    )
    names: dict[str, object] = {}
    for example in examples():
        exec(compile(example, str(PAGE), "exec"), names)
    said = capfd.readouterr().out
    assert "<Speaker 'obama', trained: audio, face, render>" in said
    assert re.search(r"lips are off by \d", said)
    assert (tmp_path / "targets" / "obama" / "evaluate" / "sheet.png").is_file()
    source, dubbed = (probe(tmp_path / name) for name in ("video.mp4", "dubbed.mp4"))
    assert dubbed.frames == source.frames
    assert probe(tmp_path / "take.mp4").frames == 13  # Half a second, the last frame a part.
    assert "painting 13/13" in said


def test_mistakes_are_raised_with_their_hints(tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        package.load_target("nobody", tmp_path)
    assert caught.value.hint


def test_the_package_is_imported_without_torch_and_lists_its_names() -> None:
    program = (
        "import sys, pirctl; assert 'torch' not in sys.modules; print(*sorted(pirctl.__all__))"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.stdout.split() == ["Speaker", "load_target", "make_target"], outcome.stderr
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = package.nothing_such
