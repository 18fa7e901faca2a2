"""Which reference is shown when: cheapest over time, and without flicker."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from pirctl.perform.choice import FADE_FRAMES, Choice, Chooser, cheapest_path, nearest


def _price_of(path: tuple[int, ...], costs: np.ndarray, price: float, first: int | None) -> float:
    shown = path if first is None else (first, *path)
    changes = sum(before != after for before, after in pairwise(shown))
    return float(sum(costs[t, row] for t, row in enumerate(path)) + price * changes)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("first", [None, 2])
def test_the_cheapest_path_is_the_cheapest_of_all(seed: int, first: int | None) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.uniform(size=(6, 3)).astype(np.float32)
    price = (0.05, 0.3, 2.0)[seed % 3]
    path = tuple(cheapest_path(costs, price, first).tolist())
    best = min(product(range(3), repeat=6), key=lambda one: _price_of(one, costs, price, first))
    assert path == best


def _choose(costs: np.ndarray, steps: list[int], ahead: int, price: float) -> list[Choice]:
    """Choose in steps, of which each waits until so many frames after it are known."""
    chooser, seen, made = Chooser(2, price), 0, list[Choice]()
    for step in steps:
        wanted = min(len(costs), len(made) + step + ahead)
        chooser.see(costs[seen:wanted])
        seen = max(seen, wanted)
        made += chooser.choose(step)
    assert chooser.waiting == 0
    return made


def test_choosing_in_steps_is_choosing_at_once_when_enough_is_known_ahead() -> None:
    costs = np.random.default_rng(0).uniform(size=(60, 5)).astype(np.float32)
    whole = _choose(costs, [60], 0, price=0.3)
    steps = _choose(costs, [1, 2, 10, 3, 25, 7, 12], 24, price=0.3)
    assert len({int(row) for one in whole for row in one.rows}) > 2
    for one, other in zip(whole, steps, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.weights, other.weights)


def test_weights_are_shares_of_one_and_a_reference_keeps_its_seat() -> None:
    # So cheap to change that three and more come together, of which there is room for two.
    costs = np.random.default_rng(1).uniform(size=(80, 4)).astype(np.float32)
    choices = _choose(costs, [80], 0, price=0.05)
    seats = [
        {int(row): k for k, row in enumerate(one.rows) if one.weights[k] > 0} for one in choices
    ]
    for one, places in zip(choices, seats, strict=True):
        assert one.weights.sum() == pytest.approx(1)
        assert one.weights.min() >= 0
        assert len(places) == (one.weights > 0).sum()
    stayed = 0
    for before, after in pairwise(seats):
        for row in before.keys() & after.keys():
            assert before[row] == after[row]
            stayed += 1
    assert stayed > 40


def test_one_frame_that_another_shows_better_does_not_change_the_reference() -> None:
    costs = np.tile(np.float32([0.2, 0.3]), (20, 1))
    costs[9] = [0.3, 0.15]
    choices = _choose(costs, [20], 0, price=0.1)
    assert {float(weight) for one in choices for weight in one.weights} == {0.0, 1.0}
    assert {int(one.rows[one.weights.argmax()]) for one in choices} == {0}


def test_at_a_change_one_comes_in_while_the_other_goes_out() -> None:
    costs = np.zeros((20, 2), np.float32)
    costs[:10, 1] = costs[10:, 0] = 1
    choices = _choose(costs, [20], 0, price=0.5)
    later = np.array([one.weights[one.rows == 1].sum() for one in choices])
    assert later[0] == 0
    assert later[-1] == 1
    steps = np.diff(later)
    assert steps.min() >= 0
    assert steps.max() < 0.5
    # Both are shown around the change, as long before as after it.
    both = np.flatnonzero((later > 0) & (later < 1))
    np.testing.assert_array_equal(both, np.arange(10 - FADE_FRAMES, 10 + FADE_FRAMES))


def test_a_frame_that_stands_alone_gets_the_nearest() -> None:
    costs = np.float32([[3, 1, 2], [0, 5, 5]])
    choices = nearest(costs, 2)
    assert [int(one.rows[one.weights > 0][0]) for one in choices] == [1, 0]
    assert all(one.weights.tolist() == [1, 0] for one in choices)
