"""Options that several commands share, spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pirctl.cli.output import print_message

TargetName = Annotated[
    str | None,
    typer.Option("--target", "-t", help="Name of the target.  [default: the only one there is]"),
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
Landmarks = Annotated[
    Path | None, typer.Option(help="Landmark file of the video, in place of a tracker.")
]
TrackerModel = Annotated[
    Path | None,
    typer.Option(help="MediaPipe's face_landmarker.task.  [default: the one in the cache]"),
]
Workspace = Annotated[
    Path | None,
    typer.Option(help="Folder of the targets.  [default: PIRCTL_WORKSPACE, else ./targets]"),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1 or mps.  [default: a CUDA GPU if there is one]"),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
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
