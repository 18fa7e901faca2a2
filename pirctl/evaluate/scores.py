"""One row of the table: what the lips do, and what the pictures look like.

Correlation and landmark distance compare what the mouth reader sees in a picture with the tracked
landmarks of the true frame, so every row, the truth's own included, contains the reader's error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pirctl.evaluate.intervals import (
    DoubleArray,
    Interval,
    Samples,
    correlation_of,
    curve_samples,
    deviation_share,
    mean_samples,
)
from pirctl.evaluate.lip_reader import MOUTH_20, ReadLips, correlation, lips_of, opening
from pirctl.evaluate.pixels import PixelScore, PixelScorer, Shown
from pirctl.evaluate.sync import sync_samples
from pirctl.face.landmarks import eye_distance
from pirctl.target import Track

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

LMD_SIZE_PX = 512
"""Side of the crop in whose pixels the landmark distance is given."""


@dataclass(frozen=True, kw_only=True)
class Score(PixelScore):
    """One row of the table, over all frames with a usable face.

    Attributes:
        name: of the row.
        correlation: of the mouth's opening with the truth's, over time; higher is better.
        lmd_px: mean distance of the 20 mouth points from the truth's, both centred on their mean,
            in pixels of a 512 crop; lower is better. Source: Chen et al. 2018, LMD, mean form.
        movement: how much the mouth opens and closes, as a share of the truth's: the standard
            deviation of its opening, read in the pictures, over that of the tracked landmarks.
        sync: correlation of the mouth's opening with the speech's envelope at the lag where it
            peaks; None in fewer than two seconds. See `sync.py`.
        sync_lag: that lag in frames; above 0 the mouth is late.
        intervals: 95 % confidence interval of each score, by its name.
    """

    name: str
    correlation: float
    lmd_px: float
    movement: float
    sync: float | None = None
    sync_lag: float | None = None
    intervals: dict[str, Interval] = field(default_factory=dict)


class Scorer:
    """Collects the frames of one row and scores them; keeps lips and numbers, not frames."""

    def __init__(
        self, name: str, read: ReadLips, track: Track, size_px: int, pixels: PixelScorer
    ) -> None:
        """Start a row.

        Args:
            name: of the row.
            read: reads lips in pictures.
            track: the target's track.
            size_px: side of the crop in pixels.
            pixels: scores the pictures; a new one for every row.
        """
        self.name = name
        self._read = read
        self._track = track
        self._scale = LMD_SIZE_PX / size_px
        self._pixels = pixels
        self._lips: list[FloatArray] = []
        self._shown: list[int] = []
        self._true: list[int] = []

    def add(
        self,
        number: int,
        frame: ByteArray,
        shown: Shown | None = None,
        *,
        pose_number: int | None = None,
    ) -> None:
        """Score a frame.

        Args:
            number: the true frame that it is compared with; skipped without a usable face.
            frame: (H, W, 3) uint8, the crop, in which the lips are read.
            shown: what the pixel scores look at, at any resolution; None leaves them out.
            pose_number: the frame whose head pose is shown, if it is not `number`.
        """
        pose = number if pose_number is None else pose_number
        if not (self._track.valid[number] and self._track.valid[pose]):
            return
        lips = self._read(frame, pose)
        if lips is not None:
            self._lips.append(lips)
            self._shown.append(pose)
            self._true.append(number)
        if shown is not None:
            self._pixels.add(number, shown)

    def openings(self) -> tuple[FloatArray, FloatArray]:
        """Opening of the mouth as read and in truth (T,), both in units of the eye distance."""
        landmarks = self._track.landmarks
        read = opening(np.stack(self._lips)) / eye_distance(landmarks[self._shown])
        truth = opening(lips_of(landmarks[self._true])) / eye_distance(landmarks[self._true])
        return read, truth

    def curve(self, numbers: Sequence[int]) -> DoubleArray:
        """Opening of the mouth as read in these frames (T,); NaN where it was not."""
        read, _ = self.openings()
        return self._spread(read, numbers)

    def samples(self, numbers: Sequence[int], envelope: DoubleArray) -> dict[str, Samples]:
        """The scores as functions of these frames, for their intervals.

        Args:
            numbers: of all frames (T,), whether they could be measured or not.
            envelope: (T,) of the speech that is heard with them.
        """
        read, truth = (self._spread(curve, numbers) for curve in self.openings())
        distances = self._spread(self._distances(), numbers)
        return {
            "correlation": curve_samples(read, truth, correlation_of),
            "lmd_px": mean_samples(distances),
            "movement": curve_samples(read, truth, deviation_share),
            **sync_samples(read, envelope),
            **self._pixels.samples(numbers),
        }

    def score(self) -> Score:
        """Score of all frames so far, without what needs the sound."""
        if not self._lips:
            raise ValueError(f"row {self.name!r}: the lips could be read in no frame")
        read, truth = self.openings()
        return Score(
            name=self.name,
            correlation=correlation(read, truth),
            lmd_px=float(self._distances().mean()),
            movement=float(read.std() / max(float(truth.std()), 1e-9)),
            **vars(self._pixels.score()),
        )

    def _distances(self) -> FloatArray:
        lips, true_lips = np.stack(self._lips), lips_of(self._track.landmarks[self._true])
        return landmark_distances(lips[:, MOUTH_20], true_lips[:, MOUTH_20]) * self._scale

    def _spread(self, values: FloatArray, numbers: Sequence[int]) -> DoubleArray:
        known = dict(zip(self._true, values.tolist(), strict=True))
        return np.array([known.get(number, np.nan) for number in numbers])


def landmark_distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Mean distance (T,) of points (T, P, 2), each set moved so that its mean is at the origin.

    Source: Chen et al. 2018 (ECCV), the mean form; without the centring, the error of the head's
    pose would dominate.
    """
    first, second = (points - points.mean(1, keepdims=True) for points in (first, second))
    return np.asarray(np.linalg.norm(first - second, axis=-1).mean(1), dtype=np.float32)
