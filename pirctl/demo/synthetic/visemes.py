"""From timed phonemes to the lips: coefficients of ARKit axes as curves in time.

Every phoneme has a target and a dominance that fades before and after it; the curve is the
weighted mean of all targets, so neighbours colour each other. On top, sounds that need closed lips
get them, and so do pauses.

Source: Cohen and Massaro 1993, "Modeling coarticulation in synthetic visual speech", eq. 1 to 3
(dominance functions, with the exponent c = 1); the numbers of the targets are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pirctl.demo.synthetic.speech import Phoneme, Utterance


@dataclass(frozen=True, kw_only=True)
class Viseme:
    """A lip shape.

    Attributes:
        target: coefficient per axis; "mouthSmile" and other paired names mean both sides.
        strength: dominance alpha at the phoneme's middle, relative to others.
        closes: how far the lips must meet, 1 for p, b and m.
    """

    target: dict[str, float]
    strength: float = 1.0
    closes: float = 0.0


_PAIRED = ("mouthSmile", "mouthStretch", "mouthLowerDown", "mouthUpperUp", "mouthPress")
_FADE_PER_S = 26.0
"""Decay theta of dominance: a neighbour 60 ms away has a fifth of its weight."""

REST = Viseme(target={}, strength=1.6)
BILABIAL = Viseme(
    target={"jawOpen": 0.05, "mouthPress": 0.25, "mouthRollLower": 0.15, "mouthRollUpper": 0.1},
    strength=1.6,
    closes=1.0,
)
LABIODENTAL = Viseme(
    target={"jawOpen": 0.06, "mouthRollLower": 0.75, "mouthUpperUp": 0.30}, strength=1.8
)
DENTAL = Viseme(
    target={"jawOpen": 0.15, "mouthLowerDown": 0.18, "mouthUpperUp": 0.10}, strength=0.8
)
ALVEOLAR = Viseme(
    target={"jawOpen": 0.11, "mouthLowerDown": 0.30, "mouthUpperUp": 0.12, "mouthStretch": 0.10},
    strength=0.7,
)
SIBILANT = Viseme(
    target={"jawOpen": 0.05, "mouthLowerDown": 0.45, "mouthUpperUp": 0.22, "mouthStretch": 0.16},
    strength=1.2,
)
POSTALVEOLAR = Viseme(
    target={"jawOpen": 0.09, "mouthFunnel": 0.60, "mouthPucker": 0.25, "mouthLowerDown": 0.20},
    strength=1.3,
)
VELAR = Viseme(target={"jawOpen": 0.20, "mouthLowerDown": 0.10}, strength=0.4)
RHOTIC = Viseme(target={"jawOpen": 0.16, "mouthFunnel": 0.42, "mouthPucker": 0.22}, strength=0.9)
ROUND_CLOSE = Viseme(
    target={"jawOpen": 0.10, "mouthPucker": 0.85, "mouthFunnel": 0.22}, strength=1.5
)
ROUND_OPEN = Viseme(
    target={"jawOpen": 0.36, "mouthPucker": 0.42, "mouthFunnel": 0.45}, strength=1.2
)
SPREAD = Viseme(
    target={"jawOpen": 0.14, "mouthSmile": 0.26, "mouthStretch": 0.34, "mouthLowerDown": 0.14}
)
MIDDLE = Viseme(target={"jawOpen": 0.33, "mouthSmile": 0.10, "mouthStretch": 0.15})
NEUTRAL = Viseme(target={"jawOpen": 0.25, "mouthLowerDown": 0.08}, strength=0.7)
WIDE = Viseme(
    target={"jawOpen": 0.56, "mouthStretch": 0.18, "mouthUpperUp": 0.14, "mouthLowerDown": 0.12}
)
OPEN = Viseme(target={"jawOpen": 0.66, "mouthLowerDown": 0.06}, strength=1.1)

_TABLE: dict[str, tuple[Viseme, ...]] = {
    "": (REST,),
    "p": (BILABIAL,), "b": (BILABIAL,), "m": (BILABIAL,),
    "f": (LABIODENTAL,), "v": (LABIODENTAL,),
    "T": (DENTAL,), "D": (DENTAL,),
    "t": (ALVEOLAR,), "d": (ALVEOLAR,), "n": (ALVEOLAR,), "l": (ALVEOLAR,),
    "s": (SIBILANT,), "z": (SIBILANT,),
    "S": (POSTALVEOLAR,), "Z": (POSTALVEOLAR,), "tS": (POSTALVEOLAR,), "dZ": (POSTALVEOLAR,),
    "k": (VELAR,), "g": (VELAR,), "N": (VELAR,), "h": (VELAR,),
    "r": (RHOTIC,), "r-": (RHOTIC,), "3": (RHOTIC,),
    "w": (ROUND_CLOSE,), "u": (ROUND_CLOSE,), "U": (ROUND_CLOSE,),
    "j": (SPREAD,), "i": (SPREAD,), "I": (SPREAD,),
    "E": (MIDDLE,), "e": (MIDDLE,), "@": (NEUTRAL,), "V": (MIDDLE,), "@L": (NEUTRAL, ALVEOLAR),
    "a": (WIDE,), "aa": (OPEN,), "A": (OPEN,), "0": (OPEN,), "O": (ROUND_OPEN,),
    "A@": (OPEN, RHOTIC), "O@": (ROUND_OPEN, RHOTIC), "o@": (ROUND_OPEN, RHOTIC),
    "e@": (MIDDLE, RHOTIC), "i@": (SPREAD, RHOTIC),
    "aI": (WIDE, SPREAD), "aU": (WIDE, ROUND_CLOSE), "oU": (ROUND_OPEN, ROUND_CLOSE),
    "eI": (MIDDLE, SPREAD), "OI": (ROUND_OPEN, SPREAD),
}  # fmt: skip


def viseme_of(name: str) -> tuple[Viseme, ...]:
    """The shapes of a phoneme in order: one, or two for a diphthong.

    Args:
        name: espeak's mnemonic; allophones ("t#", "I2") fall back to the plain sound, unknown
            ones to a neutral vowel.
    """
    for length in range(len(name), 0, -1):
        if name[:length] in _TABLE:
            return _TABLE[name[:length]]
    return _TABLE[""] if not name else (NEUTRAL,)


def closing_interval(phoneme: Phoneme) -> tuple[float, float]:
    """When the lips touch for a bilabial, seconds.

    espeak times the unvoiced p by its burst, so the closure lies before its start; b and m are
    closed while they sound. At least 60 ms: one frame at 25 per second always falls inside.
    """
    if phoneme.name.startswith("p"):
        return phoneme.start_s - 0.060, phoneme.start_s + 0.010
    end = max(phoneme.end_s - 0.005, phoneme.start_s + 0.045)
    return phoneme.start_s - 0.015, end


def lip_curves(utterance: Utterance, times_s: np.ndarray) -> dict[str, np.ndarray]:
    """Coefficients of the mouth's axes at given times.

    Args:
        utterance: speech with timed phonemes.
        times_s: (T,) seconds.

    Returns:
        Axis name to (T,) float32 in [0,1], 0 at rest; and "closure" (T,), how far the lips are
        forced together.
    """
    total = np.full(len(times_s), 1e-6)
    sums: dict[str, np.ndarray] = {}
    closure = np.zeros(len(times_s))
    for phoneme in utterance.phonemes:
        shapes = viseme_of(phoneme.name)
        span = (phoneme.end_s - phoneme.start_s) / len(shapes)
        for k, shape in enumerate(shapes):
            start = phoneme.start_s + k * span
            middle, core = start + 0.5 * span, 0.30 * span
            away = np.maximum(np.abs(times_s - middle) - core, 0.0)
            gain = 1.12 if phoneme.is_stressed else 0.92
            weight = shape.strength * np.exp(-_FADE_PER_S * away)
            total += weight
            for axis, value in shape.target.items():
                sums[axis] = sums.get(axis, 0.0) + weight * value * gain
        closure = np.maximum(closure, _closure(phoneme, shapes[0], times_s))
    curves = {axis: np.clip(value / total, 0.0, 1.0) for axis, value in sums.items()}
    return _close(curves, closure)


def _closure(phoneme: Phoneme, shape: Viseme, times_s: np.ndarray) -> np.ndarray:
    """(T,) 1 while the lips must touch, easing in and out."""
    if shape.closes > 0:
        start, end = closing_interval(phoneme)
        ease = 0.045
    elif not phoneme.name and phoneme.end_s - phoneme.start_s > 0.12:
        start, end = phoneme.start_s + 0.10, phoneme.end_s - 0.06
        ease = 0.10
    else:
        return np.zeros(len(times_s))
    away = np.maximum(np.maximum(start - times_s, times_s - end), 0.0) / ease
    result: np.ndarray = 0.5 + 0.5 * np.cos(np.pi * np.clip(away, 0, 1))
    return result


_OPENING = (
    "jawOpen",
    "mouthFunnel",
    "mouthLowerDown",
    "mouthUpperUp",
    "mouthStretch",
    "mouthSmile",
)


def _close(curves: dict[str, np.ndarray], closure: np.ndarray) -> dict[str, np.ndarray]:
    result: dict[str, np.ndarray] = {}
    for axis, value in curves.items():
        kept = value * (1 - closure) if axis in _OPENING else value
        names = [axis + "Left", axis + "Right"] if axis in _PAIRED else [axis]
        for name in names:
            result[name] = kept.astype(np.float32)
    result["closure"] = closure.astype(np.float32)
    return result
