from __future__ import annotations

import numpy as np
import pytest

from pirctl.errors import FaceNotFound
from pirctl.face.crop import (
    choose_crop,
    crop_from_source,
    face_height,
    source_from_crop,
    widened,
)
from pirctl.face.landmarks import BROW_LEFT, BROW_RIGHT, CHIN
from pirctl.media import Crop


def face(x: float, y: float, height: float) -> np.ndarray:
    """Points of a face whose brows are around (x, y) and whose chin is `height` below."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 2)) * (0.9 * height, height)
    points += (x, y + 0.4 * height)
    points[list(BROW_LEFT + BROW_RIGHT)] = (x, y)
    points[CHIN] = (x, y + height)
    return points.astype(np.float32)


def clip(positions: list[tuple[float, float]], height: float = 100) -> np.ndarray:
    return np.stack([face(x, y, height) for x, y in positions])


def choose(landmarks: np.ndarray, width: int, height: int, margin: float = 2.1) -> Crop:
    return choose_crop(
        landmarks, np.ones(len(landmarks), bool), width=width, height=height, margin=margin
    )


def test_face_height_is_brow_to_chin() -> None:
    assert face_height(face(300, 200, 100)) == pytest.approx(100)


def test_crop_holds_hair_chin_and_neck_of_a_still_head() -> None:
    crop = choose(clip([(500, 400)] * 5), 1000, 1000)
    assert crop.side == pytest.approx(210, abs=2)
    assert crop.x + crop.side / 2 == pytest.approx(500, abs=5)
    assert 400 - crop.y == pytest.approx(80, abs=3)
    assert crop.y + crop.side - 500 == pytest.approx(30, abs=3)


def test_crop_grows_by_what_the_head_moves() -> None:
    positions = [(400 + 100 * i / 49, 400.0) for i in range(50)]
    crop = choose(clip(positions), 1000, 1000)
    assert crop.side == pytest.approx(210 + 100, abs=8)
    assert crop.x + crop.side / 2 == pytest.approx(450, abs=5)


def test_one_bad_frame_in_a_hundred_does_not_move_the_crop() -> None:
    landmarks = clip([(500, 400)] * 100)
    expected = choose(landmarks, 1000, 1000)
    landmarks[17] += 300
    got = choose(landmarks, 1000, 1000)
    assert got.side == pytest.approx(expected.side, abs=4)
    assert got.x == pytest.approx(expected.x, abs=4)


def test_crop_moves_inside_the_picture_where_it_fits() -> None:
    crop = choose(clip([(80, 60)] * 5), 1000, 600)
    assert (crop.x, crop.y) == (0, 0)
    crop = choose(clip([(950, 500)] * 5), 1000, 600)
    assert crop.x + crop.side == 1000
    assert crop.y + crop.side == 600


def test_crop_shrinks_to_a_narrow_picture_before_it_reaches_outside() -> None:
    crop = choose(clip([(90, 400)] * 5), 180, 1000)
    assert (crop.x, crop.side) == (0, 180)


def test_crop_reaches_outside_when_the_face_needs_it() -> None:
    landmarks = clip([(60, 400)] * 5)
    crop = choose(landmarks, 110, 1000)
    assert crop.side > 110
    assert crop.x < 0 < 110 < crop.x + crop.side
    assert crop.x == pytest.approx((110 - crop.side) / 2, abs=1)


def test_a_square_portrait_is_kept_whole() -> None:
    assert choose(clip([(115, 90)] * 5), 230, 230) == Crop(x=0, y=0, side=230)


def test_frames_without_a_face_do_not_count() -> None:
    landmarks = clip([(500, 400)] * 4)
    landmarks[1] = 0
    valid = np.array([True, False, True, True])
    with_gap = choose_crop(landmarks, valid, width=1000, height=1000, margin=2)
    assert with_gap == choose(landmarks[valid], 1000, 1000, 2)
    with pytest.raises(FaceNotFound):
        choose_crop(landmarks, ~valid & False, width=1000, height=1000, margin=2)


def test_points_go_into_the_crop_and_back() -> None:
    crop = Crop(x=-10, y=20, side=300)
    points = np.array([[-10, 20], [290, 320], [140, 170]], np.float32)
    inside = crop_from_source(points, crop, 512)
    np.testing.assert_allclose(inside, [[0, 0], [512, 512], [256, 256]], atol=1e-4)
    np.testing.assert_allclose(source_from_crop(inside, crop, 512), points, atol=1e-4)


def test_a_widened_crop_keeps_its_middle_and_stays_inside_the_picture() -> None:
    assert widened(Crop(x=100, y=80, side=380), 384, 1000, 600) == Crop(x=98, y=78, side=384)
    assert widened(Crop(x=0, y=220, side=380), 400, 1000, 600) == Crop(x=0, y=200, side=400)
    kept = Crop(x=3, y=5, side=380)
    assert widened(kept, 384, 383, 600) == kept
