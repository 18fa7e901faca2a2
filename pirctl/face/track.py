"""Find the points of one person's face in every frame.

A detector finds faces in pictures: `MediapipeDetector` here, `FacexlibDetector` in
`facexlib_tracker`. `FaceFollower` keeps to one person through a clip and looks closely where the
face was, so a small face in a tall frame is found as well as a portrait, by either detector.
Points are in pixels of the source picture, x right, y down, centre of pixel 0 at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face.landmark_file import fill_gaps
from pirctl.face.quiet import stderr_held_back
from pirctl.face.search import Box, FaceDetector, FloatArray, Frame, Window, search_windows
from pirctl.progress import OnProgress, Progress, ignore_progress

BoolArray = npt.NDArray[np.bool_]

TRACKING_SIDE_PX = 1920
"""Larger pictures are tracked at this size: the tracker sees a face at 256 pixels anyway."""
WINDOW_SCALE = 2.2
"""Side of the window searched around a known face, in face sizes."""
SEARCH_EVERY = 5
"""While nobody is in sight, the fine search runs on every fifth frame only."""
FORGET_AFTER = 25
"""Frames after which a lost person may reappear anywhere."""


def tracking_size(width: int, height: int) -> tuple[int, int]:
    """The width and height in pixels at which pictures of that size are tracked."""
    scale = min(1.0, TRACKING_SIDE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class MediapipeDetector:
    """MediaPipe's Face Landmarker: 478 points per face, fast on a CPU.

    It runs on single pictures: its video mode smooths points over time, which rounds off the
    lips; smoothing is the fit's business.

    Args:
        model_path: `face_landmarker.task`.

    Raises:
        WeightsMissing: no such file.
        WeightsCorrupt: not a model MediaPipe can load.
    """

    name = "mediapipe"
    points = 478
    batch = 1

    def __init__(self, model_path: Path) -> None:
        if not model_path.is_file():
            raise WeightsMissing(
                f"the tracker's model {model_path} is not there",
                hint="pirctl models pull face_landmarker, or give points with --landmarks FILE",
            )
        with stderr_held_back():
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision

            self._mediapipe = mediapipe
            # The content, not the path: its loader fails on paths with non-ASCII letters.
            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=model_path.read_bytes()),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=4,
            )
            try:
                self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                raise WeightsCorrupt(
                    f"{model_path}: MediaPipe cannot load it ({str(error).splitlines()[0]})",
                    hint="pirctl models pull face_landmarker --force",
                ) from error
            self.detect(np.zeros((64, 64, 3), np.uint8))  # The first run logs once more.

    def detect(self, image: Frame) -> list[FloatArray]:
        """Points of each face in `image` (H, W, 3) uint8 RGB: (478, 2) in its pixels."""
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        size = np.array([image.shape[1], image.shape[0]], np.float32)
        faces = self._landmarker.detect(picture).face_landmarks
        return [np.array([(p.x, p.y) for p in face], np.float32) * size for face in faces]

    def detect_all(self, images: Sequence[Frame]) -> list[list[FloatArray]]:
        """Points of the faces in each picture, one picture after the other."""
        return [self.detect(image) for image in images]

    def close(self) -> None:
        """Stop the landmarker; left to the interpreter's exit it prints a traceback."""
        self._landmarker.close()


