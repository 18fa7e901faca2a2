"""The least squares behind `fit`: residuals, derivatives, and two kinds of normal equations.

`solve_identity` moves what the frames share (identity, focal length) together with each frame's
pose and expression; `solve_frames` moves pose and expression of many frames, tied in time. Both are
Gauss-Newton with a little damping. Spaces and units as in `camera`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pirctl.face.banded import acceleration, solve_banded, times
from pirctl.face.camera import (
    head_angles,
    intrinsics,
    project,
    rotation_from_vector,
    vector_from_rotation,
)
from pirctl.settings import FitSettings

POSE = 6
"""Unknowns of a pose: a rotation vector (radians, camera axes) and a translation (decimetres)."""

EFFECTIVE_POINTS = 60.0
"""Sum of the landmark weights: neighbouring landmarks err together, so 468 are worth fewer."""
ROBUST_SCALE = 3.0
"""Residual, in units of the noise, at which a landmark counts half (Cauchy weight)."""

IDENTITY_PRIOR = 0.1
"""Prior on z_id per frame; identity is in standard deviations already. So strong that both halves
of a clip give one shape: frames err together, and fifty times less put their depth into it."""
BOUND_STRENGTH = 1000.0
"""Stiffness of that pull."""
FOCAL_RATIO = 3.0
"""Prior mean of focal length over crop side: a portrait from about one metre."""
FOCAL_SPREAD = 0.5
"""Prior standard deviation of the focal length's logarithm."""
FOCAL_PRIOR = 0.002
"""Weight of that prior per frame: weak, for it must yield to a clip that shows perspective."""

