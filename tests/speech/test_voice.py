"""The voice detector: parity with a slow twin, and what the gate makes of voice and music."""

from __future__ import annotations

import itertools
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.media import read_sound
from pirctl.speech import voice
from pirctl.speech.gate import silence_gate
from pirctl.speech.level import FloatArray, Loudness, measure
from pirctl.speech.voice import CHUNK_SAMPLES, VoiceDetector, hear_voice, load_detector
from tests.speech.sounds import RATE_HZ, music, sentence

SHARED = Path(__file__).resolve().parents[3] / "shared" / "audio"
FRAME_SAMPLES = 640


def detector() -> VoiceDetector:
    found = load_detector()
    assert found is not None
    return found


def gate(sound: FloatArray) -> FloatArray:
    loudness = measure([sound], FRAME_SAMPLES)
    heard = hear_voice([sound], loudness, FRAME_SAMPLES, RATE_HZ)
    assert heard is not None
    return silence_gate(loudness, heard)


def pieces(sound: FloatArray, samples: int) -> Iterator[FloatArray]:
    return (sound[start : start + samples] for start in range(0, len(sound), samples))


def spoken(sound: FloatArray) -> np.ndarray:
    """Frames well inside the speech of a clean recording: loud for three frames in a row."""
    levels = measure([sound], FRAME_SAMPLES).frames_db
    loud = levels > -30
    return loud[:-2] & loud[1:-1] & loud[2:]


def test_all_chunks_at_once_equal_a_cell_that_goes_chunk_by_chunk() -> None:
    network = detector()
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict(
        {name.removesuffix("_l0"): weight for name, weight in network.lstm.state_dict().items()}
    )
    sound = sentence()[: 40 * CHUNK_SAMPLES]
    padded = torch.from_numpy(np.concatenate([np.zeros(64, np.float32), sound]))
    state, expected = None, []
    with torch.inference_mode():
        for first in range(0, len(sound), CHUNK_SAMPLES):
            chunk = padded[first : first + CHUNK_SAMPLES + 64]
            chunk = torch.cat([chunk, chunk[-65:-1].flip(0)])  # The reflection.
            columns = [
                network.stft_conv.weight[:, 0] @ chunk[i : i + 256] for i in (0, 128, 256, 384)
            ]
            waves = torch.stack(columns, 1)
            hidden = torch.hypot(waves[:129], waves[129:])[None]
            for layer in (network.conv1, network.conv2, network.conv3, network.conv4):
                hidden = layer(hidden).relu()
            state = cell(hidden[:, :, 0], state)
            expected.append(network.final_conv(state[0].relu()[:, :, None]).sigmoid().item())
    heard = np.concatenate(list(network.listen([sound])))
    np.testing.assert_allclose(heard, expected, atol=1e-5)
    assert max(expected) > 0.9
    assert min(expected) < 0.1


