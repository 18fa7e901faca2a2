"""`pirctl reenact`: new speech on a target's lips."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress


class Picture(StrEnum):
    """What the video shows."""

    CROP = "crop"
    FULL = "full"


def reenact(
    audio: Annotated[
        Path, typer.Option("--audio", "-a", help="Speech: a sound file, or a video with sound.")
    ],
    target: options.TargetName = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Video to write.  [default: TARGET_SPEECH.mp4]"),
    ] = None,
    frame: Annotated[
        Picture,
        typer.Option(
            "--frame", help="'crop': the square around the head; 'full': back in the whole shot."
        ),
    ] = Picture.CROP,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Frames painted at once.  [default: 16 on a GPU, 4 on a CPU]"),
    ] = None,
    force: options.Force = False,
    device: options.Device = None,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a video of the target saying the speech.

    The picture is the target's own footage, repainted around the mouth; the sound is the file as
    you gave it. The video is as long as the speech, and marked as synthetic.

    \b
    pirctl reenact --target obama --audio speech.wav
    pirctl reenact --target obama --audio speech.wav --frame full --output dubbed.mp4
    """  # noqa: D301
    from pirctl.pipeline import reenact as pipeline
    from pirctl.target import find_target

    found = find_target(target, workspace)
    with show_progress(quiet) as on_progress:
        report = pipeline.reenact(
            found,
            audio,
            output,
            device=device,
            batch_size=batch_size,
            picture=frame.value,
            force=force,
            on_progress=on_progress,
        )
    if not quiet:
        print_message(f"{report.frames} frames at {report.fps:.1f} frames/s")
    if report.skipped_frames:
        print_message(
            f"{len(report.skipped_frames)} of {report.frames} frames have no usable face and "
            f"passed through unchanged: {name_ranges(report.skipped_frames)}"
        )
    if json_output:
        print_json(report.to_mapping())
    else:
        print_result(report.output)


def name_ranges(numbers: Sequence[int]) -> str:
    """Name runs of consecutive numbers: 3, 4, 5, 9 as "3-5, 9"."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
