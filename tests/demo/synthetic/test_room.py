from __future__ import annotations

import numpy as np
import pytest

from pirctl.demo.synthetic.room import paint_room


@pytest.mark.parametrize("size_px", [96, 640])
def test_the_room_has_the_size_asked_for_and_its_light_comes_from_the_left(size_px: int) -> None:
    room = paint_room(size_px, np.random.default_rng(0))
    assert room.shape == (size_px, size_px, 3)
    assert room.dtype == np.float32
    assert 0 < room.mean() < 1
    third = size_px // 3
    assert room[:, :third].mean() > room[:, -third:].mean()


def test_the_same_dice_give_the_same_room() -> None:
    first, second = (paint_room(64, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
