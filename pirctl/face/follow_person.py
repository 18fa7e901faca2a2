"""One of several people, followed at the places in which everyone was found before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pirctl.face.people import Person
from pirctl.face.search import Box, FaceDetector, FloatArray, Frame, around

_REACH = 0.7
"""How far from its place a face may be seen, in its own size."""


@dataclass(frozen=True)
class PersonFollower:
    """Finds one of several people in the frames of a video, at their known places.

    Args:
        detector: finds faces in a picture.
        person: where the person is when.
        scale: pixels of the frames per pixel of the video.
        margin_s: how far the frames' times may be wrong; so near to a cut nobody is found, for the
            next shot may show somebody else there.
    """

    detector: FaceDetector
    person: Person
    scale: float = 1.0
    margin_s: float = 0.0

    def find(self, frame: Frame, time_s: float) -> FloatArray | None:
        """Points (L, 2) of the person in a frame (H, W, 3), pixels of the frame, or None."""
        place = self.person.at(time_s, margin_s=self.margin_s)
        if place is None:
            return None
        x, y, size = (float(value) for value in place * self.scale)
        height, width = frame.shape[:2]
        left, top, right, bottom = around(Box(x, y, size), width, height)
        part = frame[top:bottom, left:right]
        if not part.size:
            return None
        faces = self.detector.detect_all([part])[0]
        middles = [(face.min(0) + face.max(0)) / 2 + (left, top) for face in faces]
        away = [float(np.hypot(*(middle - (x, y)))) for middle in middles]
        if not away or min(away) > _REACH * size:
            return None
        return faces[int(np.argmin(away))] + np.array([left, top], np.float32)


def follow_person(
    frames: Iterable[Frame], times_s: Iterable[float], follower: PersonFollower
) -> Iterator[tuple[Frame, FloatArray | None]]:
    """Every frame with the points of the person in it, or None."""
    for frame, time_s in zip(frames, times_s, strict=False):
        yield frame, follower.find(frame, time_s)
