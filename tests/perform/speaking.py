"""Somebody who speaks before a still camera: a track without files."""

from __future__ import annotations

import numpy as np

from pirctl.face.camera import FLIP
from pirctl.face.model import FaceModel
from pirctl.target import Track


def speaking_track(model: FaceModel, frames: int, size_px: int) -> Track:
    """Jaw and lips move, the head turns a little; all frames have a usable face."""
    time = np.arange(frames)
    z_exp = np.zeros((frames, model.expression_width), np.float32)
    z_exp[:, model.axis("jawOpen")] = 0.5 - 0.5 * np.cos(time * 2 * np.pi / 9)
    z_exp[:, model.axis("mouthPucker")] = np.random.default_rng(0).uniform(0, 0.5, frames)
    angle = 0.06 * np.sin(time / 11)
    turned = np.zeros((frames, 3, 3))
    turned[:, 1, 1] = 1
    turned[:, 0, 0] = turned[:, 2, 2] = np.cos(angle)
    turned[:, 0, 2], turned[:, 2, 0] = np.sin(angle), -np.sin(angle)
    return Track(
        landmarks=np.zeros((frames, 468, 2), np.float32),
        valid=np.ones(frames, bool),
        z_id=np.zeros(model.identity_width, np.float32),
        z_exp=z_exp,
        R=(turned @ FLIP.numpy()).astype(np.float32),
        t=np.tile(np.float32([0, 0, 6]), (frames, 1)),
        K=np.float32([[2 * size_px, 0, size_px / 2], [0, 2 * size_px, size_px / 2], [0, 0, 1]]),
        error_px=np.zeros(frames, np.float32),
    )
