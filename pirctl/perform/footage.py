"""The target's own frames in the order in which new speech needs them.

Speech longer than the clip plays the clip forwards and backwards, so that the head never jumps,
or a section of it over and over. Only a short run of frames is in memory at any time, also when
reading backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import TargetError
from pirctl.media import read_frames
from pirctl.media.video import GROUP_FRAMES

Frame = NDArray[np.uint8]
Reader = Callable[..., Iterator[Any]]

BLOCK_FRAMES = GROUP_FRAMES
"""Frames read at once when going backwards; they lie in two groups of the archive at most."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Which frames are played, and how.

    Attributes:
        first: number of the first frame.
        length: frames, at least 1.
        is_loop: played forwards again and again; otherwise forwards and backwards.
    """

    first: int
    length: int
    is_loop: bool = False


def frame_at(path: Path, number: int, *, gray: bool = False) -> Frame:
    """Read one frame of a target's video, (H, W, 3) uint8, or (H, W) of its labels with `gray`.

    Raises:
        TargetError: the video has no such frame.
    """
    frame = next(read_frames(path, start_frame=number, frames=1, gray=gray), None)
    if frame is None:
        raise TargetError(f"{path} has no frame {number}", hint="pirctl preprocess VIDEO --force")
    return frame


def read_section(
    path: Path, section: Section, count: int, *, reader: Reader = read_frames
) -> Generator[tuple[int, Frame], None, None]:
    """Yield `count` pairs of frame number and frame of a section; see `read_ping_pong`."""
    first, length = section.first, section.length
    if section.is_loop:
        yield from islice(_over_and_over(path, first, length, reader), count)
    else:
        yield from read_ping_pong(path, first=first, length=length, count=count, reader=reader)


def read_ping_pong(
    path: Path, *, length: int, count: int, first: int = 0, reader: Reader = read_frames
) -> Generator[tuple[int, Frame], None, None]:
    """Yield `count` pairs of frame number and frame, forwards and backwards.

    Neither end is shown twice in a row: 0 .. length-1 .. 0 ..

    Args:
        path: a seekable video.
        length: frames of the section that is played.
        count: frames wanted.
        first: number of the section's first frame; the numbers yielded start from it.
        reader: reads frames as `read_frames(path, start_frame=, frames=)` does.

    Yields:
        Frame number in the video, and the frame: uint8 (H, W, 3).

    Raises:
        TargetError: the video has fewer frames than the section.
    """
    pairs = _endless(path, length, first, reader)
    yield from islice(pairs, count)


def _endless(
    path: Path, length: int, first: int, reader: Reader
) -> Generator[tuple[int, Frame], None, None]:
    if length == 1:
        still = list(_forwards(path, first, first + 1, reader))
        while True:
            yield from still
    start, stop = 0, length
    while True:
        yield from _forwards(path, first + start, first + stop, reader)
        for end in range(length - 1, 0, -BLOCK_FRAMES):
            begin = max(0, end - BLOCK_FRAMES)
            block = list(_forwards(path, first + begin, first + end, reader))
            while block:
                yield block.pop()
        start = 1  # frame 0 was the last one of the way back


def _over_and_over(
    path: Path, first: int, length: int, reader: Reader
) -> Generator[tuple[int, Frame], None, None]:
    while True:
        yield from _forwards(path, first, first + length, reader)


def _forwards(
    path: Path, start: int, stop: int, reader: Reader
) -> Generator[tuple[int, Frame], None, None]:
    number = start
    for frame in reader(path, start_frame=start, frames=stop - start):
        yield number, frame
        number += 1
    if number < stop:
        raise TargetError(
            f"{path}: frame {number} cannot be read, the target has {stop} frames or more",
            hint="pirctl preprocess VIDEO --force",
        )
