from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.surface import grid_triangles, refine


def _sphere(rows: int = 9, columns: int = 16) -> tuple[np.ndarray, np.ndarray]:
    polar = np.linspace(0.3, np.pi - 0.3, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    x, y = np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn)
    points = np.stack([x, y, np.broadcast_to(np.cos(polar), x.shape)], -1).reshape(-1, 3)
    return points, grid_triangles(rows, columns, closed=True)


def test_old_vertices_stay_and_weights_sum_to_one() -> None:
    points, triangles = _sphere()
    fine = refine(len(points), triangles, np.zeros(len(triangles), int), levels=2)
    assert np.allclose((fine.weights @ points)[: len(points)], points)
    assert np.allclose(np.asarray(fine.weights.sum(1)).ravel(), 1.0)
    assert len(fine.triangles) == 16 * len(triangles)


def test_refinement_rounds_a_sphere() -> None:
    points, triangles = _sphere()
    fine = refine(len(points), triangles, np.zeros(len(triangles), int), levels=2)
    radius = np.linalg.norm(fine.weights @ points, axis=1)
    flat = 0.5 * np.linalg.norm(points[triangles[:, 0]] + points[triangles[:, 1]], axis=1)
    assert np.abs(radius - 1).mean() < 0.5 * np.abs(flat - 1).mean()


def test_a_hole_s_closure_does_not_bend_the_skin_around_it() -> None:
    points, triangles = _sphere()
    groups = np.zeros(len(triangles), int)
    centre = points[triangles].mean(1)
    groups[centre[:, 0] > 0.55] = 1
    fine = refine(len(points), triangles, groups, levels=1)
    moved = points.copy()
    inside = np.setdiff1d(triangles[groups == 1], triangles[groups == 0])
    moved[inside] += 5.0
    changed = np.abs(fine.weights @ moved - fine.weights @ points).max(1) > 1e-9
    skin = np.unique(fine.triangles[groups[fine.source] == 0])
    assert not changed[skin].any()
    assert len(inside) > 0
