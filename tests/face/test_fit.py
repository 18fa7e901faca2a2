"""Fitting: what was put in comes out, whatever the tracker gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pirctl.errors import FaceNotFound
from pirctl.face import fit as fit_module
from pirctl.face.build.measure import measure
from pirctl.face.camera import (
    FLIP,
    intrinsics,
    project,
    rotation_from_vector,
    transform,
    vector_from_rotation,
)
from pirctl.face.fit import ClipFit, fit_clip
from pirctl.face.landmarks import LANDMARKS_68, landmarks_68_from_98
from pirctl.face.model import FaceModel, read_face_model
from pirctl.progress import Progress
from pirctl.settings import FitSettings
from tests.face.basel import basel_like

MODEL = Path(__file__).parents[2] / "models" / "face" / "generic.safetensors"
SIZE_PX = 512


@dataclass(frozen=True, kw_only=True)
class Clip:
    landmarks: np.ndarray[Any, Any]
    z_exp: torch.Tensor
    R: torch.Tensor
    t: torch.Tensor
    focal_px: float


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return read_face_model(MODEL)


def make_clip(model: FaceModel, frames: int, *, focal_ratio: float = 2.1, seed: int = 0) -> Clip:
    """A head that turns and talks, its landmarks off by 0.3 px."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.linspace(0, frames / 60, frames)
    turn = [0.12 * torch.sin(9 * s), 0.3 * torch.sin(7 * s + 1), 0.06 * torch.sin(5 * s + 2)]
    R = FLIP @ rotation_from_vector(torch.stack(turn, 1))
    focal = focal_ratio * SIZE_PX
    depth = focal * 0.9 / 150 * (1 + 0.02 * torch.sin(5 * s))
    t = torch.stack([0.2 * torch.sin(6 * s), 0.1 * torch.sin(4 * s), depth], 1)
    z_id = 0.8 * torch.randn(model.identity_width, generator=generator)
    z_exp = torch.zeros(frames, model.expression_width)
    for name, strength, speed in (
        ("jawOpen", 0.4, 30), ("mouthPucker", 0.4, 13), ("mouthSmileLeft", 0.4, 8),
        ("mouthSmileRight", 0.4, 8), ("browInnerUp", 0.5, 6),
    ):  # fmt: skip
        z_exp[:, model.axis(name)] = strength * (1 + torch.sin(speed * s)) / 2
    vertices = model.vertices(z_id, z_exp)
    pixels = project(transform(R, t, vertices), intrinsics(focal, SIZE_PX))
    pixels = pixels + 0.3 * torch.randn(pixels.shape, generator=generator)
    return Clip(landmarks=pixels.numpy(), z_exp=z_exp, R=R, t=t, focal_px=focal)


def _turn_error_deg(fit: ClipFit, clip: Clip) -> torch.Tensor:
    apart = torch.from_numpy(fit.R) @ clip.R.transpose(1, 2)
    return vector_from_rotation(apart).norm(dim=-1) * 180 / np.pi


@pytest.mark.parametrize("seed", [0, 1])
def test_pose_distance_and_jaw_of_a_known_head_come_back(model: FaceModel, seed: int) -> None:
    clip = make_clip(model, 150, seed=seed)
    fit = fit_clip(clip.landmarks, np.ones(150, bool), model, SIZE_PX)
    assert _turn_error_deg(fit, clip).max() < 1.0
    assert np.abs(fit.t[:, 2] / clip.t[:, 2].numpy() - 1).mean() < 0.01
    assert np.abs(fit.K[0, 0] / clip.focal_px - 1) < 0.02
    for name, least in (("jawOpen", 0.95), ("mouthPucker", 0.9), ("browInnerUp", 0.9)):
        axis = model.axis(name)
        assert np.corrcoef(fit.z_exp[:, axis], clip.z_exp[:, axis])[0, 1] > least, name
    assert fit.error_px.mean() < 0.5
    assert fit.z_exp.min() > -0.2
    assert fit.z_exp.max() < 1.2


def test_irises_are_ignored(model: FaceModel) -> None:
    clip = make_clip(model, 12)
    with_irises = np.concatenate([clip.landmarks, np.full((12, 10, 2), 9999.0)], axis=1)
    once = fit_clip(clip.landmarks, np.ones(12, bool), model, SIZE_PX)
    twice = fit_clip(with_irises, np.ones(12, bool), model, SIZE_PX)
    assert np.array_equal(once.z_exp, twice.z_exp)


def test_sixty_eight_points_are_enough_for_pose_and_jaw(model: FaceModel) -> None:
    clip = make_clip(model, 40)
    few = clip.landmarks[:, model.landmarks_68.numpy()]
    fit = fit_clip(few, np.ones(40, bool), model, SIZE_PX)
    assert _turn_error_deg(fit, clip).max() < 2.0
    jaw = model.axis("jawOpen")
    assert np.corrcoef(fit.z_exp[:, jaw], clip.z_exp[:, jaw])[0, 1] > 0.95


