"""One fixed square around the head for the whole clip, and points carried into it and back.

A crop that moved would make the camera move with it; fixed, it keeps the intrinsics constant.
The square holds hair, chin and some neck in every frame. Coordinates are pixels, x right,
y down, centre of pixel 0 at 0.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pirctl.errors import FaceNotFound
from pirctl.face.landmarks import brows_and_chin
from pirctl.media import Crop

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

ABOVE_BROWS = 0.8
"""Hair above the brows, in face heights, that the crop makes room for."""
BELOW_CHIN = 0.3
"""Neck below the chin, likewise."""
KEEP_WHOLE = 0.85
"""A square picture of which the crop needs more than this is kept whole."""


def face_height(landmarks: FloatArray) -> FloatArray:
    """Distance from the middle of the brows to the chin, the measure of all margins.

    Args:
        landmarks: (..., L, 2) or (..., L, 3), L is 468, 478, 98 or 68.

    Returns:
        (...,) in the unit of the landmarks.
    """
    brows, chin = brows_and_chin(landmarks)
    height: FloatArray = np.linalg.norm(brows - chin, axis=-1)
    return height


def choose_crop(
    landmarks: FloatArray, valid: BoolArray, *, width: int, height: int, margin: float
) -> Crop:
    """The square that holds the head in all frames of a clip.

    It lies inside the picture where it can; else it is made smaller as long as no landmark
    comes near its edge, and only then reaches outside.

    Args:
        landmarks: (T, L, 2) in pixels of the picture, L is 468, 478, 98 or 68.
        valid: (T,) frames to look at.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        margin: side of the square in face heights, for a head that does not move.

    Raises:
        FaceNotFound: no valid frame.
    """
    if not valid.any():
        raise FaceNotFound("no face in any frame", hint="use a clip that shows the face")
    points = landmarks[valid]
    brows = brows_and_chin(points)[0]
    # One badly tracked frame in fifty shall not widen the crop of all.
    face = float(np.quantile(face_height(points), 0.9))
    left_most, top_most = np.quantile(points.min(1), 0.02, axis=0)
    right_most, bottom_most = np.quantile(points.max(1), 0.98, axis=0)
    brow_top, brow_bottom = np.quantile(brows[:, 1], (0.02, 0.98))
    middles = (points.min(1)[:, 0] + points.max(1)[:, 0]) / 2
    middle_low, middle_high = np.quantile(middles, (0.02, 0.98))
    moves = max(middle_high - middle_low, brow_bottom - brow_top)
    side = margin * face + moves
    x = (middle_low + middle_high) / 2
    y = (brow_top + brow_bottom) / 2 + (1 + BELOW_CHIN - ABOVE_BROWS) / 2 * face
    if width == height and side > KEEP_WHOLE * width:
        edge = min(left_most, top_most, width - right_most, height - bottom_most)
        if edge > 0:
            return Crop(x=0, y=0, side=width)
    room = 0.15 * face
    needed = max(right_most - left_most, bottom_most - top_most) + 2 * room
    side = _even(max(min(side, width, height), needed))
    return Crop(
        x=_inside(x - side / 2, side, width), y=_inside(y - side / 2, side, height), side=side
    )


def widened(crop: Crop, side: int, width: int, height: int) -> Crop:
    """The crop about its middle at another side, inside the picture; as it is if too large for it.

    Args:
        crop: whole pixels.
        side: wanted, in pixels of the picture.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
    """
    if side > min(width, height):
        return crop
    more = (side - crop.side) / 2
    return Crop(
        x=_inside(crop.x - more, side, width), y=_inside(crop.y - more, side, height), side=side
    )


def _even(side: float) -> int:
    return 2 * round(side / 2)


def _inside(start: float, side: int, length: int) -> int:
    """Move an interval into [0, length] if it fits; else centre it on what there is."""
    if side > length:
        return round((length - side) / 2)
    return round(min(max(start, 0), length - side))


def crop_from_source(points: FloatArray, crop: Crop, size_px: int) -> FloatArray:
    """Points (..., 2) of the source picture in pixels of the crop at `size_px`."""
    scale = size_px / crop.side
    moved: FloatArray = ((points - (crop.x, crop.y)) * scale).astype(np.float32)
    return moved


def source_from_crop(points: FloatArray, crop: Crop, size_px: int) -> FloatArray:
    """Points (..., 2) of the crop at `size_px` in pixels of the source picture."""
    scale = crop.side / size_px
    moved: FloatArray = (points * scale + (crop.x, crop.y)).astype(np.float32)
    return moved
