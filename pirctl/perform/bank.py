"""The bank: frames of the person's own that the renderer may show, cut out around the mouth.

It is chosen once, when the render stage is trained, and lies beside its checkpoint, so that neither
the clip nor the source video is needed to use it. Where the face in the source is larger than the
crop, its pictures have the source's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import CheckpointError
from pirctl.files import atomic_file
from pirctl.target.checkpoint import retrain_command

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

BANK_FILE = "bank.safetensors"
"""Name of the file in the folder of the render stage."""

_SHARPEST = 0.75  # Of the frames: the rest is blurred by motion, or out of focus.


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Pictures around the mouth.

    Attributes:
        numbers: (N,) frames of the target.
        pictures: (N, S, S, 3) uint8, RGB.
        corners: (N, 2) float32, x and y of their upper left corners in pixels of the crop.
        scale: pixels of the pictures per pixel of the crop, 1 or more.
    """

    numbers: IntArray
    pictures: ByteArray
    corners: FloatArray
    scale: float

    def __len__(self) -> int:
        """Frames in it."""
        return len(self.numbers)


def choose_frames(features: FloatArray, sharpness: FloatArray, count: int) -> IntArray:
    """Choose frames that cover what a person does: each the farthest from those before it.

    Args:
        features: (T, F) what the frames show; their Euclidean distance is how different they are.
        sharpness: (T,) the blurred quarter is left out, while enough are left.
        count: frames at most.

    Returns:
        Rows of `features`, in rising order.

    Source: Gonzalez 1985 (farthest-point clustering).
    """
    kept = max(min(count, len(features)), round(_SHARPEST * len(features)))
    rows = np.sort(np.argsort(-sharpness, kind="stable")[:kept])
    points = features[rows]
    middle = np.median(points, axis=0)
    chosen = [int(np.argmin(((points - middle) ** 2).sum(1)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(rows)) and distance.max() > 0:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return np.sort(rows[chosen]).astype(np.int64)


def sharpness_of(picture: ByteArray) -> float:
    """Mean squared Laplacian of the luma of a picture (H, W, 3): how sharp it is."""
    import cv2

    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float((cv2.Laplacian(luma, cv2.CV_32F) ** 2).mean())


def write_bank(bank: Bank, path: Path) -> None:
    """Write a bank whole or not at all."""
    from safetensors.numpy import save_file

    parts = {"numbers": bank.numbers, "pictures": bank.pictures, "corners": bank.corners}
    with atomic_file(path) as temporary:
        save_file(
            {name: np.ascontiguousarray(part) for name, part in parts.items()},
            str(temporary),
            metadata={"scale": repr(float(bank.scale))},
        )


def read_bank(path: Path, target_name: str, frames: int) -> Bank:
    """Read what `write_bank` wrote.

    Args:
        path: the file.
        target_name: named in the error's hint.
        frames: of the target; the bank can have no others.

    Raises:
        CheckpointError: it is missing, damaged, or its parts do not fit each other or the target.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            parts = {name: stored.get_tensor(name) for name in ("numbers", "pictures", "corners")}
            scale = float((stored.metadata() or {})["scale"])
        bank = Bank(**parts, scale=scale)
        _check(bank, frames)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the frames that the render stage shows cannot be read: {error}",
            hint=retrain_command("render", target_name, restart=True),
        ) from error
    return bank


def _check(bank: Bank, frames: int) -> None:
    if bank.numbers.ndim != 1 or not len(bank.numbers):
        raise ValueError(f"numbers of shape {bank.numbers.shape}")
    count = len(bank.numbers)
    pictures = bank.pictures.shape
    if not np.prod(pictures) or pictures != (count, *pictures[1:2] * 2, 3):
        raise ValueError(f"{count} frames, pictures of shape {pictures}")
    if bank.corners.shape != (count, 2) or bank.pictures.dtype != np.uint8:
        raise ValueError(f"corners of shape {bank.corners.shape}, {bank.pictures.dtype} pictures")
    if bank.numbers.dtype != np.int64 or bank.numbers.min() < 0 or bank.numbers.max() >= frames:
        raise ValueError(f"numbers must be whole and those of {frames} frames")
    if bank.corners.dtype != np.float32 or not np.isfinite(bank.corners).all():
        raise ValueError("corners must be finite numbers")
    if not 1 <= bank.scale <= 64:
        raise ValueError(f"scale is {bank.scale}")
