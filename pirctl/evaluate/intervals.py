"""How far a score can be trusted: confidence intervals by block bootstrap over time.

A score of a few seconds depends on what was said in them. The frames are drawn again, with
replacement, in blocks of half a second, because neighbouring frames say nearly the same, and the
score is computed anew; the spread of the scores is their interval. Rows are drawn with the same
blocks, so that what is hard in a stretch of speech is hard for both and does not blur the
difference between them.

Source: Kuensch 1989, moving blocks; Politis and Romano 1992, around the end, so that every frame is
drawn as often as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DoubleArray = NDArray[np.float64]

BLOCK_FRAMES = 12
"""About half a second at 25 frames a second: longer than a syllable."""
DRAWS = 1000
LEVEL = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A score as a function of means over frames.

    Attributes:
        moments: (T, M) what is averaged in each frame; NaN where a frame was not measured.
        score: means (..., M) -> scores (...,).
    """

    moments: DoubleArray
    score: Callable[[DoubleArray], DoubleArray]

    def value(self) -> float:
        """The score over all measured frames."""
        return float(self.drawn(np.ones((1, len(self.moments))))[0])

    def drawn(self, counts: DoubleArray) -> DoubleArray:
        """The score (D,) where each frame counts as often as `counts` (D, T) says.

        Draws without one measured frame are NaN.
        """
        measured = ~np.isnan(self.moments).any(1)
        number = counts[:, measured].sum(1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = counts[:, measured] @ self.moments[measured] / number
            return self.score(means)


def block_counts(frames: int, draws: int = DRAWS, block: int = BLOCK_FRAMES) -> DoubleArray:
    """How often each frame is drawn (D, T); the same for the same numbers, without a random state.

    Args:
        frames: T.
        draws: D.
        block: frames drawn together; at most a third of them all, or nothing would vary.
    """
    block = max(1, min(block, frames // 3))
    starts = np.random.default_rng(0).integers(0, frames, (draws, -(-frames // block)))
    numbers = (starts[:, :, None] + np.arange(block)).reshape(draws, -1)[:, :frames] % frames
    counts = np.zeros((draws, frames))
    np.add.at(counts, (np.arange(draws)[:, None], numbers), 1)
    return counts


def interval(scores: DoubleArray) -> Interval | None:
    """The middle 95 % of drawn scores; None where there are none."""
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return None
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def intervals(samples: Mapping[str, Samples], counts: DoubleArray) -> dict[str, Interval]:
    """Interval of every score that has one."""
    found = {name: interval(one.drawn(counts)) for name, one in samples.items()}
    return {name: pair for name, pair in found.items() if pair is not None}


def differences(
    ours: Mapping[str, Samples], other: Mapping[str, Samples], counts: DoubleArray
) -> dict[str, Interval]:
    """Interval of ours minus the other's, for every score that both have.

    One that contains 0 is a difference within noise.
    """
    found = {
        name: interval(ours[name].drawn(counts) - other[name].drawn(counts))
        for name in ours
        if name in other
    }
    return {name: pair for name, pair in found.items() if pair is not None}


def is_within_noise(pair: Interval | None) -> bool:
    """Whether a difference may be none; also where it is not known."""
    return pair is None or pair[0] <= 0 <= pair[1]


def mean_samples(values: DoubleArray) -> Samples:
    """The mean of one number a frame (T,)."""
    return Samples(moments=values[:, None], score=lambda means: means[..., 0])


def share_samples(ours: DoubleArray, true: DoubleArray) -> Samples:
    """The sum of one (T,) as a share of the sum of the other."""
    moments = np.stack([ours, true], axis=1)
    return Samples(moments=moments, score=lambda means: means[..., 0] / means[..., 1])


def curve_samples(
    first: DoubleArray, second: DoubleArray, score: Callable[[DoubleArray], DoubleArray]
) -> Samples:
    """Two curves (T,), for `correlation_of` and `deviation_share`."""
    # About their means: the variance is then no difference of large numbers.
    a, b = first - np.nanmean(first), second - np.nanmean(second)
    return Samples(moments=np.stack([a, b, a * a, b * b, a * b], axis=1), score=score)


def correlation_of(means: DoubleArray) -> DoubleArray:
    """Pearson's correlation of two curves from means (..., 5); 0 where one does not move."""
    a, b, aa, bb, ab = np.moveaxis(means, -1, 0)
    power = np.maximum(aa - a * a, 0) * np.maximum(bb - b * b, 0)
    moves = power > 1e-24
    result = np.where(moves, (ab - a * b) / np.sqrt(np.where(moves, power, 1)), 0.0)
    return np.where(np.isnan(means).any(-1), np.nan, result)


def deviation_share(means: DoubleArray) -> DoubleArray:
    """Standard deviation of the first curve over that of the second, from means (..., 5)."""
    a, b, aa, bb, _ = np.moveaxis(means, -1, 0)
    spread = np.sqrt(np.maximum(bb - b * b, 0))
    return np.asarray(np.sqrt(np.maximum(aa - a * a, 0)) / np.maximum(spread, 1e-9))
