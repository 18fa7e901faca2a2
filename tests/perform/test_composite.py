"""Compositing keeps what is outside the mask, byte for byte."""

from __future__ import annotations

import numpy as np
import torch

from pirctl.media import Crop
from pirctl.networks.pictures import to_network
from pirctl.perform.composite import composite, paste_into_shot


def _frames(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)


def test_a_frame_survives_the_way_to_the_network_and_back() -> None:
    frames = _frames(2, 16)
    assert torch.equal(composite(frames, to_network(frames), torch.ones(2, 16, 16)), frames)


def test_pixels_outside_the_mask_are_the_frame_s() -> None:
    frames = _frames(2, 16)
    mask = torch.zeros(2, 16, 16)
    mask[:, 4:8, 5:9] = torch.linspace(0.01, 1, 4)
    prediction = torch.full((2, 3, 16, 16), float("nan"))
    prediction[:, :, 4:8, 5:9] = 0.5
    result = composite(frames, prediction, mask)
    outside = mask == 0
    assert torch.equal(result[outside], frames[outside])
    assert (result[:, 4:8, 8] == round(1.5 * 127.5)).all()


def test_a_prediction_beyond_the_range_is_clipped() -> None:
    frames = _frames(1, 4)
    prediction = torch.full((1, 3, 4, 4), 3.0)
    assert (composite(frames, prediction, torch.ones(1, 4, 4)) == 255).all()


def test_pasting_into_the_shot_changes_only_the_masked_part() -> None:
    rng = np.random.default_rng(0)
    shot = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    crop = np.full((32, 32, 3), 200, np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[16:24, 8:24] = 1
    result = paste_into_shot(shot, crop, mask, Crop(x=10, y=5, side=48))
    changed = (result != shot).any(axis=-1)
    rows, columns = np.nonzero(changed)
    # The mask scaled by 1.5, with one pixel for the interpolation.
    assert rows.min() >= 5 + 24 - 1
    assert rows.max() <= 5 + 36 + 1
    assert columns.min() >= 10 + 12 - 1
    assert columns.max() <= 10 + 36 + 1
    assert (result[5 + 26 : 5 + 34, 10 + 14 : 10 + 34] == 200).all()


def test_a_crop_that_reaches_outside_the_shot_is_cut() -> None:
    shot = np.zeros((20, 20, 3), np.uint8)
    crop = np.full((16, 16, 3), 90, np.uint8)
    result = paste_into_shot(shot, crop, np.ones((16, 16), np.float32), Crop(x=-8, y=10, side=16))
    assert (result[10:, :8] == 90).all()
    assert (result[:10] == 0).all()
    assert (result[:, 8:] == 0).all()
