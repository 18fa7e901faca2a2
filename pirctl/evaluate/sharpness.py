"""How sharp a picture is inside a region: against the truth, and by itself.

Grey pictures are (H, W) float32 luma in [0, 255]; regions are (H, W) bool.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

BLOCK_PX = 64
"""Side of the blocks whose contrast says how wide an edge may be; Narvekar and Karam 2011."""

_EDGE_SHARE = 0.002  # of a block's pixels: a block with fewer edges has none that counts
_LOW_CONTRAST = 50.0
_WIDTH_LOW_PX, _WIDTH_HIGH_PX = 5, 3  # just noticeable blur at low and at high contrast
_EDGE_STRENGTH = 2.0  # an edge's gradient, in root mean squares of all gradients


def laplacian_energy(grey: FloatArray, inside: BoolArray) -> float:
    """Sum of the squared Laplacian over the pixels that lie inside with all four neighbours.

    So a seam along the region's edge adds nothing: it would look like detail.
    """
    import cv2

    kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    deep = cv2.erode(inside.astype(np.uint8), kernel, borderValue=0).astype(bool)
    values = cv2.Laplacian(grey, cv2.CV_32F, ksize=1)[deep].astype(np.float64)
    return float(values @ values)


def cpbd(grey: FloatArray, inside: BoolArray) -> float | None:
    """Cumulative probability of blur detection: the share of edges that look sharp; 1 is best.

    An edge looks blurred with probability 1 - exp(-(w / w_jnb)^3.6), and counts as sharp up to
    the probability at w = w_jnb, so exactly where its width w is at most w_jnb: the exponent
    does not matter.

    Source: Narvekar and Karam 2011, section III; widths as Marziliano et al. 2004, along the rows
    at vertical edges. One edge detector serves blocks and widths; theirs are two.

    Returns:
        None where there is no edge inside.
    """
    edges, widths = vertical_edges(grey)
    edges &= inside
    sharp = count = 0
    for top in range(0, grey.shape[0], BLOCK_PX):
        for left in range(0, grey.shape[1], BLOCK_PX):
            block = np.s_[top : top + BLOCK_PX, left : left + BLOCK_PX]
            found = widths[block][edges[block]]
            if len(found) <= _EDGE_SHARE * grey[block].size:
                continue
            noticeable = _WIDTH_LOW_PX if np.ptp(grey[block]) <= _LOW_CONTRAST else _WIDTH_HIGH_PX
            sharp += int((found <= noticeable).sum())
            count += len(found)
    return sharp / count if count else None


def vertical_edges(grey: FloatArray) -> tuple[BoolArray, NDArray[np.int32]]:
    """Find the vertical edges, one pixel thin.

    Returns:
        (H, W) where they are, and (H, W) how wide a pixel's slope is: steps of its row, to the
        left and to the right of it, over which the picture goes on rising (or falling) as it
        does there. Widths are meant where there is an edge.
    """
    import cv2

    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    strength = np.abs(slope)
    floor = _EDGE_STRENGTH * float(np.sqrt(np.mean(np.square(slope, dtype=np.float64))))
    edges = strength > floor
    # The strongest of its neighbours in the row; of equal ones the first.
    edges[:, 1:] &= strength[:, 1:] > strength[:, :-1]
    edges[:, :-1] &= strength[:, :-1] >= strength[:, 1:]
    steps = np.diff(grey, axis=1)
    width = np.where(slope > 0, _run(steps > 0), _run(steps < 0))
    return edges & (width > 0), width


def _run(steps: BoolArray) -> NDArray[np.int32]:
    """For each pixel (H, W) the steps (H, W - 1) around it that are True without a gap."""
    height, count = steps.shape
    before = np.zeros((height, count + 1), np.int32)
    after = np.zeros((height, count + 1), np.int32)
    for x in range(count):
        before[:, x + 1] = (before[:, x] + 1) * steps[:, x]
    for x in range(count, 0, -1):
        after[:, x - 1] = (after[:, x] + 1) * steps[:, x - 1]
    return before + after
