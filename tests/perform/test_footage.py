"""The order of the footage, and that little of it is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import TargetError
from pirctl.perform.footage import (
    BLOCK_FRAMES,
    Section,
    read_ping_pong,
    read_section,
)
from tests.reference.footage import ping_pong


class Film:
    """A reader of numbered frames that remembers how much was asked for at once."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.backward_requests: list[int] = []

    def __call__(self, path: Path, *, start_frame: int, frames: int) -> Iterator[np.ndarray]:
        self.backward_requests.append(frames)
        for number in range(start_frame, min(self.frames, start_frame + frames)):
            yield np.full((1, 1, 3), number, np.uint8)


@pytest.mark.parametrize("length", [1, 2, 3, 24, 25, 26, 60])
def test_reading_follows_the_ping_pong_order(length: int) -> None:
    count = 4 * length + 3
    film = Film(100)
    pairs = list(read_ping_pong(Path("x"), length=length, count=count, first=7, reader=film))
    expected = [7 + number for number in ping_pong(length, count)]
    assert [number for number, _ in pairs] == expected
    assert [int(frame[0, 0, 0]) for _, frame in pairs] == expected


@pytest.mark.parametrize("length", [2, 3, 10])
def test_ping_pong_never_jumps_and_never_stands_still(length: int) -> None:
    pairs = read_ping_pong(Path("x"), length=length, count=50, reader=Film(length))
    numbers = [number for number, _ in pairs]
    assert set(numbers) == set(range(length))
    assert all(abs(a - b) == 1 for a, b in pairwise(numbers))


def test_the_way_back_is_read_in_short_blocks() -> None:
    film = Film(200)
    list(read_ping_pong(Path("x"), length=200, count=399, reader=film))
    assert max(film.backward_requests[1:-1]) <= BLOCK_FRAMES


def test_a_video_that_is_too_short_is_an_error() -> None:
    with pytest.raises(TargetError, match="frame 5 cannot be read"):
        list(read_ping_pong(Path("x"), length=8, count=8, reader=Film(5)))


def test_a_loop_starts_again_at_its_first_frame() -> None:
    section = Section(first=4, length=3, is_loop=True)
    pairs = list(read_section(Path("x"), section, 8, reader=Film(20)))
    assert [number for number, _ in pairs] == [4, 5, 6, 4, 5, 6, 4, 5]
    assert [int(frame[0, 0, 0]) for _, frame in pairs] == [4, 5, 6, 4, 5, 6, 4, 5]


def test_a_still_frame_is_read_once() -> None:
    film = Film(20)
    pairs = list(read_section(Path("x"), Section(first=9, length=1), 50, reader=film))
    assert [number for number, _ in pairs] == [9] * 50
    assert film.backward_requests == [1]


def test_a_section_is_played_forwards_and_backwards() -> None:
    pairs = list(read_section(Path("x"), Section(first=2, length=3), 7, reader=Film(9)))
    assert [number for number, _ in pairs] == [2, 3, 4, 3, 2, 3, 4]
