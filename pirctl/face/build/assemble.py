"""Make the bundled face model from measured people: align, regress, decompose.

Frames are aligned rigidly; each person's rest face and the named axes come from one ridge
regression of the points on the strengths (`axes`), every person also counted mirrored, so that the
model is symmetric. Identity axes are what rest faces differ in, and none of them parts the lips.
Only statistics over all people are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pirctl.face import landmarks as mesh
from pirctl.face.build.axes import close_lids, close_lips, regress
from pirctl.face.build.measure import Array, Person
from pirctl.face.model import ARKIT_NAMES, FaceModel

EYE_DISTANCE_DM = 0.9
"""Distance between the outer eye corners of the mean face; adults have 0.85 to 0.95."""

CAMERA_DISTANCE_DM = 12.0
"""Assumed distance of the camera: the tracker's points are seen in perspective, which shows a near
nose too large; footage of people talking is mostly taken from one to two metres."""

IDENTITY_AXES = 80
"""Identity axes, as many as the paper's model has."""


# -- aligning -------------------------------------------------------------------------------------


def align(points: Array, goal: Array, weights: Array) -> Array:
    """Similarity transform of each frame onto `goal`.

    Args:
        points: (N, V, 3).
        goal: (V, 3).
        weights: (V,) non-negative.

    Returns:
        (N, V, 3), the points moved, turned and scaled.

    Source: Umeyama 1991, eqs. 40 to 42.
    """
    w = (weights / weights.sum())[:, None]
    centred = points - (points * w).sum(1, keepdims=True)
    goal_mean = (goal * w).sum(0)
    covariance = np.einsum("nvi,vj->nij", centred * w, goal - goal_mean)
    U, S, Vt = np.linalg.svd(covariance)
    signs = np.ones_like(S)
    signs[:, 2] = np.sign(np.linalg.det(U @ Vt))
    scale = (S * signs).sum(1) / (centred**2 * w).sum((1, 2))
    moved: Array = scale[:, None, None] * centred @ ((U * signs[:, None]) @ Vt) + goal_mean
    return moved


def without_perspective(points: Array) -> Array:
    """Undo the enlargement of what is nearer to the camera, for a camera CAMERA_DISTANCE_DM away.

    Args:
        points: (N, 468, 3) model orientation, any scale; x and y as seen in the picture.
    """
    centred: Array = points - points.mean(1, keepdims=True)
    right, left = mesh.EYE_OUTER_CORNERS
    eyes = np.linalg.norm(centred[:, right] - centred[:, left], axis=-1)[:, None, None]
    nearer_dm = centred[..., 2:] * EYE_DISTANCE_DM / eyes
    centred[..., :2] *= 1 - nearer_dm / CAMERA_DISTANCE_DM
    return centred


def _orient(face: Array) -> Array:
    """Turn and scale a roughly known face into model space, exactly symmetric."""
    right, left = mesh.EYE_OUTER_CORNERS
    x = face[left] - face[right]
    x /= np.linalg.norm(x)
    z = np.cross(x, face[mesh.FOREHEAD] - face[mesh.CHIN])
    z /= np.linalg.norm(z)
    turned = (face - face.mean(0)) @ np.stack([x, np.cross(z, x), z], axis=1)
    for _ in range(5):
        mirrored = mesh.mirror_points(turned)
        turned = (turned + align(mirrored[None], turned, np.ones(mesh.MESH_POINTS))[0]) / 2
        turned[:, 0] -= (turned[right, 0] + turned[left, 0]) / 2
    symmetric: Array = (turned + mesh.mirror_points(turned)) / 2
    symmetric *= EYE_DISTANCE_DM / np.linalg.norm(symmetric[right] - symmetric[left])
    return symmetric


def align_people(people: Sequence[Person]) -> tuple[Array, list[Array]]:
    """Bring all frames of all people onto one symmetric mean face.

    Points that move most with expression (lips, jaw) get little weight.

    Returns:
        The mean (468, 3) in decimetres, and per person (N, 468, 3).
    """
    clips = [without_perspective(person.points) for person in people]
    mean = _orient(clips[0][0])
    weights = np.ones(mesh.MESH_POINTS)
    aligned: list[Array] = []
    for _ in range(6):
        aligned = [align(points, mean, weights) for points in clips]
        mean = _orient(np.mean([frames.mean(0) for frames in aligned], axis=0))
        spread = np.mean([frames.var(0).sum(1) for frames in aligned], axis=0)
        spread = (spread + spread[list(mesh.MIRROR)]) / 2
        weights = 1 / (spread + 0.3 * np.median(spread))
    return mean, [align(points, mean, weights) for points in clips]


# -- identity -------------------------------------------------------------------------------------


def _signed(vectors: Array) -> Array:
    """Rows with a definite sign, which decompositions leave open.

    The sign is that of the product with a fixed vector without symmetry: the largest entry would be
    a tie in an axis that is antisymmetric.
    """
    reference = np.cos(np.arange(vectors.shape[1]) ** 1.5)
    signed: Array = vectors * np.sign(vectors @ reference)[:, None]
    return signed


