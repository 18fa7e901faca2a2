"""Whether a mouth moves with a sound, without any model file.

A mouth opens when a voice gets louder between 500 and 2500 Hz, where the first resonances of an
open mouth lie. Both curves are freed of what is slower than two seconds (the head that turns, the
voice that is raised), and compared at every lag up to 15 frames. Where the peak lies says how late
the mouth is, its height how surely it follows the sound. Much lower than SyncNet's confidence at
telling speakers apart, but it needs nothing and cannot be trained to please.

On true footage of a single voice the peak lies within 3 frames of 0 and is 0.3 to 0.8 high; with
music, a second voice or under ten seconds of speech it may not be found at all; about 0.2 is what
chance finds in five seconds. So the score is read beside the truth's.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pirctl.evaluate.intervals import DoubleArray, Samples, correlation_of

FloatArray = NDArray[np.float32]

MOST_LAG_FRAMES = 15
"""Lags that are tried, both ways: SyncNet's."""

_LOW_HZ, _HIGH_HZ = 500.0, 2500.0
_SLOWEST_FRAMES = 50
_SMOOTHING = (0.25, 0.5, 0.25)


def speech_envelope(blocks: Iterable[FloatArray], rate_hz: int, frames: int) -> DoubleArray:
    """Root of the amplitude in the band of open vowels, per frame at 25 frames a second.

    Args:
        blocks: (any,) float samples in [-1, 1].
        rate_hz: their rate.
        frames: length of the result; silent beyond the sound's end.

    Returns:
        (T,) 0 or more.
    """
    from scipy.signal import butter, sosfilt

    sections = butter(2, (_LOW_HZ, _HIGH_HZ), "bandpass", fs=rate_hz, output="sos")
    state = np.zeros((len(sections), 2))
    per_frame = rate_hz // 25
    power: list[DoubleArray] = []
    rest = np.zeros(0)
    for block in blocks:
        filtered, state = sosfilt(sections, np.asarray(block, np.float64), zi=state)
        filtered = np.concatenate([rest, filtered])
        whole = len(filtered) // per_frame * per_frame
        power.append(np.square(filtered[:whole].reshape(-1, per_frame)).mean(1))
        rest = filtered[whole:]
    found = np.concatenate([*power, np.zeros(frames)])[:frames]
    return np.convolve(found**0.25, _SMOOTHING, "same")


def without_trend(curve: DoubleArray) -> DoubleArray:
    """A curve (T,) less its weighted mean over two seconds; NaN stays NaN and weighs nothing."""
    window = np.hanning(_SLOWEST_FRAMES + 2)[1:-1]
    known = ~np.isnan(curve)
    weights = _centred(known.astype(np.float64), window)
    means = _centred(np.where(known, curve, 0.0), window) / np.maximum(weights, 1e-12)
    return np.where(known, curve - means, np.nan)


def _centred(curve: DoubleArray, window: DoubleArray) -> DoubleArray:
    start = (len(window) - 1) // 2
    return np.convolve(curve, window, "full")[start : start + len(curve)]


def sync_samples(opening: DoubleArray, envelope: DoubleArray) -> dict[str, Samples]:
    """Lag and height as functions of the frames; empty for a curve that is too short to shift.

    Args:
        opening: (T,) of the mouth; NaN where it could not be read.
        envelope: (T,) from `speech_envelope`.

    Returns:
        `sync_lag` in frames, above 0 where the mouth is late, and `sync`,
        the correlation at the lag that all frames together have.
    """
    if len(opening) <= 3 * MOST_LAG_FRAMES or np.isnan(opening).all():
        return {}
    a, b = without_trend(opening), without_trend(envelope)
    lags = np.arange(-MOST_LAG_FRAMES, MOST_LAG_FRAMES + 1)
    # Only frames that every lag has: or each lag would be judged on other speech.
    inner = np.arange(MOST_LAG_FRAMES, len(a) - MOST_LAG_FRAMES)
    sound = b[inner[:, None] - lags]  # (T', L): what was heard `lag` frames before the picture
    mouth = np.broadcast_to(a[inner, None], sound.shape)
    moments = np.full((len(a), len(lags), 5), np.nan)
    moments[inner] = np.stack([mouth, sound, mouth**2, sound**2, mouth * sound], axis=-1)

    def heights(means: DoubleArray) -> DoubleArray:
        return correlation_of(means.reshape(*means.shape[:-1], len(lags), 5))

    def lag(means: DoubleArray) -> DoubleArray:
        found = heights(means)
        best = lags[np.argmax(np.nan_to_num(found, nan=-2.0), axis=-1)].astype(np.float64)
        return np.where(np.isnan(found).any(-1), np.nan, best)

    at_every_lag = Samples(moments=moments.reshape(len(a), -1), score=lag)
    best = int(np.flatnonzero(lags == round(at_every_lag.value()))[0])
    return {
        "sync": Samples(moments=moments[:, best], score=correlation_of),
        "sync_lag": at_every_lag,
    }
