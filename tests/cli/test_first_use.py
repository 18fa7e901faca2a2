"""Commands that fetch what is small and free when they first need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pirctl.errors import WeightsError
from pirctl.weights import needs
from pirctl.weights.entry import WeightsEntry
from tests.cli.conftest import OVERRIDES, Command
from tests.cli.test_preprocess_command import make_clip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the model files that were asked for; none can be had."""
    names: list[str] = []

    def pull(entry: WeightsEntry, **_: object) -> Path:
        names.append(entry.name)
        raise WeightsError("no registry answers", hint="try again with a network")

    monkeypatch.setenv("PIRCTL_OFFLINE", "")
    monkeypatch.setattr(needs, "pull", pull)
    return names


def test_preprocess_fetches_the_trackers_model(
    pirctl: Command, asked: list[str], tmp_path: Path
) -> None:
    video = make_clip(tmp_path)
    outcome = pirctl("preprocess", video, "--preset", "tiny")
    assert asked == ["face_landmarker"]
    assert "3.8 MB, by Google, licence Apache-2.0" in outcome.err
    assert outcome.err.splitlines()[-2:] == [
        "error: no registry answers", "hint: try again with a network",
    ]  # fmt: skip
    outcome = pirctl("preprocess", video, "--preset", "tiny", "--offline")
    assert asked == ["face_landmarker"], "not asked for again"
    assert "may not be fetched (--offline or PIRCTL_OFFLINE)" in outcome.err
    assert "hint: pirctl models pull face_landmarker" in outcome.err


def test_what_is_wrong_without_a_network_is_said_before_one_is_used(
    pirctl: Command, asked: list[str], tmp_path: Path
) -> None:
    outcome = pirctl("preprocess", make_clip(tmp_path, sound=False), "--preset", "tiny")
    assert "has no sound" in outcome.err
    assert not asked


def test_train_fetches_the_speech_model_of_the_stage_that_hears(
    pirctl: Command, asked: list[str], workspace: Path
) -> None:
    changes = (*OVERRIDES, "speech.encoder=whisper")
    whisper = [part for change in changes for part in ("--set", change)]
    whisper += ["--workspace", str(workspace), "--preset", "tiny"]
    outcome = pirctl("train", "bert", "--stage", "audio", *whisper)
    assert asked == ["whisper_tiny_en"]
    assert "75.6 MB, by OpenAI, licence MIT" in outcome.err
    asked.clear()
    assert pirctl("train", "bert", "--stage", "face", *whisper).status == 0
    assert not asked


def test_a_driving_video_fetches_the_trackers_model(
    pirctl: Command, asked: list[str], workspace: Path, tmp_path: Path
) -> None:
    pirctl("reenact", "anna", "--drive", make_clip(tmp_path), "--workspace", workspace)
    assert asked == ["face_landmarker"]


def test_evaluate_fetches_the_trackers_model(
    pirctl: Command, asked: list[str], workspace: Path
) -> None:
    pirctl("evaluate", "anna", "--tracker", "mediapipe", "--workspace", workspace)
    assert asked == ["face_landmarker"]
