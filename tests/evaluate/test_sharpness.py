"""CPBD against a walk from pixel to pixel, and on edges of known width."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pirctl.evaluate.sharpness import BLOCK_PX, cpbd, laplacian_energy, vertical_edges

SIZE = 128
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def stripes(width_px: int, low: float = 20, high: float = 220) -> np.ndarray:
    """Vertical edges, each a straight slope of `width_px` steps."""
    row = np.full(SIZE, low, np.float32)
    for start in range(10, SIZE - 32, 64):
        row[start : start + width_px + 1] = np.linspace(low, high, width_px + 1)
        row[start + width_px + 1 : start + 32] = high
        row[start + 32 : start + 33 + width_px] = np.linspace(high, low, width_px + 1)
    return np.tile(row, (SIZE, 1))


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(5)
    rough = cv2.GaussianBlur(rng.uniform(0, 255, (SIZE, SIZE)).astype(np.float32), (0, 0), 1.2)
    return np.rint(np.clip((rough - 127) * 4 + 127, 0, 255)).astype(np.float32)


@pytest.mark.parametrize("width_px", [1, 2, 4, 7])
def test_the_width_of_a_slope_is_the_steps_it_takes(width_px: int) -> None:
    edges, widths = vertical_edges(stripes(width_px))
    assert edges.any()
    assert set(widths[edges]) == {width_px}


@pytest.mark.parametrize(("width_px", "contrast", "expected"), [
    (3, 200, 1.0), (4, 200, 0.0), (5, 40, 1.0), (6, 40, 0.0),
])  # fmt: skip
def test_an_edge_may_be_wider_where_the_contrast_is_low(
    width_px: int, contrast: float, expected: float
) -> None:
    assert cpbd(stripes(width_px, 20, 20 + contrast), EVERYWHERE) == expected


def test_blur_only_lowers_it(photo: np.ndarray) -> None:
    values = [cpbd(photo, EVERYWHERE)]
    for blur_px in (0.8, 1.5, 3.0):
        soft = np.rint(cv2.GaussianBlur(photo, (0, 0), blur_px))
        values.append(cpbd(soft, EVERYWHERE))
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.5


def test_only_edges_inside_count() -> None:
    picture = stripes(1, 20, 80)
    picture[:, SIZE // 2 :] = stripes(5)[:, SIZE // 2 :]
    left = np.zeros((SIZE, SIZE), bool)
    left[:, : SIZE // 2 - 2] = True
    assert cpbd(picture, left) == 1.0
    assert cpbd(picture, ~left) == 0.0
    assert cpbd(np.full((SIZE, SIZE), 90, np.float32), EVERYWHERE) is None


def test_it_is_what_a_walk_along_every_row_finds(photo: np.ndarray) -> None:
    inside = np.zeros((SIZE, SIZE), bool)
    inside[20:100, 30:110] = True
    assert cpbd(photo, inside) == pytest.approx(walked(photo, inside), abs=1e-12)


def walked(grey: np.ndarray, inside: np.ndarray) -> float:
    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    strength = np.abs(slope)
    floor = 2 * np.sqrt(np.mean(slope.astype(np.float64) ** 2))
    blocks: dict[tuple[int, int], list[int]] = {}
    for y in range(SIZE):
        for x in range(SIZE):
            if not inside[y, x] or strength[y, x] <= floor:
                continue
            if x > 0 and strength[y, x - 1] >= strength[y, x]:
                continue
            if x < SIZE - 1 and strength[y, x + 1] > strength[y, x]:
                continue
            sign = np.sign(slope[y, x])
            left = right = x
            while left > 0 and sign * (grey[y, left] - grey[y, left - 1]) > 0:
                left -= 1
            while right < SIZE - 1 and sign * (grey[y, right + 1] - grey[y, right]) > 0:
                right += 1
            if right > left:
                blocks.setdefault((y // BLOCK_PX, x // BLOCK_PX), []).append(right - left)
    probabilities = []
    for (row, column), widths in blocks.items():
        part = grey[row * BLOCK_PX :, column * BLOCK_PX :][:BLOCK_PX, :BLOCK_PX]
        if len(widths) <= 0.002 * part.size:
            continue
        noticeable = 5 if np.ptp(part) <= 50 else 3
        probabilities += [1 - np.exp(-((width / noticeable) ** 3.6)) for width in widths]
    return float(np.mean(np.array(probabilities) <= 1 - np.exp(-1)))


def test_an_edge_of_the_region_adds_no_detail() -> None:
    picture = np.full((SIZE, SIZE), 50, np.float32)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[40:80, 40:80] = True
    picture[inside] = 200
    assert laplacian_energy(picture, inside) == 0
    picture[60, 60] = 201
    assert laplacian_energy(picture, inside) == 4**2 + 4
