"""The speaker's hair: a bob with a parting as a shell and single strands, and the eyelashes.

Lengths in decimetres, head space; strands are thin bands that carry their tangent for the light.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pirctl.demo.synthetic.canvas import Layout
from pirctl.demo.synthetic.raster import HAIR
from pirctl.demo.synthetic.surface import Assembly, Border, Refined, grid_triangles, ring_rows
from pirctl.face import landmarks

HAIR_LABEL, LEFT_EYE_LABEL, RIGHT_EYE_LABEL = 17, 4, 5

_HAIR_CENTRE = np.array([0.0, 0.06, -0.62])
_SKULL = np.array([0.76, 0.88, 0.92])
_HANG = 1.30
_PARTING = 0.16


def _hair(u: np.ndarray, s: np.ndarray, side: np.ndarray, lift: np.ndarray) -> np.ndarray:
    """A point of the hairdo, a bob with a parting.

    Args:
        u: 0 at the hairline in front, 1 at the back.
        s: 0 at the parting, 0.5 beside the eyes, 1 at the tips.
        side: +1 the subject's left, -1 right.
        lift: height above the middle of the hair's volume, dm.

    Returns:
        (..., 3) relative to the point between the eyes.
    """
    over = np.clip(s / 0.5, 0, 1)
    hang = np.clip((s - 0.5) / 0.5, 0, 1)
    angle = over * np.pi / 2
    # The hairline recedes from the parting to the temples, then comes forward over the cheeks.
    line = 0.16 - 0.06 * over - 0.30 * over**2 + 0.05 * hang
    z = line + (-1.62 - line) * u
    thick = 0.015 + 0.16 * np.clip(u / 0.16, 0, 1) ** 0.6 * (0.55 + 0.45 * np.sin(np.pi * over))
    thick = thick + lift
    radius = _SKULL + thick[..., None]
    relative = np.clip((z - _HAIR_CENTRE[2]) / radius[..., 2], -0.999, 0.999)
    round_ = np.sqrt(1 - relative**2)
    start = _PARTING * (1 - over) ** 2
    x = side * radius[..., 0] * round_ * np.sin(angle) + start
    y = _HAIR_CENTRE[1] + radius[..., 1] * round_ * np.cos(angle)
    # Hanging: outwards first, tips turn in.
    belly = 0.10 * np.sin(np.pi * np.clip(hang * 0.95, 0, 1)) - 0.10 * hang**3
    x = x + side * (belly + 0.02 * hang) * np.clip(0.45 + 1.2 * u, 0, 1)
    y = y - _HANG * hang * (1.0 - 0.06 * np.cos(9 * u))
    return np.stack([x, y, z], -1)


def add_hair_shell(assembly: Assembly, origin: np.ndarray, layout: Layout) -> None:
    """Add the closed surface under the strands; `origin` (3,) lies between the eyes."""
    rows, columns = 48, 40
    u = np.linspace(0.015, 1, columns) ** 1.3
    for side in (1.0, -1.0):
        s = np.linspace(0, 0.985, rows)
        grid_s, grid_u = np.meshgrid(s, u, indexing="ij")
        points = _hair(grid_u, grid_s, np.full_like(grid_u, side), np.full_like(grid_u, -0.03))
        forward = _hair(
            grid_u, grid_s + 0.01, np.full_like(grid_u, side), np.full_like(grid_u, -0.03)
        )
        tangent = (forward - points).reshape(-1, 3)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        count = rows * columns
        uv = layout.hair_uv((grid_u * 7.3) % 1.0, grid_s).reshape(-1, 2)
        assembly.add(
            sparse.csr_matrix((count, landmarks.MESH_POINTS)),
            points.reshape(-1, 3) + origin,
            grid_triangles(rows, columns),
            uv,
            HAIR,
            HAIR_LABEL,
            tangents=tangent,
        )


def _ribbons(paths: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat bands along paths (N, P, 3), `width` (N, P), facing +z: points, tangents, triangles."""
    number, length = paths.shape[:2]
    tangent = np.gradient(paths, axis=1)
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-9
    across = np.cross(tangent, np.array([0.0, 0.0, 1.0]))
    across /= np.linalg.norm(across, axis=2, keepdims=True) + 1e-6
    sides = np.stack([paths - across * width[..., None], paths + across * width[..., None]], 2)
    faces = grid_triangles(length, 2)
    faces = (np.arange(number)[:, None, None] * (2 * length) + faces[None]).reshape(-1, 3)
    return sides.reshape(-1, 3), np.repeat(tangent[:, :, None], 2, 2).reshape(-1, 3), faces


