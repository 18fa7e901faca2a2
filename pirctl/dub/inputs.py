"""What `reenact` is given, checked before anything slow begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from pirctl.dub.drive import DrivingVideo, check_driving
from pirctl.dub.shot import check_source
from pirctl.errors import DecodeError, MediaError
from pirctl.files import check_writable
from pirctl.media import check_video_name, probe, sound_duration_s
from pirctl.provenance import Signing
from pirctl.settings.choices import Picture
from pirctl.target import Target
from pirctl.target.consent import check_consent

Speech = Path | DrivingVideo
"""What drives the mouth: a file with sound, or a video of someone who shows it."""


@dataclass(frozen=True, kw_only=True)
class OutputFiles:
    """What `reenact` writes.

    Attributes:
        video: `TARGET_SPEECH.mp4` in the current folder if None.
        picture: `full` pastes the painted region back into the source video at its own
            resolution; `crop` writes the target's square crop.
        curves: where the expression shown is written as a table, to be edited and given back as
            `Controls.curves`.
        force: overwrite files that exist.
        keep_front: whether what is in front of the face stays in front.
        signing: whether the video gets a C2PA manifest, and who signs it.
    """

    video: Path | None = None
    picture: Picture = "full"
    curves: Path | None = None
    force: bool = False
    keep_front: bool = True
    signing: Signing = field(default_factory=Signing)


_TOLERANCE_FRAMES = 1e-4  # of a duration in seconds that is a rounded decimal fraction


def file_of(speech: Speech) -> Path:
    """The file that a speech is in."""
    return speech.video if isinstance(speech, DrivingVideo) else speech


def default_output(target: Target, speech: Path) -> Path:
    """Name of the result when none is given: `TARGET_SPEECH.mp4` in the current folder."""
    return Path(f"{target.name}_{speech.stem}.mp4")


def check_inputs(
    target: Target,
    speech: Speech,
    output: Path,
    *,
    picture: Picture = "full",
    export: Path | None = None,
    force: bool = False,
) -> float | None:
    """Find every mistake that can be found before the networks are loaded.

    Returns:
        Seconds of sound; None for a driving video, whose frames count.

    Raises:
        DecodeError: the file is missing, no media file, or without sound.
        EncodeError: the output's suffix names no container for video.
        MediaError: the driving video has no picture, or an output is an input.
        TargetError: the consent was withdrawn; or the full shot is wanted, and the source video is
            gone or another one.
        PirctlError: the output exists (without `force`) or cannot be written.
    """
    check_video_name(output)
    check_consent(target.name, target.about)
    duration_s = None
    if isinstance(speech, DrivingVideo):
        check_driving(speech)
    else:
        if not probe(speech).has_audio:
            raise DecodeError(f"{speech} has no sound", hint="give a file with speech as --audio")
        duration_s = sound_duration_s(speech)
    _check_outputs(target, speech, output, export, force=force)
    if picture == "full":
        check_source(target)
    return duration_s


def _check_outputs(
    target: Target, speech: Speech, output: Path, export: Path | None, *, force: bool
) -> None:
    name = "the driving video" if isinstance(speech, DrivingVideo) else "the speech itself"
    inputs = {name: file_of(speech), "the source video": Path(target.about.source)}
    for path, option in ((output, "--output"), (export, "--export-expression")):
        if path is None:
            continue
        for what, file in inputs.items():
            check_no_input(path, file, what, option)
        if path.is_dir():
            raise MediaError(f"{path} is a folder", hint=f"name a file as {option}")
        check_writable(path, force=force)
    if export is not None and export.absolute() == output.absolute():
        raise MediaError(f"{export} is the video", hint="choose another --export-expression")


def check_no_input(path: Path, file: Path, what: str, option: str = "--output") -> None:
    """Raise MediaError if an output is this input."""
    if path.exists() and file.exists() and path.samefile(file):
        raise MediaError(f"{path} is {what}", hint=f"choose another {option}")


def frame_count(duration_s: float, frame_rate: int) -> int:
    """Frames that cover a sound: ceil(duration x rate), at least 1."""
    return max(1, math.ceil(duration_s * frame_rate - _TOLERANCE_FRAMES))
