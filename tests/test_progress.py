"""The stopwatch adds up, whatever ends a part."""

from __future__ import annotations

import time

import pytest

from pirctl.progress import Stopwatch


def test_the_stopwatch_adds_up_the_times_of_a_part_also_when_it_fails() -> None:
    watch = Stopwatch()

    @watch.part("late")
    def fail() -> None:
        time.sleep(0.02)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    with watch.part("early"):
        pass
    with watch.part("late"):
        time.sleep(0.02)
    assert list(watch.seconds) == ["late", "early"]
    assert 0.04 <= watch.seconds["late"] < 5
    assert watch.seconds["early"] < 0.02
