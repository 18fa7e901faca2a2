"""A small target on disk and an actor with networks simple enough to predict every pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from pirctl.face.model import load_face_model
from pirctl.media.sound import sound_duration_s, write_sound
from pirctl.media.video import VideoWriter
from pirctl.perform.actor import Actor
from pirctl.perform.own import OwnExpressions
from pirctl.perform.painter import Inpainting, Painter
from pirctl.settings import MediaSettings, Settings, TrainSettings
from pirctl.target import Target, TargetAbout, Track

SIZE, AXES, JAW, BROW = 64, 4, 0, 2
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


def make_target(folder: Path, frames: int, *, invalid: tuple[int, ...] = ()) -> Target:
    """Write frames.mkv, audio.wav, track and target.yaml of a noisy picture."""
    folder.mkdir(parents=True)
    target = Target(folder)
    rng = np.random.default_rng(1)
    base = rng.integers(40, 200, (8, 8, 3)).repeat(SIZE // 8, 0).repeat(SIZE // 8, 1)
    with VideoWriter(target.frames_path, SIZE, SIZE, Fraction(25), quality="archive") as writer:
        for number in range(frames):
            frame = base.astype(np.uint8).copy()
            frame[:4, :4] = number % 256
            writer.write(frame)
    write_sound(target.audio_path, np.zeros(frames * 640, np.float32), 16000)
    valid = np.ones(frames, bool)
    valid[list(invalid)] = False
    z_exp = np.zeros((frames, AXES), np.float32)
    z_exp[:, BROW] = np.linspace(0, 1, frames)
    target.write_track(
        Track(
            landmarks=rng.uniform(8, 56, (frames, 468, 2)).astype(np.float32),
            valid=valid,
            z_id=np.zeros(3, np.float32),
            z_exp=z_exp,
            R=np.tile(np.diag([1, -1, -1]).astype(np.float32), (frames, 1, 1)),
            t=np.tile(np.float32([0, 0, 8]), (frames, 1)),
            K=np.float32([[128, 0, 32], [0, 128, 32], [0, 0, 1]]),
            error_px=np.zeros(frames, np.float32),
        )
    )
    target.write_about(
        TargetAbout(
            source="gone.mp4", source_sha256="", frame_rate="25", source_width=SIZE,
            source_height=SIZE, crop_x=0.0, crop_y=0.0, crop_side=float(SIZE), size_px=SIZE,
            frames=frames, has_audio=True, tracker="file", face_model="generic",
            face_model_hash="", parser="geometry", preset="tiny",
        )
    )  # fmt: skip
    return target


def jaw_curve(path: Path) -> Iterator[np.ndarray]:
    """Expressions that depend on the time alone, in chunks of seven frames."""
    total = math.ceil(sound_duration_s(path) * 25 - 1e-4)
    for start in range(0, total, 7):
        times = np.arange(start, min(total, start + 7))
        chunk = np.full((len(times), AXES), 0.9, np.float32)
        chunk[:, JAW] = 0.5 + 0.4 * np.sin(times * 0.7)
        yield chunk


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
        axis_names=NAMES,
        mouth_axes=(JAW,),
        own=own_expressions(track),
        training_frames=track.frames if training_frames is None else training_frames,
    )
