"""Footage at other speeds: sound and face stay together, and training hears every take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.media import write_sound
from pirctl.settings import Audio2ExpSettings, Settings
from pirctl.speech import SpeechEncoder, build_encoder
from pirctl.target import Target
from pirctl.target.checkpoint import load_about, load_checkpoint
from pirctl.training import run
from pirctl.training.audio import AudioTrainer, Speech, read_speech
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings

CPU = torch.device("cpu")
FRAMES = 100


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """Silence and a still mouth, but for a burst of sound and an open mouth in frames 60 to 69."""
    target = make_target(tmp_path_factory.mktemp("speeds") / "bob", disc(FRAMES))
    sound = np.zeros(FRAMES * 640, np.float32)
    time = np.arange(10 * 640) / 16000
    sound[60 * 640 : 70 * 640] = 0.3 * np.sin(2 * np.pi * 440 * time)
    write_sound(target.audio_path, sound, 16000)
    return target


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return build_encoder(tiny_settings().speech, 25, 16000).eval()


def take(target: Target, encoder: SpeechEncoder, speed: float) -> Speech:
    track = target.track()
    z_exp = np.zeros_like(track.z_exp)
    z_exp[60:70] = 1.0
    valid = np.ones(FRAMES, bool)
    valid[20] = False
    track = replace(track, z_exp=z_exp, valid=valid)
    return read_speech(target, track, FRAMES, encoder, 16000, CPU, speed)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_sound_and_face_move_together(target: Target, encoder: SpeechEncoder, speed: float) -> None:
    heard = take(target, encoder, speed)
    assert heard.frames == int(FRAMES / speed)
    rows = heard.inputs[encoder.context_frames :][: heard.frames]
    loud = (rows - rows.amin(0)).mean(1) > 0.5
    opened = heard.z_exp[:, 0] > 0.5
    at = torch.arange(heard.frames) + 0.5
    for found in (loud, opened):
        assert float(at[found].mean()) == pytest.approx(65 / speed, abs=0.6)
        assert int(found.sum()) == pytest.approx(10 / speed, abs=2.1)
    # Whatever lies next to a frame without a face is not known either.
    assert 1 <= int((heard.valid == 0).sum()) <= 3


def test_a_faster_take_is_higher_in_pitch(target: Target, encoder: SpeechEncoder) -> None:
    def band(speed: float) -> int:
        heard = take(target, encoder, speed)
        middle = encoder.context_frames + int(65 / speed)
        return int(heard.inputs[middle].reshape(4, -1).mean(0).argmax())

    assert band(0.6) < band(1.0) < band(1.5)


def test_every_step_hears_the_next_take(target: Target, encoder: SpeechEncoder) -> None:
    settings = tiny_settings()
    takes = [take(target, encoder, speed) for speed in (1.0, 0.9, 1.1)]
    for number, one in enumerate(takes):
        one.z_exp.fill_(float(number))
    trainer = AudioTrainer(takes[0], encoder, settings, ("a",) * 52, tuple(takes[1:]))
    trainer.decoder.set_statistics(torch.zeros(52), torch.ones(52))
    losses = []
    for step in range(6):
        (phase,) = trainer.phases(torch.tensor([0, trainer.samples - 1]), step, 6)
        losses.append(float(phase.terms["expression"].detach()))
    # The head begins at 0, so the loss is the square of what the take shows.
    np.testing.assert_allclose(losses, [0, 1, 4, 0, 1, 4], atol=1e-6)


def with_speeds(change: float, trust_below_s: float = 0.0) -> Settings:
    settings = tiny_settings()
    chosen = replace(settings.audio2exp, speed_change=change, trust_below_s=trust_below_s)
    return replace(settings, audio2exp=chosen)


def test_training_at_speeds_is_another_training_and_repeats_itself(
    target: Target, tmp_path: Path
) -> None:
    folder = target.stage_folder("audio") / "checkpoint"
    made = []
    for change in (0.0, 0.1, 0.1):
        run("audio", target, with_speeds(change), restart=True)
        made.append(load_checkpoint(folder).weights["decoder.members.0.head.weight"])
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[1], made[2])


def test_trust_is_measured_at_speeds_too(tmp_path: Path) -> None:
    target = make_target(tmp_path / "bob", disc(130))
    run("audio", target, with_speeds(0.1, trust_below_s=60))
    about = load_about(target.stage_folder("audio") / "checkpoint")
    assert about.finished
    assert len(about.trust) == about.expression_width


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 1.5])
@pytest.mark.parametrize("frames", [40, 99, 375])
def test_what_is_left_out_is_left_out_at_every_speed(frames: int, speed: float) -> None:
    first = frames - round(0.25 * frames)
    kept = first * int(frames / speed) // frames
    last_second = ((kept - 1) + 0.5) * speed - 0.5
    assert last_second <= first - 1 + speed


def test_a_speed_that_nobody_speaks_at_is_refused() -> None:
    with pytest.raises(ValueError, match="speed_change"):
        Audio2ExpSettings(speed_change=0.6)
