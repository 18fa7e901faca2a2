"""Where faces may be in a picture, whoever finds them.

Points are in pixels of the picture, x right, y down, centre of pixel 0 at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]
Window = tuple[int, int, int, int]


class FaceDetector(Protocol):
    """Finds the points of all faces in pictures.

    Attributes:
        name: what the target's record calls it.
        points: points L per face.
        batch: pictures that it looks at together for less than one after the other.
    """

    name: str
    points: int
    batch: int

    def detect_all(self, images: Sequence[Frame]) -> list[list[FloatArray]]:
        """Points of the faces in each picture (H, W, 3): (L, 2) in its pixels."""
        ...

    def close(self) -> None:
        """Free what the detector holds."""
        ...


def detect_everyone(frame: Frame, detector: FaceDetector, *, fine: bool) -> list[FloatArray]:
    """Points of all faces in a picture (H, W, 3), each once.

    Args:
        frame: the picture.
        detector: finds faces.
        fine: whether to look for small ones where the whole picture shows none.
    """
    height, width = frame.shape[:2]
    for windows in search_windows(width, height, fine=fine):
        found: list[FloatArray] = []
        for left, top, right, bottom in windows:
            for face in detector.detect_all([frame[top:bottom, left:right]])[0]:
                points = face + np.array([left, top], np.float32)
                if not any(_is_same(points, other) for other in found):
                    found.append(points)
        if found:
            return found
    return []


def _is_same(one: FloatArray, other: FloatArray) -> bool:
    a, b = Box.around(one), Box.around(other)
    return math.hypot(a.x - b.x, a.y - b.y) < 0.5 * max(a.size, b.size)


@dataclass(frozen=True)
class Box:
    """Where a face is: centre and larger side, in pixels."""

    x: float
    y: float
    size: float

    @staticmethod
    def around(points: FloatArray) -> Box:
        """The box of a face's points (L, 2)."""
        low, high = points.min(0), points.max(0)
        x, y = (low + high) / 2
        return Box(float(x), float(y), max(1.0, float((high - low).max())))


def search_windows(width: int, height: int, *, fine: bool) -> Iterator[list[Window]]:
    """Where to look for a face of any size: the whole frame, then ever smaller squares.

    The detector sees every window at the same small size, so a face that is small in its window
    is not seen; neighbouring squares overlap by half.
    """
    yield [(0, 0, width, height)]
    if not fine:
        return
    short = min(width, height)
    sides = [side for side in (short, short // 2) if side >= 96]
    for side in sides:
        windows = [
            (x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)
        ]
        if len(windows) > 1:
            yield windows


def _starts(length: int, side: int) -> list[int]:
    count = 1 + math.ceil((length - side) / (side / 2))
    return [round(index * (length - side) / max(1, count - 1)) for index in range(count)]
