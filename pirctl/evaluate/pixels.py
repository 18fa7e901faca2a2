"""How near a repainted picture is to the truth: pixels, detail, time, and the mask's edge.

Pictures may have any resolution: the crop's, or the shot's own. What is compared with the truth's
own detail, flicker or gradient is added up over all frames before it is divided, so that a frame
with little of it does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pirctl.compat import basicsr_metrics
from pirctl.evaluate.intervals import Samples, mean_samples, share_samples
from pirctl.evaluate.sharpness import cpbd, laplacian_energy

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Box = tuple[slice, slice]
Distance = Callable[[ByteArray, ByteArray], float]
"""Two pictures (H, W, 3) of the same size -> how different they look."""

LEAST_BOX_PX = 64
"""Side of the smallest box that LPIPS looks at; its networks need that much."""

_WINDOW_PX = 11  # SSIM's window, Wang et al. 2004


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture, its truth, and where they may differ.

    Attributes:
        painted: (H, W, 3) uint8.
        mask: (H, W) the region that was repainted, in [0, 1].
        truth: (H, W, 3) uint8; None for the truth itself.
    """

    painted: ByteArray
    mask: FloatArray
    truth: ByteArray | None = None


@dataclass(frozen=True, kw_only=True)
class PixelScore:
    """Means over the frames of a row; None where it is not measured.

    Attributes:
        psnr_db: of the whole picture.
        ssim: of the whole picture.
        mouth_psnr_db: of the pixels inside the mask.
        mouth_ssim: of the rectangle around the mask.
        sharpness: Laplacian energy inside the mask, as a share of the truth's; 1 is as sharp.
        cpbd: share of the edges inside the mask that look sharp, Narvekar and Karam 2011; needs
            no truth, so the truth has one too.
        flicker: energy of the difference of consecutive frames inside the mask, as a share of the
            truth's; above 1 it flickers, below 1 it moves too little.
        seam: gradient across the mask's edge, as a share of the truth's; above 1 it shows.
        lpips_alex: LPIPS of the box around the mask, AlexNet; lower is better. Zhang et al. 2018.
        lpips_vgg: the same, VGG16.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    mouth_psnr_db: float | None = None
    mouth_ssim: float | None = None
    sharpness: float | None = None
    cpbd: float | None = None
    flicker: float | None = None
    seam: float | None = None
    lpips_alex: float | None = None
    lpips_vgg: float | None = None


class PixelScorer:
    """Collects the pictures of one row; keeps numbers, and the last picture.

    Args:
        distances: `lpips_alex` and `lpips_vgg`, where their weights are.
        distances_every: they look at every so manieth frame only, because they take long.
    """

    def __init__(
        self, distances: Mapping[str, Distance] | None = None, distances_every: int = 1
    ) -> None:
        self._distances = distances or {}
        self._every = distances_every
        self._seen = 0
        self._means: dict[str, dict[int, float]] = {}
        self._sums: dict[str, dict[int, tuple[float, float]]] = {}
        self._last: tuple[int, Shown] | None = None

    def add(self, number: int, shown: Shown) -> None:
        """Measure a picture; flicker needs the one of the frame before, `number` - 1."""
        if shown.truth is not None:
            # Of the whole picture, so also where nothing was repainted.
            self._mean(number, "psnr_db", min(100.0, _psnr(shown.painted, shown.truth)))
            self._mean(number, "ssim", ssim(shown.painted, shown.truth))
        if not (shown.mask > 0.5).any():
            return
        box = _box(shown.mask > 0, margin=_WINDOW_PX)
        sharp = cpbd(_grey(shown.painted[box]), shown.mask[box] > 0.5)
        if sharp is not None:
            self._mean(number, "cpbd", sharp)
        if shown.truth is None:
            return
        self._compare(number, shown, shown.truth, box)
        if self._last is not None and self._last[0] == number - 1:
            self._share(number, "flicker", *flicker_energies(self._last[1], shown, box))
        if self._seen % self._every == 0:
            wide = _box(shown.mask > 0.5, margin=0, least=LEAST_BOX_PX)
            for name, distance in self._distances.items():
                self._mean(number, name, distance(shown.painted[wide], shown.truth[wide]))
        self._last, self._seen = (number, shown), self._seen + 1

    def score(self) -> PixelScore:
        """Score of all pictures so far."""
        means = {name: float(np.mean(list(seen.values()))) for name, seen in self._means.items()}
        sums = {name: np.sum(list(seen.values()), axis=0) for name, seen in self._sums.items()}
        shares = {name: float(ours / true) for name, (ours, true) in sums.items() if true > 0}
        return PixelScore(**means, **shares)

    def samples(self, numbers: Sequence[int]) -> dict[str, Samples]:
        """The scores as functions of these frames, for their intervals."""
        nothing = (math.nan, math.nan)
        found = {}
        for name, seen in self._means.items():
            found[name] = mean_samples(np.array([seen.get(one, math.nan) for one in numbers]))
        for name, pairs in self._sums.items():
            both = np.array([pairs.get(one, nothing) for one in numbers])
            if np.nansum(both[:, 1]) > 0:
                found[name] = share_samples(both[:, 0], both[:, 1])
        return found

    def _compare(self, number: int, shown: Shown, truth: ByteArray, box: Box) -> None:
        mask, inside = shown.mask, shown.mask > 0.5
        near = _box(inside, margin=_WINDOW_PX)
        self._mean(number, "mouth_psnr_db", psnr_inside(shown.painted, truth, inside))
        self._mean(number, "mouth_ssim", ssim(shown.painted[near], truth[near]))
        pair = _grey(shown.painted[box]), _grey(truth[box])
        self._share(number, "sharpness", *(laplacian_energy(grey, inside[box]) for grey in pair))
        self._share(number, "seam", *(seam_gradient(grey, mask[box]) for grey in pair))

    def _mean(self, number: int, name: str, value: float) -> None:
        self._means.setdefault(name, {})[number] = value

    def _share(self, number: int, name: str, ours: float, true: float) -> None:
        self._sums.setdefault(name, {})[number] = (ours, true)


def flicker_energies(before: Shown, shown: Shown, box: Box) -> tuple[float, float]:
    """Energy of the difference of two frames where both were repainted, in ours and in truth."""
    assert before.truth is not None
    assert shown.truth is not None
    inside = (shown.mask[box] > 0.5) & (before.mask[box] > 0.5)
    pairs = ((before.painted, shown.painted), (before.truth, shown.truth))
    ours, true = (_grey(now[box]) - _grey(then[box]) for then, now in pairs)
    return (
        float(np.square(ours[inside]).sum(dtype=np.float64)),
        float(np.square(true[inside]).sum(dtype=np.float64)),
    )


def seam_gradient(grey: FloatArray, mask: FloatArray) -> float:
    """Sum over neighbouring pixels of their difference in grey times that in the mask.

    At a hard edge of the mask this is the gradient across it; a feathered edge is weighed by how
    fast it falls, so that a step of colour which the feather spreads out counts as little as it
    is seen.
    """
    total = 0.0
    for axis in (0, 1):
        across = np.abs(np.diff(mask, axis=axis))
        total += float((across * np.abs(np.diff(grey, axis=axis))).sum(dtype=np.float64))
    return total


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
    rows, columns = _box(different, margin=_WINDOW_PX - 1)
    part = float(calculate_ssim(frame[rows, columns], truth[rows, columns], crop_border=0))
    return 1 - (1 - part) * _windows(rows, columns) / _windows(slice(0, height), slice(0, width))


def _windows(rows: slice, columns: slice) -> int:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return int((height - _WINDOW_PX + 1) * (width - _WINDOW_PX + 1))


def _psnr(frame: ByteArray, truth: ByteArray) -> float:
    calculate_psnr, _ = basicsr_metrics()
    return float(calculate_psnr(frame, truth, crop_border=0))


def _grey(picture: ByteArray) -> FloatArray:
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)


def _box(inside: NDArray[np.bool_], *, margin: int, least: int = 1) -> Box:
    """Rows and columns around a region (H, W), `least` pixels or more where there are so many."""
    rows, columns = (
        _span(np.flatnonzero(inside.any(axis)), inside.shape[1 - axis], margin, least)
        for axis in (1, 0)
    )
    return rows, columns


def _span(occupied: NDArray[np.intp], limit: int, margin: int, least: int) -> slice:
    start, stop = int(occupied[0]) - margin, int(occupied[-1]) + 1 + margin
    lacking = max(0, least - (stop - start))
    start, stop = start - lacking // 2, stop + lacking - lacking // 2
    # Moved back into the picture, as far as it is large enough.
    shift = max(0, -start) - max(0, stop - limit) if stop - start == least else 0
    return slice(max(0, start + shift), min(limit, stop + shift))
