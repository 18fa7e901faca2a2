"""Block bootstrap: parity with a slow twin, coverage, and what a pair of rows shares."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.evaluate.intervals import (
    Samples,
    block_counts,
    correlation_of,
    curve_samples,
    deviation_share,
    differences,
    interval,
    is_within_noise,
    mean_samples,
    share_samples,
)


def smooth(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Noise that is like speech: neighbours are alike, half a second apart they are not."""
    return np.convolve(rng.normal(size=frames + 6), np.ones(7) / 7, "valid")


def test_every_draw_has_all_frames_in_blocks_that_go_around_the_end() -> None:
    counts = block_counts(100, 50)
    np.testing.assert_array_equal(counts.sum(1), 100)
    # Neighbours come and go together: the count changes only where a block starts or ends.
    changes = (np.diff(counts, axis=1) != 0).sum(1)
    assert changes.max() <= 2 * 9
    mean = block_counts(100, 5000).mean(0)
    assert mean.min() > 0.9
    assert mean.max() < 1.1


@pytest.mark.parametrize("frames", [1, 2, 5, 30])
def test_few_frames_make_small_blocks(frames: int) -> None:
    counts = block_counts(frames, 20)
    assert counts.shape == (20, frames)
    np.testing.assert_array_equal(counts.sum(1), frames)


def test_counted_frames_score_as_repeated_ones_do() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60)) + 5
    a[7] = np.nan
    counts = block_counts(60, 20)
    scores = {
        "correlation": curve_samples(a, b, correlation_of),
        "movement": curve_samples(a, b, deviation_share),
        "mean": mean_samples(a),
        "share": share_samples(np.abs(a), np.abs(b)),
    }
    for draw in range(20):
        numbers = np.repeat(np.arange(60), counts[draw].astype(int))
        x, y = a[numbers], b[numbers]
        x, y = x[~np.isnan(x)], y[~np.isnan(x)]
        slow = {
            "correlation": np.corrcoef(x, y)[0, 1],
            "movement": x.std() / y.std(),
            "mean": x.mean(),
            "share": np.abs(x).sum() / np.abs(y).sum(),
        }
        for name, samples in scores.items():
            assert samples.drawn(counts)[draw] == pytest.approx(slow[name], abs=1e-9), name


def test_nine_of_ten_intervals_or_more_hold_the_true_mean() -> None:
    rng = np.random.default_rng(1)
    counts = block_counts(250, 300)
    held = 0
    for _ in range(200):
        low, high = interval(mean_samples(smooth(rng, 250)).drawn(counts))
        held += low <= 0 <= high
    # 95 % is asked for; twenty blocks give a little less, single frames would give about half.
    assert held >= 170
    single = block_counts(250, 300, block=1)
    rng = np.random.default_rng(1)
    held = sum(
        low <= 0 <= high
        for low, high in (
            interval(mean_samples(smooth(rng, 250)).drawn(single)) for _ in range(200)
        )
    )
    assert held < 140


def test_what_is_hard_for_both_rows_does_not_blur_their_difference() -> None:
    rng = np.random.default_rng(2)
    hard = 10 * smooth(rng, 200)
    one, other = (
        {"lmd": mean_samples(hard + 1)},
        {"lmd": mean_samples(hard + 0.05 * rng.normal(size=200))},
    )
    counts = block_counts(200)
    low, high = differences(one, other, counts)["lmd"]
    assert 0.95 < low < 1 < high < 1.05
    assert not is_within_noise((low, high))
    alone = interval(one["lmd"].drawn(counts))
    assert alone[1] - alone[0] > 10 * (high - low)


def test_two_rows_of_the_same_are_within_noise_and_unknown_ones_are_too() -> None:
    rng = np.random.default_rng(3)
    counts = block_counts(100)
    pairs = [[{"x": mean_samples(rng.normal(size=100))} for _ in range(2)] for _ in range(60)]
    alike = [is_within_noise(differences(one, other, counts)["x"]) for one, other in pairs]
    assert sum(alike) >= 48
    assert is_within_noise(None)
    nothing = {"x": mean_samples(np.full(100, np.nan))}
    assert differences(pairs[0][0], nothing, counts) == {}


def test_a_curve_that_does_not_move_has_no_correlation() -> None:
    still: Samples = curve_samples(np.ones(50), np.arange(50.0), correlation_of)
    assert still.value() == 0
