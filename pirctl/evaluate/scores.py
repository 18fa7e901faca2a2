"""What is measured on painted frames, and how: lips against truth, pixels against truth.

Correlation and landmark distance compare what the mouth reader sees in a picture with the tracked
landmarks of the true frame, so every row, the truth's own included, contains the reader's error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pirctl.compat import basicsr_metrics
from pirctl.evaluate.lip_reader import MOUTH_20, ReadLips, correlation, lips_of, opening
from pirctl.face.landmarks import eye_distance
from pirctl.target import Track

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

LMD_SIZE_PX = 512
"""Side of the crop in whose pixels the landmark distance is given."""

_WINDOW_PX = 11  # SSIM's window, Wang et al. 2004


@dataclass(frozen=True, kw_only=True)
class Score:
    """One row of the table, over all frames with a usable face.

    Attributes:
        name: of the row.
        correlation: of the mouth's opening with the truth's, over time; higher is better.
        lmd_px: mean distance of the 20 mouth points from the truth's, both centred on their mean,
            in pixels of a 512 crop; lower is better. Source: Chen et al. 2018, LMD, mean form.
        psnr_db: of the whole crop, averaged over frames; None for the truth itself.
        ssim: of the whole crop, averaged over frames; None for the truth itself.
        mouth_psnr_db: of the pixels inside the mask.
        mouth_ssim: of the rectangle around the mask.
    """

    name: str
    correlation: float
    lmd_px: float
    psnr_db: float | None
    ssim: float | None
    mouth_psnr_db: float | None
    mouth_ssim: float | None


class Scorer:
    """Collects the frames of one row and scores them; keeps lips and numbers, not frames."""

    def __init__(self, name: str, read: ReadLips, track: Track, size_px: int) -> None:
        """Start a row.

        Args:
            name: of the row.
            read: reads lips in pictures.
            track: the target's track.
            size_px: side of the crop in pixels.
        """
        self.name = name
        self._read = read
        self._track = track
        self._scale = LMD_SIZE_PX / size_px
        self._lips: list[FloatArray] = []
        self._shown: list[int] = []
        self._true: list[int] = []
        self._pixels: list[tuple[float, float, float, float]] = []

    def add(
        self,
        number: int,
        frame: ByteArray,
        truth: ByteArray | None = None,
        mask: FloatArray | None = None,
        *,
        pose_number: int | None = None,
    ) -> None:
        """Score a frame.

        Args:
            number: the true frame that it is compared with; skipped without a usable face.
            frame: (H, W, 3) uint8.
            truth: (H, W, 3) uint8; None leaves the pixel scores out.
            mask: (H, W) the region that was repainted, in [0, 1].
            pose_number: the frame whose head pose is shown, if it is not `number`.
        """
        shown = number if pose_number is None else pose_number
        if not (self._track.valid[number] and self._track.valid[shown]):
            return
        lips = self._read(frame, shown)
        if lips is not None:
            self._lips.append(lips)
            self._shown.append(shown)
            self._true.append(number)
        if truth is not None and mask is not None:
            self._pixels.append(_compare(frame, truth, mask))

    def openings(self) -> tuple[FloatArray, FloatArray]:
        """Opening of the mouth as read and in truth (T,), both in units of the eye distance."""
        landmarks = self._track.landmarks
        read = opening(np.stack(self._lips)) / eye_distance(landmarks[self._shown])
        truth = opening(lips_of(landmarks[self._true])) / eye_distance(landmarks[self._true])
        return read, truth

    def score(self) -> Score:
        """Score of all frames so far."""
        if not self._lips:
            raise ValueError(f"row {self.name!r}: the lips could be read in no frame")
        read, truth = np.stack(self._lips), lips_of(self._track.landmarks[self._true])
        means = np.mean(self._pixels, axis=0).tolist() if self._pixels else [None] * 4
        return Score(
            name=self.name,
            correlation=correlation(*self.openings()),
            lmd_px=landmark_distance(read[:, MOUTH_20], truth[:, MOUTH_20]) * self._scale,
            psnr_db=means[0],
            ssim=means[1],
            mouth_psnr_db=means[2],
            mouth_ssim=means[3],
        )


def landmark_distance(first: FloatArray, second: FloatArray) -> float:
    """Mean distance of points (T, P, 2), each set moved so that its mean is at the origin.

    Source: Chen et al. 2018 (ECCV), the mean form; without the centring, the error of the head's
    pose would dominate.
    """
    first, second = (points - points.mean(1, keepdims=True) for points in (first, second))
    return float(np.linalg.norm(first - second, axis=-1).mean())


def psnr_inside(frame: ByteArray, truth: ByteArray, inside: NDArray[np.bool_]) -> float:
    """PSNR in dB of the pixels where `inside` (H, W) is true; at most 100 for equal pixels."""
    difference = frame[inside].astype(np.float64) - truth[inside]
    error = float((difference**2).mean()) if difference.size else 0.0
    return min(100.0, 10 * math.log10(255**2 / error)) if error else 100.0


def ssim(frame: ByteArray, truth: ByteArray) -> float:
    """SSIM of two pictures (H, W, 3) as basicsr computes it, on the part where they differ.

    The index of every window of equal pixels is 1, so only the windows that touch a difference
    are computed; for a repainted mouth that is a tenth of the picture.
    """
    _, calculate_ssim = basicsr_metrics()
    different = (frame != truth).any(-1)
    if not different.any():
        return 1.0
    height, width = different.shape
    rows = _span(np.flatnonzero(different.any(1)), height, margin=_WINDOW_PX - 1)
    columns = _span(np.flatnonzero(different.any(0)), width, margin=_WINDOW_PX - 1)
    part = float(calculate_ssim(frame[rows, columns], truth[rows, columns], crop_border=0))
    return 1 - (1 - part) * _windows(rows, columns) / _windows(slice(0, height), slice(0, width))


def _windows(rows: slice, columns: slice) -> int:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return int((height - _WINDOW_PX + 1) * (width - _WINDOW_PX + 1))


def _compare(
    frame: ByteArray, truth: ByteArray, mask: FloatArray
) -> tuple[float, float, float, float]:
    calculate_psnr, _ = basicsr_metrics()
    psnr = min(100.0, float(calculate_psnr(frame, truth, crop_border=0)))
    inside = mask > 0.5
    if not inside.any():
        return psnr, ssim(frame, truth), 100.0, 1.0
    rows = _span(np.flatnonzero(inside.any(1)), frame.shape[0], margin=_WINDOW_PX)
    columns = _span(np.flatnonzero(inside.any(0)), frame.shape[1], margin=_WINDOW_PX)
    mouth_ssim = ssim(frame[rows, columns], truth[rows, columns])
    return psnr, ssim(frame, truth), psnr_inside(frame, truth, inside), mouth_ssim


def _span(occupied: NDArray[np.intp], limit: int, margin: int) -> slice:
    start, stop = int(occupied[0]) - margin, int(occupied[-1]) + 1 + margin
    return slice(max(0, start), min(limit, stop))
