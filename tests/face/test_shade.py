"""The lit surface: near parts hide far ones, light comes from above, parts have their colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pirctl.face.camera import FLIP, intrinsics, project, rotation_from_vector, transform
from pirctl.face.draw import Image
from pirctl.face.model import FaceModel, load_face_model
from pirctl.face.shade import draw_surface

SIDE_PX = 160
K = intrinsics(5.4 * SIDE_PX, SIDE_PX)
GROUND = np.full((SIDE_PX, SIDE_PX, 3), 24, np.uint8)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def drawn(model: FaceModel, turn: float = 0.0, **strengths: float) -> tuple[Image, np.ndarray]:
    """The picture, and where the vertices are in it."""
    z_exp = torch.zeros(model.expression_width)
    for name, strength in strengths.items():
        z_exp[model.axis(name)] = strength
    vertices = model.vertices(torch.zeros(model.identity_width), z_exp)
    R = rotation_from_vector(torch.tensor([0.0, turn, 0.0])) @ FLIP
    seen = transform(R, torch.tensor([0.0, 0.0, 11.0]), vertices)
    return draw_surface(GROUND, model, seen, K), project(seen, K).numpy()


def colour_at(picture: Image, point: np.ndarray) -> np.ndarray:
    x, y = point.astype(int)
    return picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(float).mean(0)


def test_the_face_covers_its_outline_and_nothing_else(model: FaceModel) -> None:
    picture, points = drawn(model)
    assert (picture[:5] == 24).all()
    assert (picture[:, :5] == 24).all()
    assert colour_at(picture, points[151]).min() > 100  # The forehead.


def test_lips_are_red_and_an_open_mouth_is_dark(model: FaceModel) -> None:
    picture, points = drawn(model, jawOpen=1.0)
    red, green, blue = colour_at(picture, (points[17] + points[14]) / 2)
    assert red > 1.3 * green
    assert red > 1.3 * blue
    assert colour_at(picture, (points[13] + points[14]) / 2).max() < 80


def test_light_comes_from_above_and_beside(model: FaceModel) -> None:
    picture, points = drawn(model)
    # The subject's right cheek, which is on the left of the picture, is nearer to the lamp.
    assert colour_at(picture, points[50]).mean() > colour_at(picture, points[280]).mean() + 5


def test_near_triangles_hide_far_ones_in_whatever_order_the_mesh_has_them(
    model: FaceModel,
) -> None:
    """In a turned face the nose lies over the cheek behind it."""
    backwards = replace(model, triangles=model.triangles.flip(0))
    assert np.array_equal(drawn(model, turn=0.9)[0], drawn(backwards, turn=0.9)[0])
