"""Sound files to expressions with a random tiny network: counts, silence, streaming, errors."""

from __future__ import annotations

import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pirctl.errors import DecodeError
from pirctl.face.model import ARKIT_NAMES
from pirctl.media.sound import read_sound, write_sound
from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.perform.expression import frames_of_sound, mouth_axes, speech_expression
from pirctl.settings import Audio2ExpSettings, Settings, SpeechSettings
from pirctl.speech import SpeechEncoder, build_encoder
from tests.speech.sounds import music, sentence

Z_ID = np.array([0.3, -1.0, 0.5], np.float32)
REST = np.array([0.0, 0.1, -0.1, 0.2], np.float32)


@dataclass(frozen=True)
class Stage:
    """A trained stage's stand-in."""

    encoder: SpeechEncoder
    decoder: Audio2ExpEnsemble
    settings: Settings = field(default_factory=Settings)


@pytest.fixture
def stage() -> Stage:
    torch.manual_seed(0)
    speech = SpeechSettings(encoder="mel", mel_width=16, mel_context_frames=4)
    encoder = build_encoder(speech, 25, 16000)
    small = Audio2ExpSettings(width=16, heads=4, feedforward=16, window_frames=30)
    decoder = Audio2ExpEnsemble(small, speech, encoder.feature_width, 3, 4)
    nn.init.normal_(decoder.first.head.weight, std=0.5)
    return Stage(encoder.eval(), decoder.eval())


def babble(seconds: float, rate_hz: int = 16000) -> np.ndarray:
    """Noise whose colour and loudness change like syllables; never silent."""
    generator = np.random.default_rng(0)
    samples = generator.standard_normal(round(seconds * rate_hz))
    time_s = np.arange(len(samples)) / rate_hz
    loud = 0.1 * (1.2 + np.sin(2 * np.pi * 3 * time_s))
    return (0.5 * loud * samples).astype(np.float32)


def said(seconds: float) -> np.ndarray:
    """A voice that says something all the time."""
    whole = np.concatenate([sentence()[9600:-9600]] * 3)
    return np.asarray(whole[: round(seconds * 16000)], np.float32)


def make(path: Path, samples: np.ndarray, rate_hz: int = 16000) -> Path:
    write_sound(path, samples, rate_hz)
    return path


def express(path: Path, stage: Stage, rest: np.ndarray | None = REST) -> np.ndarray:
    return np.concatenate(list(speech_expression(path, stage, Z_ID, rest)))


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "frames"),
    [
        (2.0, 16000, 50),
        (2.0, 44100, 50),
        (2.0, 48000, 50),
        (1.234, 48000, 31),
        (0.001, 16000, 1),
        (3.033, 44100, 76),
    ],
)
def test_the_number_of_frames_covers_the_sound(
    tmp_path: Path, stage: Stage, seconds: float, rate_hz: int, frames: int
) -> None:
    path = make(tmp_path / "speech.wav", babble(seconds, rate_hz), rate_hz)
    made = express(path, stage)
    assert made.shape == (frames, 4)
    assert np.isfinite(made).all()


def test_any_sample_rate_of_the_same_sound_gives_the_same_face(
    tmp_path: Path, stage: Stage
) -> None:
    time_s = np.arange(2 * 48000) / 48000
    tones = 0.2 * np.sin(2 * np.pi * (300 + 200 * np.sin(2 * np.pi * 2 * time_s)) * time_s)
    high = make(tmp_path / "48.wav", tones.astype(np.float32), 48000)
    low = make(tmp_path / "16.wav", tones[::3].astype(np.float32), 16000)
    one, other = express(high, stage, None), express(low, stage, None)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


def test_silence_is_the_rest_pose(tmp_path: Path, stage: Stage) -> None:
    made = express(make(tmp_path / "silence.wav", np.zeros(32000, np.float32)), stage)
    np.testing.assert_allclose(made, np.tile(REST, (50, 1)), atol=1e-6)


