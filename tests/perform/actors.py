"""An actor on a target of noise, with networks simple enough to predict every pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pirctl.face.model import load_face_model
from pirctl.media.sound import read_sound, sound_duration_s
from pirctl.perform.actor import Actor
from pirctl.perform.own import OwnExpressions
from pirctl.perform.painter import Inpainting, Painter
from pirctl.settings import MediaSettings, Settings, TrainSettings
from pirctl.target import Target, Track
from tests.prepare.drawn import SAMPLES
from tests.targets import AXES, BROW, SIZE

JAW = 0
NAMES = ("jawOpen", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft")


class PlainFace:
    """I_F whose every channel is the jaw's coefficient, and whose last one is the brow's."""

    def feature_image(self, z_id, z_exp, R, t, K, size=None):
        side = size or 8
        image = z_exp[:, JAW].view(-1, 1, 1, 1).expand(-1, 4, side, side).clone()
        image[:, 3] = z_exp[:, BROW].view(-1, 1, 1)
        return image

    def upsample(self, feature_image):
        return feature_image[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3)


def plain_renderer(masked: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
    """Paint red with the jaw and green with the brow."""
    image = torch.full_like(masked, -1.0)
    image[:, 0] = feature[:, 0, :1, :1] * 2 - 1
    image[:, 1] = feature[:, 3, :1, :1] * 2 - 1
    return image


def square_mask(number: int, z_exp: np.ndarray) -> np.ndarray:
    """A mask that moves with the frame number."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    left = 8 + number % 16
    mask[32:48, left : left + 24] = 1
    mask[31, left : left + 24] = 0.5
    return mask


def jaw_curve(path: Path) -> Iterator[np.ndarray]:
    """Expressions that depend on the time alone, in chunks of seven frames."""
    total = math.ceil(sound_duration_s(path) * 25 - 1e-4)
    for start in range(0, total, 7):
        times = np.arange(start, min(total, start + 7))
        chunk = np.full((len(times), AXES), 0.9, np.float32)
        chunk[:, JAW] = 0.5 + 0.4 * np.sin(times * 0.7)
        yield chunk


def quiet_frames(path: Path) -> np.ndarray:
    """1 for every 25th of a second without sound, else 0."""
    samples = read_sound(path, 16000)
    frames = np.pad(samples, (0, -len(samples) % SAMPLES)).reshape(-1, SAMPLES)
    return (np.abs(frames).max(axis=1) < 0.01).astype(np.float32)


def own_expressions(track: Track) -> OwnExpressions:
    """What the person of a track can show, on a model with as few axes."""
    whole = load_face_model()
    basis = whole.expression_basis[[whole.axis(name) for name in NAMES]]
    return OwnExpressions(track, replace(whole, expression_basis=basis, expression_names=NAMES))


def make_actor(target: Target, *, training_frames: int | None = None) -> Actor:
    """An actor of that target whose mouth has one axis, the jaw."""
    track = target.track()
    face = PlainFace()
    brush = Inpainting(track=track, face=face, renderer=plain_renderer, feature_size=4)
    painter = Painter(
        track=track, face=face, brush=brush, mask_of=square_mask, device=torch.device("cpu")
    )
    return Actor(
        target=target,
        settings=Settings(media=MediaSettings(size_px=SIZE), train=TrainSettings(holdout_s=1)),
        painter=painter,
        express=jaw_curve,
        silence=quiet_frames,
        on=lambda track, _: replace(painter, track=track, brush=replace(brush, track=track)),
        axis_names=NAMES,
        mouth_axes=(JAW,),
        own=own_expressions(track),
        training_frames=track.frames if training_frames is None else training_frames,
    )
