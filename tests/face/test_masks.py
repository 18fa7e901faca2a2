from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from pirctl.face.camera import FLIP, intrinsics, project, rotation_from_vector, transform
from pirctl.face.landmarks import BROW_LEFT, EYE_LEFT, EYE_RIGHT, LIPS_OUTER, NOSE_TIP
from pirctl.face.masks import MaskPainter, head_mask, mask_points, paint_hull
from pirctl.face.model import FaceModel, load_face_model
from pirctl.settings import MaskSettings

SIZE = 256
K = intrinsics(2.0 * SIZE, SIZE).numpy()
DISTANCE = np.array([0, 0, 8.0], np.float32)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def rotation(*vector: float) -> np.ndarray:
    return (FLIP @ rotation_from_vector(torch.tensor(vector))).numpy()


def points(model: FaceModel, R: np.ndarray, **expression: float) -> np.ndarray:
    z_exp = torch.zeros(model.expression_width)
    for name, value in expression.items():
        z_exp[model.axis(name)] = value
    vertices = model.vertices(torch.zeros(model.identity_width), z_exp)
    camera = transform(torch.from_numpy(R), torch.from_numpy(DISTANCE), vertices)
    return project(camera, torch.from_numpy(K)).numpy()


def paint(model: FaceModel, R: np.ndarray, **settings: object) -> np.ndarray:
    z_id = np.zeros(model.identity_width, np.float32)
    return MaskPainter(model, z_id, K, SIZE, MaskSettings(**settings)).paint(
        R, DISTANCE, np.zeros((1, model.expression_width), np.float32)
    )


