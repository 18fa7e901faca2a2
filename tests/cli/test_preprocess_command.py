from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from pirctl.cli import main
from tests.prepare.test_preprocess import landmark_file, make_clip


def arguments(folder: Path, video: Path, *more: str) -> list[str]:
    workspace = str(folder / "targets")
    sizes = ["--set", "media.size_px=64"]
    return [
        "preprocess",
        str(video),
        "--workspace",
        workspace,
        "--parser",
        "geometry",
        *sizes,
        *more,
    ]


def test_preprocess_then_inspect_print_paths_on_stdout_and_words_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, points = make_clip(tmp_path), landmark_file(tmp_path, Fraction(25))
    command = arguments(tmp_path, video, "--landmarks", str(points), "--target", "me")
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "targets" / "me")
    assert "24 frames" in err

    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["frames"] == 24
    assert "up to date" in err

    assert main(["inspect", "me", "--workspace", str(tmp_path / "targets"), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert [Path(line).name for line in out.split()][:2] == ["landmarks.png", "masks.png"]
    assert err == ""


def test_errors_say_what_to_type_and_stdout_stays_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_clip(tmp_path, sound=False)
    assert main(arguments(tmp_path, video)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: " in err
    assert "has no sound" in err
    assert "hint: --no-audio" in err


def test_the_paper_s_face_model_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    video = make_clip(tmp_path)
    assert main(arguments(tmp_path, video, "--face-model", "bfm", "--fit", "deep3d")) == 1
    assert "hint: pirctl models import bfm BFM_model_front.mat" in capsys.readouterr().err
    assert main(arguments(tmp_path, video, "--fit", "deep3d")) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "hint: --fit deep3d --face-model bfm" in err
    assert main(arguments(tmp_path, video, "--face-model", "flame")) == 2
    assert not (tmp_path / "targets").exists()


def test_inspect_without_a_target_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--workspace", str(tmp_path)]) == 1
    assert "pirctl preprocess video.mp4" in capsys.readouterr().err


def test_two_different_targets_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "me", "--target", "you"]) == 2
    assert "two targets" in capsys.readouterr().err
