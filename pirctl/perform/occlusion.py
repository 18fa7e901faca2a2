"""What is in front of the face: hands, microphones, cups, by where a frame disagrees with the look.

A frame's areas are decided from it and its two neighbours on either side, and nothing else: they
come out the same wherever a run begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pirctl.face.unwrap import SIDE_PX, Unwrap
from pirctl.perform.look import Look

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Numbered = Iterable[tuple[int, ByteArray]]
"""Frame number and frame (H, W, 3) uint8."""

NEIGHBOURS = 2
"""Frames before and after that have a say in a frame."""
_CERTAIN, _LIKELY = 2.0, 1.2
"""Tolerances by which an area is strange somewhere, and everywhere."""
_LEAST_PX = 60  # Of the square's: smaller areas are moles, stubble, a wrong lip.
_CLOSING_PX = 17  # Fingers of the skin's own colour are found by their edges.
_DRIFT_PX = 25  # An area may be so far from where it was a frame before.
_WIDER_PX, _SOFT_PX = 5, 1.2
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """What is in front of a face in the frames of a video.

    Attributes:
        numbers: (M,) int64, rising: frames with something in front.
        areas: (M, S * S / 8) uint8, where on the unwrapped face, bits row by row.
    """

    numbers: NDArray[np.int64]
    areas: ByteArray

    def __post_init__(self) -> None:
        if self.areas.shape != (len(self.numbers), SIDE_PX * SIDE_PX // 8):
            raise ValueError(f"areas of shape {self.areas.shape} for {len(self.numbers)} frames")

    @staticmethod
    def nothing() -> Occlusion:
        """Nothing is in front anywhere."""
        return Occlusion(
            numbers=np.empty(0, np.int64), areas=np.empty((0, SIDE_PX * SIDE_PX // 8), np.uint8)
        )

    def area(self, number: int) -> ByteArray | None:
        """Where something is in front in a frame, (S, S) of 0 and 1; None: nowhere."""
        row = int(np.searchsorted(self.numbers, number))
        if row >= len(self.numbers) or self.numbers[row] != number:
            return None
        return np.unpackbits(self.areas[row]).reshape(SIDE_PX, SIDE_PX)


class Visibility:
    """How much of the face is seen in each frame, in its own pixels.

    Args:
        occlusion: of the frames.
        unwrap: of the frames.
        size_px: their side.
    """

    def __init__(self, occlusion: Occlusion, unwrap: Unwrap, size_px: int) -> None:
        self.occlusion = occlusion
        self._unwrap = unwrap
        self._size_px = size_px

    def __call__(self, number: int) -> FloatArray | None:
        """(H, W) in [0, 1], 0 where something is in front; None: all is seen."""
        import cv2

        area = self.occlusion.area(number)
        if area is None:
            return None
        wider = cv2.dilate(area, _disc(_WIDER_PX)).astype(np.float32)
        soft = np.asarray(cv2.GaussianBlur(wider, (0, 0), _SOFT_PX), np.float32)
        return 1 - self._unwrap.on_frame(soft, number, self._size_px)


def find_occlusion(
    frames: Numbered, valid: NDArray[np.bool_], unwrap: Unwrap, look: Look
) -> Occlusion:
    """Look for what is in front of a face.

    Args:
        frames: of a video, in rising order.
        valid: (T,) frames whose face is known; the others are left out.
        unwrap: of the video's track.
        look: of the person.
    """
    found: dict[int, ByteArray] = {}
    usable = ((number, frame) for number, frame in frames if valid[number])
    while batch := list(islice(usable, _BATCH)):
        numbers = [number for number, _ in batch]
        sheets = unwrap.lay_out(np.stack([frame for _, frame in batch]), numbers)
        for number, strange in zip(numbers, look.disagreement(sheets), strict=True):
            if (area := strange_area(strange, unwrap.face)) is not None:
                found[number] = np.packbits(area)
    cleaned = dict(_in_time(found))
    if not cleaned:
        return Occlusion.nothing()
    numbers = sorted(cleaned)
    return Occlusion(
        numbers=np.array(numbers, np.int64),
        areas=np.stack([cleaned[number] for number in numbers]),
    )


def strange_area(strange: FloatArray, face: NDArray[np.bool_]) -> ByteArray | None:
    """Areas of a face that are not the person's, (S, S) of 0 and 1.

    Args:
        strange: (S, S) how far it differs, in tolerances.
        face: (S, S) where the face is; what is strange only beside it is hair, a neck, a collar.

    Returns:
        None: there are none. An area is likely everywhere, certain somewhere, and not small.
    """
    import cv2

    if strange.max() < _CERTAIN:
        return None
    likely = cv2.morphologyEx(
        (strange > _LIKELY).astype(np.uint8), cv2.MORPH_CLOSE, _disc(_CLOSING_PX),
        borderType=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    _, labels, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=4)
    certain = np.bincount(labels[(strange > _CERTAIN) & face], minlength=len(stats))
    large = (stats[:, cv2.CC_STAT_AREA] >= _LEAST_PX) & (certain >= _LEAST_PX // 4)
    large[0] = False
    area = large[labels].astype(np.uint8)
    return _filled(area) if area.any() else None


def _in_time(found: Mapping[int, ByteArray]) -> Iterator[tuple[int, ByteArray]]:
    """Areas without those of a moment, and with moments in which one was overlooked."""
    import cv2

    def area(number: int) -> ByteArray:
        packed = found.get(number)
        if packed is None:
            return np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        return np.unpackbits(packed).reshape(SIDE_PX, SIDE_PX)

    near = {n + step for n in found for step in range(-NEIGHBOURS, NEIGHBOURS + 1)}
    for number in near:
        before = area(number - 1) | area(number - 2)
        after = area(number + 1) | area(number + 2)
        own = area(number)
        if own.any():
            around = cv2.dilate(before | after, _disc(_DRIFT_PX))
            _, labels = cv2.connectedComponents(own, connectivity=4)
            kept = np.unique(labels[around > 0])
            own = own * np.isin(labels, kept).astype(np.uint8)
        whole = own | (before & after)
        if whole.any():
            yield number, np.packbits(whole)


def _filled(area: ByteArray) -> ByteArray:
    """An area without holes: what is within something in front is in front too."""
    import cv2

    room = cv2.copyMakeBorder(area, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(room, None, (0, 0), 2)
    return np.asarray(room[1:-1, 1:-1] != 2, np.uint8)


def _disc(side: int) -> ByteArray:
    import cv2

    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
