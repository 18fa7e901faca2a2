"""What each frame of a video shall show: the curve of speech at the frames' own times.

Speech is a curve with 25 values a second; a frame shows it at its own time stamp. Where nobody
speaks the weight is 0 and the frame stays the source's. Towards such a place the painted mouth goes
over into the frame's own, in expression and in pixels, within one shot and never across a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Times = NDArray[np.float64]
Span = tuple[float, float]
"""First and last moment of a stretch, seconds on the timeline."""

FADE_S = 0.16
"""How long a painted mouth takes to go over into the footage's: four frames at 25 per second."""
LONGEST_PAUSE_S = 1.0
"""A pause up to this long stays painted, with the mouth at rest: to fade out and in again within
it would be seen more than the pause."""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What one sound makes a face do, and when.

    Attributes:
        z_exp: (T, E) expression every 1 / `rate` seconds.
        silence: (T,) in [0, 1], 1 where nobody speaks.
        starts_s: moment of the first row on the timeline; negative where sound is cut off.
        span: the stretch of the timeline in which it is heard.
        rate: rows per second.
    """

    z_exp: FloatArray
    silence: FloatArray
    starts_s: float
    span: Span
    rate: int = 25

    def at(self, times_s: Times) -> FloatArray:
        """The expression (N, E) at moments (N,) of the timeline."""
        return sample_curve(self.z_exp, (times_s - self.starts_s) * self.rate)

    def stretches(self) -> list[Span]:
        """When something is said: the stretches between long pauses, with the mouth's closing."""
        first, last = self.span
        edges = np.diff(np.concatenate([[0], (self.silence < 1).astype(np.int8), [0]]))
        starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        pairs = zip(starts.tolist(), stops.tolist(), strict=True)
        begin, rate = self.starts_s, self.rate
        found = [(max(first, begin + a / rate), min(last, begin + b / rate)) for a, b in pairs]
        return [(start, stop) for start, stop in found if start < stop]


def sample_curve(rows: FloatArray, places: Times) -> FloatArray:
    """A smooth curve through rows (T, E), at places (N,) counted in rows; held beyond the ends.

    At a whole number it is that row to the bit, so that a video at the curve's own rate shows what
    was predicted. Between rows it keeps the peaks, which lips meeting for a "b" need.

    Source: Catmull and Rom 1974 (cubic through the points, tangents from the neighbours).
    """
    check_shape("rows", rows, None, None)
    last = len(rows) - 1
    place = np.clip(places, 0, last)
    # Time stamps are rounded: within a thousandth of a row it is that row.
    place = np.where(np.abs(place - np.rint(place)) < 1e-3, np.rint(place), place)
    low = np.minimum(np.floor(place).astype(np.int64), last)
    share = (place - low).astype(np.float32)[:, None]
    before, after, beyond = (
        np.maximum(low - 1, 0),
        np.minimum(low + 1, last),
        np.minimum(low + 2, last),
    )
    a, b, c, d = rows[before], rows[low], rows[after], rows[beyond]
    bend = 2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a)
    curve = b + np.float32(0.5) * share * (c - a + share * bend)
    return np.where(share == 0, b, curve).astype(np.float32)


def joined(spans: Iterable[Span], longest_gap_s: float = LONGEST_PAUSE_S) -> list[Span]:
    """Stretches in rising order, those that a short pause divides made one."""
    result: list[Span] = []
    for start, stop in sorted(spans):
        if result and start - result[-1][1] <= longest_gap_s:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result


def shot_numbers(frames: int, cuts: Sequence[int]) -> IntArray:
    """The number of each frame's shot (T,), from the first frames of the shots after the first."""
    numbers = np.zeros(frames, np.int64)
    numbers[[cut for cut in cuts if 0 < cut < frames]] = 1
    return np.cumsum(numbers)


def fade_weights(
    times_s: Times,
    spans: Sequence[Span],
    usable: BoolArray,
    shots: IntArray,
    fade_s: float = FADE_S,
) -> FloatArray:
    """How much of the painted mouth each frame shows.

    Args:
        times_s: (T,) time stamps, rising.
        spans: stretches in which the mouth is painted whole; the fades lie outside of them.
        usable: (T,) frames that can be painted; the fades lie on usable frames beside others.
        shots: (T,) number of each frame's shot; what happens in one shows in no other.
        fade_s: length of a fade in seconds.

    Returns:
        (T,) in [0, 1]; exactly 0 where the frame stays the source's.
    """
    check_shape("usable", usable, len(times_s))
    check_shape("shots", shots, len(times_s))
    wanted = within(times_s, spans)
    weights = np.zeros(len(times_s), np.float32)
    for shot in np.unique(shots):
        rows = np.flatnonzero(shots == shot)
        moments = times_s[rows]
        near = 1 - _ramp(_distance_s(moments, moments[wanted[rows]]), fade_s)
        whole = _ramp(_distance_s(moments, moments[~usable[rows]]), fade_s)
        weights[rows] = near * whole
    weights[weights < 1e-3] = 0
    return weights


def within(times_s: Times, spans: Sequence[Span]) -> BoolArray:
    """Which moments (T,) lie in one of the stretches."""
    inside = np.zeros(len(times_s), bool)
    for start, stop in spans:
        inside |= (times_s >= start) & (times_s < stop)
    return inside


def expressions_at(
    times_s: Times, spoken: Sequence[Utterance], rest: FloatArray, fade_s: float = FADE_S
) -> FloatArray:
    """What a face does at moments (T,) of the timeline, (T, E); at rest where nothing is heard.

    A sound that a cue cuts off in the middle of a word is left within `fade_s`.
    """
    shown = np.broadcast_to(rest, (len(times_s), len(rest))).astype(np.float32)
    for one in spoken:
        first, last = one.span
        outside = np.maximum(np.maximum(first - times_s, times_s - last), 0)
        share = (1 - _ramp(outside, fade_s))[:, None].astype(np.float32)
        rows = np.flatnonzero(share[:, 0] > 0)
        if len(rows):
            made = one.at(times_s[rows])
            shown[rows] = np.where(
                share[rows] == 1, made, shown[rows] + share[rows] * (made - shown[rows])
            )
    return shown


def towards_own(shown: FloatArray, own: FloatArray, weights: FloatArray) -> FloatArray:
    """Go over from what is to be shown (T, E) to the frames' own expression as the weight falls."""
    share = weights[:, None]
    return np.where(share == 1, shown, own + share * (shown - own)).astype(np.float32)


def runs_of(mask: BoolArray, shots: IntArray | None = None) -> list[tuple[int, int]]:
    """First frame and the one after the last of every run of set ones, none across a cut."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    borders = set(edges.tolist())
    if shots is not None:
        borders |= {int(cut) + 1 for cut in np.flatnonzero(np.diff(shots))}
    return [(a, b) for a, b in pairwise(sorted(borders | {0, len(mask)})) if mask[a]]


def _distance_s(moments: Times, marks: Times) -> Times:
    """Seconds from moments (N,) to the nearest of the marks (M,), which rise; infinite: none."""
    if not len(marks):
        return np.full(len(moments), np.inf)
    after = np.searchsorted(marks, moments)
    left, right = marks[np.maximum(after - 1, 0)], marks[np.minimum(after, len(marks) - 1)]
    return np.minimum(np.abs(moments - left), np.abs(right - moments))


def _ramp(distance_s: Times, fade_s: float) -> Times:
    """0 at the mark, 1 from `fade_s` on, smooth between."""
    share = np.clip(distance_s / fade_s, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
