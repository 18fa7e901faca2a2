"""The sync score: a mouth that follows a sound, late, early, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pirctl.evaluate.sync import (
    MOST_LAG_FRAMES,
    speech_envelope,
    sync_samples,
    without_trend,
)

RATE = 16000


@dataclass
class Sync:
    lag_frames: int
    height: float


def sync_score(opening: np.ndarray, envelope: np.ndarray) -> Sync | None:
    samples = sync_samples(opening, envelope)
    if not samples:
        return None
    return Sync(round(samples["sync_lag"].value()), float(samples["sync"].value()))


def syllables(frames: int, seed: int = 0) -> np.ndarray:
    """How open a mouth is that speaks about four syllables a second."""
    rng = np.random.default_rng(seed)
    curve = np.zeros(frames)
    start = 0
    while start < frames:
        length = int(rng.integers(4, 9))
        shape = np.hanning(length + 2)[1:-1] * rng.uniform(0.3, 1)
        part = curve[start : start + length]
        part += shape[: len(part)]
        start += length
    return curve


def voice(opening: np.ndarray) -> np.ndarray:
    """Noise as loud as the mouth is open."""
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, len(opening) * RATE // 25)
    return (noise * np.repeat(opening**2, RATE // 25)).astype(np.float32)


@pytest.mark.parametrize("lag", [-9, 0, 4])
def test_the_lag_of_a_late_or_early_mouth_is_found(lag: int) -> None:
    opening = syllables(200)
    envelope = speech_envelope([voice(opening)], RATE, 200)
    sync = sync_score(np.roll(opening, lag), envelope)
    assert sync.lag_frames == lag
    assert sync.height > 0.8


def test_another_speech_and_a_still_mouth_do_not_follow_the_sound() -> None:
    envelope = speech_envelope([voice(syllables(300))], RATE, 300)
    assert sync_score(syllables(300, seed=5), envelope).height < 0.35
    assert sync_score(np.full(300, 0.2), envelope).height == 0


def test_a_drift_of_the_head_and_unread_frames_change_little() -> None:
    opening = syllables(200)
    envelope = speech_envelope([voice(opening)], RATE, 200)
    plain = sync_score(opening, envelope)
    disturbed = opening + np.linspace(0, 3, 200)
    disturbed[[3, 50, 51, 120]] = np.nan
    found = sync_score(disturbed, envelope)
    assert found.lag_frames == plain.lag_frames == 0
    assert found.height == pytest.approx(plain.height, abs=0.05)


def test_the_height_is_numpy_s_correlation_at_the_peak() -> None:
    opening, envelope = syllables(120), syllables(120, seed=3)
    found = sync_score(opening, envelope)
    a, b = without_trend(opening), without_trend(envelope)
    inner = np.arange(MOST_LAG_FRAMES, 120 - MOST_LAG_FRAMES)
    slow = {
        lag: np.corrcoef(a[inner], b[inner - lag])[0, 1]
        for lag in range(-MOST_LAG_FRAMES, MOST_LAG_FRAMES + 1)
    }
    assert found.lag_frames == max(slow, key=slow.get)
    assert found.height == pytest.approx(max(slow.values()))


def test_the_envelope_does_not_depend_on_the_blocks_and_ends_in_silence() -> None:
    sound = voice(syllables(50))
    whole = speech_envelope([sound], RATE, 60)
    np.testing.assert_allclose(speech_envelope(np.split(sound, [7, 900]), RATE, 60), whole)
    assert whole.shape == (60,)
    np.testing.assert_array_equal(whole[52:], 0)


def test_a_hum_below_the_voice_is_not_heard() -> None:
    opening = syllables(100)
    time = np.arange(100 * RATE // 25) / RATE
    hum = (0.3 * np.sin(2 * np.pi * 50 * time)).astype(np.float32)
    quiet = speech_envelope([voice(opening)], RATE, 100)
    np.testing.assert_allclose(speech_envelope([voice(opening) + hum], RATE, 100), quiet, atol=0.06)


def test_a_curve_too_short_to_be_shifted_has_no_score() -> None:
    assert sync_score(np.arange(45.0), np.arange(45.0)) is None
    assert sync_samples(np.full(100, np.nan), np.arange(100.0)) == {}
