from __future__ import annotations

import math

import pytest
import torch

from pirctl.networks.blend import Decisions, References
from pirctl.training.losses import (
    Adversarial,
    feature_matching,
    mouth_weight,
    needless_pixels,
    photometric,
)


def test_the_photometric_error_counts_only_where_there_is_weight() -> None:
    prediction, truth = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    weight = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert photometric(prediction, truth) == 1
    assert photometric(prediction, truth, weight) == 0.25


def test_the_mouth_counts_as_often_as_asked() -> None:
    mouth = torch.tensor([[[[0.0, 1.0]]]])
    assert mouth_weight(mouth, 4.0).flatten().tolist() == [1.0, 4.0]


def test_new_pixels_are_needless_where_a_reference_that_is_shown_knows_better() -> None:
    # In a row: nothing is new; new; new beyond the mask; new between the lips, which is needless
    # as well where a reference knows them; new, and unknown.
    new = torch.tensor([0.0, 1, 1, 1, 1])
    trust = torch.stack([1 - new, torch.zeros(5), new]).clamp(1e-9).log()[None, :, None]
    decisions = Decisions(trust=trust, flow=trust, light=trust, new=trust)
    confidence = torch.ones(1, 2, 1, 5)
    confidence[:, 0, :, 4] = 0
    references = References(
        pictures=trust,
        source=trust,
        confidence=confidence,
        weight=torch.tensor([[1.0, 0.0]]),  # The other is not shown, whatever it knows.
        mouth=torch.tensor([0.0, 0, 0, 1, 0])[None, None],
    )
    mask = torch.tensor([1.0, 1, 0, 1, 1])[None, None, None]
    assert float(needless_pixels(decisions, references, mask)) == pytest.approx(2 / 4)
    assert float(needless_pixels(decisions, references, 0 * mask)) == 0


def test_feature_matching_leaves_out_logits_and_sums_means_of_layers() -> None:
    fake = [[torch.zeros(2, 3), torch.zeros(5), torch.zeros(1)]]
    real = [[torch.ones(2, 3), torch.full((5,), 2.0), torch.full((1,), 9.0)]]
    assert feature_matching(fake, real) == 3


def test_feature_matching_teaches_the_fake_only() -> None:
    fake, real = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    feature_matching([[fake, fake]], [[real, real]]).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_the_adversarial_loss_is_the_log_loss_of_raw_logits_summed_over_scales() -> None:
    loss = Adversarial()
    scales = [[torch.zeros(1), torch.tensor([2.0])], [torch.tensor([-1.0])]]
    expected = math.log1p(math.exp(-2)) + math.log1p(math.exp(1))
    assert float(loss(scales, real=True)) == pytest.approx(expected, rel=1e-5)
    expected = math.log1p(math.exp(2)) + math.log1p(math.exp(-1))
    assert float(loss(scales, real=False)) == pytest.approx(expected, rel=1e-5)
