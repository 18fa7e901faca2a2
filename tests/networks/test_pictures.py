"""Pixels: every byte survives the way to the network and back, what is hidden is -1."""

from __future__ import annotations

import torch

from pirctl.networks.pictures import hide, to_bytes, to_levels, to_network


def test_every_byte_survives_the_way_to_the_network_and_back() -> None:
    frames = torch.arange(256, dtype=torch.uint8).repeat(3).view(2, 8, 16, 3)
    images = to_network(frames)
    assert images.shape == (2, 3, 8, 16)
    assert (float(images.min()), float(images.max())) == (-1, 1)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(to_bytes(images), frames)
    assert torch.equal(to_bytes(images[0]), frames[0])


def test_values_beyond_the_range_are_clipped_and_the_rest_is_rounded_last() -> None:
    image = torch.tensor([-3.0, 0.005, 3.0]).view(3, 1, 1)
    assert torch.allclose(to_levels(image).flatten(), torch.tensor([0, 128.1375, 255]))
    assert to_bytes(image).flatten().tolist() == [0, 128, 255]
    assert image[0] == -3  # What was given is not changed.


def test_inside_the_mask_the_image_is_minus_one() -> None:
    mask = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    hidden = hide(torch.full((1, 3, 1, 3), 0.5), mask)
    assert hidden[0, 0, 0].tolist() == [0.5, -0.25, -1]
