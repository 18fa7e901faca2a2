"""Where a video cuts: the frames that begin another shot.

Two frames are compared as small grey pictures without their mean brightness, moved a little
against each other, so that light that comes and goes and a camera that pans do not look like a
cut. What jumps and comes back within a few frames is a flash. Dissolves have no first frame and
are not found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pirctl.media.probe import MediaInfo
from pirctl.media.reader import read_frames

SMALL_PX = 48
"""Side of the pictures that are compared, whatever the shape of the frame."""
FLASH_FRAMES = 6
"""What is over within so many frames is a flash, also where it is a shot of its own."""

_LEAST_JUMP = 0.15
"""Of a cut, in the unit of `difference`; a person who speaks stays below 0.03."""
_TIMES_USUAL = 2.5
"""How much a cut exceeds what moves around it."""
_ALIKE = 0.02
"""What differs less is the same picture, and not looked at more closely."""
_REACH_PX = 2
"""How far the small pictures are moved against each other, either way."""
_NOISE = 3.0
"""Grey levels that even two black frames may differ by."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Gray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Picture = TypeVar("Picture")


def small_gray(frame: NDArray[np.uint8]) -> Gray:
    """A frame (H, W, 3) RGB as the grey picture (SMALL_PX, SMALL_PX) that is compared."""
    import cv2

    small = cv2.resize(frame, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    gray: Gray = (small @ _LUMA).astype(np.uint8)
    return gray


def read_small_gray(info: MediaInfo, rate: Fraction | None = None) -> Iterator[Gray]:
    """The frames of a video as `find_cuts` compares them, at `rate` or each as it is.

    Raises:
        DecodeError: as `read_frames`.
    """
    for frame in read_frames(info, rate=rate, size=(SMALL_PX, SMALL_PX)):
        yield small_gray(frame)


def difference(one: Gray, other: Gray) -> float:
    """How unlike two small pictures are: 0 for the same one, about 1 for unrelated ones.

    The squared difference over the sum of the variances, each about its mean, at the best of
    a few shifts.
    """
    a, b = one.astype(np.float32), other.astype(np.float32)
    height, width, reach = *a.shape, _REACH_PX
    inner = a[reach : height - reach, reach : width - reach]
    inner = inner - inner.mean()
    # All shifts at once: (2r+1, 2r+1, h, w).
    windows = np.lib.stride_tricks.sliding_window_view(b, inner.shape)
    still = _apart(inner, windows[reach : reach + 1, reach : reach + 1])
    # Nearly all frames are like the one before, where they stand: the search costs ten times that.
    return still if still < _ALIKE else _apart(inner, windows)


def _apart(inner: FloatArray, windows: FloatArray) -> float:
    """The least difference of `inner` (h, w), of mean 0, to one of `windows` (y, x, h, w)."""
    sums = np.einsum("yxhw->yx", windows)
    squares = np.einsum("yxhw,yxhw->yx", windows, windows)
    products = np.einsum("yxhw,hw->yx", windows, inner)
    variance = squares - sums**2 / inner.size
    own = float((inner**2).sum())
    apart = np.maximum(own + variance - 2 * products, 0)
    return float((apart / (own + variance + inner.size * _NOISE**2)).min())


def find_cuts(frames: Iterable[Gray]) -> list[int]:
    """Numbers of the frames that begin another shot; the first frame of all is not one.

    Args:
        frames: all frames in order, as `small_gray` or `read_small_gray` gives them. Only a few
            are held at a time.
    """
    marked = mark_cuts(frames, lambda frame: frame)
    return [number for number, (_, is_cut) in enumerate(marked) if is_cut]


def mark_cuts(
    frames: Iterable[Picture], small: Callable[[Picture], Gray]
) -> Iterator[tuple[Picture, bool]]:
    """Every frame, with whether it begins another shot; not more than a flash is held back.

    Args:
        frames: all frames in order.
        small: what gives the picture of a frame that is compared.
    """
    waiting: deque[Picture] = deque()
    recent: deque[Gray] = deque(maxlen=2 * FLASH_FRAMES + 1)
    jumps: deque[float] = deque(maxlen=2 * FLASH_FRAMES + 1)
    resumes_at = 1
    for number, frame in enumerate(_held(_kept(frames, small, waiting))):
        jumps.append(difference(recent[-1], frame) if recent else 0.0)
        recent.append(frame)
        at, here = number - FLASH_FRAMES, len(recent) - 1 - FLASH_FRAMES
        is_cut = False
        if at >= resumes_at and _stands_out(jumps, here):
            back = _comes_back(recent, here)
            is_cut = not back
            resumes_at = at + back + 1 if back else resumes_at
        if at >= 0:
            yield waiting.popleft(), is_cut


def _kept(
    frames: Iterable[Picture], small: Callable[[Picture], Gray], waiting: deque[Picture]
) -> Iterator[Gray]:
    for frame in frames:
        waiting.append(frame)
        yield small(frame)


def _held(frames: Iterable[Gray]) -> Iterator[Gray]:
    """The frames, the last of them held as long as a flash, so that each is followed by some."""
    last: Gray | None = None
    for frame in frames:
        last = frame
        yield frame
    if last is not None:
        yield from [last] * FLASH_FRAMES


def _stands_out(jumps: Sequence[float], here: int) -> bool:
    """Whether a jump is more than what moves around it; a few other cuts nearby do not count."""
    around = [jump for index, jump in enumerate(jumps) if index != here]
    return jumps[here] > _LEAST_JUMP + _TIMES_USUAL * float(np.percentile(around, 75))


def _comes_back(recent: Sequence[Gray], here: int) -> int:
    """After how many frames the picture before `here` is back; 0 when it is not."""
    before = recent[here - 1]
    for later in range(1, len(recent) - here):
        if difference(before, recent[here + later]) < _LEAST_JUMP:
            return later
    return 0


def shots(cuts: Sequence[int], frames: int) -> list[range]:
    """The frame numbers of every shot, in order; none is empty, together they are all frames."""
    borders = [0, *(cut for cut in cuts if 0 < cut < frames), frames]
    return [range(a, b) for a, b in pairwise(borders) if b > a]
