"""Several heads of the speech encoder in training, and stages from before there were several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from pirctl.perform.loading import load_audio_stage
from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.training import run
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings

CPU = torch.device("cpu")


def settings(heads: int) -> Settings:
    chosen = tiny_settings()
    audio = replace(chosen.train.audio, epochs=3)
    return replace(
        chosen,
        speech=replace(chosen.speech, heads=heads),
        train=replace(chosen.train, audio=audio),
    )


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return make_target(tmp_path / "bob", disc(130))


def said(target: Target) -> np.ndarray:
    stage = load_audio_stage(target, CPU)
    inputs = torch.randn(1, 40, stage.encoder.input_width, generator=torch.manual_seed(0))
    with torch.no_grad():
        features = stage.encoder(inputs)
        made = stage.decoder(features, torch.zeros(1, stage.decoder.identity_width))
    return made.numpy()


def test_every_head_learns_from_a_start_of_its_own(target: Target) -> None:
    run("audio", target, settings(2))
    encoder = load_audio_stage(target, CPU).encoder
    first, second = (head.projection.weight for head in encoder.heads)
    assert not torch.allclose(first, second, atol=1e-2)


def test_a_stage_from_before_there_were_heads_says_the_same(target: Target) -> None:
    run("audio", target, settings(1))
    today = said(target)
    path = target.stage_folder("audio") / "checkpoint" / "weights.safetensors"
    weights = safetensors.torch.load_file(path)
    before = {
        name.replace("encoder.heads.0.", "encoder.").replace("decoder.members.0.", "decoder."): one
        for name, one in weights.items()
    }
    assert before.keys() != weights.keys()
    safetensors.torch.save_file(before, path)
    np.testing.assert_array_equal(said(target), today)
