from __future__ import annotations

import numpy as np
import pytest

from pirctl.demo.synthetic.canvas import Canvas, Layout, smooth_noise
from pirctl.face.landmarks import EYE_OUTER_CORNERS
from pirctl.face.model import load_face_model

SIDE = 64


@pytest.fixture(scope="module")
def neutral() -> np.ndarray:
    return load_face_model().mean.numpy()


def test_every_point_of_the_face_lies_in_the_face_s_tile(neutral: np.ndarray) -> None:
    origin = neutral[list(EYE_OUTER_CORNERS)].mean(0)
    uv = Layout(side=SIDE).face_uv(neutral, origin)
    assert uv.min() > 0
    assert uv.max() < SIDE
    right, left = uv[list(EYE_OUTER_CORNERS), 0]
    assert left > right, "x grows to the subject's left, as in a frontal picture"


def test_the_tiles_beside_the_face_do_not_overlap() -> None:
    layout, rng = Layout(side=SIDE), np.random.default_rng(0)
    points = rng.uniform(-9, 9, (500, 3))
    tiles = {
        "skin": layout.skin_uv(points),
        "hair": layout.hair_uv(rng.random(500), rng.random(500)),
        "cloth": layout.cloth_uv(points),
        "lash": layout.lash_uv()[None],
    }
    places = {name: set(map(tuple, (uv // (SIDE / 2)).astype(int))) for name, uv in tiles.items()}
    assert sorted(places.values(), key=sorted) == [{(2, 0)}, {(2, 1)}, {(3, 0)}, {(3, 1)}]


def test_a_tint_covers_its_mask_only(neutral: np.ndarray) -> None:
    canvas = Canvas(SIDE, neutral, neutral[list(EYE_OUTER_CORNERS)].mean(0))
    mask = np.zeros((canvas.side, canvas.side), np.float32)
    mask[10:20, 10:20] = 1
    canvas.tint(mask, (1.0, 0.5, 0.0), 0.5)
    assert canvas.colour[15, 15].tolist() == [0.5, 0.25, 0.0]
    assert canvas.colour[mask == 0].max() == 0


def test_noise_is_smooth_and_as_strong_as_promised() -> None:
    noise = smooth_noise(np.random.default_rng(0), 80, 120, 6)
    assert noise.shape == (80, 120)
    assert abs(noise.mean()) < 1e-3
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.3
