"""The renderer with references: what is decided is what is shown, and it is learnt."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pirctl.networks.blend import Blender, Decisions, References, assemble, look, sample
from pirctl.networks.inference import prepare_inference
from pirctl.networks.pictures import hide
from pirctl.settings import RendererSettings
from tests.networks.tiny import SIZE_PX, make_pictures, psnr

SETTINGS = RendererSettings(
    references=2, coarse_channels=8, coarse_blocks=1, feature_size=SIZE_PX // 8
)
SURE = 40.0


def _centres(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1)


def _references(pictures: Tensor, source: Tensor | None = None) -> References:
    """References (B, K, 3, H, W) that lie where they are wanted, or at `source`."""
    batch, count, _, height, width = pictures.shape
    if source is None:
        source = _centres(height, width).expand(batch, count, -1, -1, -1)
    size = source.shape[2:4]
    weight = torch.zeros(batch, count)
    weight[:, 0] = 1
    return References(
        pictures=pictures,
        source=source,
        confidence=torch.ones(batch, count, *size),
        weight=weight,
        mouth=torch.zeros(batch, *size),
    )


def _decisions(references: References, trusted: int) -> Decisions:
    """All trust in one; neither shift nor light."""
    batch, count = references.weight.shape
    size = references.source.shape[2:4]
    trust = torch.full((batch, count + 1, *size), -SURE)
    trust[:, trusted] = SURE
    coarse = [side // 4 for side in size]
    return Decisions(
        trust=trust,
        flow=torch.zeros(batch, count, 2, *coarse),
        light=torch.zeros(batch, count, 3, *coarse),
        new=torch.full((batch, 3, *size), 0.25),
    )


def _pictures(height: int = 24, width: int = 32) -> Tensor:
    return torch.rand(2, 2, 3, height, width) * 2 - 1


def test_looking_agrees_with_a_loop_over_the_four_pixels_around() -> None:
    pictures = _pictures(9, 13)
    source = torch.rand(2, 2, 6, 5, 2) * torch.tensor([15.0, 11.0]) - 1
    seen = look(_references(pictures, source), "bilinear")
    for b, k, row, column in np.ndindex(2, 2, 6, 5):
        x, y = (float(at) - 0.5 for at in source[b, k, row, column])
        expected = torch.zeros(3)
        for i, j in np.ndindex(2, 2):
            across, down = int(np.floor(x)) + i, int(np.floor(y)) + j
            share = (1 - abs(x - across)) * (1 - abs(y - down))
            # Beyond the edge the edge goes on.
            pixel = pictures[b, k, :, min(max(down, 0), 8), min(max(across, 0), 12)]
            expected += share * pixel
        torch.testing.assert_close(seen[b, k, :, row, column], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("trusted", [0, 1])
def test_with_all_trust_in_one_reference_the_picture_is_what_it_shows(trusted: int) -> None:
    pictures = _pictures()
    source = _centres(16, 16) + torch.rand(2, 2, 16, 16, 2) * 3
    references = _references(pictures, source)
    image = assemble(_decisions(references, trusted), references)
    expected = look(references, "bilinear")[:, trusted]
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


def test_a_shift_is_in_pixels_of_the_picture_and_light_is_added() -> None:
    pictures = _pictures()
    references = _references(pictures)
    decisions = _decisions(references, 0)
    decisions.flow[:, :, 0] = 3
    decisions.flow[:, :, 1] = -2
    decisions.light[:, :, 1] = 0.3
    image = assemble(decisions, references)
    expected = pictures[:, 0, :, :-2, 3:].clone()
    expected[:, 1] += 0.3
    torch.testing.assert_close(image[:, :, 2:, :-3], expected, atol=1e-4, rtol=0)


def test_what_was_decided_holds_on_references_that_are_finer() -> None:
    pictures = _pictures()
    large = pictures.repeat_interleave(2, -1).repeat_interleave(2, -2)
    references = _references(large)
    decisions = _decisions(references, 1)
    decisions.flow[:, :, 0] = 3
    image = assemble(decisions, references, finer=2)
    torch.testing.assert_close(image[..., :-6], large[:, 1, :, :, 6:], atol=1e-4, rtol=0)


def test_new_pixels_are_shown_only_where_they_are_trusted() -> None:
    references = _references(_pictures())
    decisions = _decisions(references, 0)
    decisions.trust[:, 0, 4:9, 5:11] = -SURE
    decisions.trust[:, 2, 4:9, 5:11] = SURE
    image = assemble(decisions, references)
    painted = torch.zeros(24, 32, dtype=torch.bool)
    painted[4:9, 5:11] = True
    torch.testing.assert_close(image[..., painted], torch.full((2, 3, 30), 0.25))
    kept = references.pictures[:, 0][..., ~painted]
    torch.testing.assert_close(image[..., ~painted], kept, atol=1e-5, rtol=0)


def test_gradients_reach_everything_that_is_decided() -> None:
    references = _references(_pictures())
    decisions = _decisions(references, 0)
    decisions = replace(decisions, trust=decisions.trust * 0)
    parts = {name: value.requires_grad_() for name, value in vars(decisions).items()}
    assemble(Decisions(**parts), references).square().sum().backward()
    for name, value in parts.items():
        assert value.grad is not None, name
        assert torch.isfinite(value.grad).all(), name
        assert (value.grad != 0).float().mean() > 0.9, name


def test_values_are_looked_up_where_they_lie() -> None:
    values = torch.rand(2, 3, 4, 8, 8)
    places = 2 * _centres(8, 8) / 8 - 1
    at_home = sample(values, places.expand(2, -1, -1, -1))
    torch.testing.assert_close(at_home, values, atol=1e-5, rtol=0)
    one = sample(values, places[2:3, 5:6].expand(2, -1, -1, -1))
    torch.testing.assert_close(one[..., 0, 0], values[..., 2, 5], atol=1e-5, rtol=0)


Inputs = tuple[Tensor, Tensor, Tensor, References]


def _lesson() -> tuple[Inputs, Tensor]:
    """Two pictures behind a mask; one reference is another shape and darker, one is moved."""
    truth = make_pictures(4)[1:3]
    mask = torch.zeros(2, 1, SIZE_PX, SIZE_PX)
    mask[:, :, 28:60, 8:56] = 1
    other = truth.flip(0) - 0.3
    moved = truth.roll((2, -2), (2, 3)) - 0.15
    references = _references(torch.stack([moved, other], dim=1))
    feature = torch.nn.functional.avg_pool2d(truth, 8).repeat(1, 2, 1, 1)[:, :4]
    return (hide(truth, mask), mask, feature, references), truth


@pytest.fixture(scope="module")
def learnt() -> tuple[Blender, list[float]]:
    """A blender after a few dozen steps on one batch, and its losses."""
    torch.manual_seed(0)
    inputs, truth = _lesson()
    blender = Blender(SETTINGS, 4, SIZE_PX)
    optimiser = torch.optim.Adam(blender.parameters(), 4e-3)
    losses = []
    for _ in range(60):
        image = assemble(blender(*inputs), inputs[3])
        loss = ((image - truth) * inputs[1]).square().sum() / inputs[1].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return blender, losses


def test_one_batch_is_learnt_by_heart(learnt: tuple[Blender, list[float]]) -> None:
    _, losses = learnt
    assert losses[-1] < 0.1 * losses[0]


def test_every_weight_learns(learnt: tuple[Blender, list[float]]) -> None:
    blender, _ = learnt
    for name, weight in blender.named_parameters():
        assert weight.grad is not None, name
        assert (weight.grad != 0).any(), name


@pytest.mark.parametrize(("precision", "decibels"), [("float32", 80), ("bfloat16", 38)])
@torch.no_grad()
def test_ready_for_use_it_paints_the_same(
    learnt: tuple[Blender, list[float]], precision: str, decibels: float
) -> None:
    blender, _ = learnt
    inputs, _ = _lesson()
    expected = assemble(blender(*inputs), inputs[3])
    ready = prepare_inference(deepcopy(blender), torch.device("cpu"), precision)  # type: ignore[arg-type]
    decisions = ready(*inputs)
    assert {value.dtype for value in vars(decisions).values()} == {torch.float32}
    assert psnr(assemble(decisions, inputs[3]), expected) > decibels


@torch.no_grad()
def test_a_reference_that_is_not_shown_has_no_say() -> None:
    inputs, _ = _lesson()
    blender = Blender(SETTINGS, 4, SIZE_PX)
    trust = blender(*inputs).trust.softmax(1)
    assert float(trust[:, 1].max()) < 0.01
    assert float(trust[:, 0].min()) > 0.5


@torch.no_grad()
def test_any_part_of_the_picture_can_be_decided_alone() -> None:
    blender = Blender(SETTINGS, 4, SIZE_PX)
    (masked, mask, feature, references), _ = _lesson()
    part = References(
        pictures=references.pictures,
        source=references.source[:, :, 16:48, 16:48],
        confidence=references.confidence[:, :, 16:48, 16:48],
        weight=references.weight,
        mouth=references.mouth[:, 16:48, 16:48],
    )
    square = (..., slice(16, 48), slice(16, 48))
    decisions = blender(masked[square], mask[square], feature[..., 2:6, 2:6], part)
    assert assemble(decisions, part).shape == (2, 3, 32, 32)