ROTATION_ACCELERATION = 0.004
"""Usual change of angular speed from frame to frame, radians. Measured against optical flow of the
skin: stiffer ties lag behind real nods more than they remove of the tracker's tremble."""
TRANSLATION_ACCELERATION = (0.004, 0.004, 0.03)
"""Usual change of speed from frame to frame in x, y, z, decimetres."""
BLOCK_FRAMES = 50
"""Frames whose derivatives are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class ExpressionScale:
    """How large the coefficients of a model's expression axes are.

    Attributes:
        spread: standard deviation of a coefficient in the prior.
        bounds: coefficients outside are pulled back to these.
        acceleration: usual change of a coefficient's speed from frame to frame.
    """

    spread: float
    bounds: tuple[float, float]
    acceleration: float


FULL_STRENGTH = ExpressionScale(spread=0.4, bounds=(-0.1, 1.1), acceleration=0.045)
"""Named axes: 0 at rest, 1 at full strength."""
DEVIATIONS = ExpressionScale(spread=1.0, bounds=(-4.0, 4.0), acceleration=0.045 / 0.4)
"""Principal components in standard deviations: either sign, and as stiff in time for their size."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Current estimate.

    Attributes:
        z_id: (I,).
        log_focal: () logarithm of the focal length in pixels.
        R: (T, 3, 3).
        t: (T, 3) decimetres.
        z_exp: (T, E).
    """

    z_id: Tensor
    log_focal: Tensor
    R: Tensor
    t: Tensor
    z_exp: Tensor

    def frames(self, chosen: Tensor | slice) -> State:
        """The same identity and camera with some of the frames."""
        return replace(self, R=self.R[chosen], t=self.t[chosen], z_exp=self.z_exp[chosen])


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What stays: the model at the landmarks, weights and scales.

    Attributes:
        mean: (L, 3); identity: (L, 3, I); expression: (L, 3, E): the model's rows at the landmarks.
        weights: (L,) with sum EFFECTIVE_POINTS.
        outline_left: (L,) bool, points of the face's outline on the subject's left.
        outline_right: (L,) bool, those on the right.
        scale: size of the expression coefficients.
        size_px: side of the crop.
        noise_px: scale of the residuals.
        settings: weights of the priors.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor
    weights: Tensor
    outline_left: Tensor
    outline_right: Tensor
    scale: ExpressionScale
    size_px: float
    noise_px: float
    settings: FitSettings


@dataclass(frozen=True, kw_only=True)
class _Linear:
    """Residuals of some frames and their derivatives, both in units of the noise.

    Attributes:
        residual: (T, 2L), already multiplied by the root of the robust weight.
        own: (T, 2L, 6 + E) by pose and expression.
        shared: (T, 2L, I + 1) by identity and log focal length; empty when not asked for.
    """

    residual: Tensor
    own: Tensor
    shared: Tensor


def start(points: Tensor, problem: Problem) -> State:
    """Poses of the mean face under scaled orthographic projection.

    Args:
        points: (T, L, 2) pixels of the crop.
        problem: the model at these landmarks.

    Source: DeMenthon and Davis 1995, section 3 (POS), with the affine camera fitted to all points.
    """
    weights = problem.weights[:, None]
    centre = (problem.mean * weights).sum(0) / weights.sum()
    design = torch.cat([problem.mean - centre, torch.ones(len(problem.mean), 1)], dim=1)
    affine = torch.linalg.solve(design.T @ (design * weights), (design * weights).T @ points)
    right, down = affine[:, :3, 0], affine[:, :3, 1]
    scale = (right.norm(dim=-1) * down.norm(dim=-1)).sqrt().clamp_min(1e-6)[:, None]
    rows = torch.stack([right, down, torch.linalg.cross(right, down) / scale], dim=1)
    U, _, Vh = torch.linalg.svd(rows)
    R = U @ Vh
    focal = FOCAL_RATIO * problem.size_px
    centre_cam = torch.cat([(affine[:, 3] - problem.size_px / 2) / scale, focal / scale], dim=1)
    return State(
        z_id=torch.zeros(problem.identity.shape[-1]),
        log_focal=torch.tensor(focal).log(),
        R=R,
        t=centre_cam - R @ centre,
        z_exp=torch.zeros(len(points), problem.expression.shape[-1]),
    )


def project_state(state: State, problem: Problem) -> tuple[Tensor, Tensor]:
    """Landmarks of the estimate: (T, L, 3) turned but not yet moved, and (T, L, 2) pixels."""
    rest = problem.mean + problem.identity @ state.z_id
    points_model = rest + torch.einsum("lxe,te->tlx", problem.expression, state.z_exp)
    turned = points_model @ state.R.transpose(1, 2)
    K = intrinsics(state.log_focal.exp(), problem.size_px)
    return turned, project(turned + state.t[:, None], K)


def _linearise(points: Tensor, state: State, problem: Problem, *, shared: bool) -> _Linear:
    frames, count = points.shape[:2]
    turned, pixels = project_state(state, problem)
    residual = (points - pixels) / problem.noise_px
    weights = problem.weights * _facing(state, problem)
    weights = weights / (1 + residual.square().sum(-1) / ROBUST_SCALE**2)
    root = weights.sqrt()

    depth = (turned[..., 2] + state.t[:, None, 2])[..., None]
    centred = pixels - problem.size_px / 2
    zoom = (state.log_focal.exp() / depth / problem.noise_px) * root[..., None]
    # Derivative of a pixel by its point in camera space: rows (f/z, 0, -u/z), (0, f/z, -v/z).
    by_point = turned.new_zeros(frames, count, 2, 3)
    by_point[..., 0, 0] = by_point[..., 1, 1] = zoom[..., 0]
    by_point[..., 2] = -centred / depth / problem.noise_px * root[..., None]
    by_model = (by_point @ state.R[:, None]).permute(1, 0, 2, 3).reshape(count, -1, 3)

    own = turned.new_empty(frames, count, 2, POSE + problem.expression.shape[-1])
    # A turn by w moves the point by w x p: row a of by_point becomes p x a.
    own[..., :3] = torch.linalg.cross(turned[..., None, :].expand_as(by_point), by_point)
    own[..., 3:POSE] = by_point
    own[..., POSE:] = (by_model @ problem.expression).view(count, frames, 2, -1).permute(1, 0, 2, 3)
    width = problem.identity.shape[-1] + 1 if shared else 0
    common = turned.new_empty(frames, count, 2, width)
    if shared:
        by_identity = (by_model @ problem.identity).view(count, frames, 2, -1)
        common[..., :-1] = by_identity.permute(1, 0, 2, 3)
        common[..., -1] = centred / problem.noise_px * root[..., None]
    return _Linear(
        residual=(residual * root[..., None]).reshape(frames, -1),
        own=own.reshape(frames, 2 * count, -1),
        shared=common.reshape(frames, 2 * count, -1),
    )


def _facing(state: State, problem: Problem) -> Tensor:
    """(T, L) factor that fades out the outline on the side turned away from the camera.

    Trackers put those points on the visible edge of the face, not on a fixed place of the skin.
    """
    yaw = head_angles(state.R)[0][:, None]
    hidden_left = ((yaw - 0.2) / 0.4).clamp(0, 0.95) * problem.outline_left
    hidden_right = ((-yaw - 0.2) / 0.4).clamp(0, 0.95) * problem.outline_right
    return 1 - hidden_left - hidden_right


def _expression_prior(z_exp: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    """Diagonal (T, E) and right side (T, E) of the ridge and of the pull back into the bounds."""
    low, high = problem.scale.bounds
    ridge = problem.settings.expression_weight / problem.scale.spread**2
    bounded = z_exp.clamp(low, high)
    pull = BOUND_STRENGTH * (bounded != z_exp)
    return ridge + pull, -ridge * z_exp + pull * (bounded - z_exp)


def _moved(state: State, step: Tensor) -> State:
    """The state after a step (T, 6 + E)."""
    return replace(
        state,
        R=rotation_from_vector(step[:, :3]) @ state.R,
        t=state.t + step[:, 3:POSE],
        z_exp=state.z_exp + step[:, POSE:],
    )


def _diagonal(frames: int, width: int, pose: float) -> Tensor:
    damping = torch.full((frames, width), 1e-3, dtype=torch.float64)
    damping[:, :POSE] = pose
    return damping


def solve_identity(points: Tensor, state: State, problem: Problem, iterations: int) -> State:
    """Identity, focal length and the frames' poses and expressions, from all given frames together.

    Each iteration eliminates the frames' own unknowns and solves for the shared ones (Schur
    complement), then goes back to the frames.

    Args:
        points: (T, L, 2) pixels of the crop.
        state: where to begin.
        problem: model, weights, scales.
        iterations: Gauss-Newton steps.
    """
    settings = problem.settings
    frames, axes = len(points), problem.identity.shape[-1]
    prior = torch.full((axes + 1,), IDENTITY_PRIOR * settings.identity_weight * frames)
    prior[-1] = FOCAL_PRIOR * frames / FOCAL_SPREAD**2
    prior = prior.double()
    focal_mean = np.log(FOCAL_RATIO * problem.size_px)
    for _ in range(iterations):
        left = torch.diag(prior)
        right = -prior * torch.cat([state.z_id, state.log_focal[None] - focal_mean]).double()
        blocks = []
        for first in range(0, frames, BLOCK_FRAMES):
            part = slice(first, first + BLOCK_FRAMES)
            now = state.frames(part)
            linear = _linearise(points[part], now, problem, shared=True)
            own, common = linear.own, linear.shared
            H = (own.transpose(1, 2) @ own).double()
            g = (own.transpose(1, 2) @ linear.residual[..., None]).double()
            C = (own.transpose(1, 2) @ common).double()
            diagonal, pull = _expression_prior(now.z_exp, problem)
            extra = _diagonal(len(H), H.shape[-1], 1e-6)
            extra[:, POSE:] += diagonal
            g[:, POSE:, 0] += pull
            factor = torch.linalg.cholesky(H + torch.diag_embed(extra))
            back = torch.cholesky_solve(torch.cat([C, g], dim=-1), factor)
            blocks.append(back)
            flat = common.reshape(-1, axes + 1)
            left = left + (flat.T @ flat).double() - (C.transpose(1, 2) @ back[..., :-1]).sum(0)
            right = right + (flat.T @ linear.residual.reshape(-1)).double()
            right = right - (C.transpose(1, 2) @ back[..., -1:]).sum(0)[:, 0]
        step = torch.linalg.solve(left, right)
        step[-1] = step[-1].clamp(-0.3, 0.3)
        back = torch.cat(blocks)
        own_step = back[..., -1] - back[..., :-1] @ step
        state = _moved(state, own_step.float())
        state = replace(
            state,
            z_id=state.z_id + step[:-1].float(),
            log_focal=(state.log_focal + step[-1].float()).clamp(
                np.log(1.0 * problem.size_px), np.log(8.0 * problem.size_px)
            ),
        )
    return state


def solve_frames(
    points: Tensor, tied: Tensor, state: State, problem: Problem, iterations: int
) -> State:
    """Pose and expression of successive frames, with a penalty on acceleration.

    Args:
        points: (T, L, 2) pixels of the crop.
        tied: (max(T - 2, 0),) bool; True where frames i to i + 2 follow without a gap.
        state: where to begin; identity and focal length stay.
        problem: model, weights, scales.
        iterations: Gauss-Newton steps.
    """
    width = POSE + problem.expression.shape[-1]
    spread = [ROTATION_ACCELERATION] * 3 + [*TRANSLATION_ACCELERATION]
    spread += [problem.scale.acceleration] * (width - POSE)
    stiffness = problem.settings.smoothness / torch.tensor(spread, dtype=torch.float64) ** 2
    laplacian = acceleration(tied)
    for _ in range(iterations):
        H, g = [], []
        for first in range(0, len(points), BLOCK_FRAMES):
            part = slice(first, first + BLOCK_FRAMES)
            linear = _linearise(points[part], state.frames(part), problem, shared=False)
            H.append((linear.own.transpose(1, 2) @ linear.own).double())
            g.append((linear.own.transpose(1, 2) @ linear.residual[..., None])[..., 0].double())
        left, right = torch.cat(H), torch.cat(g)
        diagonal, pull = _expression_prior(state.z_exp, problem)
        extra = _diagonal(len(left), width, 1e-6)
        extra[:, POSE:] += diagonal
        right[:, POSE:] += pull
        # Rotations as vectors from one reference: near enough to additive for a smoothness term.
        turns = vector_from_rotation(state.R @ state.R[len(left) // 2].T)
        track = torch.cat([turns, state.t, state.z_exp], dim=1).double()
        right -= stiffness * times(laplacian, track)
        step = solve_banded(left + torch.diag_embed(extra), laplacian, stiffness, right)
        state = _moved(state, step.float())
    return state
