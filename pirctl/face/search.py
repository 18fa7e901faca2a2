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

_WINDOW = 2.2
"""Side of the window searched around a known face, in face sizes."""
_FINE_EVERY = 5
"""Looks after which small faces are searched anew."""


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


class CrowdFinder:
    """Finds all faces of the pictures of a video: wherever they are, and close to where they were.

    Args:
        detector: finds faces.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._known: list[Box] = []
        self._looks = 0

    def find(self, frame: Frame, *, begins_shot: bool = False) -> list[FloatArray]:
        """Points of all faces in the next picture (H, W, 3), each once.

        Small ones, also beside large ones, are searched where a shot begins and then now and then;
        in between they are found close to where they were.
        """
        if begins_shot:
            self._known, self._looks = [], 0
        height, width = frame.shape[:2]
        found: list[FloatArray] = []
        squares = search_windows(width, height, fine=self._looks % _FINE_EVERY == 0)
        for level, windows in enumerate(squares):
            # The smallest squares are many: where a shot begins, or where nobody is seen.
            if level < 2 or self._looks == 0 or not found:
                self._add(found, frame, windows)
        near = [around(box, width, height) for box in self._known if not _is_known(box, found)]
        self._add(found, frame, near)
        self._known = [Box.around(face) for face in found]
        self._looks += 1
        return found

    def _add(self, found: list[FloatArray], frame: Frame, windows: Sequence[Window]) -> None:
        for left, top, right, bottom in windows:
            for face in self._detector.detect_all([frame[top:bottom, left:right]])[0]:
                points = face + np.array([left, top], np.float32)
                if not _is_known(Box.around(points), found):
                    found.append(points)


def around(box: Box, width: int, height: int) -> Window:
    """The window that is searched around a known face, within a picture of that size."""
    half = _WINDOW / 2 * box.size
    return (
        max(0, round(box.x - half)),
        max(0, round(box.y - half)),
        min(width, round(box.x + half)),
        min(height, round(box.y + half)),
    )


def _is_known(box: Box, faces: Sequence[FloatArray]) -> bool:
    """Whether one of the faces is that one, or it is a part of one, at the border of a window."""
    known = [Box.around(face) for face in faces]
    return any(math.hypot(box.x - k.x, box.y - k.y) < 0.5 * max(box.size, k.size) for k in known)


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
