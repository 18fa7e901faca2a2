"""Segments hold every frame once, and copies begin and end where packets can be cut."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.dub.division import SEGMENT_S, SHORTEST_COPY_S, Segment, divide


def _divide(frames: int, painted: list[tuple[int, int]], clean: tuple[int, ...], rate: float = 25):
    mask = np.zeros(frames, bool)
    for first, stop in painted:
        mask[first:stop] = True
    segments = divide(np.arange(frames) / rate, mask, clean)
    assert [n for one in segments for n in range(one.first, one.stop)] == list(range(frames))
    for one in segments:
        if one.is_copied:
            assert not mask[one.first : one.stop].any()
            assert one.first in clean
            assert one.stop in (*clean, frames)
        else:
            assert len(one) / rate <= SEGMENT_S + 1 / rate
    return segments


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 30000 / 1001, 60])
def test_what_is_painted_comes_in_pieces_of_a_few_seconds(rate: float) -> None:
    segments = _divide(1000, [(0, 1000)], (0, 250, 500, 750), rate)
    assert not any(one.is_copied for one in segments)
    lengths = [len(one) for one in segments]
    assert max(lengths) - min(lengths) <= 1


def test_what_is_not_painted_is_copied_between_clean_key_frames() -> None:
    segments = _divide(1000, [(300, 400)], tuple(range(0, 1000, 50)))
    copies = [(one.first, one.stop) for one in segments if one.is_copied]
    assert copies == [(0, 300), (400, 1000)]


def test_without_clean_key_frames_nothing_is_copied() -> None:
    assert not any(one.is_copied for one in _divide(300, [(0, 10)], ()))
    segments = _divide(300, [(0, 10)], (0, 120))
    assert segments[-1] == Segment(first=120, stop=300, is_copied=True)


def test_a_short_stretch_is_not_worth_a_copy() -> None:
    short = int(25 * SHORTEST_COPY_S) - 5
    segments = _divide(400, [(0, 100), (100 + short, 400)], (0, 100, 100 + short))
    assert not any(one.is_copied for one in segments)


def test_a_video_without_frames_has_no_segment() -> None:
    assert divide(np.zeros(0), np.zeros(0, bool)) == []
