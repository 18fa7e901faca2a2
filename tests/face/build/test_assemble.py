"""Building a model from people made up here: what they do is what the axes learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.face import landmarks as mesh
from pirctl.face.build.assemble import align, build_model, identity_axes, without_perspective
from pirctl.face.build.axes import (
    MIRROR_NAMES,
    close_lids,
    close_lips,
    designed_axes,
    expression_regions,
    regress,
)
from pirctl.face.build.card import leave_one_out, write_card
from pirctl.face.build.measure import Array, Person
from pirctl.face.landmarks import ring_closure, ring_gap
from pirctl.face.model import ARKIT_NAMES, FaceModel, read_face_model

MODEL = Path(__file__).parents[3] / "models" / "face" / "generic.safetensors"


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return read_face_model(MODEL)


def make_person(model: FaceModel, seed: int, frames: int = 30) -> Person:
    """Someone of the model's family who opens the jaw and blinks, seen from afar, unturned."""
    generator = np.random.default_rng(seed)
    shape = model.mean.numpy() + np.tensordot(
        0.5 * generator.normal(size=model.identity_width), model.identity_basis.numpy(), axes=1
    )
    scores = np.zeros((frames, 52))
    for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight"):
        scores[:, ARKIT_NAMES.index(name)] = generator.uniform(0, 0.8, frames)
    points = shape + np.tensordot(scores, model.expression_basis.numpy(), axes=1)
    pixels = points * 150.0
    return Person(
        name=f"person{seed}",
        points=pixels,
        image=pixels[..., :2] * [1, -1] + 256,
        scores=scores,
        size_px=512,
    )


def test_align_undoes_turn_shift_and_scale(model: FaceModel) -> None:
    goal = model.mean.numpy().astype(float)
    c, s = np.cos(0.4), np.sin(0.4)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    moved = np.stack([3 * goal @ turn + [5, -2, 1], 0.2 * goal])
    assert np.abs(align(moved, goal, np.ones(468)) - goal).max() < 1e-9


def test_perspective_is_taken_out(model: FaceModel) -> None:
    face = model.mean.numpy().astype(float)
    face = face - face.mean(0)
    seen = face.copy()
    seen[:, :2] *= 12.0 / (12.0 - face[:, 2:])
    flat = without_perspective(150 * seen[None])[0] / 150
    flat -= flat.mean(0)
    assert np.abs(flat - face).max() < 0.25 * np.abs(seen - seen.mean(0) - face).max()


def test_regression_finds_the_axes_that_moved_the_faces(model: FaceModel) -> None:
    people = [make_person(model, seed) for seed in range(3)]
    mean = model.mean.numpy()
    _, axes = regress([p.points / 150 for p in people], [p.scores for p in people], mean)
    for name in ("jawOpen", "eyeBlinkLeft"):
        found, true = axes[ARKIT_NAMES.index(name)], model.expression_basis[model.axis(name)]
        assert np.corrcoef(found.ravel(), true.numpy().ravel())[0, 1] > 0.97


def test_regressed_axes_are_exactly_symmetric(model: FaceModel) -> None:
    person = make_person(model, 0)
    _, axes = regress([person.points / 150], [person.scores], model.mean.numpy())
    assert np.allclose(axes, mesh.mirror_points(axes[list(MIRROR_NAMES)]))


def test_regions_and_designed_fields_are_symmetric_and_stay_local(model: FaceModel) -> None:
    mean = model.mean.numpy()
    regions = expression_regions(mean)
    assert regions.min() >= 0
    assert regions.max() <= 1
    assert np.allclose(regions, regions[list(MIRROR_NAMES)][:, list(mesh.MIRROR)], atol=1e-5)
    fields = designed_axes(mean)
    assert np.allclose(fields, mesh.mirror_points(fields[list(MIRROR_NAMES)]), atol=1e-4)
    brows = [*mesh.BROW_LEFT, *mesh.BROW_RIGHT]
    for name in ("jawForward", "mouthFrownLeft", "cheekPuff"):
        assert np.abs(fields[ARKIT_NAMES.index(name)][brows]).max() < 0.005


def test_identity_axes_are_orthogonal_and_contain_the_people(model: FaceModel) -> None:
    generator = np.random.default_rng(0)
    rest: Array = model.mean.numpy() + 0.02 * generator.normal(size=(6, 468, 3))
    mean, axes = identity_axes(rest, model.triangles.numpy(), count=20)
    flat = axes.reshape(20, -1)
    gram = flat @ flat.T
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-8
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    # Beyond the people, who here have lips apart at random, no axis parts the lips.
    assert np.abs(ring_gap(axes[10:], mesh.LIPS_INNER)).max() < 1e-9
    offset = (rest[0] - mean).ravel()
    assert np.linalg.norm(offset - unit.T @ (unit @ offset)) < 1e-6


def test_a_ring_of_n_points_closes_with_n_minus_two_triangles() -> None:
    triangles = ring_closure(tuple(range(16)))
    assert len(triangles) == 14
    assert {corner for triangle in triangles for corner in triangle} == set(range(16))


def test_a_model_built_from_people_explains_one_it_never_saw(
    model: FaceModel, tmp_path: Path
) -> None:
    people = [make_person(model, seed, frames=12) for seed in range(2)]
    triangles = model.triangles.numpy()
    left_out = leave_one_out(people, triangles)
    assert all(each.by_region["all 468 points"] < 0.03 for each in left_out)
    assert all(each.expression_share > 0.5 for each in left_out)
    built = build_model(people, triangles)
    write_card(tmp_path / "card.md", built, people, left_out)
    text = (tmp_path / "card.md").read_text()
    assert "24 frames of 2 people" in text
    worst = max(left_out, key=lambda each: each.by_region["lips"])
    lips = next(line for line in text.splitlines() if line.startswith("| lips |"))
    assert lips.endswith(f"| {100 * worst.by_region['lips']:.2f} % | {worst.name} |")


def test_lips_come_together_by_the_axis_that_closes_them(model: FaceModel) -> None:
    axes = model.expression_basis.numpy()
    parted = model.mean.numpy() + 0.2 * axes[ARKIT_NAMES.index("jawOpen")]
    closed = close_lips(parted[None], axes)[0]
    assert ring_gap(parted, mesh.LIPS_INNER) > 0.03
    assert ring_gap(closed, mesh.LIPS_INNER) == pytest.approx(0, abs=1e-6)
    assert np.abs((closed - parted)[list(mesh.EYE_LEFT + mesh.BROW_LEFT)]).max() < 0.01


def test_a_full_blink_brings_the_lids_together_whatever_the_tracker_scored(
    model: FaceModel,
) -> None:
    axes, mean = model.expression_basis.numpy().copy(), model.mean.numpy()
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        axes[ARKIT_NAMES.index(name)] *= 0.6
    closed = mean + close_lids(mean, axes)[ARKIT_NAMES.index("eyeBlinkLeft")]
    assert ring_gap(closed, mesh.EYE_LEFT) == pytest.approx(0, abs=1e-6)


def test_the_shipped_card_belongs_to_the_shipped_model(model: FaceModel) -> None:
    card = MODEL.parents[1] / "cards" / "generic.md"
    assert f"Version `{model.version}`" in card.read_text()
