"""The least squares of the fit, on points that a small model makes itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pirctl.face import solve
from pirctl.face.camera import FLIP, rotation_from_vector
from pirctl.settings import FitSettings

POINTS, IDENTITY, EXPRESSION, SIZE_PX = 40, 3, 2, 256.0


@pytest.fixture
def problem() -> solve.Problem:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(POINTS, 3, generator=generator) * torch.tensor([0.7, 0.9, 0.4])
    nowhere = torch.zeros(POINTS, dtype=torch.bool)
    return solve.Problem(
        mean=mean,
        identity=0.1 * torch.randn(POINTS, 3, IDENTITY, generator=generator),
        expression=0.2 * torch.randn(POINTS, 3, EXPRESSION, generator=generator),
        weights=torch.full((POINTS,), solve.EFFECTIVE_POINTS / POINTS),
        outline_left=nowhere,
        outline_right=nowhere,
        scale=solve.FULL_STRENGTH,
        size_px=SIZE_PX,
        noise_px=0.5,
        settings=FitSettings(),
    )


def truth(frames: int) -> solve.State:
    time = torch.arange(frames) * 0.3
    turn = torch.stack([0.1 * time.sin(), 0.2 * time.cos(), 0.05 * time.sin()], dim=1)
    moved = torch.stack([0.1 * time.sin(), 0.1 * time.cos(), 8 + 0 * time], dim=1)
    return solve.State(
        z_id=torch.tensor([0.4, -0.3, 0.2]),
        log_focal=torch.tensor(solve.FOCAL_RATIO * SIZE_PX).log(),
        R=rotation_from_vector(turn) @ FLIP,
        t=moved,
        z_exp=torch.stack([0.4 + 0.3 * time.sin(), 0.3 + 0.2 * time.cos()], dim=1),
    )


def pixels(state: solve.State, problem: solve.Problem) -> torch.Tensor:
    return solve.project_state(state, problem)[1]


def error_px(state: solve.State, points: torch.Tensor, problem: solve.Problem) -> float:
    return float((pixels(state, problem) - points).norm(dim=-1).mean())


@pytest.mark.parametrize("number", range(6 + EXPRESSION + IDENTITY + 1))
def test_derivatives_agree_with_differences(number: int, problem: solve.Problem) -> None:
    state = truth(3)
    points = pixels(state, problem)  # No residual, so no robust weight changes on the way.
    linear = solve._linearise(points, state, problem, shared=True)
    step, width = 1e-3, 6 + EXPRESSION

    def after(amount: float) -> torch.Tensor:
        if number < width:
            change = torch.zeros(3, width)
            change[:, number] = amount
            return pixels(solve._moved(state, change), problem)
        change = torch.zeros(IDENTITY + 1)
        change[number - width] = amount
        moved = replace(
            state, z_id=state.z_id + change[:-1], log_focal=state.log_focal + change[-1]
        )
        return pixels(moved, problem)

    root = problem.weights.sqrt()[:, None] / problem.noise_px
    expected = ((after(step) - after(-step)) / (2 * step) * root).reshape(3, -1)
    made = linear.own[..., number] if number < width else linear.shared[..., number - width]
    torch.testing.assert_close(made, expected, rtol=0.01, atol=0.02 * float(expected.abs().max()))


def test_the_start_has_the_pose_of_a_face_far_away(problem: solve.Problem) -> None:
    state = replace(truth(4), z_id=torch.zeros(IDENTITY), z_exp=torch.zeros(4, EXPRESSION))
    found = solve.start(pixels(state, problem), problem)
    turned = found.R @ state.R.transpose(1, 2)
    angle = ((torch.diagonal(turned, dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1).acos()
    assert float(angle.max()) < 0.1
    assert float((found.t - state.t).abs().max()) < 0.5
    torch.testing.assert_close(torch.linalg.det(found.R), torch.ones(4))


def test_identity_and_frames_come_out_as_they_were_put_in(problem: solve.Problem) -> None:
    wanted = truth(12)
    points = pixels(wanted, problem)
    found = solve.solve_identity(points, solve.start(points, problem), problem, 15)
    assert error_px(found, points, problem) < 0.1
    # The priors pull a little.
    torch.testing.assert_close(found.z_exp, wanted.z_exp, rtol=0, atol=0.05)
    assert float((found.log_focal - wanted.log_focal).abs()) < 0.1


def test_one_wild_point_does_not_pull_the_rest(problem: solve.Problem) -> None:
    wanted = truth(6)
    points = pixels(wanted, problem)
    points[:, 0] += 60
    free = torch.ones(4, dtype=torch.bool)
    found = solve.solve_frames(points, free, wanted, problem, 8)
    rest = (pixels(found, problem) - points).norm(dim=-1)[:, 1:]
    assert float(rest.mean()) < 0.3


def test_frames_that_are_tied_tremble_less(problem: solve.Problem) -> None:
    wanted = truth(30)
    points = pixels(wanted, problem)
    problem = replace(problem, noise_px=5.0)
    points += 5 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1))

    def tremble(tied: bool) -> float:
        ties = torch.full((28,), tied)
        found = solve.solve_frames(points, ties, wanted, problem, 6)
        return float((found.z_exp - wanted.z_exp).diff(n=2, dim=0).norm())

    assert tremble(True) < 0.7 * tremble(False)


def test_coefficients_outside_their_bounds_are_pulled_back(problem: solve.Problem) -> None:
    wanted = replace(truth(5), z_exp=torch.full((5, EXPRESSION), 2.0))
    points = pixels(wanted, problem)
    ties = torch.ones(3, dtype=torch.bool)
    # The less the points are trusted, the more the bounds are.
    unsure = replace(problem, noise_px=10.0)
    found = solve.solve_frames(points, ties, wanted, unsure, 10)
    assert float(found.z_exp.max()) < 1.4


def test_a_few_frames_have_no_acceleration_and_are_solved_all_the_same(
    problem: solve.Problem,
) -> None:
    for frames in (1, 2):
        wanted = truth(frames)
        points = pixels(wanted, problem)
        found = solve.solve_frames(points, torch.zeros(0, dtype=torch.bool), wanted, problem, 2)
        assert error_px(found, points, problem) < 0.3