def test_frames_without_a_face_are_interpolated_and_marked(model: FaceModel) -> None:
    clip = make_clip(model, 40)
    valid = np.ones(40, bool)
    valid[[0, 1, 18, 19, 20, 39]] = False
    landmarks = clip.landmarks.copy()
    landmarks[~valid] = np.nan
    fit = fit_clip(landmarks, valid, model, SIZE_PX)
    assert np.array_equal(fit.valid, valid)
    assert np.array_equal(np.isnan(fit.error_px), ~valid)
    assert np.isfinite(fit.R).all()
    assert np.isfinite(fit.t).all()
    assert np.array_equal(fit.t[0], fit.t[2])
    assert _turn_error_deg(fit, clip)[18:21].max() < 1.5
    assert np.allclose(fit.t[19], (fit.t[17] + fit.t[21]) / 2, atol=1e-5)


def test_a_few_wild_points_do_not_move_the_head(model: FaceModel) -> None:
    clip = make_clip(model, 20)
    wild = clip.landmarks.copy()
    wild[:, ::40] += 60.0
    fit = fit_clip(wild, np.ones(20, bool), model, SIZE_PX)
    assert _turn_error_deg(fit, clip).max() < 1.5


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_clips_can_be_fitted(model: FaceModel, frames: int) -> None:
    clip = make_clip(model, frames)
    fit = fit_clip(clip.landmarks, np.ones(frames, bool), model, SIZE_PX)
    assert fit.error_px.mean() < 0.8


