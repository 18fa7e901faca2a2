"""How loud speech is, frame by frame, and the gain that brings any file to the same loudness.

Works on pieces of sound of any length; keeps one float per video frame and nothing else.
Levels are in dBFS: 0 dB is the mean square of a full-scale square wave.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

REFERENCE_DB = -20.0
"""Level of active speech that the encoders are given."""
SILENCE_DB = -60.0
"""Absolute floor: a frame below it is silent whatever the rest of the file does."""
LOWEST_DB = -120.0
"""What digital silence is reported as."""

_ACTIVE_RANGE_DB = 20.0  # Frames this close to the loud ones count as active speech.
_LARGEST_GAIN_DB = 40.0
_WINDOWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Statistics over all windows of k samples, a fixed step apart.

    Attributes:
        mean: (k,) of the samples at each place in the window.
        covariance: (k, k) of the samples at two places.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """The loudness of a whole piece of sound.

    Attributes:
        frames_db: (T,) level of each video frame in dBFS.
        samples: samples in all; the last frame may be a partial one.
        mean: of all samples.
        variance: of all samples.
        windows: where they were asked for.
    """

    frames_db: FloatArray
    samples: int
    mean: float = 0.0
    variance: float = 0.0
    windows: Windows | None = None

    @property
    def speech_db(self) -> float:
        """Level of the active speech: the mean power of the frames near the loudest ones."""
        if not len(self.frames_db):
            return LOWEST_DB
        loud = np.percentile(self.frames_db, 95)
        active = self.frames_db[self.frames_db >= loud - _ACTIVE_RANGE_DB].astype(np.float64)
        return float(10 * np.log10(np.mean(10 ** (active / 10))))

    @property
    def gain(self) -> float:
        """Factor on the samples that brings the speech to REFERENCE_DB; 1 for a silent file."""
        if self.speech_db <= SILENCE_DB:
            return 1.0
        return float(10 ** (min(REFERENCE_DB - self.speech_db, _LARGEST_GAIN_DB) / 20))

    @property
    def threshold_db(self) -> float:
        """Level under which a frame counts as silent.

        A little above the quietest frames (the room), but always well under the speech and never
        under the absolute floor; so a file of speech without pauses is left alone.
        """
        if not len(self.frames_db):
            return SILENCE_DB
        room = float(np.percentile(self.frames_db, 5))
        above_room = min(max(room + 8, self.speech_db - 40), self.speech_db - 24)
        return max(above_room, SILENCE_DB)


def measure(
    pieces: Iterable[FloatArray],
    frame_samples: int,
    *,
    windows: tuple[int, int] | None = None,
    least_samples: int = 0,
) -> Loudness:
    """Measure sound that arrives in pieces.

    Args:
        pieces: (any,) float samples in [-1, 1].
        frame_samples: samples per video frame.
        windows: length and step of the windows to measure, in samples; None: no windows.
        least_samples: in the windows' statistics, shorter sound goes on at its mean up to here.
    """
    levels: list[FloatArray] = []
    rest = np.zeros(0, np.float32)
    samples, total, square = 0, 0.0, 0.0
    sums = None if windows is None else _WindowSums(*windows)
    for piece in pieces:
        samples += len(piece)
        total += float(np.sum(piece, dtype=np.float64))
        square += float(np.sum(np.square(piece, dtype=np.float64)))
        if sums is not None:
            sums.add(piece)
        rest = np.concatenate([rest, piece]) if len(rest) else piece
        whole = len(rest) // frame_samples * frame_samples
        if whole:
            levels.append(_levels(rest[:whole].reshape(-1, frame_samples)))
            rest = rest[whole:]
    if len(rest):
        levels.append(_levels(rest[None]))
    mean = total / max(samples, 1)
    if sums is not None:
        sums.add(np.full(max(0, least_samples - samples), mean, np.float32))
    return Loudness(
        frames_db=np.concatenate(levels) if levels else np.zeros(0, np.float32),
        samples=samples,
        mean=mean,
        variance=max(0.0, square / max(samples, 1) - mean**2),
        windows=None if sums is None else sums.result(),
    )


class _WindowSums:
    """Adds up what `Windows` holds."""

    def __init__(self, length: int, step: int) -> None:
        assert length >= step
        self._length, self._step, self._count = length, step, 0
        self._sum = np.zeros(length)
        self._products = np.zeros((length, length))
        self._rest = np.zeros(0, np.float32)

    def add(self, piece: FloatArray) -> None:
        samples = np.concatenate([self._rest, piece])
        if len(samples) >= self._length:
            view = np.lib.stride_tricks.sliding_window_view(samples, self._length)[:: self._step]
            for first in range(0, len(view), _WINDOWS_AT_ONCE):
                part = view[first : first + _WINDOWS_AT_ONCE].astype(np.float64)
                self._sum += part.sum(0)
                self._products += part.T @ part
            self._count += len(view)
            samples = samples[len(view) * self._step :]
        self._rest = samples

    def result(self) -> Windows:
        count = max(self._count, 1)
        mean = self._sum / count
        return Windows(mean=mean, covariance=self._products / count - np.outer(mean, mean))


def _levels(frames: FloatArray) -> FloatArray:
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    decibels: FloatArray = np.float32(10) * np.log10(power + 10 ** (LOWEST_DB / 10))
    return decibels.astype(np.float32)
