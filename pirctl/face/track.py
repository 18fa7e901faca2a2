"""Find the points of one person's face in every frame, or read them from a file.

`MediapipeDetector` finds faces in one picture; `FaceFollower` keeps to one person through a clip
and looks closely where the face was, so a small face in a tall frame is found as well as a
portrait. Points are in pixels of the source picture, x right, y down, centre of pixel 0 at 0.5.

A landmark file (safetensors) holds `landmarks` float32 (T, L, 2), `valid` uint8 (T,) and the
metadata `width`, `height`, `frame_rate` of the video it was made from.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pirctl.errors import DecodeError, MediaError, WeightsCorrupt, WeightsMissing
from pirctl.files import atomic_file
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.tensors import check_shape

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Frame = npt.NDArray[np.uint8]
Window = tuple[int, int, int, int]

WINDOW_SCALE = 2.2
"""Side of the window searched around a known face, in face sizes."""
SEARCH_EVERY = 5
"""While nobody is in sight, the fine search runs on every fifth frame only."""
FORGET_AFTER = 25
"""Frames after which a lost person may reappear anywhere."""


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Tracked points of one video.

    Attributes:
        points: (T, L, 2) in pixels of the source picture; finite also where not valid.
        valid: (T,) whether a face was found.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        frame_rate: frames per second that the rows count.
    """

    points: FloatArray
    valid: BoolArray
    width: int
    height: int
    frame_rate: Fraction

    def __post_init__(self) -> None:
        check_shape("points", self.points, len(self.valid), None, 2)


class FaceDetector(Protocol):
    """Finds the points of all faces in one picture."""

    name: str
    points: int

    def detect(self, image: Frame) -> list[FloatArray]:
        """Points of each face in `image` (H, W, 3): (L, 2) in its pixels."""
        ...

    def close(self) -> None:
        """Free what the detector holds."""
        ...


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

    def __init__(self, model_path: Path) -> None:
        if not model_path.is_file():
            raise WeightsMissing(
                f"the tracker's model {model_path} is not there",
                hint="pirctl models pull face_landmarker, or give points with --landmarks FILE",
            )
        with _stderr_held_back():
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
        self._last: _Box | None = None
        self._missed = 0

    def find(self, frame: Frame) -> FloatArray | None:
        """Points (L, 2) of the person in the next frame (H, W, 3), or None."""
        points = self._look_closely(frame)
        if points is None:
            points = self._search(frame)
        if points is None:
            self._missed += 1
            return None
        self._missed = 0
        self._last = _Box.around(points)
        self._window = self._follow(self._last, frame)
        return points

    def _look_closely(self, frame: Frame) -> FloatArray | None:
        if self._window is None or self._last is None:
            return None
        faces = self._detect_in(frame, self._window)
        near = [face for face in faces if self._may_be_the_person(face)]
        return min(near, key=self._distance, default=None)

    def _search(self, frame: Frame) -> FloatArray | None:
        height, width = frame.shape[:2]
        fine = self._missed % SEARCH_EVERY == 0
        for windows in _search_windows(width, height, fine=fine):
            faces = [face for window in windows for face in self._detect_in(frame, window)]
            faces = [face for face in faces if self._may_be_the_person(face)]
            if faces and self._last is not None:
                return min(faces, key=self._distance)
            if faces:
                found = max(faces, key=lambda face: _prominence(face, width, height))
                # Once more from nearby, so that the first frame is seen like all others.
                self._last = _Box.around(found)
                self._window = self._follow(self._last, frame)
                closer = self._look_closely(frame)
                return found if closer is None else closer
        return None

    def _detect_in(self, frame: Frame, window: Window) -> list[FloatArray]:
        left, top, right, bottom = window
        offset = np.array([left, top], np.float32)
        faces = self._detector.detect(frame[top:bottom, left:right])
        return [face + offset for face in faces]

    def _may_be_the_person(self, face: FloatArray) -> bool:
        if self._last is None or self._missed >= FORGET_AFTER:
            return True
        box = _Box.around(face)
        reach = (1.0 + 0.1 * self._missed) * self._last.size
        return self._distance(face) < reach and 0.5 < box.size / self._last.size < 2

    def _distance(self, face: FloatArray) -> float:
        assert self._last is not None
        box = _Box.around(face)
        return math.hypot(box.x - self._last.x, box.y - self._last.y)

    def _follow(self, box: _Box, frame: Frame) -> Window:
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


@dataclass(frozen=True)
class _Box:
    """Where a face is: centre and larger side, in pixels."""

    x: float
    y: float
    size: float

    @staticmethod
    def around(points: FloatArray) -> _Box:
        low, high = points.min(0), points.max(0)
        x, y = (low + high) / 2
        return _Box(float(x), float(y), max(1.0, float((high - low).max())))


def _prominence(face: FloatArray, width: int, height: int) -> float:
    box = _Box.around(face)
    off = math.hypot(box.x - width / 2, box.y - height / 2) / math.hypot(width / 2, height / 2)
    return box.size * (1 - 0.5 * off)


def _search_windows(width: int, height: int, *, fine: bool) -> Iterator[list[Window]]:
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


