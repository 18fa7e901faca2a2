"""What the networks standardise expression coefficients with."""

from __future__ import annotations

from torch import Tensor

_SMALLEST_DEVIATION = 1e-3
"""An axis that the person never moves is not blown up."""


def coefficient_statistics(z_exp: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every expression axis.

    Args:
        z_exp: (N, E) of the frames with a usable face.

    Returns:
        Mean and deviation, (E,) each; the deviation is never 0.
    """
    deviation = z_exp.std(dim=0, correction=0)
    return z_exp.mean(dim=0), deviation.clamp(min=_SMALLEST_DEVIATION)
