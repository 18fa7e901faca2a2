from __future__ import annotations

import numpy as np
import pytest

from pirctl.demo.synthetic.speech import SENTENCES, Phoneme, Utterance, speak
from pirctl.demo.synthetic.visemes import (
    BILABIAL,
    NEUTRAL,
    OPEN,
    ROUND_CLOSE,
    closing_interval,
    lip_curves,
    viseme_of,
)


def _utterance(*names: str, each_s: float = 0.12) -> Utterance:
    phonemes = tuple(
        Phoneme(name=name, start_s=k * each_s, end_s=(k + 1) * each_s)
        for k, name in enumerate(names)
    )
    samples = np.zeros(round(len(names) * each_s * 22050), np.float32)
    return Utterance(samples=samples, rate_hz=22050, phonemes=phonemes)


def test_allophones_take_the_shape_of_their_sound() -> None:
    assert viseme_of("t#") == viseme_of("t")
    assert viseme_of("I2") == viseme_of("I")
    assert viseme_of("@2") == (NEUTRAL,)
    assert viseme_of("aU")[1] is ROUND_CLOSE
    assert viseme_of("unheard of")[0] is not BILABIAL


def test_every_spoken_phoneme_has_a_shape_of_its_own() -> None:
    named = {p.name for p in speak(SENTENCES[2]).phonemes if p.name}
    unknown = {name for name in named if viseme_of(name) == (NEUTRAL,) and name[0] != "@"}
    assert not unknown


@pytest.mark.parametrize("sound", ["p", "b", "m"])
def test_lips_close_for_bilabials_in_at_least_one_frame_whatever_the_phase(sound: str) -> None:
    said = _utterance("", "A", sound, "A", "")
    start, end = closing_interval(said.phonemes[2])
    for phase in np.linspace(0, 0.04, 9):
        times = np.arange(15) / 25 + phase
        curves = lip_curves(said, times)
        inside = (times >= start) & (times <= end)
        assert inside.any()
        assert curves["jawOpen"][inside].max() < 0.02
        assert curves["closure"][inside].min() > 0.98


def test_open_vowels_open_the_jaw_and_rounded_ones_pucker() -> None:
    times = np.array([0.18])
    assert lip_curves(_utterance("k", "A", "k"), times)["jawOpen"][0] > 0.6 * OPEN.target["jawOpen"]
    assert lip_curves(_utterance("k", "u", "k"), times)["mouthPucker"][0] > 0.4
    assert lip_curves(_utterance("k", "i", "k"), times)["mouthSmileLeft"][0] > 0.1


def test_neighbours_colour_a_sound() -> None:
    times = np.array([0.18])
    rounded = lip_curves(_utterance("u", "t", "u"), times)["mouthPucker"][0]
    spread = lip_curves(_utterance("i", "t", "i"), times).get("mouthPucker", np.zeros(1))[0]
    assert rounded > spread + 0.1


def test_silence_closes_the_mouth() -> None:
    said = _utterance("A", "", "", "", "", each_s=0.2)
    long = Phoneme(name="", start_s=0.2, end_s=1.0)
    said = Utterance(samples=said.samples, rate_hz=22050, phonemes=(said.phonemes[0], long))
    curves = lip_curves(said, np.linspace(0.4, 0.9, 10))
    for axis in ("jawOpen", "mouthLowerDownLeft", "mouthFunnel"):
        assert np.all(curves.get(axis, np.zeros(10)) < 0.01)


def test_curves_are_smooth_and_in_range() -> None:
    said = speak(SENTENCES[2])
    times = np.arange(0, said.duration_s, 0.001)
    for axis, value in lip_curves(said, times).items():
        assert value.min() >= 0.0, axis
        assert value.max() <= 1.0, axis
        # No coefficient crosses half its range within 10 ms.
        assert np.abs(value[10:] - value[:-10]).max() < 0.5, axis
