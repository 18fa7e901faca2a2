"""What a tracked clip shows to the fit: its landmarks, the model's rows at them, their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pirctl.errors import FaceNotFound
from pirctl.face import landmarks as mesh
from pirctl.face.model import FaceModel
from pirctl.face.solve import DEVIATIONS, EFFECTIVE_POINTS, FULL_STRENGTH, Problem
from pirctl.settings import FitSettings
from pirctl.tensors import check_shape

FloatArray = npt.NDArray[np.float32]

NOISE = (0.001, 0.01)
"""Least and most noise assumed, as a fraction of the distance between the outer eye corners. The
first solve assumes the most; what it leaves over tells how well this clip can be explained."""


@dataclass(frozen=True, kw_only=True)
class ObservedClip:
    """The frames with a face, as seen by a camera whose axis meets the middle of the crop.

    Attributes:
        points: (N, L, 2) the landmarks that the model has.
        index: (N,) numbers of the frames.
        frames: of the clip in all.
        beside: (2,) where the axis really meets the crop, from its middle.
        problem: the model at the landmarks.
    """

    points: Tensor
    index: npt.NDArray[np.int64]
    frames: int
    beside: FloatArray
    problem: Problem


def observe(
    landmarks: Any,
    valid: Any,
    model: FaceModel,
    size_px: int,
    principal_px: tuple[float, float],
    settings: FitSettings,
) -> ObservedClip:
    """What the landmarks of a clip show; arguments as for `fit.fit_clip`, and its errors."""
    tracked, index = usable_frames(landmarks, valid)
    beside = np.subtract(principal_px, size_px / 2).astype(np.float32)
    seen = torch.from_numpy((tracked - beside)[index])
    points, rows, places = match_points(seen, model)
    right, left = (int((places == corner).nonzero()[0]) for corner in mesh.EYE_OUTER_CORNERS)
    eyes_px = float(mesh.eye_distance(points, right, left).quantile(0.8))
    problem = _pose_problem(rows, places, model, float(size_px), eyes_px, settings)
    return ObservedClip(
        points=points, index=index, frames=len(tracked), beside=beside, problem=problem
    )


def usable_frames(landmarks: Any, valid: Any) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """The landmarks (T, L, 2) as float32, and the numbers of the frames that have a face.

    Raises:
        FaceNotFound: none has.
        ValueError: shapes that do not fit.
    """
    tracked = np.asarray(landmarks, dtype=np.float32)
    check_shape("landmarks", tracked, None, None, 2)
    usable = np.asarray(valid, dtype=bool)
    check_shape("valid", usable, len(tracked))
    usable = usable & np.isfinite(tracked).all((1, 2))
    index = np.flatnonzero(usable)
    if not len(index):
        raise FaceNotFound(
            f"none of the {len(usable)} frames has a usable face",
            hint="choose a clip in which the face is seen from the front",
        )
    return tracked, index


def match_points(points: Tensor, model: FaceModel) -> tuple[Tensor, Tensor, Tensor]:
    """The landmarks the model has, the vertices they belong to, and their places on the mesh.

    Args:
        points: (T, L, 2), L as for `fit_clip`.
        model: the face model.

    Returns:
        (T, N, 2) points, (N,) vertices of the model, and (N,) points of the MediaPipe mesh.
    """
    count, places = points.shape[1], torch.tensor(mesh.LANDMARKS_68)
    if count == 98:
        return mesh.landmarks_68_from_98(points), model.landmarks_68, places
    if count == 68:
        return points, model.landmarks_68, places
    if count not in mesh.MESH_COUNTS:
        raise ValueError(f"landmarks: expected 468, 478, 98 or 68 points, got {count}")
    has_vertex = model.mesh_vertices >= 0
    if not has_vertex.any():  # Imported without the map: only the classic points are known.
        return points[:, places], model.landmarks_68, places
    places = has_vertex.nonzero()[:, 0]
    return points[:, places], model.mesh_vertices[places], places


def _pose_problem(
    rows: Tensor,
    places: Tensor,
    model: FaceModel,
    size_px: float,
    eyes_px: float,
    settings: FitSettings,
) -> Problem:
    weights = torch.ones(mesh.MESH_POINTS)
    outline = torch.zeros(mesh.MESH_POINTS, dtype=torch.bool)
    weights[list(mesh.LIPS_OUTER)] = 2.0
    weights[list(mesh.LIPS_INNER)] = 4.0
    weights[list(mesh.EYE_LEFT + mesh.EYE_RIGHT)] = 3.0
    weights[list(mesh.FACE_OVAL)] = 0.5
    outline[list(mesh.FACE_OVAL)] = True
    weights, outline, mean = weights[places], outline[places], model.mean[rows]
    return Problem(
        mean=mean,
        identity=model.identity_basis[:, rows].permute(1, 2, 0).contiguous(),
        expression=model.expression_basis[:, rows].permute(1, 2, 0).contiguous(),
        scale=FULL_STRENGTH if model.has_named_axes else DEVIATIONS,
        weights=weights * (EFFECTIVE_POINTS / weights.sum()),
        outline_left=outline & (mean[:, 0] > 0),
        outline_right=outline & (mean[:, 0] < 0),
        size_px=size_px,
        noise_px=max(NOISE[1] * eyes_px, 1e-3),
        settings=settings,
    )
