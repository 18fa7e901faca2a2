from __future__ import annotations

import numpy as np
import torch

from pirctl.training.statistics import coefficient_statistics


def test_the_statistics_are_those_of_every_axis() -> None:
    z_exp = np.random.default_rng(0).normal(0.3, 0.2, (50, 4)).astype(np.float32)
    mean, deviation = coefficient_statistics(torch.from_numpy(z_exp))
    np.testing.assert_allclose(mean, z_exp.mean(0), atol=1e-6)
    np.testing.assert_allclose(deviation, z_exp.std(0), atol=1e-6)


def test_an_axis_that_never_moves_does_not_divide_by_zero() -> None:
    _, deviation = coefficient_statistics(torch.full((9, 3), 0.25))
    assert (deviation > 0).all()
