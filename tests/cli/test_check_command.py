"""`pirctl check`: text, JSON and exit codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pirctl.cli import main
from tests.media.clips import ffmpeg


class Blind:
    """Finds no face."""

    name, points, batch = "blind", 468, 1

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        return [[] for _ in images]

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pirctl.check.check.choose_detector", lambda *_: Blind())
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25", "-f", "lavfi", "-i", "sine=300", "-t", "2",
           path)  # fmt: skip
    return path


def test_what_cannot_work_ends_with_one_and_says_why(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(video), "--preset", "tiny", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("pictures 64 x 64, 25 frames/s")
    assert "stop     face:" in out
    assert "dubbing cannot work" in err
    assert "Traceback" not in err


def test_json_holds_facts_and_findings(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(video), "--preset", "tiny", "--quiet", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] is False
    assert report["pictures"]["width"] == 64
    assert report["findings"][0]["level"] == "stop"


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "no.mp4"), "--quiet"]) == 1
    assert "does not exist" in capsys.readouterr().err
