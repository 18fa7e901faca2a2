"""The command line run in this process, and a small target whose stages are trained a little."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl import config
from pirctl.cli import main
from pirctl.media import VideoWriter, write_sound
from pirctl.target import Target
from pirctl.training import run
from tests.prepare.drawn import SIZE
from tests.targets import face, make_target

FRAMES = 60

OVERRIDES = (
    f"media.size_px={SIZE}",
    "face.feature_size=24",
    "renderer.feature_size=24",
    "train.holdout_s=1",
    "train.audio.max_steps=1",
    "train.face.max_steps=1",
    "train.render.max_steps=1",
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def pirctl(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run `pirctl` with these arguments, in an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Outcome(status, out, err)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A target with three stages of one step each: it paints badly, but it paints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained") / "targets" / "anna"
    target = make_target(folder, face(FRAMES))
    labels = np.ones((SIZE, SIZE), np.uint8)
    with VideoWriter(target.parsing_path, SIZE, SIZE, Fraction(25), quality="labels") as writer:
        for _ in range(FRAMES):
            writer.write(labels)
    # The shot that the crop was cut out of: the crop itself.
    source = folder.parents[1] / "film.mkv"
    shutil.copy(target.frames_path, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    target.write_about(replace(target.about, source=str(source), source_sha256=digest))
    run("all", target, config.load("tiny", OVERRIDES))
    return target


@pytest.fixture
def workspace(trained: Target, tmp_path: Path) -> Path:
    """A workspace of its own with the trained target `anna` and the untrained `bert`."""
    root = tmp_path / "targets"
    shutil.copytree(trained.folder, root / "anna", copy_function=os.link)
    shutil.copytree(
        trained.folder, root / "bert", copy_function=os.link,
        ignore=shutil.ignore_patterns("stages"),
    )  # fmt: skip
    return root


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Half a second of noise as 44.1 kHz sound."""
    path = tmp_path / "speech.wav"
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, 22050).astype(np.float32)
    write_sound(path, noise, 44100)
    return path
