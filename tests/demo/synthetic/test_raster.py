from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic import raster


def _draw(
    screen: np.ndarray, triangles: np.ndarray, side: int = 48
) -> tuple[np.ndarray, np.ndarray]:
    depth = np.empty((side, side), np.float32)
    ids = np.empty((side, side), np.int32)
    materials = np.full(len(triangles), raster.HAIR, np.uint8)
    raster.draw(screen.astype(np.float32), triangles.astype(np.int32), materials, depth, ids)
    return depth, ids


def _draw_slowly(screen: np.ndarray, triangles: np.ndarray, side: int = 48) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side] + 0.5
    nearest = np.zeros((side, side))
    ids = np.full((side, side), -1)
    for f, (a, b, c) in enumerate(screen[triangles]):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        wb = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        wc = ((y - a[1]) * (b[0] - a[0]) - (x - a[0]) * (b[1] - a[1])) / area
        near = a[2] + wb * (b[2] - a[2]) + wc * (c[2] - a[2])
        hit = (wb >= 0) & (wc >= 0) & (wb + wc <= 1) & (near > nearest)
        nearest[hit], ids[hit] = near[hit], f
    return ids


def test_rasteriser_agrees_with_a_slow_twin() -> None:
    rng = np.random.default_rng(0)
    screen = np.concatenate([rng.uniform(-10, 58, (90, 2)), rng.uniform(0.1, 1, (90, 1))], 1)
    triangles = np.arange(90).reshape(30, 3)
    _, ids = _draw(screen, triangles)
    # Samples exactly on an edge may go either way in float32.
    assert np.mean(ids != _draw_slowly(screen, triangles)) < 1e-3


def test_neighbouring_triangles_leave_no_gap() -> None:
    rng = np.random.default_rng(1)
    ring = np.stack([24 + 20 * np.cos(np.arange(7)), 24 + 20 * np.sin(np.arange(7))], 1)
    ring = ring[np.argsort(np.arctan2(ring[:, 1] - 24, ring[:, 0] - 24))]
    centre = 24 + rng.uniform(-2, 2, 2)
    screen = np.concatenate([np.vstack([centre, ring]), np.ones((8, 1))], 1)
    fan = np.array([[0, k + 1, (k + 1) % 7 + 1] for k in range(7)])
    _, ids = _draw(screen, fan)
    y, x = np.mgrid[0:48, 0:48] + 0.5
    assert (ids[np.hypot(x - 24, y - 24) < 12] >= 0).all()


def test_openings_vanish_from_behind() -> None:
    screen = np.array([[2, 2, 1], [40, 2, 1], [2, 40, 1]], np.float32)
    depth, ids = np.empty((48, 48), np.float32), np.empty((48, 48), np.int32)
    for order, seen in (((0, 1, 2), False), ((0, 2, 1), True)):
        triangle = np.array([order], np.int32)
        raster.draw(screen, triangle, np.array([raster.MOUTH], np.uint8), depth, ids)
        assert (ids >= 0).any() == seen


def test_normals_of_a_plane_point_one_way() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    normals = np.zeros((4, 3), np.float32)
    raster.vertex_normals(vertices, triangles, np.zeros(4, np.uint8), normals)
    assert np.allclose(normals, [0, 0, 1])
