"""`--preset auto`, the default: chosen once, said, and remembered by the target."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from pirctl.cli import bench, doctor, preprocess, train
from pirctl.settings import DEFAULT_PRESET
from pirctl.target import Target
from pirctl.target.checkpoint import load_checkpoint
from tests.cli.conftest import Command
from tests.prepare.test_preprocess import landmark_file, make_clip


@pytest.fixture
def clip(tmp_path: Path) -> tuple[str, ...]:
    """The arguments of preprocess for a clip of 24 frames."""
    video, points = make_clip(tmp_path), landmark_file(tmp_path, Fraction(25))
    return (str(video), "--landmarks", str(points), "--parser", "geometry", "--target", "me")


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    "command", [preprocess.preprocess, train.train, bench.bench, doctor.doctor]
)
def test_every_command_that_takes_a_preset_has_the_same_default(
    command: Callable[..., None],
) -> None:
    assert inspect.signature(command).parameters["preset"].default == DEFAULT_PRESET == "auto"


def test_preprocess_says_what_it_chose_and_the_target_remembers_it(
    pirctl: Command, clip: tuple[str, ...]
) -> None:
    outcome = pirctl("preprocess", *clip)
    assert outcome.status == 0
    assert outcome.err.count("preset laptop: no CUDA GPU") == 1
    about = Target(Path("targets/me")).about
    assert (about.preset, about.size_px) == ("laptop", 256)


def test_a_second_run_keeps_the_preset_of_the_target(
    pirctl: Command, clip: tuple[str, ...]
) -> None:
    size = ("--set", "media.size_px=64")
    assert pirctl("preprocess", *clip, *size, "--preset", "fast").status == 0
    outcome = pirctl("preprocess", *clip, *size)
    assert outcome.status == 0
    assert "up to date" in outcome.err
    assert "preset laptop" not in outcome.err
    assert Target(Path("targets/me")).about.preset == "fast"


def test_train_takes_preset_and_size_from_the_target(
    pirctl: Command, clip: tuple[str, ...]
) -> None:
    small = ("--set", "media.size_px=64", "--preset", "tiny")
    assert pirctl("preprocess", *clip, *small).status == 0
    outcome = pirctl(
        "train", "--stage", "audio", "--holdout", "0.2", "--set", "train.audio.max_steps=1"
    )
    assert outcome.status == 0, outcome.err
    assert "preset " not in outcome.err
    assert "training audio: 0/1 steps" in outcome.err
    settings = load_checkpoint(Target(Path("targets/me")).stage_folder("audio") / "checkpoint")
    assert settings.settings.media.size_px == 64
    assert settings.settings.speech.encoder == "mel"
