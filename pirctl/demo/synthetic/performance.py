"""How the speaker moves while speaking: expression and head pose for every frame.

Lips come from `visemes.py`; here they are put on the face model's axes together with blinks, brows
and a head that is never quite still and nods on stressed words. Camera axes and decimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pirctl.demo.synthetic.scene import Scene
from pirctl.demo.synthetic.speech import Utterance
from pirctl.demo.synthetic.visemes import lip_curves
from pirctl.face.camera import FLIP, rotation_from_vector

YAW_DEG, PITCH_DEG, ROLL_DEG = 6.5, 3.0, 2.2
"""Largest slow turns of the head; nods come on top of the pitch."""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Everything that changes from frame to frame.

    Attributes:
        z_exp: (T, E) float32 coefficients.
        R: (T, 3, 3) float32, model to camera.
        t: (T, 3) float32, dm.
        closure: (T,) float32, how far lips are forced together, 1 for p, b, m and pauses.
    """

    z_exp: np.ndarray
    R: np.ndarray
    t: np.ndarray
    closure: np.ndarray


def perform(
    scene: Scene, speech: Utterance, frames: int, rate: float, rng: np.random.Generator
) -> Performance:
    """Act out a speech.

    Args:
        scene: whose face it is.
        speech: sound with timed phonemes.
        frames: number of frames T; frame n is at n / rate seconds.
        rate: frames per second.
        rng: draws blinks, brows and the head's motion.
    """
    times = np.arange(frames) / rate
    axis = scene.model.axis
    z_exp = np.repeat(scene.rest[None], frames, axis=0)
    curves = lip_curves(speech, times)
    closure = curves.pop("closure")
    for name, value in curves.items():
        z_exp[:, axis(name)] += value
    blink = _blinks(times, rng)
    for side in ("Left", "Right"):
        k = axis(f"eyeBlink{side}")
        z_exp[:, k] += blink * (scene.blink - scene.rest[k])
    stressed = [p.start_s for p in speech.phonemes if p.is_stressed]
    lift = 0.10 * np.clip(_wander(times, rng, 0.05, 0.25), 0, None)
    lift += _bumps(times, stressed, 0.35, 0.16, rng) * 0.45
    z_exp[:, axis("browInnerUp")] += 0.8 * lift
    for side in ("Left", "Right"):
        z_exp[:, axis(f"browOuterUp{side}")] += lift
    pitch = PITCH_DEG * _wander(times, rng, 0.05, 0.40)
    pitch += 1.6 * _bumps(times, stressed, 0.45, 0.13, rng)
    yaw = YAW_DEG * _wander(times, rng, 0.05, 0.35)
    roll = ROLL_DEG * _wander(times, rng, 0.05, 0.30)
    turns = np.deg2rad(np.stack([pitch, yaw, roll], 1)).astype(np.float32)
    R = (FLIP @ rotation_from_vector(torch.from_numpy(turns))).numpy()
    shift = [scale * _wander(times, rng, 0.05, 0.30) for scale in (0.07, 0.04, 0.10)]
    # The neck carries the head: a turn moves it a little to that side, a nod down.
    shift[0] += 0.010 * yaw
    shift[1] += 0.008 * pitch
    t = scene.t_rest + np.stack(shift, 1)
    return Performance(
        z_exp=z_exp.astype(np.float32),
        R=R.astype(np.float32),
        t=t.astype(np.float32),
        closure=closure,
    )


def _wander(
    times: np.ndarray, rng: np.random.Generator, low_hz: float, high_hz: float
) -> np.ndarray:
    """(T,) smooth noise in [-1, 1] with frequencies between two bounds."""
    frequencies = rng.uniform(low_hz, high_hz, 6)
    phases = rng.uniform(0, 2 * np.pi, 6)
    # Slower is larger, as in people.
    sizes = rng.uniform(0.5, 1.0, 6) * np.sqrt(low_hz / frequencies)
    waves = sizes[:, None] * np.sin(2 * np.pi * frequencies[:, None] * times + phases[:, None])
    total: np.ndarray = waves.sum(0) / sizes.sum()
    return np.clip(1.6 * total, -1, 1)


def _bumps(
    times: np.ndarray, at: list[float], share: float, width_s: float, rng: np.random.Generator
) -> np.ndarray:
    """(T,) Gaussian bumps of height up to 1 at a random share of the moments `at`."""
    total = np.zeros(len(times))
    for moment in at:
        if rng.random() < share:
            size = rng.uniform(0.4, 1.0)
            bump = size * np.exp(-0.5 * ((times - moment - 0.05) / width_s) ** 2)
            total = np.maximum(total, bump)
    return total


def _blinks(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T,) 0 open to 1 closed: a blink each 2 to 5 s, quick to close, slower to open."""
    total = np.zeros(len(times))
    moment = rng.uniform(0.8, 2.0)
    while moment < (times[-1] if len(times) else 0.0) + 0.5:
        since = times - moment
        shut = np.clip(1 + since / 0.10, 0, 1)
        opened = np.clip(1 - (since - 0.05) / 0.17, 0, 1)
        curve = np.where(since < 0, shut, np.where(since < 0.05, 1.0, opened))
        total = np.maximum(total, curve * curve * (3 - 2 * curve))
        moment += rng.uniform(2.0, 5.0)
    return total
