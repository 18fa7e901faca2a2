"""Loudness: right levels, the same in pieces, and a gain that undoes the recording's."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.speech.level import LOWEST_DB, REFERENCE_DB, SILENCE_DB, measure


def tone(seconds: float, amplitude: float) -> np.ndarray:
    time_s = np.arange(int(seconds * 16000)) / 16000
    return (amplitude * np.sin(2 * np.pi * 400 * time_s)).astype(np.float32)


def test_a_full_scale_sine_is_three_decibels_under_full_scale() -> None:
    loudness = measure([tone(1, 1.0)], 640)
    assert loudness.frames_db == pytest.approx(np.full(25, -3.01), abs=0.01)
    assert loudness.speech_db == pytest.approx(-3.01, abs=0.01)


def test_pieces_of_any_length_measure_alike() -> None:
    sound = np.concatenate([tone(0.5, 0.3), tone(0.33, 0.001)])
    whole = measure([sound], 640)
    pieces = [sound[i : i + 777] for i in range(0, len(sound), 777)]
    again = measure(pieces, 640)
    assert again.samples == whole.samples == len(sound)
    np.testing.assert_allclose(again.frames_db, whole.frames_db, atol=1e-4)
    assert len(whole.frames_db) == 21  # 20.75 frames


def test_pauses_do_not_change_the_level_of_the_speech() -> None:
    spoken = tone(2, 0.2)
    padded = np.concatenate([np.zeros(16000, np.float32), spoken, np.zeros(48000, np.float32)])
    assert measure([padded], 640).gain == pytest.approx(measure([spoken], 640).gain, rel=1e-3)


@pytest.mark.parametrize("amplitude", [0.9, 0.1, 0.01])
def test_the_gain_brings_speech_to_the_reference(amplitude: float) -> None:
    sound = tone(1, amplitude)
    levelled = sound * measure([sound], 640).gain
    assert measure([levelled], 640).speech_db == pytest.approx(REFERENCE_DB, abs=0.1)


def test_silence_is_not_amplified() -> None:
    loudness = measure([np.zeros(16000, np.float32)], 640)
    assert loudness.gain == 1.0
    assert loudness.frames_db.max() == pytest.approx(LOWEST_DB)


def test_no_sound_at_all_has_a_level_too() -> None:
    loudness = measure([], 640)
    assert (loudness.samples, loudness.gain, loudness.threshold_db) == (0, 1.0, SILENCE_DB)


def test_windows_are_measured_over_pieces_of_any_length() -> None:
    sound = 0.1 + np.random.default_rng(0).standard_normal(5003).astype(np.float32)
    pieces = [sound[i : i + 37] for i in range(0, 5003, 37)]
    windows = measure(pieces, 640, windows=(10, 5)).windows
    assert windows is not None
    rows = np.stack([sound[i : i + 10] for i in range(0, 5003 - 9, 5)])
    np.testing.assert_allclose(windows.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(
        windows.covariance, np.cov(rows, rowvar=False, bias=True), rtol=1e-5, atol=1e-7
    )
    assert measure(pieces, 640).windows is None


def test_mean_and_variance_are_those_of_all_samples() -> None:
    sound = 0.1 + np.random.default_rng(0).standard_normal(5003).astype(np.float32)
    loudness = measure([sound[:100], sound[100:]], 640)
    assert loudness.mean == pytest.approx(sound.mean(), rel=1e-5)
    assert loudness.variance == pytest.approx(sound.var(), rel=1e-5)


def test_sound_shorter_than_asked_goes_on_at_its_mean() -> None:
    windows = measure(
        [np.full(3, 0.5, np.float32)], 640, windows=(10, 5), least_samples=400
    ).windows
    assert windows is not None
    np.testing.assert_allclose(windows.mean, 0.5)
    np.testing.assert_allclose(windows.covariance, 0, atol=1e-12)
