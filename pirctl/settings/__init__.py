"""Every number a person can change, with its default, unit and range; presets override them.

A network takes its own dataclass; nobody receives the whole tree. The defaults are the paper's
(PIR, Huang et al. 2023) where it gives a number, so the preset `paper` is almost empty; where a
default is ours its docstring says so, and models/cards/paper.md lists all that differs.
Order of precedence: default here < preset YAML < `--set section.key=value` < explicit flag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pirctl.settings.networks import (
    Audio2ExpSettings,
    DiscriminatorSettings,
    FaceSettings,
    RendererSettings,
    SpeechSettings,
)
from pirctl.settings.training import (
    STAGES,
    LossSettings,
    StageSettings,
    TrainSettings,
    Vgg16Layer,
)
from pirctl.settings.video import FitSettings, MaskSettings, MediaSettings

__all__ = [
    "DEFAULT_PRESET",
    "STAGES",
    "Audio2ExpSettings",
    "DiscriminatorSettings",
    "FaceSettings",
    "FitSettings",
    "LossSettings",
    "MaskSettings",
    "MediaSettings",
    "RendererSettings",
    "Settings",
    "SpeechSettings",
    "StageSettings",
    "TrainSettings",
    "Vgg16Layer",
]

DEFAULT_PRESET = "auto"
"""The preset of a command line that names none; `config.choose_preset` says which one it means."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole tree; `config.load` is the one place that makes it."""

    media: MediaSettings = field(default_factory=MediaSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    audio2exp: Audio2ExpSettings = field(default_factory=Audio2ExpSettings)
    face: FaceSettings = field(default_factory=FaceSettings)
    renderer: RendererSettings = field(default_factory=RendererSettings)
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
