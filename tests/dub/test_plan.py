"""What frames show and how much of it: curves at any time, fades, and cuts that nothing crosses."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.dub.plan import (
    FADE_S,
    Utterance,
    expressions_at,
    fade_weights,
    joined,
    runs_of,
    sample_curve,
    shot_numbers,
    towards_own,
)

RATES = (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60)


def _curve(frames: int = 50) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 3)).astype(np.float32)


def test_at_its_own_rate_a_curve_is_its_rows_to_the_bit() -> None:
    rows = _curve()
    stamps = np.arange(50) / 25
    np.testing.assert_array_equal(sample_curve(rows, stamps * 25), rows)
    rounded = np.round(stamps * 1000.4) / 1000.4  # The milliseconds of Matroska, and some more.
    assert np.abs(sample_curve(rows, rounded * 25) - rows).max() < 0.1


@pytest.mark.parametrize("rate", RATES)
def test_a_smooth_curve_is_followed_at_any_rate(rate: float) -> None:
    def truth(seconds: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2 * np.pi * 2 * seconds), np.cos(2 * np.pi * seconds)], 1)

    rows = truth(np.arange(100) / 25).astype(np.float32)
    times = np.arange(int(3.5 * rate)) / rate + 0.1
    assert np.abs(sample_curve(rows, times * 25) - truth(times)).max() < 0.02


def test_a_peak_of_one_row_is_not_passed_over_between_rows() -> None:
    rows = np.zeros((9, 1), np.float32)
    rows[4] = 1
    assert sample_curve(rows, np.array([3.75, 4.0, 4.25])).min() > 0.85  # A line would give 0.75.


def test_beyond_its_ends_a_curve_is_held() -> None:
    rows = _curve()
    np.testing.assert_array_equal(sample_curve(rows, np.array([-9.0, 99.0])), rows[[0, -1]])


def _spoken(silence: list[float], **changes: object) -> Utterance:
    values = {"starts_s": 0.0, "span": (0.0, len(silence) / 25), **changes}
    z_exp = np.ones((len(silence), 2), np.float32)
    return Utterance(z_exp=z_exp, silence=np.float32(silence), **values)  # type: ignore[arg-type]


def test_what_is_said_lies_where_the_sound_lies() -> None:
    silence = [1.0] * 25 + [0.5, 0, 0, 0.5] + [1.0] * 25
    assert _spoken(silence).stretches() == [(1.0, 1.16)]
    moved = _spoken(silence, starts_s=2.0, span=(2.0, 3.08))
    assert moved.stretches() == [(3.0, 3.08)]
    assert _spoken([1.0] * 50).stretches() == []


def test_short_pauses_stay_painted_and_long_ones_do_not() -> None:
    assert joined([(3, 4), (0, 1), (1.9, 2.5)]) == [(0, 4)]
    assert joined([(0, 1), (2.1, 3)]) == [(0, 1), (2.1, 3)]


def _fade(spans, *, frames=100, rate=25.0, unusable=(), cuts=()):
    usable = np.ones(frames, bool)
    usable[list(unusable)] = False
    return fade_weights(np.arange(frames) / rate, spans, usable, shot_numbers(frames, cuts))


def test_the_original_passes_outside_and_a_fade_lies_between() -> None:
    weights = _fade([(1.0, 2.0)])
    assert (weights[25:50] == 1).all()
    assert (weights[:22] == 0).all()
    assert (weights[53:] == 0).all()
    assert (np.diff(weights[21:26]) > 0).all()
    assert (np.diff(weights[49:54]) < 0).all()


@pytest.mark.parametrize("rate", RATES)
def test_a_fade_lasts_as_long_at_any_rate(rate: float) -> None:
    weights = _fade([(1.0, 2.0)], rate=rate, frames=int(4 * rate))
    faded = ((weights > 0) & (weights < 1)).sum() / rate
    assert faded == pytest.approx(2 * FADE_S, abs=2.5 / rate)


def test_nothing_fades_across_a_cut() -> None:
    weights = _fade([(1.0, 2.0)], cuts=(24, 50))
    assert weights[23] == 0
    assert weights[24] > 0
    assert (weights[50:] == 0).all()
    # A speech that goes on over the cut is painted whole on either side of it.
    assert (_fade([(1.0, 3.0)], cuts=(50,))[25:75] == 1).all()


def test_a_frame_without_a_face_passes_and_its_neighbours_lead_to_it() -> None:
    weights = _fade([(0.0, 4.0)], unusable=(40, 41))
    assert (weights[[40, 41]] == 0).all()
    assert (np.diff(weights[36:41]) < 0).all()
    assert weights[30] == weights[60] == 1
    assert _fade([(0.0, 4.0)], unusable=(40,), cuts=(41,))[41] == 1


def test_irregular_frames_fade_by_their_times() -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.06, 200))
    ones = np.ones(200, bool)
    weights = fade_weights(times, [(2.0, 3.0)], ones, shot_numbers(200, ()))
    distance = np.maximum(np.maximum(2 - times, times - 3), 0)
    assert (weights[distance == 0] == 1).all()
    assert (weights[distance > FADE_S + 0.06] == 0).all()


def test_a_face_rests_where_nothing_is_heard_and_a_cut_word_ends_softly() -> None:
    rest = np.zeros(2, np.float32)
    times = np.arange(100) / 25
    one = _spoken([0.0] * 100, span=(1.0, 2.0))
    shown = expressions_at(times, [one], rest)[:, 0]
    assert (shown[25:51] == 1).all()
    assert (shown[:21] == 0).all()
    assert (shown[54:] == 0).all()
    assert np.abs(np.diff(shown)).max() < 0.5


def test_a_fading_mouth_becomes_the_frame_s_own() -> None:
    shown, own = np.ones((3, 2), np.float32), np.full((3, 2), 0.2, np.float32)
    made = towards_own(shown, own, np.float32([0, 0.5, 1]))
    np.testing.assert_allclose(made[:, 0], [0.2, 0.6, 1])


def test_runs_end_at_cuts() -> None:
    mask = np.array([0, 1, 1, 1, 0, 1], bool)
    assert runs_of(mask) == [(1, 4), (5, 6)]
    assert runs_of(mask, shot_numbers(6, (2,))) == [(1, 2), (2, 4), (5, 6)]
    assert runs_of(np.zeros(4, bool)) == []
