"""The speaker's geometry: face, eye and mouth openings, skull, neck, shoulders and clothes.

Everything is placed around one neutral face of the model, so another identity still gets a
fitting skull and hair. Space: head space (= model space), decimetres; the shoulders are given in
head space at the reference pose. Hair is in `hair.py`, colours are in `texture.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pirctl.demo.synthetic.canvas import Layout
from pirctl.demo.synthetic.hair import add_hair_shell, add_lashes, add_strands
from pirctl.demo.synthetic.raster import CLOTH, EYE, MOUTH, SKIN
from pirctl.demo.synthetic.surface import (
    Assembly,
    Border,
    Mesh,
    Refined,
    border_of,
    grid_triangles,
    refine,
    ring_rows,
)
from pirctl.face import landmarks

NECK_LABEL, CLOTH_LABEL, SKIN_LABEL = 14, 16, 1
_STRANDS = 1400
LEFT_EYE_LABEL, RIGHT_EYE_LABEL, MOUTH_LABEL = 4, 5, 11


@dataclass(frozen=True, kw_only=True)
class Head:
    """The mesh and the numbers of what is seen through its openings.

    Attributes:
        mesh: everything that is drawn.
        faces: number of vertices of the refined face, the first ones of the mesh.
        eyes: (2, 6) float32, left and right: centre (3), radius, iris and pupil angle (radians).
        mouth: (20,) float32 as `openings.shade_mouth` reads it; jaw angle and light are filled in
            per frame.
        hinge: (2,) y and z of the jaw's axis.
        chin: (3,) neutral position of the chin.
        casts: (F,) bool, triangles that throw shadows (single hairs do not).
    """

    mesh: Mesh
    faces: int
    eyes: np.ndarray
    mouth: np.ndarray
    hinge: np.ndarray
    chin: np.ndarray
    casts: np.ndarray


def build_head(
    neutral: np.ndarray,
    triangles: np.ndarray,
    mouth_triangles: np.ndarray,
    layout: Layout,
    rng: np.random.Generator,
) -> Head:
    """Build the speaker around a neutral face.

    Args:
        neutral: (468, 3) dm, lips closed.
        triangles: (F, 3) of the face, counter-clockwise from outside.
        mouth_triangles: (G, 3) closure of the mouth.
        layout: where textures are.
        rng: places the hairs.
    """
    origin = neutral[list(landmarks.EYE_OUTER_CORNERS)].mean(0)
    assembly = Assembly()
    groups = np.r_[np.zeros(len(triangles), int), np.ones(len(mouth_triangles), int)]
    fine = refine(len(neutral), np.r_[triangles, mouth_triangles], groups, levels=2)
    inside = groups[fine.source] == 1
    uv = layout.face_uv(fine.weights @ neutral, origin)
    assembly.add(
        fine.weights,
        np.zeros((fine.weights.shape[0], 3)),
        fine.triangles,
        uv,
        np.where(inside, MOUTH, SKIN),
        np.where(inside, MOUTH_LABEL, 0),
    )
    faces = assembly.count
    border = border_of(fine.triangles)
    eyes = _add_eyes(assembly, fine, border, neutral)
    _add_skull(assembly, fine, border, neutral, origin, layout)
    _add_neck(assembly, origin, layout)
    _add_cloth(assembly, origin, layout)
    add_hair_shell(assembly, origin, layout)
    casts = sum(len(part) for part in assembly.triangles)
    add_lashes(assembly, fine, border, neutral, layout, rng)
    add_strands(assembly, origin, layout, rng, _STRANDS)
    mesh = assembly.finish()
    hinge = origin[1:] + np.array([-0.32, -0.45])
    return Head(
        mesh=mesh,
        faces=faces,
        eyes=eyes,
        mouth=_mouth(neutral, hinge),
        hinge=hinge.astype(np.float32),
        chin=neutral[landmarks.CHIN].astype(np.float32),
        casts=np.arange(len(mesh.triangles)) < casts,
    )


def _mouth(neutral: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    upper, lower = (neutral[i] for i in landmarks.INNER_LIP_CENTRES)
    middle = 0.5 * (upper[1] + lower[1])
    front = min(upper[2], lower[2]) - 0.045
    # half width, depth, front z, edge y, height of a tooth, of tooth and gum
    arch_up = [0.27, 0.34, front, middle - 0.020, 0.105, 0.16]
    arch_low = [0.245, 0.31, front - 0.025, middle - 0.030, 0.085, 0.14]
    tongue = [middle - 0.15, front - 0.36, 0.0]
    return np.array(
        [*arch_up, *arch_low, 0.0, hinge[0], hinge[1], 1.0, *tongue, upper[1]], np.float32
    )


def _add_eyes(assembly: Assembly, fine: Refined, border: Border, neutral: np.ndarray) -> np.ndarray:
    eyes = []
    for ring, label in (
        (landmarks.EYE_LEFT, LEFT_EYE_LABEL),
        (landmarks.EYE_RIGHT, RIGHT_EYE_LABEL),
    ):
        path = ring_rows(border, ring)
        half = len(path) // 2
        upper = path[: half + 1]
        lower = [path[0], *path[: half - 1 : -1]]
        middle = 0.5 * (fine.weights[upper] + fine.weights[lower])
        weights = sparse.vstack([fine.weights[upper], middle, fine.weights[lower]])
        faces = grid_triangles(3, half + 1)
        points = weights @ neutral
        a, b, c = (points[faces[:, k]] for k in range(3))
        if np.cross(b - a, c - a)[:, 2].sum() < 0:
            faces = faces[:, ::-1]
        count = weights.shape[0]
        assembly.add(weights, np.zeros((count, 3)), faces, np.zeros((count, 2)), EYE, label)
        corners = neutral[[ring[0], ring[8]]]
        centre = corners.mean(0)
        width = np.linalg.norm(corners[0] - corners[1])
        radius = 0.58 * width
        # The ball's surface lies at the lid ring; wide lids would otherwise show past the ball.
        ring_z = neutral[list(ring), 2].mean()
        centre[1] = neutral[list(ring), 1].mean() + 0.004
        centre[2] = ring_z - np.sqrt(radius**2 - (0.42 * width) ** 2)
        eyes.append([*centre, radius, np.arcsin(0.063 / radius), np.arcsin(0.025 / radius)])
    return np.array(eyes, np.float32)


def _add_skull(
    assembly: Assembly,
    fine: Refined,
    border: Border,
    neutral: np.ndarray,
    origin: np.ndarray,
    layout: Layout,
) -> None:
    """Continue the face behind its oval: the skull above, the underside of the jaw below."""
    path = ring_rows(border, landmarks.FACE_OVAL)
    oval = fine.weights[path]
    points = oval @ neutral - origin
    columns = len(path)
    steps = np.array([0.12, 0.28, 0.5, 0.75, 1.0])
    lower = np.clip((0.0 - points[:, 1]) / 0.7, 0, 1)[:, None]
    target_up = np.stack(
        [points[:, 0] * 0.95, 0.95 * points[:, 1] + 0.05, np.full(columns, -1.1)], 1
    )
    chin = np.clip((-0.75 - points[:, 1]) / 0.4, 0, 1)
    target_low = np.stack([points[:, 0] * 0.72, -0.78 - 0.12 * chin, np.full(columns, -0.62)], 1)
    target = (1 - lower) * target_up + lower * target_low
    weights, offsets = [], []
    for s in steps:
        sag = np.zeros((columns, 3))
        # The upper part bulges like a skull; below, the skin under the chin hangs a little.
        sag[:, 1] = np.sin(np.pi * s) * (0.28 * np.clip(points[:, 1], 0, 1) - 0.035 * lower[:, 0])
        weights.append(oval * (1 - s))
        offsets.append(s * (target + origin) + sag)
    offset = np.concatenate(offsets)
    faces = grid_triangles(len(steps) + 1, columns, closed=True)
    # Row 0 of the grid is the face's own border.
    faces = np.where(faces < columns, -1 - np.array(path)[faces % columns], faces - columns)
    sheet = np.concatenate(
        [oval @ neutral] + [w @ neutral + o for w, o in zip(weights, offsets, strict=True)]
    )
    probe = grid_triangles(len(steps) + 1, columns, closed=True)
    a, b, c = (sheet[probe[:, k]] for k in range(3))
    outwards = np.cross(b - a, c - a) * (a - origin - np.array([0.0, -0.1, -0.6]))
    if outwards.sum() < 0:
        faces = faces[:, ::-1]
    uv = layout.skin_uv(sheet[columns:] - origin)
    part = np.full(len(faces), SKIN_LABEL)
    assembly.add(sparse.vstack(weights), offset, faces, uv, SKIN, part)


def _loft(profile: np.ndarray, columns: int) -> np.ndarray:
    """(rows*columns, 3) points of stacked ellipses; profile rows: y, half width, half depth, z."""
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    y, wide, deep, z = profile.T[:, :, None]
    # A rounded rectangle: shoulders are flatter than an ellipse.
    power = np.clip(1.0 - 0.22 * (wide - 0.6), 0.72, 1.0)
    cosine, sine = np.cos(turn), np.sin(turn)
    x = wide * np.sign(cosine) * np.abs(cosine) ** power
    depth = z + deep * np.sign(sine) * np.abs(sine) ** power
    return np.stack([x, np.broadcast_to(y, x.shape), depth], -1).reshape(-1, 3)


# y, half width, half depth, z of the middle; relative to the point between the eyes.
_BODY = np.array(
    [
        [-0.70, 0.46, 0.42, -0.72],
        [-0.95, 0.46, 0.42, -0.72],
        [-1.20, 0.47, 0.43, -0.74],
        [-1.40, 0.50, 0.46, -0.76],
        [-1.55, 0.58, 0.50, -0.78],
        [-1.66, 0.74, 0.56, -0.80],
        [-1.76, 1.00, 0.62, -0.82],
        [-1.86, 1.32, 0.68, -0.82],
        [-1.98, 1.60, 0.74, -0.82],
        [-2.15, 1.80, 0.80, -0.82],
        [-2.40, 1.92, 0.86, -0.82],
        [-2.90, 2.00, 0.90, -0.82],
        [-3.60, 2.05, 0.95, -0.82],
    ]
)


def _resample(profile: np.ndarray, rows: int) -> np.ndarray:
    from scipy.interpolate import PchipInterpolator

    at = np.linspace(0, len(profile) - 1, rows)
    result: np.ndarray = PchipInterpolator(np.arange(len(profile)), profile)(at)
    return result


def _add_neck(assembly: Assembly, origin: np.ndarray, layout: Layout) -> None:
    columns, rows = 64, 48
    points = _loft(_resample(_BODY, rows), columns)
    # Collar bones and the hollow between them, faintly.
    front = np.clip(points[:, 2] + 0.75, 0, 1)
    groove = np.exp(-((points[:, 1] + 1.62 + 0.10 * np.abs(points[:, 0])) ** 2) / 0.004)
    points[:, 2] += 0.03 * groove * front * np.clip(np.abs(points[:, 0]) * 4, 0, 1)
    hollow = np.exp(-(points[:, 0] ** 2 / 0.012 + (points[:, 1] + 1.55) ** 2 / 0.012))
    points[:, 2] -= 0.05 * hollow * (front > 0)
    faces = grid_triangles(rows, columns, closed=True)
    rigidity = np.clip((points[:, 1] + 1.65) / 0.85, 0, 1)
    rigidity = rigidity**2 * (3 - 2 * rigidity)
    count = len(points)
    assembly.add(
        sparse.csr_matrix((count, landmarks.MESH_POINTS)),
        points + origin,
        faces[:, ::-1] if _inward(points, faces) else faces,
        layout.skin_uv(points),
        SKIN,
        NECK_LABEL,
        rigidity=rigidity,
    )


def _inward(points: np.ndarray, faces: np.ndarray) -> bool:
    a, b, c = (points[faces[:, k]] for k in range(3))
    axis = points.mean(0) * np.array([0, 0, 1]) + a * np.array([0, 1, 0])
    return bool((np.cross(b - a, c - a) * (a - axis)).sum() < 0)


def _add_cloth(assembly: Assembly, origin: np.ndarray, layout: Layout) -> None:
    """A jumper with a round neck: the body's surface, a little outside it, below a collar line."""
    columns, rows = 128, 40
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    profile = _resample(_BODY, 400)
    # The collar hangs lower in front; sine +1 is the front of the loft.
    collar = -1.60 - 0.16 * np.clip(np.sin(turn), 0, 1) ** 2
    rolls = np.array([[-0.005, -0.035], [0.022, -0.012], [0.036, 0.022], [0.030, 0.010]])
    depth = np.concatenate([[0.0, 0.0, 0.0], np.linspace(0, 1, rows) ** 1.5])
    points = np.empty((len(depth), columns, 3))
    for j in range(columns):
        level = collar[j] + (-3.6 - collar[j]) * depth
        level[:3] = collar[j] + rolls[:3, 1] * 1.0
        wide, deep, z = (np.interp(-level, -profile[:, 0], profile[:, k]) for k in (1, 2, 3))
        thick = np.full(len(depth), 0.030)
        thick[:4] = rolls[:, 0]
        ring = _loft(np.stack([level, wide + thick, deep + thick, z], 1), columns)
        points[:, j] = ring.reshape(len(depth), columns, 3)[:, j]
    flat = points.reshape(-1, 3)
    # Folds, from the neck outwards.
    folds = np.sin(9.0 * flat[:, 0] + 5.0 * flat[:, 1]) * np.clip(-flat[:, 1] - 1.75, 0, 0.5)
    flat[:, 2] += 0.035 * folds
    faces = grid_triangles(len(depth), columns, closed=True)
    assembly.add(
        sparse.csr_matrix((len(flat), landmarks.MESH_POINTS)),
        flat + origin,
        faces[:, ::-1] if _inward(flat, faces) else faces,
        layout.cloth_uv(flat),
        CLOTH,
        CLOTH_LABEL,
        rigidity=0.0,
    )
