"""`pirctl preprocess`: from a video of a speaker to a target folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.errors import TargetError
from pirctl.settings import DEFAULT_PRESET
from pirctl.settings.choices import FaceModelName, FitName, ParserName

if TYPE_CHECKING:
    from pirctl.prepare.preprocess import PreprocessReport


def preprocess(
    video: Annotated[Path, typer.Argument(help="Video of one speaker, minutes long at best.")],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Name of the target.  [default: the file's name]"),
    ] = None,
    preset: options.Preset = DEFAULT_PRESET,
    overrides: options.Set = None,
    tracker: options.Tracker = None,
    landmarks: options.Landmarks = None,
    tracker_model: options.TrackerModel = None,
    face: Annotated[
        int | None,
        typer.Option(min=1, help="Which of several people, by the number of pirctl faces."),
    ] = None,
    parser: Annotated[
        ParserName | None,
        typer.Option(
            help="'bisenet', 'bisenet-v2': trained networks, need their weights; 'geometry': from "
            "the landmarks, hair and neck are guesses.  [default: the first whose weights are in "
            "the cache]"
        ),
    ] = None,
    parser_weights: Annotated[
        Path | None, typer.Option(help="parsing_bisenet.pth.  [default: the one in the cache]")
    ] = None,
    face_model: Annotated[
        FaceModelName,
        typer.Option(
            help="'generic': bundled, 52 named expression axes; 'bfm': the paper's, made from your "
            "licensed files by pirctl models import bfm."
        ),
    ] = "generic",
    fit: Annotated[
        FitName,
        typer.Option(
            help="'landmarks': fitted to the tracked points; 'deep3d': read from the picture by "
            "the paper's regressor, for the face model bfm, needs its weights."
        ),
    ] = "landmarks",
    fit_weights: Annotated[
        Path | None,
        typer.Option(help="epoch_20.pth of the regressor.  [default: the one in the cache]"),
    ] = None,
    audio: Annotated[
        bool, typer.Option("--audio/--no-audio", help="Keep the sound, which training needs.")
    ] = True,
    consent: options.Consent = "",
    force: Annotated[
        bool, typer.Option("--force", help="Make everything anew; drops trained stages.")
    ] = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a target from a video: track the face, crop, fit the face model, label the pixels.

    The target is a folder in the workspace. A second run redoes only what its inputs changed.

    \b
    pirctl preprocess video.mp4
    pirctl preprocess talk.mov --target obama --parser geometry
    pirctl preprocess interview.mp4 --target guest --face 2
    pirctl preprocess video.mp4 --face-model bfm --fit deep3d
    """  # noqa: D301
    from pirctl import config
    from pirctl.prepare.options import FitOptions, OutputOptions, ParserOptions, TrackerOptions
    from pirctl.prepare.preprocess import preprocess as preprocess_video

    remembered = _remembered(target, video, workspace)
    preset = options.find_preset(preset, remembered=remembered, device=device, quiet=quiet)
    settings = config.load(preset, overrides or ())
    with show_progress(quiet) as on_progress:
        report = preprocess_video(
            video,
            settings=settings,
            tracker=TrackerOptions(
                name=tracker, model=tracker_model, landmarks=landmarks, face=face
            ),
            parser=ParserOptions(name=parser, weights=parser_weights),
            fit=FitOptions(face_model=face_model, method=fit, weights=fit_weights),
            output=OutputOptions(
                name=target,
                workspace=workspace,
                preset=preset,
                with_audio=audio,
                consent=consent,
                force=force,
            ),
            device=device,
            on_progress=on_progress,
        )
    _tell(report, quiet)
    if parser is None and not quiet:
        _tell_parser(report)
    if json_output:
        print_json(report.to_mapping())
    else:
        print_result(report.target.folder)


def _remembered(target: str | None, video: Path, workspace: Path | None) -> str:
    """The preset of an earlier run; empty where there was none, or nothing can be read."""
    from pirctl.target import Target
    from pirctl.target.workspace import name_from_video, workspace_folder

    try:
        found = Target(workspace_folder(workspace) / (target or name_from_video(video)))
        return found.about.preset
    except TargetError:
        return ""  # Whether that is a mistake is for preprocessing itself to say.


def _tell_parser(report: PreprocessReport) -> None:
    """Say which parser was taken where nobody chose one and the better one is not there."""
    if report.target.about.parser == "geometry":
        from pirctl.weights.catalog import weights_entry

        print_message(
            "the regions of the face are derived from the landmarks; hair and neck are guesses. A "
            "trained parser: pirctl models pull bisenet_v2, then preprocess again (licence "
            f"{weights_entry('bisenet_v2').licence})"
        )


def _tell(report: PreprocessReport, quiet: bool) -> None:
    """Say how it went, and always what went wrong."""
    if report.up_to_date:
        note = f"{report.target.name} is up to date, nothing to do"
    else:
        steps = ", ".join(f"{step} {value:.1f} s" for step, value in report.seconds.items())
        note = (
            f"{report.frames} frames at {report.fps:.0f} frames/s ({steps}); "
            f"fit error {report.error_percent:.2f} % of the eye distance"
        )
    if not quiet:
        print_message(note)
    if report.damage:
        print_message(report.damage)
    if report.unusable_frames:
        first = ", ".join(str(number) for number in report.unusable_frames[:10])
        more = ", ..." if len(report.unusable_frames) > 10 else ""
        print_message(
            f"{len(report.unusable_frames)} of {report.frames} frames have no usable face: "
            f"{first}{more}"
        )
