"""The mel encoder: exact frames, exact streaming, exact time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pirctl.errors import SettingsError
from pirctl.settings import SpeechSettings
from pirctl.speech import SpeechEncoder, build_encoder

SETTINGS = SpeechSettings(encoder="mel", mel_width=16, mel_context_frames=3)


def make_encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return build_encoder(SETTINGS, 25, 16000).eval()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal(int(seconds * 16000))).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 399, 640, 641, 16000, 17321])
def test_any_number_of_samples_gives_exactly_the_frames_asked_for(samples: int) -> None:
    encoder = make_encoder()
    for frames in (1, 7, 30):
        inputs = encoder.prepare(noise(2)[:samples], frames)
        assert inputs.shape == (frames + 6, encoder.input_width)
        assert encoder(inputs[None]).shape == (1, frames, encoder.feature_width)


def test_a_click_lands_in_the_frame_that_lasts_while_it_sounds() -> None:
    encoder = make_encoder()
    for frame in (0, 10, 19):
        sound = np.zeros(20 * 640, np.float32)
        sound[frame * 640 + 320] = 1.0
        energy = encoder.prepare(sound, 20).clone()[3:-3].sum(1)
        energy = energy - energy.min()
        centre = (energy * (torch.arange(20) + 0.5)).sum() / energy.sum()
        assert energy.argmax() == frame
        assert float(centre) == pytest.approx(frame + 0.5, abs=0.01)


def test_a_window_of_inputs_gives_the_features_of_the_whole() -> None:
    encoder = make_encoder()
    inputs = encoder.prepare(noise(2), 50)
    whole = encoder(inputs[None])
    window = encoder(inputs[None, 20 : 30 + 6])
    torch.testing.assert_close(window, whole[:, 20:30], rtol=1e-5, atol=1e-5)


def test_features_do_not_depend_on_sound_beyond_the_context() -> None:
    encoder = make_encoder()
    sound = noise(2)
    changed = sound.copy()
    changed[: 10 * 640] *= -0.5  # Quieter and other samples, the gain stays what it is.
    features, other = (
        torch.cat(list(encoder.stream([piece], 50, encoder.measure([sound]), 50)), 1)
        for piece in (sound, changed)
    )
    # The spectrum of a column reaches 176 samples past its frame, so one frame more.
    torch.testing.assert_close(features[:, 14:], other[:, 14:], rtol=0, atol=1e-6)
    assert (features[:, :10] - other[:, :10]).abs().amax() > 1e-2


@pytest.mark.parametrize("piece_samples", [333, 640, 16000, 10**6])
@pytest.mark.parametrize("window_frames", [7, 100])
def test_streaming_in_pieces_equals_the_whole(piece_samples: int, window_frames: int) -> None:
    encoder = make_encoder()
    encoder.block_frames = 20  # Several blocks in a short test.
    sound = noise(3)[: 3 * 16000 - 77]
    frames = 75
    whole = encoder(encoder.prepare(sound, frames)[None])
    pieces = [sound[i : i + piece_samples] for i in range(0, len(sound), piece_samples)]
    loudness = encoder.measure([sound])
    streamed = list(encoder.stream(pieces, frames, loudness, window_frames))
    assert all(chunk.shape[1] <= window_frames for chunk in streamed)
    torch.testing.assert_close(torch.cat(streamed, 1), whole, rtol=1e-5, atol=1e-5)


def test_a_quieter_recording_gives_the_same_inputs() -> None:
    encoder = make_encoder()
    sound = noise(2)
    loud, quiet = encoder.prepare(sound, 50), encoder.prepare(0.05 * sound, 50)
    torch.testing.assert_close(loud, quiet, rtol=1e-3, atol=1e-3)


def test_training_varies_the_recording_and_use_does_not() -> None:
    encoder = make_encoder()
    inputs = encoder.prepare(noise(1), 25)[None]
    assert torch.equal(encoder(inputs), encoder(inputs))
    encoder.train()
    assert not torch.equal(encoder(inputs), encoder(inputs))


def test_an_architecture_is_plain_json() -> None:
    assert json.loads(json.dumps(make_encoder().architecture())) == {}


@pytest.mark.parametrize("frame_rate", [24, 30])
def test_a_rate_without_whole_columns_names_the_setting(frame_rate: int) -> None:
    with pytest.raises(SettingsError, match=r"media\.frame_rate"):
        build_encoder(SETTINGS, frame_rate, 16000)
