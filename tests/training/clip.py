"""A target folder made of simple pictures, for tests: a face-coloured disc with a mouth."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pirctl.face.camera import FLIP
from pirctl.face.landmarks import LIPS_OUTER
from pirctl.face.model import FaceModel, load_face_model
from pirctl.media import VideoWriter, write_sound
from pirctl.settings import (
    Audio2ExpSettings,
    DiscriminatorSettings,
    FaceSettings,
    LossSettings,
    MediaSettings,
    RendererSettings,
    Settings,
    SpeechSettings,
    StageSettings,
    TrainSettings,
)
from pirctl.target import Target, TargetAbout, Track

SIZE = 64
HOLDOUT_FRAMES = 10


def tiny_settings(**train: object) -> Settings:
    """Settings that make every network as small as it gets, on the CPU, in float32."""
    stage = StageSettings(epochs=3, batch_size=10, learning_rate=2e-3, ema_half_life_steps=5)
    chosen: dict[str, object] = {
        "precision": "float32",
        "holdout_s": HOLDOUT_FRAMES / 25,
        "audio": replace(stage, batch_size=2),
        "face": replace(stage, beta1=0.0),
        "render": replace(stage, beta1=0.5),
        **train,
    }
    return Settings(
        media=MediaSettings(size_px=SIZE),
        speech=SpeechSettings(encoder="mel", mel_bands=16, mel_context_frames=2, mel_width=24),
        audio2exp=Audio2ExpSettings(width=32, heads=4, feedforward=32, window_frames=10),
        face=FaceSettings(
            style_width=32,
            mapping_layers=2,
            channel_base=256,
            channel_max=16,
            plane_size=16,
            plane_channels=8,
            hidden_width=16,
            feature_channels=8,
            feature_size=16,
            coarse_samples=6,
            fine_samples=4,
            upsampler_channels=8,
        ),
        renderer=RendererSettings(
            coarse_channels=8, fine_channels=8, coarse_blocks=1, fine_blocks=1, feature_size=16
        ),
        discriminator=DiscriminatorSettings(scales=2, channels=4, layers=2),
        loss=LossSettings(perceptual=0, mouth_emphasis=2.0),
        train=TrainSettings(**chosen),  # type: ignore[arg-type]
    )


def make_target(
    folder: Path, frames: int = 30, *, has_audio: bool = True, missing_frames: int = 0
) -> Target:
    """Write a target whose picture, sound and coefficients follow one another.

    The sound is a tone whose loudness, the mouth an ellipse whose height, and `jawOpen` a
    coefficient that go up and down together. The last `missing_frames` are announced, but there
    is nothing: no picture, no sound, and a track that is not a number.
    """
    folder.mkdir(parents=True)
    model = load_face_model("generic")
    target = Target(folder)
    openness = 0.5 - 0.5 * np.cos(np.arange(frames) * 2 * np.pi / 8)
    target.write_about(_about(model, frames, has_audio))
    track = _track(model, openness)
    there = frames - missing_frames
    track.z_exp[there:] = track.t[there:] = track.landmarks[there:] = np.nan
    target.write_track(track)
    openness = openness[:there]
    rate = Fraction(25)
    with VideoWriter(target.frames_path, SIZE, SIZE, rate, quality="archive") as writer:
        for value in openness:
            writer.write(_picture(float(value)))
    with VideoWriter(target.parsing_path, SIZE, SIZE, rate, quality="labels") as writer:
        for _ in openness:
            writer.write(_disc().astype(np.uint8))
    if has_audio:
        time = np.arange(there * 640) / 16000
        loudness = np.repeat(openness, 640)
        tone = 0.3 * loudness * np.sin(2 * np.pi * 220 * time)
        write_sound(target.audio_path, tone.astype(np.float32), 16000)
    return target


def _about(model: FaceModel, frames: int, has_audio: bool) -> TargetAbout:
    return TargetAbout(
        source="somebody.mp4",
        source_sha256="0" * 64,
        frame_rate="25",
        source_width=SIZE,
        source_height=SIZE,
        crop_x=0.0,
        crop_y=0.0,
        crop_side=float(SIZE),
        size_px=SIZE,
        frames=frames,
        has_audio=has_audio,
        tracker="file",
        face_model=model.name,
        face_model_hash=model.version,
        parser="geometry",
        preset="tiny",
    )


def _track(model: FaceModel, openness: np.ndarray) -> Track:
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


def _picture(openness: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    picture = np.full((SIZE, SIZE, 3), (40, 60, 90), np.uint8)
    picture[_disc()] = (205, 160, 140)
    mouth = ((x - 32) / 8) ** 2 + ((y - 44) / (1 + 4 * openness)) ** 2 < 1
    picture[mouth] = (120, 30, 40)
    return picture