def at(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    x, y = np.floor(pixels).astype(int).T
    return mask[y, x]


def test_head_mask_is_head_and_hair_without_neck_and_cloth() -> None:
    labels = np.arange(19, dtype=np.uint8)[None]
    inside = np.flatnonzero(head_mask(labels)[0]).tolist()
    assert inside == [*range(1, 14), 17, 18]


@pytest.mark.parametrize("R", [rotation(0, 0, 0), rotation(0.2, 0.5, 0.1), rotation(-0.3, -0.4, 0)])
@pytest.mark.parametrize(
    "expression", [{}, {"jawOpen": 0.7}, {"mouthSmileLeft": 1.0}, {"mouthPucker": 1.0}]
)
def test_the_mouth_is_inside_in_any_pose_whatever_it_does(
    model: FaceModel, R: np.ndarray, expression: dict[str, float]
) -> None:
    lips = points(model, R, **expression)[list(LIPS_OUTER)]
    assert at(paint(model, R), lips).min() == 1


def test_the_mask_knows_nothing_of_the_expression_but_around_the_mouth(model: FaceModel) -> None:
    z_id = np.zeros(model.identity_width, np.float32)
    still = np.zeros((1, model.expression_width), np.float32)
    open_jaw = still.copy()
    open_jaw[0, model.axis("jawOpen")] = 0.8
    R = rotation(0, 0.2, 0)
    for region in ("lower", "face", "mouth"):
        painter = MaskPainter(model, z_id, K, SIZE, MaskSettings(region=region))
        closed, dropped = (painter.paint(R, DISTANCE, shown) for shown in (still, open_jaw))
        assert painter.follows == (region == "mouth")
        assert (closed == dropped).all() == (region != "mouth")
    # What hides both hides either, and is not larger than it has to be.
    both = painter.paint(R, DISTANCE, np.concatenate([still, open_jaw]))
    assert (both >= np.maximum(closed, dropped) - 0.02).all()
    assert (both > 0.5).sum() < 1.1 * (np.maximum(closed, dropped) > 0.5).sum()


def test_the_mouths_mask_leaves_nose_and_cheeks_and_the_sides_of_the_face(model: FaceModel) -> None:
    R = rotation(0, 0, 0)
    mask = paint(model, R, region="mouth", margin=0)
    lower = paint(model, R, region="lower", margin=0)
    assert (mask > 0).sum() < 0.75 * (lower > 0).sum()
    assert at(mask, points(model, R)[[NOSE_TIP, 234, 454]]).max() == 0


def test_lower_leaves_the_eyes_and_brows_and_face_covers_them(model: FaceModel) -> None:
    R = rotation(0.1, 0.3, 0)
    rows = list(EYE_LEFT + EYE_RIGHT + BROW_LEFT)
    upper = points(model, R)[rows]
    assert at(paint(model, R, region="lower"), upper).max() == 0
    assert at(paint(model, R, region="face"), upper).min() > 0.9


def test_there_is_room_below_the_chin_and_a_setting_for_it(model: FaceModel) -> None:
    R = rotation(0, 0, 0)
    chin = points(model, R)[152, 1]
    bottoms = [
        np.nonzero(paint(model, R, chin_margin=margin).any(1))[0].max() for margin in (0.1, 0.3)
    ]
    assert bottoms[0] > chin + 5
    assert bottoms[1] > bottoms[0] + 5


def test_the_mask_is_exactly_zero_outside_its_margin_and_one_well_inside() -> None:
    corners = np.array([[100, 100], [160, 100], [160, 170], [100, 170]], np.float32)
    mask = paint_hull(corners, SIZE, margin_px=8, feather_px=6)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    outside = np.hypot(
        np.maximum(np.maximum(100 - x, x - 160), 0), np.maximum(np.maximum(100 - y, y - 170), 0)
    )
    assert mask[outside > 9].max() == 0
    assert mask[102:168, 102:158].min() == 1
    assert mask.min() >= 0
    assert mask.max() == 1


def test_the_edge_is_soft_and_falls_outwards() -> None:
    corners = np.array([[80, 80], [180, 80], [180, 180], [80, 180]], np.float32)
    row = paint_hull(corners, SIZE, margin_px=10, feather_px=12)[130, 180:195]
    assert (np.diff(row) <= 0).all()
    assert ((row > 0) & (row < 1)).sum() >= 8


def test_a_mask_beyond_the_picture_has_no_edge_at_the_border() -> None:
    corners = np.array([[-50, 100], [100, 100], [100, 300], [-50, 300]], np.float32)
    mask = paint_hull(corners, SIZE, margin_px=8, feather_px=8)
    assert mask[150, 0] == 1
    assert mask[SIZE - 1, 50] == 1
    away = paint_hull(corners + 1000, SIZE, margin_px=8, feather_px=8)
    assert not away.any()


def test_the_mask_moves_smoothly_with_the_head(model: FaceModel) -> None:
    z_id = np.zeros(model.identity_width, np.float32)
    painter = MaskPainter(model, z_id, K, SIZE, MaskSettings())
    masks = [painter.paint(rotation(0, 0.004 * i, 0), DISTANCE) for i in range(12)]
    areas = np.array([mask.sum() for mask in masks])
    assert np.abs(np.diff(areas)).max() < 0.02 * areas.mean()


def test_the_outline_is_the_hull_of_all_chosen_points_in_any_pose(model: FaceModel) -> None:
    import cv2

    z_id = np.zeros(model.identity_width, np.float32)
    corners = mask_points(model, z_id, MaskSettings(region="face", chin_margin=0))
    assert len(corners) < 400
    R = rotation(0.2, -0.6, 0.1)
    camera = torch.from_numpy(R), torch.from_numpy(DISTANCE)
    outline = project(transform(*camera, torch.from_numpy(corners)), torch.from_numpy(K)).numpy()
    hull = cv2.convexHull(outline)
    for pixel in points(model, R):
        assert cv2.pointPolygonTest(hull, pixel.astype(float).tolist(), True) > -0.01


def test_painting_a_full_size_mask_is_fast(model: FaceModel) -> None:
    z_id = np.zeros(model.identity_width, np.float32)
    wide = intrinsics(1024.0, 512).numpy()
    painter = MaskPainter(model, z_id, wide, 512, MaskSettings())
    painter.paint(rotation(0, 0, 0), DISTANCE)
    start = time.process_time()
    for _ in range(20):
        painter.paint(rotation(0, 0.1, 0), DISTANCE)
    # 1 ms measured; the bound leaves room for slow machines and still catches a slow algorithm.
    assert (time.process_time() - start) / 20 < 0.01
