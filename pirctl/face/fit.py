"""Fit the face model to a tracked clip: one identity and focal length, pose and expression a frame.

Identity and focal length come from a few hundred frames together; then all frames are solved in
overlapping chunks, neighbouring frames tied by a penalty on acceleration, so memory does not grow
with the clip. The least squares are in `solve`. Landmarks are pixels of the square crop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pirctl.device import one_thread
from pirctl.face.camera import head_angles, intrinsics, rotation_from_vector, vector_from_rotation
from pirctl.face.model import FaceModel
from pirctl.face.observed import NOISE, ObservedClip, observe
from pirctl.face.solve import (
    Problem,
    State,
    project_state,
    solve_frames,
    solve_identity,
    start,
)
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import FitSettings

FloatArray = npt.NDArray[np.float32]

CHUNK_FRAMES = 240
"""Frames whose results are kept from one solve."""
JUMP = 0.06
"""A face that changes its speed by more than this part of its size from one frame to the next was
not moved by its owner: the picture was cut, or frames are missing or repeated. No such change is
smoothed. Ordinary clips stay below half of it."""
OVERLAP_FRAMES = 24
"""Frames solved on either side of a chunk and thrown away: about a second, longer than any tie."""


@dataclass(frozen=True, kw_only=True)
class ClipFit:
    """A fitted clip. Frames without a usable face are interpolated and marked.

    Attributes:
        z_id: (I,) identity, standard deviations.
        z_exp: (T, E) expression, in the unit of the model's axes.
        R: (T, 3, 3) rotation, camera from model.
        t: (T, 3) translation, decimetres.
        K: (3, 3) intrinsics in pixels of the crop.
        valid: (T,) True where the frame was fitted, False where it was interpolated.
        error_px: (T,) mean distance of tracked and projected points, pixels; NaN where not valid.
    """

    z_id: FloatArray
    z_exp: FloatArray
    R: FloatArray
    t: FloatArray
    K: FloatArray
    valid: npt.NDArray[np.bool_]
    error_px: FloatArray


def fit_clip(
    landmarks: Any,
    valid: Any,
    model: FaceModel,
    size_px: int,
    settings: FitSettings | None = None,
    on_progress: OnProgress = ignore_progress,
    *,
    principal_px: tuple[float, float] | None = None,
) -> ClipFit:
    """Fit identity, focal length, poses and expressions to a clip.

    Args:
        landmarks: (T, L, 2) pixels of the crop; L is 468, 478 (irises are ignored), 68
            (iBUG) or 98 (WFLW).
        valid: (T,) False where the tracker found no face; such rows of `landmarks` are not read.
        model: the face model.
        size_px: side of the crop in pixels.
        settings: weights of the priors and of the smoothness.
        on_progress: called after every chunk of frames.
        principal_px: where the camera's axis meets the crop, which is the middle of the picture
            that the crop was cut from; the middle of the crop if None. A wrong one turns every
            pose by the angle between the two.

    Raises:
        FaceNotFound: no frame is valid.
        ValueError: shapes that do not fit.
    """
    middle = size_px / 2
    principal = principal_px or (middle, middle)
    clip = observe(landmarks, valid, model, size_px, principal, settings or FitSettings())
    points, problem = clip.points, clip.problem
    with torch.no_grad(), one_thread():
        state = start(points, problem)
        chosen = _spread(state, problem.settings.identity_frames)
        known = solve_identity(points[chosen[::5]], state.frames(chosen[::5]), problem, 6)
        problem = _with_noise(problem, points[chosen[::5]], known)
        state = _settle(points, _with_identity(state, known), problem, chosen)
        return _fitted(clip, state, problem, on_progress)


def fit_known(
    landmarks: Any,
    valid: Any,
    model: FaceModel,
    size_px: int,
    z_id: FloatArray,
    K: FloatArray,
    settings: FitSettings | None = None,
    on_progress: OnProgress = ignore_progress,
) -> ClipFit:
    """Fit poses and expressions of a person and a camera that are known.

    Arguments as for `fit_clip`; the identity (I,) and the intrinsics (3, 3) stay as they are.
    """
    middle = (float(K[0, 2]), float(K[1, 2]))
    clip = observe(landmarks, valid, model, size_px, middle, settings or FitSettings())
    points, problem = clip.points, clip.problem
    with torch.no_grad(), one_thread():
        state = start(points, problem)
        log_focal = torch.tensor(float(K[0, 0])).log()
        person = replace(state, z_id=torch.from_numpy(z_id).float(), log_focal=log_focal)
        state = _with_identity(state, person)
        few = _spread(state, problem.settings.identity_frames)[::5]
        apart = torch.zeros(max(0, len(few) - 2), dtype=torch.bool)
        settled = solve_frames(points[few], apart, state.frames(few), problem, 6)
        return _fitted(clip, state, _with_noise(problem, points[few], settled), on_progress)


def _fitted(clip: ObservedClip, state: State, problem: Problem, on_progress: OnProgress) -> ClipFit:
    """All frames with an identity and a camera that are settled."""
    state, error = _all_frames(clip.points, clip.index, state, problem, on_progress)
    fitted = ClipFit(
        z_id=state.z_id.numpy(),
        z_exp=state.z_exp.numpy(),
        R=state.R.numpy(),
        t=state.t.numpy(),
        K=intrinsics(state.log_focal.exp(), int(problem.size_px)).numpy() + _shift(clip.beside),
        valid=np.ones(len(clip.index), dtype=bool),
        error_px=error.numpy(),
    )
    return fill_clip(fitted, clip.index, clip.frames)


def _shift(beside: FloatArray) -> FloatArray:
    """What moves the principal point of intrinsics (3, 3) by `beside` (2,)."""
    moved = np.zeros((3, 3), np.float32)
    moved[:2, 2] = beside
    return moved


def _with_noise(problem: Problem, points: Tensor, known: State) -> Problem:
    """The problem with the noise that a first solution left over."""
    apart = (project_state(known, problem)[1] - points).norm(dim=-1).median()
    most = problem.noise_px
    least = most * NOISE[0] / NOISE[1]
    return replace(problem, noise_px=min(most, max(least, 1.5 * float(apart))))


def _spread(state: State, count: int) -> Tensor:
    """Indices of frames, half evenly spread in time and half evenly over the yaw of the head."""
    frames = len(state.t)
    if frames <= count:
        return torch.arange(frames)
    by_yaw = head_angles(state.R)[0].argsort()
    even = torch.linspace(0, frames - 1, max(1, count // 2)).round().long()
    return torch.from_numpy(np.union1d(even.numpy(), by_yaw[even].numpy()))


def _with_identity(state: State, known: State) -> State:
    """`state` seen with the identity and focal length of `known`."""
    # A longer lens needs a longer distance for the same size in the picture.
    closer = float((known.log_focal - state.log_focal).exp())
    t = state.t * torch.tensor([1.0, 1.0, closer])
    return State(z_id=known.z_id, log_focal=known.log_focal, R=state.R, t=t, z_exp=state.z_exp)


def _settle(points: Tensor, state: State, problem: Problem, chosen: Tensor) -> State:
    """Refine identity and focal length on all chosen frames."""
    apart = torch.zeros(max(0, len(chosen) - 2), dtype=torch.bool)
    some = state.frames(chosen)
    if len(chosen) > 2:
        some = solve_frames(points[chosen], apart, some, problem, 3)
    return _with_identity(state, solve_identity(points[chosen], some, problem, 4))


def _move_smoothly(points: Tensor, index: npt.NDArray[np.int64]) -> Tensor:
    """Whether frames i to i + 2 follow without a gap and without a jump: (T - 2,) bool."""
    middle = points.mean(1)
    size = (points.amax(1) - points.amin(1)).amax(1).median()
    jump = (middle[2:] - 2 * middle[1:-1] + middle[:-2]).norm(dim=-1)
    smoothly: Tensor = torch.from_numpy(index[2:] - index[:-2] == 2) & (jump < JUMP * size)
    return smoothly


def _all_frames(
    points: Tensor, index: npt.NDArray[np.int64], state: State, problem: Problem,
    on_progress: OnProgress,
) -> tuple[State, Tensor]:  # fmt: skip
    """Pose and expression of every frame, and the mean error of each in pixels."""
    frames = len(points)
    consecutive = _move_smoothly(points, index)
    parts, errors = [], []
    for first in range(0, frames, CHUNK_FRAMES):
        last = min(frames, first + CHUNK_FRAMES)
        low, high = max(0, first - OVERLAP_FRAMES), min(frames, last + OVERLAP_FRAMES)
        part = state.frames(slice(low, high))
        tied = consecutive[low : max(low, high - 2)]
        part = solve_frames(points[low:high], tied, part, problem, 6)
        part = part.frames(slice(first - low, last - low))
        pixels = project_state(part, problem)[1]
        errors.append((pixels - points[first:last]).norm(dim=-1).mean(1))
        parts.append(part)
        on_progress(Progress(step="fitting the face model", done=last, total=frames))
    joined = State(
        z_id=state.z_id,
        log_focal=state.log_focal,
        R=torch.cat([part.R for part in parts]),
        t=torch.cat([part.t for part in parts]),
        z_exp=torch.cat([part.z_exp for part in parts]),
    )
    return joined, torch.cat(errors)


def fill_clip(fitted: ClipFit, index: npt.NDArray[np.int64], frames: int) -> ClipFit:
    """A clip of which some frames were fitted; the others are interpolated, at the ends held.

    Args:
        fitted: the frames that were fitted, one after the other.
        index: (N,) their numbers, ascending.
        frames: length T of the clip.
    """
    moments = np.arange(frames)
    right = np.clip(np.searchsorted(index, moments), 0, len(index) - 1)
    left = np.maximum(right - (index[right] > moments), 0)
    span = np.maximum(index[right] - index[left], 1)
    share = np.clip((moments - index[left]) / span, 0, 1).astype(np.float32)[:, None]

    def between(values: FloatArray) -> FloatArray:
        mixed: FloatArray = values[left] * (1 - share) + values[right] * share
        return mixed

    R = torch.from_numpy(fitted.R)
    turn = vector_from_rotation(R[right] @ R[left].transpose(1, 2))
    error_px = np.full(frames, np.nan, dtype=np.float32)
    error_px[index] = fitted.error_px
    valid = np.zeros(frames, dtype=bool)
    valid[index] = True
    return replace(
        fitted,
        z_exp=between(fitted.z_exp),
        R=(rotation_from_vector(turn * torch.from_numpy(share)) @ R[left]).numpy(),
        t=between(fitted.t),
        valid=valid,
        error_px=error_px,
    )
