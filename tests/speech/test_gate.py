"""The silence gate: closed in pauses, untouched speech, smooth in between."""

from __future__ import annotations

import numpy as np
import pytest

from pirctl.speech.gate import CLOSING_FRAMES, OPENING_FRAMES, silence_gate
from pirctl.speech.level import Loudness


def loudness(*runs: tuple[int, float]) -> Loudness:
    """Runs of (frames, level in dB)."""
    levels = np.concatenate([np.full(frames, level, np.float32) for frames, level in runs])
    return Loudness(frames_db=levels, samples=640 * len(levels))


@pytest.mark.parametrize("room_db", [-120, -65, -48])
def test_a_pause_closes_and_speech_stays_untouched(room_db: float) -> None:
    gate = silence_gate(loudness((20, -20), (20, room_db), (20, -22)))
    assert not gate[:20].any()
    assert not gate[40:].any()
    assert (gate[20 + CLOSING_FRAMES : 40 - OPENING_FRAMES] == 1).all()


def test_the_gate_moves_smoothly_within_160_milliseconds() -> None:
    gate = silence_gate(loudness((20, -20), (20, -90), (20, -20)))
    assert np.abs(np.diff(gate)).max() <= 0.51
    assert (np.diff(gate[19:26]) >= 0).all()
    assert 0 < gate[20] < gate[21] < 1


def test_silence_at_the_ends_of_the_file_needs_no_ramp() -> None:
    gate = silence_gate(loudness((5, -90), (20, -20), (3, -90)))
    assert gate[0] == 1
    assert not gate[5:25].any()
    assert gate[25] > 0


def test_the_closure_of_a_consonant_is_no_pause() -> None:
    assert not silence_gate(loudness((20, -20), (4, -90), (20, -20))).any()


def test_silence_alone_is_closed_from_first_to_last() -> None:
    assert (silence_gate(loudness((30, -120))) == 1).all()


def test_quiet_and_loud_recordings_gate_alike() -> None:
    runs = ((20, -10), (20, -55), (20, -12))
    quiet = tuple((frames, level - 25) for frames, level in runs)
    np.testing.assert_array_equal(silence_gate(loudness(*runs)), silence_gate(loudness(*quiet)))


def test_speech_without_a_pause_is_left_alone() -> None:
    generator = np.random.default_rng(0)
    levels = (-20 + 6 * generator.standard_normal(500)).astype(np.float32)
    assert not silence_gate(Loudness(frames_db=levels, samples=500 * 640)).any()


def test_no_frames_give_no_gate() -> None:
    assert silence_gate(Loudness(frames_db=np.zeros(0, np.float32), samples=0)).shape == (0,)