def add_strands(
    assembly: Assembly,
    origin: np.ndarray,
    layout: Layout,
    rng: np.random.Generator,
    strands: int,
) -> None:
    """Add single hairs over the shell.

    Args:
        assembly: what they are added to.
        origin: (3,) point between the eyes.
        layout: where the hair's colours are.
        rng: places them.
        strands: how many.
    """
    length = 13
    # More of them in front, where they are seen.
    u = rng.random(strands) ** 1.6 * 0.5
    side = np.where(rng.random(strands) < 0.5, -1.0, 1.0)
    clump = np.round(u * 60) / 60
    begin = 0.02 * rng.random(strands)
    end = 0.90 + 0.12 * rng.random(strands) + 0.03 * np.sin(clump * 91 + side)
    # Most points where the hair bends, over the head.
    steps = np.interp(np.linspace(0, 1, length), [0, 0.68, 1], [0, 0.5, 1])
    s = begin[:, None] + (end - begin)[:, None] * steps
    wave = 0.012 * np.sin(8 * s + clump[:, None] * 40) + 0.006 * np.sin(17 * s + u[:, None] * 300)
    gather = (clump - u)[:, None] * 0.5 * s
    across = np.clip(u[:, None] + wave * (0.3 + s) + gather, 0.0, 1.0)
    lift = rng.uniform(-0.03, 0.035, strands)[:, None] + 0.012 * np.sin(11 * s + u[:, None] * 210)
    # A few hairs leave the others.
    stray = (rng.random(strands) < 0.03)[:, None]
    lift = lift + stray * 0.05 * np.sin(np.pi * s) * rng.random(strands)[:, None]
    paths = _hair(across, s, np.broadcast_to(side[:, None], s.shape), lift)
    taper = np.clip((1 - np.linspace(0, 1, length)) * 5, 0.25, 1)
    width = rng.uniform(0.005, 0.012, strands)[:, None] * taper
    points, tangents, faces = _ribbons(paths, width)
    shade = np.repeat(rng.random(strands), length)
    uv = layout.hair_uv(np.repeat(shade, 2), np.repeat(s.reshape(-1), 2))
    assembly.add(
        sparse.csr_matrix((len(points), landmarks.MESH_POINTS)),
        points + origin,
        faces,
        uv,
        HAIR,
        HAIR_LABEL,
        tangents=tangents,
    )


def add_lashes(
    assembly: Assembly,
    fine: Refined,
    border: Border,
    neutral: np.ndarray,
    layout: Layout,
    rng: np.random.Generator,
) -> None:
    """Lashes grow from the lid rings and move with them."""
    for ring, side, label in (
        (landmarks.EYE_LEFT, 1.0, LEFT_EYE_LABEL),
        (landmarks.EYE_RIGHT, -1.0, RIGHT_EYE_LABEL),
    ):
        path = ring_rows(border, ring)
        half = len(path) // 2
        for rows, up, long, number in (
            (path[: half + 1], 1.0, 0.075, 46),
            ([path[0], *path[: half - 1 : -1]], -1.0, 0.030, 26),
        ):
            at = np.sort(rng.uniform(0.03, 0.93, number)) * (len(rows) - 1)
            low = at.astype(int)
            mix = sparse.diags(at - low)
            root = fine.weights[[rows[i] for i in low]]
            root = root + mix @ (fine.weights[[rows[i + 1] for i in low]] - root)
            outward = 1.0 - at / (len(rows) - 1)
            reach = long * rng.uniform(0.7, 1.1, number) * (0.65 + 0.45 * outward)
            t = np.linspace(0, 1, 5)[None, :]
            shape = (
                np.stack(
                    [
                        side * (0.75 * outward[:, None] - 0.15) * t,
                        up * (0.75 * t**2 - 0.25 * t + 0.10) + 0 * at[:, None],
                        0.75 * t + 0 * at[:, None],
                    ],
                    -1,
                )
                * reach[:, None, None]
            )
            shape[:, :, 1] -= up * 0.10 * reach[:, None]
            start = root @ neutral
            taper = np.clip(1.15 - np.linspace(0, 1, 5), 0.2, 1.0)
            width = np.full((number, 1), 0.0032 if up > 0 else 0.0018) * taper
            points, tangents, faces = _ribbons(start[:, None] + shape, width)
            each = np.repeat(np.arange(number), 10)
            uv = np.tile(layout.lash_uv(), (len(points), 1))
            assembly.add(
                root[each], points - start[each], faces, uv, HAIR, label, tangents=tangents
            )