def _smooth_modes(triangles: Array, mean: Array, count: int) -> Array:
    """(count, V, 3) smooth displacement fields: low harmonics of the mesh in x, y and z.

    Source: Taubin 1995, section 3 (eigenvectors of the graph Laplacian as a Fourier basis).
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    adjacency = np.zeros((len(mean), len(mean)))
    adjacency[edges[:, 0], edges[:, 1]] = adjacency[edges[:, 1], edges[:, 0]] = 1
    adjacency = np.maximum(adjacency, adjacency[list(mesh.MIRROR)][:, list(mesh.MIRROR)])
    _, vectors = np.linalg.eigh(np.diag(adjacency.sum(1)) - adjacency)
    harmonics = _signed(vectors[:, : -(-count // 3)].T).T * np.sqrt(len(mean))
    fields = np.zeros((harmonics.shape[1] * 3, len(mean), 3))
    for index, harmonic in enumerate(harmonics.T):
        for axis in range(3):
            fields[3 * index + axis, :, axis] = harmonic
    return fields[:count]


def identity_axes(rest: Array, triangles: Array, count: int = IDENTITY_AXES) -> tuple[Array, Array]:
    """Mean and axes of the rest faces, one standard deviation long.

    The people (and their mirror images) span fewer directions than wanted, so smooth harmonics of
    the mesh, orthogonal to those and to a parting of the lips, carry what a new person has beyond
    them.

    Args:
        rest: (N, 468, 3) decimetres.
        triangles: (F, 3).
        count: axes wanted.

    Returns:
        mean (468, 3), axes (count, 468, 3).
    """
    mean = rest.mean(0)
    offsets = (rest - mean).reshape(len(rest), -1)
    _, strength, directions = np.linalg.svd(offsets, full_matrices=False)
    directions = _signed(directions)
    sigma = strength / np.sqrt(len(rest) - 1)
    kept = min(count // 2, int((sigma > 0.02 * sigma[0]).sum()))
    axes = sigma[:kept, None] * directions[:kept]
    span = np.vstack([directions[:kept], _across(directions[:kept], _parting(len(mean)))])
    fields = _smooth_modes(triangles, mean, 3 * count).reshape(3 * count, -1)
    extra = []
    # What the people leave unexplained sets how far a harmonic may go; it falls with the order.
    for order, field in enumerate(fields):
        field = field - span.T @ (span @ field)
        length = np.linalg.norm(field)
        if length < 0.3 * np.sqrt(len(mean)):
            continue
        field = field / length
        span = np.vstack([span, field])
        extra.append(field * sigma[0] * 0.4 / (1 + order / 12))
        if kept + len(extra) == count:
            break
    return mean, np.concatenate([axes, np.stack(extra)]).reshape(count, -1, 3)


def _parting(vertices: int) -> Array:
    """(3V,) the direction in which lips part: upper inner lip up, lower down."""
    direction = np.zeros((vertices, 3))
    upper, lower = mesh.ring_halves(mesh.LIPS_INNER)
    direction[upper, 1], direction[lower, 1] = 1, -1
    flat: Array = direction.ravel() / np.linalg.norm(direction)
    return flat


def _across(span: Array, direction: Array) -> Array:
    """What of a direction (N,) is orthogonal to the orthonormal rows of `span`, of length 1."""
    rest = direction - span.T @ (span @ direction)
    across: Array = rest / np.linalg.norm(rest)
    return across


# -- the model ------------------------------------------------------------------------------------


def mesh_triangles() -> Array:
    """(F, 3) triangles of the mesh, from MediaPipe's list of edges: three edges are a triangle."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    corners = np.array([edge.start for edge in edges]).reshape(-1, 3)
    ends = np.array([edge.end for edge in edges]).reshape(-1, 3)
    assert (np.roll(corners, -1, axis=1) == ends).all()
    return corners


def build_model(people: Sequence[Person], triangles: Array) -> FaceModel:
    """The generic model of the given people."""
    mean, aligned = align_people(people)
    rest, axes = regress(aligned, [person.scores for person in people], mean)
    rest, axes = close_lips(rest, axes), close_lids(rest.mean(0), axes)
    mean, identity = identity_axes(rest, triangles)
    return assemble(mean, identity, axes, triangles)


def assemble(mean: Array, identity: Array, expression: Array, triangles: Array) -> FaceModel:
    """Put arrays and the fixed index sets of the mesh together."""
    eyes = [
        *mesh.ring_closure(mesh.EYE_RIGHT),
        *_flipped(mesh.ring_closure(mesh.EYE_LEFT)),
    ]
    return FaceModel(
        name="generic",
        version="",
        # Rounded, and no negative zeros: the version is a hash of the bytes.
        mean=torch.tensor(mean.round(6) + 0.0, dtype=torch.float32),
        identity_basis=torch.tensor(identity.round(7) + 0.0, dtype=torch.float32),
        expression_basis=torch.tensor(expression.round(7) + 0.0, dtype=torch.float32),
        triangles=torch.tensor(triangles),
        expression_names=ARKIT_NAMES,
        landmarks_68=torch.tensor(mesh.LANDMARKS_68),
        landmarks_5=torch.tensor((33, 263, mesh.NOSE_TIP, 61, 291)),
        mouth_triangles=torch.tensor(mesh.ring_closure(mesh.LIPS_INNER)),
        eye_triangles=torch.tensor(eyes),
    )


def _flipped(triangles: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    return [(a, c, b) for a, b, c in triangles]
