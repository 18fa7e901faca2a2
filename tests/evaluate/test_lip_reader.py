"""The mouth reader, on drawn faces whose true lips are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pirctl.evaluate import lip_reader as reader
from pirctl.face.landmarks import mouth_opening
from pirctl.face.model import FaceModel, load_face_model
from pirctl.target import Track
from tests.prepare.drawn import SIZE, draw, make_track

FRAMES = 140


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model("generic")


@pytest.fixture(scope="module")
def track(model: FaceModel) -> Track:
    return make_track(model, FRAMES)


@pytest.fixture(scope="module")
def frames(track: Track) -> list[np.ndarray]:
    return [draw(landmarks) for landmarks in track.landmarks]


@pytest.fixture(scope="module")
def fitted(frames: list[np.ndarray], track: Track, model: FaceModel) -> reader.MouthReader:
    return reader.fit_reader(enumerate(frames[:100]), track, model)


def _read(
    fitted: reader.MouthReader, frames: list[np.ndarray], track: Track, model: FaceModel
) -> np.ndarray:
    transforms = reader.patch_transforms(track, model)[100:]
    pairs = zip(frames[100:], transforms, strict=True)
    patches = np.stack([reader.cut_patch(frame, matrix) for frame, matrix in pairs])
    return fitted.read(patches, transforms)


def test_the_patch_follows_the_head_and_holds_the_mouth(track: Track, model: FaceModel) -> None:
    transforms = reader.patch_transforms(track, model)
    lips = reader.to_patch(reader.lips_of(track.landmarks), transforms)
    assert np.abs(lips).max() < 0.5
    # Upright in the patch however the head is tilted: the upper lip is above the lower one.
    upper, lower = reader.INNER_CENTRES
    is_open = mouth_opening(track.landmarks) > 0.03
    assert is_open.sum() > 5
    assert (lips[is_open, upper, 1] < lips[is_open, lower, 1]).all()
    assert np.ptp(lips[:, upper, 0]) < 0.05


def test_patch_coordinates_go_there_and_back(track: Track, model: FaceModel) -> None:
    transforms = reader.patch_transforms(track, model)
    lips = reader.lips_of(track.landmarks)
    back = reader.to_crop(reader.to_patch(lips, transforms), transforms)
    np.testing.assert_allclose(back, lips, atol=1e-3)


def test_cutting_a_patch_puts_each_point_where_it_says(track: Track, model: FaceModel) -> None:
    transform_ = reader.patch_transforms(track, model)[0]
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    x, y = transform_[:, 2] + transform_[:, :2] @ np.float32([0.2, -0.1])
    # A soft blob centred there, on pixel centres at +0.5.
    grid = np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), -1)
    blob = np.exp(-((grid - [x, y]) ** 2).sum(-1) / 8)
    frame[:] = np.rint(255 * blob)[..., None]
    patch = reader.cut_patch(frame, transform_)[..., 0].astype(float)
    centres = (np.arange(reader.PATCH_PX) + 0.5) / reader.PATCH_PX - 0.5
    assert (patch.sum(0) @ centres) / patch.sum() == pytest.approx(0.2, abs=0.005)
    assert (patch.sum(1) @ centres) / patch.sum() == pytest.approx(-0.1, abs=0.005)


def test_the_opening_of_unseen_true_frames_is_read(
    fitted: reader.MouthReader, frames: list[np.ndarray], track: Track, model: FaceModel
) -> None:
    lips = _read(fitted, frames, track, model)
    truth = reader.lips_of(track.landmarks)[100:]
    assert reader.correlation(reader.opening(lips), reader.opening(truth)) > 0.97
    assert np.linalg.norm(lips - truth, axis=-1).mean() < 0.6


@pytest.mark.parametrize("blur_px", [1.0, 1.6])
def test_a_soft_and_darker_rendering_reads_the_same(
    blur_px: float,
    fitted: reader.MouthReader,
    frames: list[np.ndarray],
    track: Track,
    model: FaceModel,
) -> None:
    soft = [(cv2.GaussianBlur(frame, (0, 0), blur_px) * 0.9).astype(np.uint8) for frame in frames]
    lips = _read(fitted, soft, track, model)
    truth = reader.lips_of(track.landmarks)[100:]
    assert reader.correlation(reader.opening(lips), reader.opening(truth)) > 0.95


def test_two_fits_read_the_same(
    fitted: reader.MouthReader, frames: list[np.ndarray], track: Track, model: FaceModel
) -> None:
    again = reader.fit_reader(enumerate(frames[:100]), track, model)
    first, second = (_read(each, frames, track, model) for each in (fitted, again))
    np.testing.assert_array_equal(first, second)


def test_correlation_of_a_curve_that_stands_still_is_zero() -> None:
    assert reader.correlation([1, 1, 1], [1, 2, 3]) == 0.0
    assert reader.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
