"""The points of one face through a video, and the file that keeps them.

A landmark file (safetensors) holds `landmarks` float32 (T, L, 2), `valid` uint8 (T,) and the
metadata `width`, `height`, `frame_rate` of the video it was made from. L is 478 or 468 (MediaPipe
mesh with and without irises), 98 (WFLW) or 68 (iBUG). Points are in pixels of the source picture,
x right, y down, centre of pixel 0 at 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pirctl.errors import DecodeError, MediaError
from pirctl.face.landmarks import MESH_COUNTS, SPARSE_COUNTS
from pirctl.files import atomic_file
from pirctl.tensors import check_shape

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


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
    hint = (
        "it has landmarks (T, 68|98|468|478, 2), valid (T,), and the metadata width, height and "
        "frame_rate of the video"
    )
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
    elif shape[1] not in (*SPARSE_COUNTS, *MESH_COUNTS):
        problem = f"{shape[1]} points per frame, expected 68, 98, 468 or 478"
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
