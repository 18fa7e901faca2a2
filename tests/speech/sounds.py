"""Sounds for the tests of speech: music, which nobody speaks in, and a synthetic voice."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pirctl.demo.synthetic.speech import SENTENCES, Utterance, join, silence, speak

RATE_HZ = 16000
REFERENCE = 0.1  # root mean square: -20 dB

FloatArray = NDArray[np.float32]


def music(seconds: float, *, drums: bool, seed: int = 0) -> FloatArray:
    """A chord of decaying harmonics twice a second, with or without a drum, at -20 dB."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(time_s))
    for beat in range(int(2 * seconds)):
        since = time_s - beat / 2
        played = np.where(since >= 0, np.exp(-3 * since) * np.clip(since / 0.02, 0, 1), 0)
        root_hz = 110 * 2 ** (generator.choice([0, 3, 5, 7, 10, 12, 15]) / 12)
        for interval in (1, 1.26, 1.5):
            for harmonic in range(1, 6):
                wave = np.sin(2 * np.pi * root_hz * interval * harmonic * since)
                sound += played * wave / harmonic**1.5
        if drums:
            hit = np.where(since >= 0, np.exp(-30 * np.maximum(since, 0)), 0)
            sound += hit * generator.standard_normal(len(time_s))
    return (REFERENCE * sound / sound.std()).astype(np.float32)


@cache
def sentence() -> FloatArray:
    """A sentence of the synthetic voice at -20 dB, with half a second of silence at both ends."""
    import librosa

    said: Utterance = speak(SENTENCES[0])
    pause = silence(0.5, said.rate_hz)
    whole = join([pause, said, pause]).samples
    sound = librosa.resample(whole, orig_sr=said.rate_hz, target_sr=RATE_HZ)
    return (REFERENCE * sound / sound[8000:-8000].std()).astype(np.float32)
