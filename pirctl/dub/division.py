"""A video in segments: the unit of painting, of going on after a stop, and of copying.

The borders depend on the video and the plan alone, so that a run that goes on paints the very
segments that an unbroken one paints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SEGMENT_S = 4.0
"""Length of a painted segment: what is lost at most when a run is stopped."""
SHORTEST_COPY_S = 2.0
"""Shorter stretches without painting are encoded with their neighbours."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Frames `first` to `stop` - 1 of a video; copied without encoding where nothing is painted."""

    first: int
    stop: int
    is_copied: bool = False

    def __len__(self) -> int:
        """Frames in it."""
        return self.stop - self.first


def divide(
    times_s: NDArray[np.float64],
    painted: NDArray[np.bool_],
    clean_frames: Sequence[int] = (),
) -> list[Segment]:
    """Divide a video into segments.

    Args:
        times_s: (T,) when each frame is shown, in seconds.
        painted: (T,) frames in which something is painted.
        clean_frames: numbers of the key frames across which nothing is reordered; between two of
            them, or one and the end, packets can be copied. Empty: nothing is copied.

    Returns:
        Segments in order that hold every frame once.
    """
    total = len(times_s)
    if not total:
        return []
    segments: list[Segment] = []
    done = 0
    for first, stop in _copies(times_s, painted, clean_frames):
        segments += _pieces(times_s, done, first)
        segments.append(Segment(first=first, stop=stop, is_copied=True))
        done = stop
    return segments + _pieces(times_s, done, total)


def _copies(
    times_s: NDArray[np.float64], painted: NDArray[np.bool_], clean_frames: Sequence[int]
) -> list[tuple[int, int]]:
    """Stretches between clean frames without painting, as long as they can be."""
    total = len(painted)
    borders = [*sorted({frame for frame in clean_frames if frame < total}), total]
    if len(borders) < 2:
        return []
    before = np.concatenate([[0], np.cumsum(painted)])
    copies: list[tuple[int, int]] = []
    for first, stop in pairwise(borders):
        if before[stop] > before[first]:
            continue
        if copies and copies[-1][1] == first:
            first = copies.pop()[0]
        copies.append((first, stop))
    return [(a, b) for a, b in copies if times_s[b - 1] - times_s[a] >= SHORTEST_COPY_S]


def _pieces(times_s: NDArray[np.float64], first: int, stop: int) -> list[Segment]:
    """Frames `first` to `stop` - 1 in pieces of about equal length, each at most `SEGMENT_S`."""
    if first >= stop:
        return []
    count = max(1, int(np.ceil((times_s[stop - 1] - times_s[first]) / SEGMENT_S)))
    borders = [first + (stop - first) * k // count for k in range(count + 1)]
    pairs = pairwise(borders)
    return [Segment(first=a, stop=b) for a, b in pairs if a < b]
