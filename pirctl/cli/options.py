"""Options that two or more commands have: the spelling and the help of each, once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli.output import print_message
from pirctl.settings.choices import LipTrackerName, TrackerName

if TYPE_CHECKING:
    from pirctl.provenance import Signing
    from pirctl.target import Target


def _forbid_fetching(offline: bool) -> bool:
    # Said where every part looks, as the user's own PIRCTL_OFFLINE would say it.
    if offline:
        os.environ["PIRCTL_OFFLINE"] = "1"
    return offline


_BATCH_SIZE = "Frames computed at once."

TargetArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        help="Name of the target.  [default: the only one there is]",
        show_default=False,
    ),
]
TargetOption = Annotated[
    str | None, typer.Option("--target", "-t", help="The same as the argument TARGET.")
]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        "-p",
        help="Preset name, YAML file, or 'auto': the target's, else what this machine can train.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
Tracker = Annotated[
    TrackerName | None,
    typer.Option(
        help="'mediapipe': 478 points, fast on a CPU; 'facexlib': RetinaFace and AWING, 98 "
        "points, for a GPU. Either needs its weights.  [default: mediapipe]"
    ),
]
LipTracker = Annotated[
    LipTrackerName,
    typer.Option(
        "--tracker",
        help="What reads the lips: 'own' is fitted to the target's training frames; "
        "'mediapipe' needs its model file.",
    ),
]
Landmarks = Annotated[
    Path | None, typer.Option(help="Landmark file of the video, in place of a tracker.")
]
TrackerModel = Annotated[
    Path | None,
    typer.Option(help="MediaPipe's face_landmarker.task.  [default: the one in the cache]"),
]
Audio = Annotated[
    Path | None,
    typer.Option("--audio", "-a", help="Speech: a sound file, or a video with sound."),
]
OutputVideo = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Video to write.  [default: TARGET_SPEECH.mp4]"),
]
OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for scores.json and sheet.png.  [default: evaluate in the target]",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help=_BATCH_SIZE)]
DeviceBatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help=f"{_BATCH_SIZE}  [default: 16 on a GPU, 4 on a CPU]"),
]
Workspace = Annotated[
    Path | None,
    typer.Option(help="Folder of the targets.  [default: PIRCTL_WORKSPACE, else ./targets]"),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1 or mps.  [default: a CUDA GPU if there is one]"),
]
Consent = Annotated[
    str,
    typer.Option(
        metavar="FILE|TEXT",
        help="Who agreed to this use, in your words or in a file; recorded with hash and date.",
    ),
]
PaintFront = Annotated[
    bool,
    typer.Option(
        "--paint-front",
        help="Paint over what is before the mouth, a hand, a microphone, a cup, too.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Certificate = Annotated[
    Path | None,
    typer.Option(
        envvar="PIRCTL_CERTIFICATE",
        metavar="PEM",
        show_envvar=False,
        help="Certificate chain to sign the video with.  [default: PIRCTL_CERTIFICATE, else one of "
        "this machine, made at first use]",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        envvar="PIRCTL_KEY",
        metavar="PEM",
        show_envvar=False,
        help="Its private key.  [default: PIRCTL_KEY]",
    ),
]
NoProvenance = Annotated[
    bool,
    typer.Option(
        "--no-provenance", help="Sign no manifest; the comment that it is synthetic stays."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        callback=_forbid_fetching,
        help="Fetch no model file.  [default: PIRCTL_OFFLINE]",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def find_preset(
    preset: str, *, remembered: str = "", device: str | None = None, quiet: bool = False
) -> str:
    """The preset that is meant; says on stderr what was chosen for the user, and why."""
    from pirctl.config import choose_preset

    chosen, why = choose_preset(preset, remembered=remembered, device=device)
    if why and not quiet:
        print_message(f"preset {chosen}: {why}")
    return chosen


def chosen_target(argument: str | None, option: str | None, workspace: Path | None) -> Target:
    """The target that a command works on, named as an argument, as `--target`, or not at all.

    Raises:
        typer.BadParameter: argument and option name two different targets.
        TargetError: no such target, or no name and not exactly one.
    """
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(
            f"two targets are named, {argument!r} and {option!r}; name one of them"
        )
    from pirctl.target.workspace import find_target

    return find_target(argument if argument is not None else option, workspace)


def chosen_signing(certificate: Path | None, key: Path | None, *, off: bool) -> Signing:
    """What the options of provenance say; certificates of the environment give way to `off`."""
    from pirctl.provenance import Signing

    if off:
        return Signing(enabled=False)
    return Signing(certificate=certificate, key=key)
