"""Compositing keeps what is outside the mask, byte for byte."""

from __future__ import annotations

import numpy as np
import torch

from pirctl.media import Crop
from pirctl.networks.pictures import to_network
from pirctl.perform.composite import Patch, composite, paste_into_shot


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


def _pasted(patch: Patch, box: Crop) -> np.ndarray:
    """A crop of 90 with a patch, on a black shot of 40 x 60; everything is repainted."""
    crop = np.full((16, 16, 3), 90, np.uint8)
    shot = np.zeros((40, 60, 3), np.uint8)
    return paste_into_shot(shot, crop, np.ones((16, 16), np.float32), box, patch)


def test_a_patch_is_shown_pixel_by_pixel_where_it_lies() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    result = _pasted(Patch(picture=picture, x=4, y=7), Crop(x=20, y=5, side=32))
    np.testing.assert_array_equal(result[12:22, 24:34], picture)
    result[12:22, 24:34] = 90
    assert (result[5:37, 20:52] == 90).all()
    assert (result[:5] == 0).all()
    assert (result[37:] == 0).all()
    assert (result[:, :20] == 0).all()


def test_a_patch_that_reaches_beyond_the_crop_and_the_shot_is_cut() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    # The crop reaches beyond the shot to the right and below; the patch beyond the crop too.
    result = _pasted(Patch(picture=picture, x=18, y=20), Crop(x=30, y=15, side=32))
    np.testing.assert_array_equal(result[35:40, 48:60], picture[:5, :12])
    # And to the left and above.
    result = _pasted(Patch(picture=picture, x=4, y=2), Crop(x=-9, y=-6, side=32))
    np.testing.assert_array_equal(result[:16, :15], picture[4:, 5:])
    assert (result[16:26, :15] == 90).all()


def test_a_patch_is_blended_by_the_mask() -> None:
    shot = np.full((16, 16, 3), 100, np.uint8)
    mask = np.zeros((16, 16), np.float32)
    mask[4:12, 4:8], mask[4:12, 8:12] = 1, 0.5
    patch = Patch(picture=np.full((16, 16, 3), 200, np.uint8), x=0, y=0)
    result = paste_into_shot(shot, shot, mask, Crop(x=0, y=0, side=16), patch)
    assert (result[4:12, 4:8] == 200).all()
    assert (result[4:12, 8:12] == 150).all()
    assert (result[mask == 0] == 100).all()
