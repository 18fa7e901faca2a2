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


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """The loudness of a whole piece of sound.

    Attributes:
        frames_db: (T,) level of each video frame in dBFS.
        samples: samples in all; the last frame may be a partial one.
    """

    frames_db: FloatArray
    samples: int

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


def measure(pieces: Iterable[FloatArray], frame_samples: int) -> Loudness:
    """Measure sound that arrives in pieces.

    Args:
        pieces: (any,) float samples in [-1, 1].
        frame_samples: samples per video frame.
    """
    levels: list[FloatArray] = []
    rest = np.zeros(0, np.float32)
    samples = 0
    for piece in pieces:
        samples += len(piece)
        rest = np.concatenate([rest, piece]) if len(rest) else piece
        whole = len(rest) // frame_samples * frame_samples
        if whole:
            levels.append(_levels(rest[:whole].reshape(-1, frame_samples)))
            rest = rest[whole:]
    if len(rest):
        levels.append(_levels(rest[None]))
    return Loudness(
        frames_db=np.concatenate(levels) if levels else np.zeros(0, np.float32), samples=samples
    )


def _levels(frames: FloatArray) -> FloatArray:
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    decibels: FloatArray = np.float32(10) * np.log10(power + 10 ** (LOWEST_DB / 10))
    return decibels.astype(np.float32)
