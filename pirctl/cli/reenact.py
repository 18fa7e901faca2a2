"""`pirctl reenact`: new speech on a target's lips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.progress import name_ranges
from pirctl.settings.choices import Picture, Pose, UpperFace

if TYPE_CHECKING:
    from pirctl.dub.reenact import ReenactReport


_MOST_LINES = 8


def reenact(
    target: options.TargetArgument = None,
    target_option: options.TargetOption = None,
    audio: options.Audio = None,
    drive: Annotated[
        Path | None,
        typer.Option(
            metavar="VIDEO",
            help="In place of --audio: show the expression of the person in this video, which "
            "--landmarks and --tracker-model are for.",
        ),
    ] = None,
    output: options.OutputVideo = None,
    frame: Annotated[
        Picture,
        typer.Option(
            "--frame",
            help="'full': the original shot, painted in place, which needs the source video; "
            "'crop': the square around the head.",
        ),
    ] = "full",
    expression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GAIN[+OFFSET]",
            help="Change an expression axis, for example jawOpen=1.2; may be repeated.",
        ),
    ] = None,
    expression_file: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Curves of named axes over time in seconds."),
    ] = None,
    export_expression: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write what was shown, to edit and give back."),
    ] = None,
    pose: Annotated[
        Pose,
        typer.Option(
            help="'original': the clip in its order, forwards and backwards if the speech is "
            "longer; 'loop': a section over and over; 'still': one frame."
        ),
    ] = "original",
    upper_face: Annotated[
        UpperFace,
        typer.Option(
            help="Eyes and brows from the target's own 'video', or from the 'speech' (or the "
            "driving video)."
        ),
    ] = "video",
    paint_front: options.PaintFront = False,
    landmarks: options.Landmarks = None,
    tracker_model: options.TrackerModel = None,
    batch_size: options.DeviceBatchSize = None,
    certificate: options.Certificate = None,
    key: options.Key = None,
    no_provenance: options.NoProvenance = False,
    force: options.Force = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a video of the target saying the speech, in the original shot.

    The picture is the target's own footage, repainted around the mouth; the sound is the file as
    you gave it. The video is as long as the speech; a comment and a signed C2PA manifest say that
    it is synthetic (pirctl verify reads them). The expression can be changed by the names of its
    axes: first --expression-file replaces those it names, then --expression multiplies and adds; 0
    is the face at rest, 1 full strength.

    \b
    pirctl reenact obama --audio speech.wav
    pirctl reenact obama --audio speech.wav --frame crop --output dubbed.mp4
    pirctl reenact --audio speech.wav --expression jawOpen=1.2 --expression mouthSmileLeft=1+0.3
    pirctl reenact --audio speech.wav --export-expression curves.csv
    pirctl reenact --drive actress.mp4
    """  # noqa: D301
    if (audio is None) == (drive is None):
        raise typer.BadParameter("give either --audio or --drive")
    if drive is None and (landmarks or tracker_model):
        raise typer.BadParameter("--landmarks and --tracker-model belong to --drive")
    from pirctl.dub.controls import Controls, parse_gain
    from pirctl.dub.curves import read_curves
    from pirctl.dub.drive import DrivingVideo
    from pirctl.dub.inputs import OutputFiles, Speech
    from pirctl.dub.reenact import reenact as reenact_target

    found = options.chosen_target(target, target_option, workspace)
    controls = Controls(
        gains=tuple(parse_gain(text) for text in expression or ()),
        curves=read_curves(expression_file) if expression_file else None,
        upper_face=upper_face,
        pose=pose,
    )
    speech: Speech
    if drive is not None:
        speech = DrivingVideo(video=drive, landmarks=landmarks, tracker_model=tracker_model)
    else:
        assert audio is not None
        speech = audio
    with show_progress(quiet) as on_progress:
        report = reenact_target(
            found,
            speech,
            OutputFiles(
                video=output,
                picture=frame,
                curves=export_expression,
                force=force,
                keep_front=not paint_front,
                signing=options.chosen_signing(certificate, key, off=no_provenance),
            ),
            device=device,
            batch_size=batch_size,
            controls=controls,
            on_progress=on_progress,
        )
    if not quiet:
        print_message(f"{report.frames} frames at {report.fps:.1f} frames/s")
        print_message(report.provenance.words())
    _warn(report)
    if json_output:
        print_json(report.to_mapping())
        return
    print_result(report.output)
    if report.expression_path is not None:
        print_result(report.expression_path)


def _warn(report: ReenactReport) -> None:
    """Say what is not as one might expect."""
    of = f"of {report.frames} frames"
    if report.skipped_frames:
        print_message(
            f"{len(report.skipped_frames)} {of} have no usable face and "
            f"passed through unchanged: {name_ranges(report.skipped_frames)}"
        )
    if report.held_frames:
        print_message(
            f"{len(report.held_frames)} {of} of the driving video have no usable face and hold "
            f"the last expression: {name_ranges(report.held_frames)}"
        )
    if len(report.clamped) > _MOST_LINES:
        axes = ", ".join(f"{axis} ({count})" for axis, (count, _, _) in report.clamped.items())
        print_message(f"clamped to their ranges, with the number of frames {of}: {axes}")
    else:
        for axis, (count, least, most) in report.clamped.items():
            print_message(f"{axis}: clamped to {least:.3g} to {most:.3g} in {count} {of}")
    for note in report.notes:
        print_message(note)
