"""Settings for training on a target of `tests.targets` in seconds."""

from __future__ import annotations

from dataclasses import replace

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
from tests.targets import SIZE

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
