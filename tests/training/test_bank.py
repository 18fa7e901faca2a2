"""The bank is filled: which frames, and at which resolution."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pirctl.face.model import load_face_model
from pirctl.files import file_hash
from pirctl.media import Crop, VideoWriter, read_frames
from pirctl.perform.bank import Bank
from pirctl.perform.windows import Windows
from pirctl.progress import Progress
from pirctl.target import TargetAbout, Track
from pirctl.training.bank import fill_bank
from pirctl.training.footage import Footage
from tests.perform.speaking import speaking_track
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings

SIZE, FRAMES, CELL, BLURRED = 64, 24, 4, (7, 8)
BOX = Crop(x=11, y=5, side=112)
SCALE = 112 / SIZE


def _shot(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    shot = cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (160, 120))
    return cv2.GaussianBlur(shot, (0, 0), 4) if number in BLURRED else shot


@pytest.fixture
def about(tmp_path: Path) -> TargetAbout:
    """Of a target whose crop is smaller than what it shows of the source."""
    source = tmp_path / "source.mkv"
    with VideoWriter(source, 160, 120, Fraction(25), quality="archive") as writer:
        for number in range(FRAMES):
            writer.write(_shot(number))
    target = make_target(tmp_path / "bob", disc(1))
    return replace(
        target.about,
        source=str(source),
        source_sha256=file_hash(source),
        crop_x=float(BOX.x),
        crop_y=float(BOX.y),
        crop_side=float(BOX.side),
    )


def _fill(about: TargetAbout, frames: int = 6, seen: list[Progress] | None = None) -> Bank:
    model = load_face_model()
    track: Track = speaking_track(model, FRAMES, SIZE)
    pictures = [
        cv2.resize(one, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        for one in read_frames(Path(about.source), crop=BOX)
    ]
    z_id, z_exp, R, t, K = (
        torch.from_numpy(part) for part in (track.z_id, track.z_exp, track.R, track.t, track.K)
    )
    footage = Footage(
        device=torch.device("cpu"),
        usable=torch.tensor([n for n in range(FRAMES) if n != 3]),
        z_id=z_id,
        z_exp=z_exp,
        R=R,
        t=t,
        K=K,
        frames=torch.from_numpy(np.stack(pictures)),
    )
    boxes = torch.tensor([[20, 40, 36, 56]]).repeat(FRAMES, 1)
    boxes[:, ::2] += torch.arange(FRAMES)[:, None] % 5
    settings = tiny_settings()
    settings = replace(settings, renderer=replace(settings.renderer, bank_frames=frames))
    report = (lambda _: None) if seen is None else seen.append
    windows = Windows(boxes, SIZE, CELL)
    return fill_bank(footage, windows, track, model, about, settings, report)


def test_pictures_are_the_source_s_own_pixels_where_they_are_finer(about: TargetAbout) -> None:
    seen: list[Progress] = []
    bank = _fill(about, seen=seen)
    assert bank.scale == SCALE
    assert len(bank) == 6
    shots = list(read_frames(Path(about.source)))
    side = bank.pictures.shape[1]
    assert side < BOX.side
    for number, corner, picture in zip(bank.numbers, bank.corners, bank.pictures, strict=True):
        # Corners are in pixels of the crop, and of the source they are whole ones.
        place = corner * SCALE
        np.testing.assert_allclose(place, np.round(place), atol=1e-4)
        x, y = np.round(place + np.float32([BOX.x, BOX.y])).astype(int)
        np.testing.assert_array_equal(picture, shots[number][y : y + side, x : x + side])
    assert [report.done for report in seen] == list(range(1, int(bank.numbers[-1]) + 2))


def test_the_mask_and_what_is_around_it_is_in_every_picture(about: TargetAbout) -> None:
    bank = _fill(about)
    side = bank.pictures.shape[1] / SCALE
    for number, (x, y) in zip(bank.numbers.tolist(), bank.corners, strict=True):
        left = 20 + number % 5
        assert x < left
        assert y < 40
        assert x + side > left + 16
        assert y + side > 56


def test_blurred_frames_and_those_without_a_face_are_not_in_it(about: TargetAbout) -> None:
    bank = _fill(about, frames=FRAMES // 2)
    assert not {3, *BLURRED} & set(bank.numbers.tolist())


def test_without_the_source_the_crop_s_pixels_are_taken_and_that_is_said(
    about: TargetAbout, caplog: pytest.LogCaptureFixture
) -> None:
    finer = _fill(about)
    changed = replace(about, source_sha256="0" * 64)
    bank = _fill(changed)
    assert bank.scale == 1
    assert "the resolution of the crop" in caplog.text
    np.testing.assert_array_equal(bank.numbers, finer.numbers)
    np.testing.assert_allclose(bank.corners, finer.corners, atol=1)
    assert bank.pictures.shape[1] < finer.pictures.shape[1]


def test_a_source_that_is_not_finer_than_the_crop_is_not_read(about: TargetAbout) -> None:
    seen: list[Progress] = []
    bank = _fill(replace(about, crop_side=float(SIZE)), seen=seen)
    assert bank.scale == 1
    assert not seen