def test_a_pause_rests_and_speech_is_what_the_network_says(tmp_path: Path, stage: Stage) -> None:
    sound = said(4)
    sound[16000:32000] = 0
    path = make(tmp_path / "speech.wav", sound)
    made, free = express(path, stage), express(path, stage, None)
    np.testing.assert_allclose(made[33:46], np.tile(REST, (13, 1)), atol=1e-6)
    np.testing.assert_array_equal(made[:25], free[:25])
    np.testing.assert_array_equal(made[50:], free[50:])
    assert np.abs(free[30:46] - REST).max() > 0.05


def test_music_without_a_voice_rests_and_a_voice_over_it_does_not(
    tmp_path: Path, stage: Stage
) -> None:
    sound = 10 ** (-5 / 20) * music(6, drums=True)
    sound[32000:64000] += said(2)
    path = make(tmp_path / "speech.wav", np.asarray(sound, np.float32))
    made, free = express(path, stage), express(path, stage, None)
    np.testing.assert_allclose(made[:45], np.tile(REST, (45, 1)), atol=1e-6)
    np.testing.assert_allclose(made[114:], np.tile(REST, (36, 1)), atol=1e-6)
    np.testing.assert_array_equal(made[52:98], free[52:98])


def test_two_runs_are_identical(tmp_path: Path, stage: Stage) -> None:
    path = make(tmp_path / "speech.wav", babble(3))
    np.testing.assert_array_equal(express(path, stage), express(path, stage))


def test_a_long_file_in_chunks_equals_the_whole_at_once(tmp_path: Path, stage: Stage) -> None:
    path = make(tmp_path / "speech.wav", babble(20.5))
    sound = read_sound(path)
    with torch.no_grad():
        features = stage.encoder(stage.encoder.prepare(sound, 513)[None])
        whole = stage.decoder(features, torch.from_numpy(Z_ID)[None])[0].numpy()
    chunks = list(speech_expression(path, stage, Z_ID))
    assert max(len(chunk) for chunk in chunks) <= stage.decoder.window_frames
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-4)


def test_a_file_without_samples_is_refused_before_anything_is_made(
    tmp_path: Path, stage: Stage
) -> None:
    path = tmp_path / "empty.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
    with pytest.raises(DecodeError, match=r"empty\.wav"):
        speech_expression(path, stage, Z_ID, REST)


def test_a_missing_file_is_refused(tmp_path: Path, stage: Stage) -> None:
    with pytest.raises(DecodeError, match=r"absent\.wav"):
        speech_expression(tmp_path / "absent.wav", stage, Z_ID, REST)


def test_an_identity_of_another_face_model_is_refused(tmp_path: Path, stage: Stage) -> None:
    with pytest.raises(ValueError, match="z_id"):
        speech_expression(tmp_path / "any.wav", stage, np.zeros(80, np.float32), REST)


def test_the_mouth_is_jaw_lips_tongue_and_cheek_puff() -> None:
    chosen = {ARKIT_NAMES[index] for index in mouth_axes(ARKIT_NAMES)}
    assert {"jawOpen", "mouthSmileLeft", "tongueOut", "cheekPuff"} <= chosen
    assert not any(name.startswith(("brow", "eye", "nose", "cheekSquint")) for name in chosen)
    assert len(chosen) == 29


def test_a_model_without_named_axes_moves_them_all() -> None:
    assert mouth_axes(("axis 0", "axis 1")) == (0, 1)


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (1, 1), (640, 1), (641, 2), (16000, 25)])
def test_a_partial_frame_counts_as_one(samples: int, frames: int) -> None:
    assert frames_of_sound(samples, 640) == frames


def test_what_cannot_be_trusted_is_shrunk_towards_the_mean(tmp_path: Path, stage: Stage) -> None:
    path = make(tmp_path / "speech.wav", babble(2))
    stage.decoder.first.expression_mean.copy_(torch.tensor([0.5, -0.5, 0.1, 0.0]))
    free = express(path, stage, None)
    stage.decoder.trust.copy_(torch.tensor([1.0, 0.5, 0.0, 0.25]))
    made = express(path, stage, None)
    mean = stage.decoder.first.expression_mean.numpy()
    np.testing.assert_allclose(made - mean, (free - mean) * [1, 0.5, 0, 0.25], atol=1e-6)
