"""What drives a frame: the head of the footage, the mouth of the speech.

Pose, identity and the upper face (blinks, brows, gaze) stay those of the target's own frame, so
that a dubbed speaker blinks where they blinked; the mouth's axes come from the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pirctl.face.landmarks import mouth_opening
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]

_REST_SHARE = 0.1  # of the frames: those with the mouth most closed


@dataclass(frozen=True, kw_only=True)
class Poses:
    """The fitted face of some frames, on one device.

    Attributes:
        z_id: (B, I) identity, the same in every row.
        R: (B, 3, 3) rotations camera from model.
        t: (B, 3) translations in dm, camera space.
        K: (3, 3) intrinsics in pixels of the crop.
    """

    z_id: Tensor
    R: Tensor
    t: Tensor
    K: Tensor


def poses_of(track: Track, numbers: Sequence[int], device: torch.device | str) -> Poses:
    """Gather the rows of a track for some frame numbers, as float32 tensors."""

    def tensor(array: FloatArray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32).to(device)

    rows = list(numbers)
    return Poses(
        z_id=tensor(track.z_id).expand(len(rows), -1),
        R=tensor(track.R[rows]),
        t=tensor(track.t[rows]),
        K=tensor(track.K),
    )


def drive(own: FloatArray, speech: FloatArray, mouth_axes: Sequence[int]) -> FloatArray:
    """Take the mouth's axes from the speech and every other axis from the footage.

    Args:
        own: (B, E) expression fitted to the target's frames.
        speech: (B, E) expression predicted from the sound.
        mouth_axes: indices of the axes that speech moves.

    Returns:
        (B, E) expression.
    """
    check_shape("speech", speech, *own.shape)
    axes = list(mouth_axes)
    driven = own.copy()
    driven[:, axes] = speech[:, axes]
    return driven


def rest_expression(track: Track, frames: int | None = None) -> FloatArray:
    """The person's closed mouth: the median expression of the frames with the least opening.

    Args:
        track: the target's track; its landmarks say how open the mouth is.
        frames: look at the first so many frames only (the training part).

    Returns:
        (E,) expression.
    """
    rows = np.flatnonzero(track.valid[:frames])
    opening = mouth_opening(track.landmarks[rows])
    count = max(1, round(_REST_SHARE * len(rows)))
    closed = rows[np.argsort(opening, kind="stable")[:count]]
    return np.asarray(np.median(track.z_exp[closed], axis=0), dtype=np.float32)


def mean_expression(track: Track, frames: int | None = None) -> FloatArray:
    """The person's mean expression (E,) over the valid frames (the first `frames` only)."""
    valid = track.valid[:frames]
    return np.asarray(track.z_exp[:frames][valid].mean(axis=0), dtype=np.float32)