class FaceFollower:
    """Keeps to one person: the largest and most central face first, then the nearest.

    Args:
        detector: finds faces in a picture.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._window: Window | None = None
        self._last: Box | None = None
        self._missed = 0

    def find(self, frame: Frame) -> FloatArray | None:
        """Points (L, 2) of the person in the next frame (H, W, 3), or None."""
        return self.find_all([frame])[0]

    def find_all(self, frames: Sequence[Frame]) -> list[FloatArray | None]:
        """Points of the person in the next frames; the same as with one frame at a time."""
        points: list[FloatArray | None] = []
        while len(points) < len(frames):
            rest = frames[len(points) :]
            # While nobody is in sight, frames looked at ahead would be looked at once more.
            close = self._look_closely(rest[:1] if self._missed else rest)
            points += close
            if not close:
                points.append(self._search(rest[0]))
        return points

    def _look_closely(self, frames: Sequence[Frame]) -> list[FloatArray]:
        """The person in the first frames, as far as the window of now shows the person."""
        window, found = self._window, list[FloatArray]()
        if window is None or self._last is None:
            return found
        for frame, faces in zip(
            frames, self._detect_in(frames, [window] * len(frames)), strict=True
        ):
            near = [face for face in faces if self._may_be_the_person(face)]
            if not near:
                break
            found.append(self._accept(min(near, key=self._distance), frame))
            if self._window != window:
                break
        return found

    def _search(self, frame: Frame) -> FloatArray | None:
        height, width = frame.shape[:2]
        fine = self._missed % SEARCH_EVERY == 0
        for windows in search_windows(width, height, fine=fine):
            seen = self._detect_in([frame] * len(windows), windows)
            faces = [face for each in seen for face in each if self._may_be_the_person(face)]
            if faces and self._last is not None:
                return self._accept(min(faces, key=self._distance), frame)
            if faces:
                found = max(faces, key=lambda face: _prominence(face, width, height))
                self._accept(found, frame)
                # Once more from nearby, so that the first frame is seen like all others.
                closer = self._look_closely([frame])
                return closer[0] if closer else found
        self._missed += 1
        return None

    def _accept(self, points: FloatArray, frame: Frame) -> FloatArray:
        """Take `points` for the person and move the window along."""
        self._missed = 0
        self._last = Box.around(points)
        self._window = self._follow(self._last, frame)
        return points

    def _detect_in(
        self, frames: Sequence[Frame], windows: Sequence[Window]
    ) -> list[list[FloatArray]]:
        """The faces in one window of each frame, in pixels of the frame."""
        pairs = list(zip(frames, windows, strict=True))
        parts = [frame[top:bottom, left:right] for frame, (left, top, right, bottom) in pairs]
        seen: list[list[FloatArray]] = []
        while len(seen) < len(parts):
            seen += self._detector.detect_all(parts[len(seen) :][: self._detector.batch])
        return [
            [face + np.array(window[:2], np.float32) for face in faces]
            for faces, window in zip(seen, windows, strict=True)
        ]

    def _may_be_the_person(self, face: FloatArray) -> bool:
        if self._last is None or self._missed >= FORGET_AFTER:
            return True
        box = Box.around(face)
        reach = (1.0 + 0.1 * self._missed) * self._last.size
        return self._distance(face) < reach and 0.5 < box.size / self._last.size < 2

    def _distance(self, face: FloatArray) -> float:
        assert self._last is not None
        box = Box.around(face)
        return math.hypot(box.x - self._last.x, box.y - self._last.y)

    def _follow(self, box: Box, frame: Frame) -> Window:
        """The window around `box`; the old one as long as the face is well inside it."""
        height, width = frame.shape[:2]
        if self._window is not None:
            left, top, right, bottom = self._window
            inner = 0.7 * box.size
            inside = (left == 0 or box.x - left > inner) and (top == 0 or box.y - top > inner)
            inside &= right == width or right - box.x > inner
            inside &= bottom == height or bottom - box.y > inner
            if inside and max(right - left, bottom - top) < 1.4 * WINDOW_SCALE * box.size:
                return self._window
        half = WINDOW_SCALE / 2 * box.size
        return (
            max(0, round(box.x - half)),
            max(0, round(box.y - half)),
            min(width, round(box.x + half)),
            min(height, round(box.y + half)),
        )


def _prominence(face: FloatArray, width: int, height: int) -> float:
    box = Box.around(face)
    off = math.hypot(box.x - width / 2, box.y - height / 2) / math.hypot(width / 2, height / 2)
    return box.size * (1 - 0.5 * off)


def follow(
    frames: Iterable[Frame], detector: FaceDetector
) -> Iterator[tuple[Frame, FloatArray | None]]:
    """Every frame with the points of the one person in it, or None."""
    follower, stream = FaceFollower(detector), iter(frames)
    while batch := list(islice(stream, detector.batch)):
        yield from zip(batch, follower.find_all(batch), strict=True)


def track_frames(
    seen: Iterable[tuple[Frame, FloatArray | None]],
    count: int,
    *,
    total: int | None = None,
    on_progress: OnProgress = ignore_progress,
) -> tuple[FloatArray, BoolArray]:
    """Collect the points of one face, frame by frame; reads them as a stream.

    Args:
        seen: every frame with the points of the person, or None: what `follow` gives.
        count: points L of a face.
        total: how many frames they are, for the report.
        on_progress: called after every frame.

    Returns:
        Points (T, L, 2) in pixels of the frames, in gaps interpolated over time and zero where
        there was no face at all; validity (T,).
    """
    rows: list[FloatArray] = []
    valid: list[bool] = []
    nothing = np.zeros((count, 2), np.float32)
    for _, points in seen:
        rows.append(nothing if points is None else points)
        valid.append(points is not None)
        on_progress(Progress(step="tracking", done=len(rows), total=total))
    if not rows:
        return np.zeros((0, count, 2), np.float32), np.zeros(0, bool)
    found = np.array(valid)
    return fill_gaps(np.stack(rows), found), found