@pytest.mark.parametrize("samples", [1, 333, 512, 9000])
def test_sound_in_pieces_gives_what_the_whole_gives(samples: int) -> None:
    sound = sentence()[: 9000 + 77]
    whole = np.concatenate(list(detector().listen([sound])))
    parts = np.concatenate(list(detector().listen(pieces(sound, samples))))
    assert len(whole) == -(-len(sound) // CHUNK_SAMPLES)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641, 12345])
def test_there_is_one_value_for_every_frame(samples: int) -> None:
    sound = sentence()[:samples]
    loudness = measure([sound], FRAME_SAMPLES)
    heard = hear_voice([sound], loudness, FRAME_SAMPLES, RATE_HZ)
    assert heard is not None
    assert heard.shape == loudness.frames_db.shape


def test_an_hour_of_sound_is_heard_in_the_memory_of_a_minute() -> None:
    block = np.zeros(1 << 18, np.float32)

    def stand_in(chunks: torch.Tensor, state: object = None) -> tuple[torch.Tensor, object]:
        return torch.zeros(len(chunks)), state

    network = VoiceDetector()
    network.forward = stand_in  # type: ignore[method-assign]
    tracemalloc.start()
    for _ in network.listen(itertools.repeat(block, 220)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("drums", [True, False])
def test_music_alone_closes_the_mouth_from_first_to_last(drums: bool, seed: int) -> None:
    assert (gate(music(6, drums=drums, seed=seed)) == 1).all()


def test_noise_alone_closes_the_mouth() -> None:
    generator = np.random.default_rng(0)
    assert (gate((0.1 * generator.standard_normal(4 * RATE_HZ)).astype(np.float32)) == 1).all()


@pytest.mark.parametrize("drums", [True, False])
def test_speech_five_decibels_above_music_is_free_and_its_pauses_are_closed(drums: bool) -> None:
    said = sentence()
    alone = music(3, drums=drums, seed=1)
    under = music(len(said) / RATE_HZ, drums=drums)[: len(said)]
    sound = np.concatenate([alone, said + 10 ** (-5 / 20) * under, alone]).astype(np.float32)
    made = gate(sound)
    first = len(alone) // FRAME_SAMPLES
    free = made[first : first + len(spoken(said))][spoken(said)]
    assert (free == 0).mean() > 0.97
    assert (made[: first - 5] == 1).all()
    assert (made[-first + 5 :] == 1).all()


def test_quiet_speech_in_a_file_of_loud_speech_is_free() -> None:
    said = sentence()
    generator = np.random.default_rng(0)
    sound = np.concatenate([said, 0.04 * said])  # 28 dB less
    sound += (10 ** (-58 / 20) * generator.standard_normal(len(sound))).astype(np.float32)
    inside = spoken(said)
    free = gate(sound.astype(np.float32))[len(said) // FRAME_SAMPLES + 1 :][: len(inside)]
    assert (free[inside[: len(free)]] == 0).mean() > 0.9


def test_speech_at_any_level_is_free() -> None:
    said = sentence()
    for gain in (1.0, 0.01):
        free = gate(np.asarray(gain * said, np.float32))[: len(spoken(said))][spoken(said)]
        assert (free == 0).mean() > 0.97


@pytest.mark.shared
@pytest.mark.parametrize("name", ["deyu", "fayu", "obama2", "ls_demo1", "chinese_news"])
def test_real_speech_above_music_is_free(name: str) -> None:
    path = SHARED / f"{name}.wav"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    said = read_sound(path)[: 6 * RATE_HZ]
    said = np.asarray(0.1 * said / said.std(), np.float32)
    clean = hear_voice([said], measure([said], FRAME_SAMPLES), FRAME_SAMPLES, RATE_HZ)
    assert clean is not None
    for drums in (True, False):
        under = music(len(said) / RATE_HZ, drums=drums)[: len(said)]
        made = gate(np.asarray(said + 10 ** (-5 / 20) * under, np.float32))
        # The least of them, a radio talk under a drum: 0.87.
        assert (made[clean > 0.9] == 0).mean() > 0.8


def test_without_the_package_loudness_decides_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(voice, "load_detector", lambda: None)
    loudness = Loudness(frames_db=np.full(30, -20, np.float32), samples=30 * FRAME_SAMPLES)
    assert hear_voice([], loudness, FRAME_SAMPLES, RATE_HZ) is None
    assert "pip install silero-vad" in caplog.text


def test_another_sample_rate_is_left_to_the_loudness(caplog: pytest.LogCaptureFixture) -> None:
    loudness = Loudness(frames_db=np.full(30, -20, np.float32), samples=30 * 1920)
    assert hear_voice([], loudness, 1920, 48000) is None
    assert "48000" in caplog.text


def test_which_one_is_used_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pirctl")
    sound = np.zeros(RATE_HZ, np.float32)
    hear_voice([sound], measure([sound], FRAME_SAMPLES), FRAME_SAMPLES, RATE_HZ)
    assert "Silero VAD" in caplog.text
    assert "loudness" not in caplog.text
