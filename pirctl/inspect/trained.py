"""What a target was trained with, or would be: its pictures show that, and not the defaults."""

from __future__ import annotations

import logging

from pirctl import config
from pirctl.errors import SettingsError
from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.target.checkpoint import has_checkpoint, load_about, load_settings
from pirctl.training.footage import training_frames

LOGGER = logging.getLogger(__name__)


def trained_settings(target: Target) -> Settings:
    """The settings of the render stage; untrained, those of the preset that the target remembers.

    Raises:
        CheckpointError: the render stage is damaged.
    """
    folder = target.stage_folder("render") / "checkpoint"
    if has_checkpoint(folder):
        return load_settings(folder)
    preset = target.about.preset
    try:
        return config.load(preset)
    except SettingsError as error:
        # Looking at a target must not fail because a preset of one's own has moved.
        LOGGER.warning("%s is drawn with the default settings: %s", target.name, error)
        return Settings()


def training_part(target: Target) -> int:
    """Frames at the start of the clip that training saw, as the actor takes them; or would see.

    Raises:
        CheckpointError: a stage is damaged.
    """
    for stage in ("render", "face"):
        folder = target.stage_folder(stage) / "checkpoint"
        if has_checkpoint(folder):
            return load_about(folder).train_frames
    try:
        return training_frames(target.about, target.name, trained_settings(target))
    except SettingsError:  # Too short to hold anything out; `pirctl train` will say it.
        return target.about.frames
