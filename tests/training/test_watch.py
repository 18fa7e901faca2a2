"""The watch over a loss: quiet while it learns, awake when it has gone up for good."""

from __future__ import annotations

import math

import numpy as np

from pirctl.training.watch import EARLIEST, Watch


def falling(steps: int) -> list[float]:
    """From 1 to 0.01, with noise and with single steps a hundred times too high."""
    rng = np.random.default_rng(0)
    losses = 10 ** np.linspace(0, -2, steps) * rng.uniform(0.5, 2.0, steps)
    losses[200::250] *= 100
    return [float(loss) for loss in losses]


def test_learning_with_outliers_is_no_alarm() -> None:
    watch = Watch()
    assert not any(watch.see(loss) for loss in falling(2000))


def test_a_loss_that_goes_up_and_stays_is_one_within_a_hundred_steps() -> None:
    watch = Watch()
    assert not any(watch.see(loss) for loss in falling(1000))
    alarms = [watch.see(0.9) for _ in range(100)]
    assert not alarms[0]
    assert alarms[-1]


def test_the_first_steps_are_not_trusted() -> None:
    watch = Watch()
    assert not any(watch.see(loss) for loss in [1e-6, *[1.0] * (EARLIEST - 2)])


def test_a_watch_goes_on_where_it_was_stopped() -> None:
    losses = [*falling(700), *[0.5] * 100]
    whole, first, second = Watch(), Watch(), Watch()
    expected = [whole.see(loss) for loss in losses]
    begun = [first.see(loss) for loss in losses[:650]]
    second.load_state_dict(first.state_dict())
    assert begun + [second.see(loss) for loss in losses[650:]] == expected
    assert any(expected)
    assert math.isfinite(second.least)
