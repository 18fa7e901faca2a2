from __future__ import annotations

import json
from dataclasses import replace

from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.training import run
from tests.training.clip import tiny_settings


def _longer(stage: str, epochs: int, learning_rate: float, **loss: float) -> Settings:
    settings = tiny_settings()
    changed = replace(
        getattr(settings.train, stage), epochs=epochs, learning_rate=learning_rate, batch_size=6
    )
    return replace(
        settings,
        loss=replace(settings.loss, **loss),
        audio2exp=replace(settings.audio2exp, dropout=0.0),
        train=replace(settings.train, **{stage: changed}),
    )


def _losses(target: Target, stage: str, name: str) -> tuple[float, float]:
    lines = (target.stage_folder(stage) / "log.jsonl").read_text().splitlines()
    return json.loads(lines[0])[name], json.loads(lines[-1])[name]


def test_the_audio_stage_learns_what_it_hears(target: Target) -> None:
    run("audio", target, _longer("audio", 60, 1e-2))
    first, last = _losses(target, "audio", "expression")
    assert last < 0.5 * first


def test_the_face_stage_learns_the_head(target: Target) -> None:
    run("face", target, _longer("face", 14, 1e-2))
    first, last = _losses(target, "face", "photometric")
    assert last < 0.35 * first


def test_the_render_stage_learns_the_frame_against_a_discriminator(target: Target) -> None:
    run("face", target, _longer("face", 8, 1e-2))
    settings = _longer("render", 14, 3e-3, adversarial=0.01, feature_matching=0.1)
    run("render", target, settings)
    first, last = _losses(target, "render", "photometric")
    assert last < 0.4 * first
