from __future__ import annotations

import pytest

from pirctl.training.pace import Pace


def test_nothing_is_said_before_anything_was_measured() -> None:
    assert Pace(100, 0).left_s(0) is None


def test_later_steps_that_cost_more_are_counted_from_the_beginning() -> None:
    pace = Pace(100, 70)
    assert pace.kinds_left(0) == [0, 70]
    pace.tried(0, 1.0)
    pace.tried(70, 10.0)
    assert pace.left_s(0) == pytest.approx(70 * 1 + 30 * 10)
    assert pace.left_s(80) == pytest.approx(20 * 10)


def test_a_slower_machine_than_in_the_trial_slows_both_kinds() -> None:
    pace = Pace(100, 70)
    pace.tried(0, 1.0)
    pace.tried(70, 10.0)
    for step in range(20):
        pace.took(step, 2.0)
    assert pace.left_s(20) == pytest.approx(50 * 2 + 30 * 20)


def test_the_first_steps_warm_up_and_do_not_count() -> None:
    pace = Pace(100, 0)
    for step in range(3):
        pace.took(step, 60.0)
    for step in range(3, 8):
        pace.took(step, 1.0)
    assert pace.left_s(8) == pytest.approx(92)


def test_what_was_measured_wins_over_the_trial() -> None:
    pace = Pace(100, 50)
    for step, seconds in ((0, 1.0), (50, 10.0)):
        pace.tried(step, seconds)
    for step in range(70):
        pace.took(step, 1.0 if step < 50 else 4.0)
    assert pace.left_s(70) == pytest.approx(30 * 4)
    assert pace.kinds_left(70) == [70]
    assert pace.left_s(100) == 0


def test_a_machine_that_becomes_faster_is_noticed() -> None:
    pace = Pace(2000, 0)
    for step in range(700):
        pace.took(step, 2.0 if step < 300 else 1.0)
    assert pace.left_s(700) == pytest.approx(1300, rel=0.05)
