"""Targets on disk that nobody was filmed for: one builder, and three things to be seen in them.

A disc with a mouth for training, noise for what counts pixels, a drawn face for what measures lips.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np

from pirctl.face.camera import FLIP
from pirctl.face.landmarks import LIPS_OUTER
from pirctl.face.model import FaceModel, load_face_model
from pirctl.media import VideoWriter, write_sound
from pirctl.target import Target, TargetAbout, Track
from tests.prepare.drawn import SAMPLES, draw, make_track

SIZE = 64
"""Side in pixels of disc and noise; that of a drawn face is `drawn.SIZE`."""
AXES, BROW = 4, 2
"""Of the noise: expressions in its track, and the only one of them that moves."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a target shows, says and was fitted with.

    Attributes:
        track: its frames are those that the target announces.
        pictures: (H, W, 3) uint8, all of one size.
        sound: at 16 kHz; None: the target has none.
        labels: (H, W) uint8; None: nobody labelled the pixels.
        model: the face model; None: one that cannot be found again.
    """

    track: Track
    pictures: Iterable[np.ndarray]
    sound: np.ndarray | None
    labels: Iterable[np.ndarray] | None = None
    model: FaceModel | None = None


def make_target(folder: Path, content: Content) -> Target:
    """Write a target folder; the video that it was made from is gone."""
    folder.mkdir(parents=True)
    target = Target(folder)
    size = _write_video(target.frames_path, content.pictures, "archive")
    if content.labels is not None:
        _write_video(target.parsing_path, content.labels, "labels")
    if content.sound is not None:
        write_sound(target.audio_path, content.sound.astype(np.float32), 16000)
    target.write_track(content.track)
    target.write_about(
        TargetAbout(
            source="gone.mp4", source_sha256="0" * 64, frame_rate="25", source_width=size,
            source_height=size, crop_x=0.0, crop_y=0.0, crop_side=float(size), size_px=size,
            frames=content.track.frames, has_audio=content.sound is not None, tracker="file",
            face_model="generic", face_model_hash=content.model.version if content.model else "",
            parser="geometry", preset="tiny",
        )
    )  # fmt: skip
    return target


def _write_video(path: Path, frames: Iterable[np.ndarray], quality: str) -> int:
    """Write square frames, and give their side."""
    stream = iter(frames)
    first = next(stream)
    side = len(first)
    with VideoWriter(path, side, side, Fraction(25), quality=quality) as writer:
        writer.write(first)
        for frame in stream:
            writer.write(frame)
    return side


def disc(frames: int = 30, *, has_audio: bool = True, missing_frames: int = 0) -> Content:
    """A face-coloured disc whose picture, sound and coefficients follow one another.

    The sound is a tone whose loudness, the mouth an ellipse whose height, and `jawOpen` a
    coefficient that go up and down together. The last `missing_frames` are announced, but there
    is nothing: no picture, no sound, and a track that is not a number.
    """
    model = load_face_model("generic")
    openness = 0.5 - 0.5 * np.cos(np.arange(frames) * 2 * np.pi / 8)
    track = _disc_track(model, openness)
    there = frames - missing_frames
    track.z_exp[there:] = track.t[there:] = track.landmarks[there:] = np.nan
    openness = openness[:there]
    time = np.arange(there * SAMPLES) / 16000
    tone = 0.3 * np.repeat(openness, SAMPLES) * np.sin(2 * np.pi * 220 * time)
    return Content(
        track=track,
        pictures=(_disc_picture(float(value)) for value in openness),
        sound=tone if has_audio else None,
        labels=repeat(_disc().astype(np.uint8), there),
        model=model,
    )


def noise(frames: int, *, invalid: tuple[int, ...] = ()) -> Content:
    """A noisy picture whose corner tells the frame's number, in silence."""
    rng = np.random.default_rng(1)
    base = rng.integers(40, 200, (8, 8, 3)).repeat(SIZE // 8, 0).repeat(SIZE // 8, 1)
    valid = np.ones(frames, bool)
    valid[list(invalid)] = False
    z_exp = np.zeros((frames, AXES), np.float32)
    z_exp[:, BROW] = np.linspace(0, 1, frames)
    track = Track(
        landmarks=rng.uniform(8, 56, (frames, 468, 2)).astype(np.float32),
        valid=valid,
        z_id=np.zeros(3, np.float32),
        z_exp=z_exp,
        R=np.tile(np.diag([1, -1, -1]).astype(np.float32), (frames, 1, 1)),
        t=np.tile(np.float32([0, 0, 8]), (frames, 1)),
        K=np.float32([[128, 0, 32], [0, 128, 32], [0, 0, 1]]),
        error_px=np.zeros(frames, np.float32),
    )

    def numbered(number: int) -> np.ndarray:
        frame = base.astype(np.uint8).copy()
        frame[:4, :4] = number % 256
        return frame

    pictures = (numbered(number) for number in range(frames))
    return Content(track=track, pictures=pictures, sound=np.zeros(frames * SAMPLES))


def face(frames: int, model: FaceModel | None = None) -> Content:
    """A drawn face whose sound says how far the jaw is open; `model` None is the bundled one."""
    model = model or load_face_model()
    track = make_track(model, frames)
    return Content(
        track=track,
        pictures=(draw(landmarks) for landmarks in track.landmarks),
        sound=np.repeat(track.z_exp[:, model.axis("jawOpen")], SAMPLES),
        model=model,
    )


def _disc_track(model: FaceModel, openness: np.ndarray) -> Track:
    frames = len(openness)
    z_exp = np.zeros((frames, model.expression_width), np.float32)
    z_exp[:, model.axis("jawOpen")] = openness
    landmarks = np.full((frames, 468, 2), SIZE / 2, np.float32)
    angle = np.linspace(0, 2 * np.pi, len(LIPS_OUTER), endpoint=False)
    ring = np.stack([32 + 10 * np.cos(angle), 44 + 6 * np.sin(angle)], axis=-1)
    landmarks[:, list(LIPS_OUTER)] = ring
    K = np.array([[2.2 * SIZE, 0, SIZE / 2], [0, 2.2 * SIZE, SIZE / 2], [0, 0, 1]], np.float32)
    return Track(
        landmarks=landmarks,
        valid=np.arange(frames) != 3,
        z_id=np.zeros(model.identity_width, np.float32),
        z_exp=z_exp,
        R=np.tile(FLIP.numpy(), (frames, 1, 1)),
        t=np.tile(np.array([0, 0, 6], np.float32), (frames, 1)),
        K=K,
        error_px=np.zeros(frames, np.float32),
    )


def _disc() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return (x - 32) ** 2 + (y - 34) ** 2 < 24**2


def _disc_picture(openness: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    picture = np.full((SIZE, SIZE, 3), (40, 60, 90), np.uint8)
    picture[_disc()] = (205, 160, 140)
    mouth = ((x - 32) / 8) ** 2 + ((y - 44) / (1 + 4 * openness)) ** 2 < 1
    picture[mouth] = (120, 30, 40)
    return picture
