from __future__ import annotations

import torch

from pirctl.face.banded import acceleration, solve_banded, times


def test_the_banded_solver_matches_a_dense_one() -> None:
    generator = torch.Generator().manual_seed(0)
    frames, width = 7, 4
    root = torch.randn(frames, width, width, generator=generator, dtype=torch.float64)
    blocks = root @ root.transpose(1, 2) + torch.eye(width, dtype=torch.float64)
    stiffness = torch.rand(width, generator=generator, dtype=torch.float64)
    right = torch.randn(frames, width, generator=generator, dtype=torch.float64)
    tied = torch.tensor([True, True, False, True, True])
    D = torch.zeros(5, frames, dtype=torch.float64)
    for i in range(5):
        D[i, i : i + 3] = torch.tensor([1.0, -2, 1]) * tied[i]
    dense = torch.block_diag(*blocks) + torch.kron(D.T @ D, torch.diag(stiffness))
    expected = torch.linalg.solve(dense, right.reshape(-1)).reshape(frames, width)
    found = solve_banded(blocks, acceleration(tied), stiffness, right)
    assert torch.allclose(found, expected, atol=1e-9)


def test_the_bands_are_those_of_the_squared_second_differences() -> None:
    tied = torch.tensor([True, True, False, True])
    D = torch.zeros(4, 6, dtype=torch.float64)
    for i in range(4):
        D[i, i : i + 3] = torch.tensor([1.0, -2, 1]) * tied[i]
    track = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(times(acceleration(tied), track), D.T @ D @ track, atol=1e-12)
