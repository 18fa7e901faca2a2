"""The named points of the mesh agree with each other."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.compat import facexlib_awing
from pirctl.face import landmarks as mesh
from pirctl.face.model import read_face_model

MODEL = Path(__file__).parents[2] / "models" / "face" / "generic.safetensors"


def test_mirroring_twice_changes_nothing() -> None:
    mirror = np.array(mesh.MIRROR)
    assert sorted(mirror) == list(range(468))
    assert (mirror[mirror] == np.arange(468)).all()


def test_the_mean_face_is_its_own_mirror_image() -> None:
    mean = read_face_model(MODEL).mean.numpy()
    assert np.abs(mesh.mirror_points(mean) - mean).max() < 1e-5


def test_mirrored_edges_are_edges() -> None:
    """A wrong pair would tear the mesh; diagonals of a few quads are drawn the other way round."""
    triangles = read_face_model(MODEL).triangles.numpy()
    edges = {tuple(sorted((t[i], t[i - 1]))) for t in triangles for i in range(3)}
    mirror = mesh.MIRROR
    torn = [
        edge for edge in edges if tuple(sorted((mirror[edge[0]], mirror[edge[1]]))) not in edges
    ]
    assert len(torn) <= 12


@pytest.mark.parametrize(
    ("right", "left"), [(mesh.EYE_RIGHT, mesh.EYE_LEFT), (mesh.BROW_RIGHT, mesh.BROW_LEFT)]
)
def test_left_rings_mirror_right_rings_entry_by_entry(
    right: tuple[int, ...], left: tuple[int, ...]
) -> None:
    assert tuple(mesh.MIRROR[point] for point in right) == left
    mean = read_face_model(MODEL).mean.numpy()
    assert (mean[list(left), 0] > 0).all()


@pytest.mark.parametrize(
    "ring",
    [mesh.LIPS_OUTER, mesh.LIPS_INNER, mesh.EYE_LEFT, mesh.EYE_RIGHT, mesh.FACE_OVAL],
    ids=["lips outer", "lips inner", "left eye", "right eye", "oval"],
)
def test_neighbours_in_a_ring_share_an_edge_of_the_mesh(ring: tuple[int, ...]) -> None:
    triangles = read_face_model(MODEL).triangles.numpy()
    edges = {frozenset((int(t[i]), int(t[i - 1]))) for t in triangles for i in range(3)}
    assert len(set(ring)) == len(ring)
    assert all(frozenset((ring[i], ring[i - 1])) in edges for i in range(len(ring)))


def test_the_lip_rings_run_side_by_side() -> None:
    mean = read_face_model(MODEL).mean.numpy()
    between = np.linalg.norm(mean[list(mesh.LIPS_OUTER)] - mean[list(mesh.LIPS_INNER)], axis=1)
    assert between.max() < 0.16


def test_mouth_opening_is_a_ratio_that_ignores_scale() -> None:
    points = np.zeros((2, 468, 2))
    points[:, 263, 0] = 90
    points[1, 14, 1] = 45
    assert mesh.mouth_opening(points) == pytest.approx([0, 0.5])
    assert mesh.mouth_opening(points * 3) == pytest.approx([0, 0.5])


def test_ninety_eight_points_become_the_sixty_eight_of_facexlib() -> None:
    facexlib_awing()  # Makes the package importable.
    reference = importlib.import_module("facexlib.alignment.convert_98_to_68_landmarks")
    points = np.random.default_rng(0).random((98, 2)).astype(np.float32)
    expected = reference.landmark_98_to_68(points)
    np.testing.assert_allclose(mesh.landmarks_68_from_98(points), expected, rtol=1e-6)
    several = mesh.landmarks_68_from_98(torch.from_numpy(points).expand(3, 98, 2))
    assert several.shape == (3, 68, 2)


def test_brows_and_chin_are_the_same_place_in_every_kind_of_points() -> None:
    mean = read_face_model(MODEL).mean.numpy()
    brows, chin = mesh.brows_and_chin(mean)
    sparse_brows, sparse_chin = mesh.brows_and_chin(mean[list(mesh.LANDMARKS_68)])
    height = np.linalg.norm(brows - chin)
    np.testing.assert_array_equal(sparse_chin, chin)
    assert np.linalg.norm(sparse_brows - brows) < 0.05 * height
