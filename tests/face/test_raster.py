"""Triangles to pixels, against a loop over every pixel and triangle."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.face.raster import FAR, draw_values

SIDE = 24


def _draw(
    screen: np.ndarray, values: np.ndarray, triangles: np.ndarray, side: int = SIDE
) -> tuple[np.ndarray, np.ndarray]:
    picture = np.zeros((side, side, values.shape[1]), np.float32)
    depth = np.full((side, side), FAR, np.float32)
    draw_values(screen, values, triangles.astype(np.int32), picture, depth)
    return picture, depth


def _draw_slowly(
    screen: np.ndarray, values: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric coordinates by solving for them, in float64, and a z-buffer."""
    picture = np.zeros((SIDE, SIDE, values.shape[1]))
    depth = np.full((SIDE, SIDE), float(FAR))
    for corners in triangles:
        system = np.vstack([screen[corners, :2].T.astype(float), np.ones(3)])
        if np.linalg.det(system) >= 0:  # Seen from behind: y points down.
            continue
        for y in range(SIDE):
            for x in range(SIDE):
                shares = np.linalg.solve(system, [x + 0.5, y + 0.5, 1.0])
                z = shares @ screen[corners, 2]
                if shares.min() >= 0 and z < depth[y, x]:
                    depth[y, x] = z
                    picture[y, x] = shares @ values[corners]
    return picture, depth


@pytest.mark.parametrize("seed", range(4))
def test_drawing_agrees_with_a_loop_over_every_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Some reach beyond the picture, half of them are seen from behind, and they cut each other.
    screen = rng.uniform(-8, SIDE + 8, (24, 3)).astype(np.float32)
    values = rng.normal(size=(24, 4)).astype(np.float32)
    triangles = np.arange(24).reshape(8, 3)
    picture, depth = _draw(screen, values, triangles)
    slow_picture, slow_depth = _draw_slowly(screen, values, triangles)
    drawn = slow_depth < FAR
    assert 0.05 < drawn.mean() < 1
    np.testing.assert_array_equal(depth < FAR, drawn)
    np.testing.assert_allclose(depth[drawn], slow_depth[drawn], atol=1e-4)
    np.testing.assert_allclose(picture, slow_picture, atol=1e-4)


def test_the_nearest_wins_whatever_the_order() -> None:
    square = np.array([[2, 2], [22, 2], [2, 22]], np.float32)
    screen = np.concatenate(
        [np.column_stack([square, np.full(3, z, np.float32)]) for z in (5.0, 3.0)]
    )
    values = np.repeat(np.float32([[5], [3]]), 3, axis=0)
    counter_clockwise = np.array([[0, 2, 1], [3, 5, 4]])
    for triangles in (counter_clockwise, counter_clockwise[::-1]):
        picture, depth = _draw(screen, values, triangles)
        assert depth[6, 6] == 3
        assert picture[6, 6, 0] == pytest.approx(3)


def test_what_is_linear_over_a_mesh_comes_out_linear_without_a_hole() -> None:
    rng = np.random.default_rng(0)
    count, side, beyond = 40, 128, 4.0
    y, x = np.mgrid[:count, :count] * (side + 2 * beyond) / (count - 1) - beyond
    points = np.stack([x, y], axis=-1) + rng.uniform(-1, 1, (count, count, 2))
    screen = np.concatenate([points, np.ones((count, count, 1))], axis=-1)
    screen = screen.reshape(-1, 3).astype(np.float32)
    number = np.arange(count * count).reshape(count, count)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    triangles = np.concatenate(
        [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, c, b), (b, c, d))]
    )
    picture, depth = _draw(screen, screen[:, :2].copy(), triangles, side)
    assert (depth < FAR).all()
    # Every pixel is told its own place.
    expected = np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), axis=-1)
    np.testing.assert_allclose(picture, expected, atol=1e-3)


def test_an_edge_between_neighbours_belongs_to_one_of_them_however_it_is_rounded() -> None:
    rng = np.random.default_rng(0)
    middle = SIDE / 2 + 0.5
    for _ in range(500):
        # Two triangles whose common edge goes exactly through the centre of a pixel.
        along, aside = np.round(rng.uniform(-9, 9, (2, 2)) * 2**16) / 2**16
        corners = middle + np.stack([along, -along, aside, -aside])
        screen = np.column_stack([corners, np.ones(4)]).astype(np.float32)
        turn = along[0] * aside[1] - along[1] * aside[0]
        pair = np.array([[0, 1, 2], [1, 0, 3]] if turn > 0 else [[0, 2, 1], [1, 3, 0]])
        pair = np.stack([np.roll(one, rng.integers(3)) for one in pair])
        _, depth = _draw(screen, screen[:, :1].copy(), pair)
        assert depth[SIDE // 2, SIDE // 2] < FAR
