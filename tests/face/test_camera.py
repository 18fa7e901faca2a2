"""Rotations, projection, intrinsics."""

from __future__ import annotations

import math

import pytest
import torch

from pirctl.face.camera import (
    FLIP,
    head_angles,
    intrinsics,
    jitter_intrinsics,
    project,
    rotation_from_vector,
    scale_intrinsics,
    transform,
    vector_from_rotation,
)


def _vectors() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    lengths = torch.linspace(0, math.pi - 1e-3, 200, dtype=torch.float64)[:, None]
    return vectors / vectors.norm(dim=1, keepdim=True) * lengths


def test_rotations_match_the_matrix_exponential() -> None:
    vectors = _vectors()
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    assert torch.allclose(rotation_from_vector(vectors), torch.linalg.matrix_exp(skew), atol=1e-9)


def test_vector_and_rotation_invert_each_other_at_every_angle() -> None:
    vectors = _vectors()
    assert torch.allclose(vector_from_rotation(rotation_from_vector(vectors)), vectors, atol=1e-6)
    half_turns = torch.diag_embed(torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]]))
    again = rotation_from_vector(vector_from_rotation(half_turns))
    assert torch.allclose(again, half_turns, atol=1e-5)


def test_rotation_has_a_finite_gradient_at_zero() -> None:
    v = torch.zeros(3, requires_grad=True)
    rotation_from_vector(v)[2, 1].backward()
    assert v.grad is not None
    assert torch.allclose(v.grad, torch.tensor([1.0, 0, 0]))


def test_a_frontal_face_stands_upright_in_the_picture() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    pixels = project(transform(FLIP, torch.tensor([0.0, 0, 10]), points), intrinsics(1000, 512))
    assert torch.allclose(pixels, torch.tensor([[256.0, 256], [356, 256], [256, 156]]))


@pytest.mark.parametrize(("axis", "index"), [([0.0, 1, 0], 0), ([1.0, 0, 0], 1), ([0.0, 0, 1], 2)])
def test_head_angles_read_yaw_pitch_and_roll(axis: list[float], index: int) -> None:
    R = FLIP @ rotation_from_vector(0.3 * torch.tensor(axis))
    expected = torch.zeros(3)
    expected[index] = 0.3
    assert torch.allclose(torch.stack(head_angles(R)), expected, atol=1e-6)


def test_positive_yaw_turns_the_nose_to_image_right_and_positive_pitch_down() -> None:
    nose = torch.tensor([[0.0, 0, 1]])
    turned = nose @ (FLIP @ rotation_from_vector(torch.tensor([0.0, 0.3, 0]))).T
    nodded = nose @ (FLIP @ rotation_from_vector(torch.tensor([0.3, 0, 0]))).T
    assert turned[0, 0] > 0.2
    assert nodded[0, 1] > 0.2


def test_scaled_intrinsics_see_the_same_at_another_size() -> None:
    points = torch.tensor([[0.3, -0.2, 7.0], [1, 1, 9]])
    K = intrinsics(1100, 512)
    assert torch.allclose(project(points, scale_intrinsics(K, 0.125)), project(points, K) / 8)


def test_jitter_zooms_about_the_middle_and_shifts() -> None:
    K = intrinsics(1000, 512)
    jittered = jitter_intrinsics(K, torch.tensor([[0.0, 0, 0], [5.12, -2, 3]]), 512)
    assert torch.equal(jittered[0], K)
    expected = torch.tensor([[1010.0, 0, 254], [0, 1010, 259], [0, 0, 1]])
    assert torch.allclose(jittered[1], expected)


def test_jitter_moves_the_middle_of_the_crop_by_the_shift_alone_wherever_the_face_is() -> None:
    # A crop of 250 px at (540, 500) of 1080 x 1920, at 512: the principal point is far below it.
    scale = 512 / 250
    K = intrinsics(1500 * scale, 512)
    K[:2, 2] += torch.tensor([0.0, (960 - 500) * scale])
    seen_at = torch.tensor([[256.0, 256, 1], [0, 512, 1]])  # The middle, and a corner.
    points = 10 * seen_at @ torch.linalg.inv(K).T
    draws = 3 * (2 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 1)
    moved = project(points, jitter_intrinsics(K, draws, 512)) - seen_at[:, :2]
    assert torch.allclose(moved[:, 0], draws[:, 1:], atol=1e-3)
    assert float(moved[:, 1].abs().max()) <= 3 + 3 / 2 + 1e-3
