from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.speech import SENTENCES, join, silence, speak, talk


def _loudness(samples: np.ndarray, rate_hz: int, start_s: float, end_s: float) -> float:
    part = samples[round(start_s * rate_hz) : round(end_s * rate_hz)]
    return float(np.sqrt(np.mean(part**2)))


def test_a_sentence_sounds_the_same_every_time() -> None:
    first = speak(SENTENCES[3])
    speak(SENTENCES[1])
    again = speak(SENTENCES[3])
    assert np.array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes


def test_phonemes_tile_the_sound_without_gaps() -> None:
    said = speak("Peter put the blue pepper pot beside the window.")
    assert said.phonemes[0].start_s == 0.0
    assert abs(said.phonemes[-1].end_s - said.duration_s) < 1e-6
    for before, after in zip(said.phonemes, said.phonemes[1:], strict=False):
        assert before.end_s == after.start_s
    total = sum(p.end_s - p.start_s for p in said.phonemes)
    assert abs(total - said.duration_s) < 1e-6


def test_phonemes_are_those_of_the_words() -> None:
    names = [p.name for p in speak("Maybe.").phonemes if p.name]
    assert names[0] == "m"
    assert "b" in names
    assert any(p.is_stressed for p in speak("Maybe.").phonemes)


def test_timing_follows_the_sound() -> None:
    said = speak("Peter put the pepper pot.")
    vowels = [p for p in said.phonemes if p.name in ("i", "0", "E")]
    quiet = _loudness(said.samples, said.rate_hz, 0.0, said.phonemes[0].end_s)
    assert vowels
    for vowel in vowels:
        assert _loudness(said.samples, said.rate_hz, vowel.start_s, vowel.end_s) > 10 * quiet + 0.02


def test_a_talk_has_the_exact_length_and_starts_and_ends_silent() -> None:
    said = talk(SENTENCES, 6.0, np.random.default_rng(0))
    assert len(said.samples) == 6 * said.rate_hz
    assert said.phonemes[-1].end_s == 6.0
    assert said.phonemes[0].name == said.phonemes[-1].name == ""
    assert _loudness(said.samples, said.rate_hz, 0.0, 0.3) < 1e-3
    assert _loudness(said.samples, said.rate_hz, 5.9, 6.0) < 1e-3
    assert _loudness(said.samples, said.rate_hz, 0.0, 6.0) > 0.05


def test_joining_shifts_the_phonemes() -> None:
    both = join([silence(0.5, 22050), speak("Good.")])
    first = next(p for p in both.phonemes if p.name)
    assert 0.5 <= first.start_s < 0.7