def test_chunks_leave_no_seam(model: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(model, 60)
    whole = fit_clip(clip.landmarks, np.ones(60, bool), model, SIZE_PX)
    monkeypatch.setattr(fit_module, "CHUNK_FRAMES", 30)
    reports: list[Progress] = []
    parts = fit_clip(clip.landmarks, np.ones(60, bool), model, SIZE_PX, on_progress=reports.append)
    assert np.abs(parts.t - whole.t).max() < 2e-3
    assert np.abs(parts.z_exp - whole.z_exp).max() < 2e-2
    assert [(report.done, report.total) for report in reports] == [(30, 60), (60, 60)]


def test_smoothness_stills_a_trembling_tracker(model: FaceModel) -> None:
    clip = make_clip(model, 60)
    still = np.repeat(clip.landmarks[:1], 60, axis=0)
    generator = np.random.default_rng(0)
    # The whole face trembles as one: no average over points can remove that, only time can.
    shaken = still + generator.normal(0, 0.3, (60, 1, 2)).astype(np.float32)

    def tremble(smoothness: float) -> float:
        fit = fit_clip(
            shaken, np.ones(60, bool), model, SIZE_PX, FitSettings(smoothness=smoothness)
        )
        return float(np.abs(np.diff(fit.t[:, :2], 2, axis=0)).mean())

    assert tremble(100.0) < 0.5 * tremble(0.0)


def test_no_face_at_all_is_an_error_a_user_understands(model: FaceModel) -> None:
    with pytest.raises(FaceNotFound, match="none of the 3 frames"):
        fit_clip(np.zeros((3, 468, 2)), np.zeros(3, bool), model, SIZE_PX)


def test_wrong_shapes_are_named(model: FaceModel) -> None:
    with pytest.raises(ValueError, match="landmarks: expected 468, 478, 98 or 68 points, got 5"):
        fit_clip(np.ones((3, 5, 2)), np.ones(3, bool), model, SIZE_PX)
    with pytest.raises(ValueError, match="valid: expected shape"):
        fit_clip(np.ones((3, 468, 2)), np.ones(4, bool), model, SIZE_PX)


def test_fitting_twice_gives_the_same(model: FaceModel) -> None:
    clip = make_clip(model, 12)
    first, second = (fit_clip(clip.landmarks, np.ones(12, bool), model, SIZE_PX) for _ in range(2))
    assert np.array_equal(first.z_exp, second.z_exp)
    assert np.array_equal(first.t, second.t)


@pytest.mark.shared
@pytest.mark.parametrize("clip", ["anchor_german_20s", "expressive_18"])
def test_a_real_speaker_is_explained_and_has_the_same_shape_in_either_half(
    model: FaceModel, shared: Path, clip: str
) -> None:
    """Some fifty frames of a calm and of a grimacing speaker, tracked here."""
    pytest.importorskip("cv2")
    pytest.importorskip("mediapipe")
    person = measure(
        shared / "clips" / f"{clip}.mp4", shared / "weights" / "face_landmarker.task", frames=50
    )
    assert person is not None
    points, half = person.image, len(person.image) // 2
    settings = FitSettings(smoothness=0.0)

    def fit(frames: slice) -> ClipFit:
        some = points[frames]
        return fit_clip(some, np.ones(len(some), bool), model, person.size_px, settings)

    eyes_px = np.linalg.norm(points[:, 33] - points[:, 263], axis=-1).mean()
    assert fit(slice(None)).error_px.mean() / eyes_px < 0.01
    still = torch.zeros(model.expression_width)
    shape, again = (
        model.vertices(torch.from_numpy(fit(part).z_id), still)
        for part in (slice(None, half), slice(half, None))
    )
    apart = (shape - again).norm(dim=-1).mean() / (shape[33] - shape[263]).norm()
    assert apart < 0.015


@pytest.mark.parametrize("points", [478, 468, 98, 68])
def test_a_model_with_other_vertices_and_deviations_fits_the_same_points(
    model: FaceModel, points: int
) -> None:
    paper = basel_like()
    generator = torch.Generator().manual_seed(4)
    frames = 30
    clip = make_clip(model, frames)
    z_id = 0.7 * torch.randn(80, generator=generator)
    slow = torch.randn(5, 64, generator=generator)
    phase = torch.arange(frames)[:, None] / 9 + torch.arange(5)
    z_exp = 0.5 * torch.sin(phase) @ slow
    vertices = transform(clip.R, clip.t, paper.vertices(z_id, z_exp))
    pixels = project(vertices, intrinsics(clip.focal_px, SIZE_PX))[:, ::3]
    if points == 478:
        pixels = torch.cat([pixels, torch.full((frames, 10, 2), 9999.0)], 1)
    elif points < 468:
        pixels = pixels[:, list(LANDMARKS_68)]
    if points == 98:
        pixels = as_98(pixels)
    fit = fit_clip(pixels.numpy(), np.ones(frames, bool), paper, SIZE_PX)
    assert fit.z_id.shape == (80,)
    assert fit.z_exp.shape == (frames, 64)
    assert fit.z_exp.min() < -0.3  # Deviations have either sign.
    assert fit.error_px.mean() < 0.7
    assert _turn_error_deg(fit, clip).mean() < 3.0
    made = paper.vertices(torch.from_numpy(fit.z_id), torch.from_numpy(fit.z_exp))
    assert (made[:, ::3] - paper.vertices(z_id, z_exp)[:, ::3]).norm(dim=-1).mean() < 0.05


def test_a_model_without_the_map_of_the_mesh_is_fitted_by_its_classic_points() -> None:
    paper = basel_like(mapped=False)
    clip = make_clip(read_face_model(MODEL), 5)
    fit = fit_clip(clip.landmarks, np.ones(5, bool), paper, SIZE_PX)
    few = fit_clip(clip.landmarks[:, list(LANDMARKS_68)], np.ones(5, bool), paper, SIZE_PX)
    assert np.array_equal(fit.z_exp, few.z_exp)


def as_98(points: torch.Tensor) -> torch.Tensor:
    """98 WFLW points whose 68 iBUG points are these."""
    wide = torch.zeros(*points.shape[:-2], 98, 2)
    for row in range(98):
        probe = np.zeros((98, 2), np.float32)
        probe[row] = 1.0
        shares = landmarks_68_from_98(probe)[:, 0]
        if shares.any():
            wide[..., row, :] = points[..., int(shares.argmax()), :]
    return wide


def test_a_face_that_jumps_is_followed_at_once(model: FaceModel) -> None:
    """Every frame is shown twice and moved twice as far, and once the picture is cut."""
    clip = make_clip(model, 40)
    jumps = 20 * np.sin(np.arange(40) // 2 * 2.0) + 60 * (np.arange(40) > 25)
    moved = clip.landmarks + jumps[:, None, None]
    still = fit_clip(clip.landmarks, np.ones(40, bool), model, SIZE_PX)
    fit = fit_clip(moved.astype(np.float32), np.ones(40, bool), model, SIZE_PX)
    assert fit.error_px.max() < 3 * still.error_px.max()
    jaw = model.axis("jawOpen")
    assert np.corrcoef(fit.z_exp[:, jaw], clip.z_exp[:, jaw])[0, 1] > 0.95


def test_a_crop_beside_the_cameras_axis_does_not_turn_the_head(model: FaceModel) -> None:
    clip = make_clip(model, 30)
    beside = np.array([60, -40], np.float32)
    straight = fit_clip(clip.landmarks, np.ones(30, bool), model, SIZE_PX)
    principal_px = (SIZE_PX / 2 + 60.0, SIZE_PX / 2 - 40.0)
    moved = fit_clip(
        clip.landmarks + beside, np.ones(30, bool), model, SIZE_PX, principal_px=principal_px
    )
    np.testing.assert_allclose(moved.R, straight.R, atol=1e-3)
    np.testing.assert_allclose(moved.t, straight.t, rtol=2e-3, atol=5e-3)
    np.testing.assert_allclose(moved.K[:2, 2], principal_px, atol=1e-3)
