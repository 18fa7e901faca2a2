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
from pirctl.perform.footage import Section
from pirctl.settings.choices import Pose
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]

_REST_SHARE = 0.1  # of the frames: those with the mouth most closed
_SEAM_CANDIDATES = 1500  # frames tried as the ends of a loop


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


def choose_section(track: Track, pose: Pose) -> Section:
    """Choose which of the target's frames are shown.

    Args:
        track: the target's track.
        pose: `original`, the whole clip; `still`, the one frame that is most like all others;
            `loop`, the section, a third of the clip or longer, whose end goes over into its
            beginning with the least jump of head and face.
    """
    whole = Section(first=0, length=track.frames)
    valid = np.flatnonzero(track.valid)
    if pose == "original" or not len(valid):
        return whole
    # Rows of R are how far the ends of a head's axes move, so all of this is about decimetres.
    # Depth is measured worse than the rest, and expression counts as far as it moves points.
    place = track.t * np.array([1, 1, 0.3], np.float32)
    state = np.concatenate([track.R.reshape(-1, 9), place, 0.2 * track.z_exp], axis=1)
    if pose == "still":
        apart = np.linalg.norm(state[valid] - np.median(state[valid], axis=0), axis=1)
        return Section(first=int(valid[np.argmin(apart)]), length=1)
    return _loop(state, track.valid, whole)


def _loop(state: FloatArray, valid: NDArray[np.bool_], whole: Section) -> Section:
    """The section [i, j) where frames i and i+1 are most like j and j+1: they move alike too."""
    ready = _spread(np.flatnonzero(valid[:-1] & valid[1:]))
    pairs = np.concatenate([state[ready], state[ready + 1]], axis=1)
    # Lengths of differences without the differences, which would be (N, N, E).
    power = (pairs**2).sum(1)
    apart = power[:, None] + power - 2 * pairs @ pairs.T
    apart[ready - ready[:, None] < max(2, whole.length // 3)] = np.inf
    if not np.isfinite(apart).any():
        return Section(first=0, length=whole.length, is_loop=True)
    i, j = np.unravel_index(int(np.argmin(apart)), apart.shape)
    return Section(first=int(ready[i]), length=int(ready[j] - ready[i]), is_loop=True)


def _spread(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return numbers[:: 1 + len(numbers) // _SEAM_CANDIDATES]
