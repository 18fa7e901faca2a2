"""The exceptions a user can cause; anything else is a bug of ours and shows its traceback.

PirctlError
├── SettingsError          a preset, a --set value or a combination of flags
├── MediaError             a file of pictures or sound
│   ├── ProgramMissing     ffmpeg is not there
│   ├── DecodeError        cannot be read
│   └── EncodeError        cannot be written
├── FaceNotFound           no usable face in the clip
├── WeightsError           a third-party model file
│   ├── WeightsMissing
│   └── WeightsCorrupt
├── TargetError            a target folder: missing, misnamed, incomplete
├── CheckpointError        a trained stage: missing, corrupt, of another face model
└── TrainingDiverged       a loss that is no number, or went up for good
"""

from __future__ import annotations


class PirctlError(Exception):
    """What failed, on which file or key, what was found and what was needed.

    Args:
        message: one sentence.
        hint: the next command to type, or the next thing to try.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(PirctlError):
    """A preset, a ``--set`` value or a combination of flags that cannot work."""


class MediaError(PirctlError):
    """A file of pictures or sound."""


class ProgramMissing(MediaError):
    """ffmpeg is not installed."""


class DecodeError(MediaError):
    """A file that cannot be read as video or sound."""


class EncodeError(MediaError):
    """A file that cannot be written; carries the last lines ffmpeg said."""


class FaceNotFound(PirctlError):
    """No usable face in the whole clip."""


class WeightsError(PirctlError):
    """A third-party model file."""


class WeightsMissing(WeightsError):
    """A model file that is not in the cache."""


class WeightsCorrupt(WeightsError):
    """A model file whose size, hash or content is not the one expected."""


class TargetError(PirctlError):
    """A target folder that is missing, misnamed or incomplete."""


class CheckpointError(PirctlError):
    """A trained stage that is missing, corrupt, or made for something else."""


class TrainingDiverged(PirctlError):
    """A loss that is no number, or went up for good; the last checkpoint is kept."""
