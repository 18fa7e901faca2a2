"""The arithmetic of pasting: from a painted square as shown to samples as stored.

Everything is linear: the change in R, G, B, times the weight, is turned back, resampled where the
pixels are not square, shared between the pixels of a colour sample, and added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.media.crop import Crop
from pirctl.media.filters import stored_box
from pirctl.media.picture import Component, PictureFormat

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Box = tuple[int, int, int, int]
"""Corners (x0, y0, x1, y1) in whole pixels."""


def painted_part(
    form: PictureFormat, box: Crop, weight: NDArray[np.float32]
) -> tuple[Box, NDArray[np.float32]] | None:
    """Corners, in the shown picture, of what has a weight, and the weights there; None: nothing."""
    side, x, y = int(box.side), int(box.x), int(box.y)
    x0, y0, x1, y1 = box.inside(*form.shown_size)
    whole = resized(np.asarray(weight, np.float32), side)[y0 - y : y1 - y, x0 - x : x1 - x]
    rows, columns = whole.max(1).nonzero()[0], whole.max(0).nonzero()[0]
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    corners = (int(x0 + left), int(y0 + top), int(x0 + right), int(y0 + bottom))
    return corners, whole[top:bottom, left:right]


def resized(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """A square (S, S, 3) picture, or (S, S) of weights, at another size."""
    if picture.shape[:2] == (side, side):
        return picture
    import cv2

    shrinks = side < picture.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    if picture.ndim == 2:  # Weights stay between 0 and 1.
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    at_size: NDArray[Any] = cv2.resize(picture, (side, side), interpolation=method)
    return at_size


def as_stored(
    form: PictureFormat,
    part: Box,
    change: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> tuple[int, int, NDArray[np.float32], NDArray[np.float32]]:
    """Turn a part of the shown picture back: left, top, change and weights in stored pixels."""
    a, b, c, d = form.turn
    both = np.concatenate([change, weights[..., None]], -1)
    both = both[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
    shown_width, shown_height = form.shown_size
    if not a:
        both = both.transpose(1, 0, 2)
        shown_width, shown_height = shown_height, shown_width
    x0, y0, x1, _ = stored_box(form, part)
    if not form.has_square_pixels:
        both, x0 = _squeezed(both, x0, x1, shown_width, form.width)
    both = np.ascontiguousarray(both)
    return x0, y0, both[..., :3], both[..., 3]


def _squeezed(
    both: NDArray[np.float32], x0: int, x1: int, shown_width: int, width: int
) -> tuple[NDArray[np.float32], int]:
    """Resample the columns x0 to x1 of a picture of square pixels to the stored columns."""
    first, last = x0 * width // shown_width, -(-x1 * width // shown_width)
    centres = (np.arange(first, last) + 0.5) * shown_width / width - 0.5 - x0
    # Hats as wide as the wider of the two kinds of pixel; weights beyond the part are 0.
    reach = max(1.0, shown_width / width)
    margin = int(reach) + 1
    columns = np.arange(-margin, x1 - x0 + margin)
    hats = np.maximum(0, 1 - np.abs(centres[:, None] - columns) / reach)
    hats = (hats / hats.sum(1, keepdims=True))[:, margin:-margin].astype(np.float32)
    return np.matmul(hats, both), first


def shared(
    form: PictureFormat,
    one: Component,
    corner: tuple[int, int],
    move: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], int, int]:
    """What a part of the picture does to a component of which several pixels share a sample.

    Returns:
        by how much the samples move, the mean of their pixels' weights, and the column and row of
        the first of them.
    """
    columns, rows = 1 << one.across, 1 << one.down
    x, y = corner
    height, width = move.shape
    right, bottom = -(x + width) % columns, -(y + height) % rows
    both = np.stack([move, weights], -1)
    # Nothing is painted beyond the part; but where the picture ends its last pixels stand for what
    # is missing, so that the mean is one of those that are there.
    ends = (y + height == form.height, x + width == form.width)
    both = np.pad(both, ((0, bottom), (0, 0), (0, 0)), "edge" if ends[0] else "constant")
    both = np.pad(both, ((0, 0), (0, right), (0, 0)), "edge" if ends[1] else "constant")
    both = np.pad(both, ((y % rows, 0), (x % columns, 0), (0, 0)))
    # A sample is the mean of its pixels wherever it lies between them, because so it is shown:
    # swscale interpolates colour as if it lay in their middle.
    means = both.reshape(both.shape[0] // rows, rows, -1, columns, 2).mean((1, 3))
    return means[..., 0], means[..., 1], x // columns, y // rows


def add_moves(
    samples: Samples, move: NDArray[np.float32], changes: NDArray[np.bool_], bit_depth: int
) -> None:
    """Move samples, in place, where `changes`; all (h, w), `move` in steps of a sample's value."""
    moved = np.clip(np.rint(samples + move), 0, (1 << bit_depth) - 1).astype(samples.dtype)
    np.copyto(samples, moved, where=changes)