def track_frames(
    frames: Iterable[Frame],
    detector: FaceDetector,
    *,
    total: int | None = None,
    on_progress: OnProgress = ignore_progress,
) -> tuple[FloatArray, BoolArray]:
    """Follow one face through frames (H, W, 3) uint8 RGB; reads them as a stream.

    Returns:
        Points (T, L, 2) in pixels of the frames, in gaps interpolated over time and zero where
        there was no face at all; validity (T,).
    """
    follower = FaceFollower(detector)
    rows: list[FloatArray] = []
    valid: list[bool] = []
    nothing = np.zeros((detector.points, 2), np.float32)
    for frame in frames:
        points = follower.find(frame)
        rows.append(nothing if points is None else points)
        valid.append(points is not None)
        on_progress(Progress(step="tracking", done=len(rows), total=total))
    if not rows:
        return np.zeros((0, detector.points, 2), np.float32), np.zeros(0, bool)
    found = np.array(valid)
    return fill_gaps(np.stack(rows), found), found


def fill_gaps(points: FloatArray, valid: BoolArray) -> FloatArray:
    """Interpolate rows that are not valid over time; hold the first and last valid row.

    Args:
        points: (T, ...).
        valid: (T,).

    Returns:
        (T, ...); zeros when no row is valid.
    """
    known = np.flatnonzero(valid)
    if len(known) == len(valid):
        return points
    if not len(known):
        return np.zeros_like(points)
    filled = points.copy()
    missing = np.flatnonzero(~valid)
    after = np.searchsorted(known, missing)
    left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    weight = np.clip((missing - left) / np.maximum(right - left, 1), 0, 1).astype(np.float32)
    weight = weight.reshape(-1, *[1] * (points.ndim - 1))
    filled[missing] = points[left] * (1 - weight) + points[right] * weight
    return filled


def read_landmark_file(path: Path) -> Landmarks:
    """Read points that were tracked elsewhere.

    Raises:
        DecodeError: missing, not a landmark file, or with impossible content.
    """
    hint = "the format is in the README: landmarks (T, 468|478, 2), valid (T,), metadata"
    if not path.is_file():
        raise DecodeError(f"landmark file {path} not found", hint="check the path")
    try:
        with safe_open(path, framework="np") as file:
            points = file.get_tensor("landmarks").astype(np.float32)
            valid = file.get_tensor("valid").astype(bool)
            about = file.metadata() or {}
        width, height = int(about["width"]), int(about["height"])
        frame_rate = Fraction(about["frame_rate"])
    except (SafetensorError, KeyError, ValueError, ZeroDivisionError, OSError) as error:
        raise DecodeError(f"{path}: not a landmark file ({error})", hint=hint) from error
    shape = points.shape
    problem = None
    if valid.ndim != 1 or points.ndim != 3 or shape[0] != len(valid) or shape[2] != 2:
        problem = f"landmarks {shape} and valid {valid.shape} do not fit together"
    elif shape[1] not in (468, 478):
        problem = f"{shape[1]} points per frame, expected 468 or 478"
    elif min(width, height) < 1 or frame_rate <= 0:
        problem = f"impossible size {width}x{height} or frame rate {frame_rate}"
    if problem:
        raise DecodeError(f"{path}: {problem}", hint=hint)
    # Rows with no numbers in them are frames without a face, whatever `valid` says.
    valid &= np.isfinite(points).all((1, 2))
    points = fill_gaps(np.nan_to_num(points), valid)
    return Landmarks(points=points, valid=valid, width=width, height=height, frame_rate=frame_rate)


def write_landmark_file(path: Path, landmarks: Landmarks) -> None:
    """Write points so that `--landmarks` can read them."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "landmarks": np.ascontiguousarray(landmarks.points, np.float32),
        "valid": np.ascontiguousarray(landmarks.valid, np.uint8),
    }
    about = {
        "width": str(landmarks.width),
        "height": str(landmarks.height),
        "frame_rate": str(landmarks.frame_rate),
    }
    with atomic_file(path) as temporary:
        # Through memory: its own file writing makes files only their owner may read.
        temporary.write_bytes(save(arrays, metadata=about))


def check_landmarks(
    landmarks: Landmarks, path: Path, *, width: int, height: int, frames: int | None
) -> None:
    """Raise unless the landmarks can belong to a video of this size and length.

    Containers count frames loosely, so one frame more or less is accepted.

    Raises:
        MediaError: they belong to another video.
    """
    hint = "the landmarks must be of this very video, at its size and frame rate"
    if (landmarks.width, landmarks.height) != (width, height):
        raise MediaError(
            f"{path}: made for {landmarks.width}x{landmarks.height} pixels, "
            f"the video has {width}x{height}",
            hint=hint,
        )
    if frames is not None and abs(len(landmarks.valid) - frames) > 1:
        raise MediaError(
            f"{path}: {len(landmarks.valid)} frames, the video has {frames}", hint=hint
        )


def resample_landmarks(landmarks: Landmarks, rate: Fraction, frames: int) -> Landmarks:
    """The landmarks of the frames that ffmpeg's `fps` filter picks for a new frame rate.

    The filter moves input frame n to the output position nearest to its time, rounding halves
    up, and fills every position with the last input frame at or before it.

    Args:
        landmarks: rows at the source's frame rate, constant.
        rate: frames per second wanted.
        frames: how many rows to return; the last source row is held.
    """
    count = len(landmarks.valid)
    if not count:
        raise MediaError("the landmarks have no frames", hint="track the video again")
    step = rate / landmarks.frame_rate
    position = np.array([math.floor(n * step + Fraction(1, 2)) for n in range(count)])
    source = np.searchsorted(position, np.arange(frames), side="right") - 1
    source = np.clip(source, 0, count - 1)
    return Landmarks(
        points=landmarks.points[source],
        valid=landmarks.valid[source],
        width=landmarks.width,
        height=landmarks.height,
        frame_rate=rate,
    )


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keep what C++ libraries write to file descriptor 2 off the terminal."""
    try:
        terminal = os.dup(2)
    except OSError:  # No stderr at all, as in some services.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
