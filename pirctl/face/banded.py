"""Frames tied in time: what a change of speed costs, and the banded equations that follow.

Owns the linear algebra only; what the unknowns of a frame mean is in `solve`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor


def acceleration(tied: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Diagonals 0, 1 and 2 of D^T D, D the second differences over the tied triples.

    Args:
        tied: (T - 2,) bool; True where frames i to i + 2 follow without a gap.

    Returns:
        (T,), (T - 1,) and (T - 2,), float64.
    """
    frames = len(tied) + 2
    on = tied.double()
    main, first, second = (torch.zeros(frames - k, dtype=torch.float64) for k in range(3))
    for shift, weight in ((0, 1.0), (1, 4.0), (2, 1.0)):
        main[shift : shift + len(on)] += weight * on
    for shift in (0, 1):
        first[shift : shift + len(on)] -= 2 * on
    second += on
    return main, first, second


def times(bands: Sequence[Tensor], track: Tensor) -> Tensor:
    """The symmetric matrix with these diagonals times `track`, (T, N)."""
    product = bands[0][: len(track), None] * track
    for shift, band in enumerate(bands[1:], start=1):
        if shift >= len(track):
            break
        product[:-shift] += band[:, None] * track[shift:]
        product[shift:] += band[:, None] * track[:-shift]
    return product


def solve_banded(
    blocks: Tensor, bands: Sequence[Tensor], stiffness: Tensor, right: Tensor
) -> Tensor:
    """Solve (blockdiag(blocks) + bands x diag(stiffness)) x = right.

    Frame-major, the matrix is banded with a half width of two frames: a banded Cholesky is exact
    and linear in time.

    Args:
        blocks: (T, N, N) symmetric positive definite.
        bands: diagonals (T,), (T - 1,), (T - 2,) of the coupling in time.
        stiffness: (N,).
        right: (T, N).

    Returns:
        (T, N).
    """
    frames, width = right.shape
    lower = np.zeros((2 * width + 1, frames, width))
    for offset in range(width):
        lower[offset, :, : width - offset] = blocks.diagonal(-offset, 1, 2).numpy()
    for distance, band in enumerate(bands[:frames]):
        lower[distance * width, : frames - distance] += (
            band[: frames - distance, None] * stiffness
        ).numpy()
    solution = solveh_banded(
        lower.reshape(2 * width + 1, -1), right.reshape(-1).numpy(), lower=True,
        overwrite_ab=True, check_finite=False,
    )  # fmt: skip
    return torch.from_numpy(solution).reshape(frames, width)
