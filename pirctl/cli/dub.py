"""`pirctl dub`: a finished video, with other lips and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.settings import DEFAULT_PRESET
from pirctl.settings.choices import Codec, ParserName, Pauses

if TYPE_CHECKING:
    from pirctl.dub.dub import DubReport

_MOST_STRETCHES = 8


def dub(
    video: Annotated[Path, typer.Argument(help="The finished video.")],
    audio: Annotated[
        Path | None,
        typer.Option("--audio", "-a", help="The new speech: a sound file, or a video with sound."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Video to write.  [default: VIDEO_dubbed]"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="A trained target of the speaker, also from other footage; else the name of the "
            "one that is made.  [default: the file's name]",
        ),
    ] = None,
    offset: Annotated[
        float, typer.Option(metavar="SECONDS", help="When the speech begins; may be negative.")
    ] = 0.0,
    cues: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Who speaks when: CSV with start, end, face, sound; or SRT, for its times.",
        ),
    ] = None,
    face: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Which face speaks, by its number in pirctl faces.  [default: whose mouth moves "
            "with the voice of the video]",
        ),
    ] = None,
    pauses: Annotated[
        Pauses,
        typer.Option(
            help="Where nobody speaks: 'original', the frames pass as they are; 'closed', the "
            "mouth is painted shut."
        ),
    ] = "original",
    keep_sound: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Mix the video's own sound track N under the speech."
        ),
    ] = None,
    paint_front: options.PaintFront = False,
    codec: Annotated[
        Codec,
        typer.Option(help="Of the result; 'source': as the video's where its container allows."),
    ] = "source",
    quality: Annotated[
        int | None,
        typer.Option(
            min=0, max=63, help="Constant rate factor, lower is better.  [default: about 45 dB]"
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="ffmpeg's name of a hardware encoder: h264_nvenc."),
    ] = None,
    preset: options.Preset = DEFAULT_PRESET,
    overrides: options.Set = None,
    tracker: options.Tracker = None,
    landmarks: options.Landmarks = None,
    tracker_model: options.TrackerModel = None,
    parser: Annotated[ParserName | None, typer.Option(help="As in pirctl preprocess.")] = None,
    consent: options.Consent = "",
    certificate: options.Certificate = None,
    key: options.Key = None,
    no_provenance: options.NoProvenance = False,
    batch_size: options.DeviceBatchSize = None,
    force: options.Force = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Dub a video: the same shot and the same frames, with new speech on the speaker's lips.

    Frame n of the result is frame n of the video, at its own time; outside the mouth the pictures
    are the video's. The speaker is learnt from the video first, which takes minutes; what is done
    is kept, and the same command goes on after a stop.

    \b
    pirctl dub video.mp4 --audio speech.wav
    pirctl dub video.mp4 --audio speech.wav --offset 2.5 --keep-sound 2
    pirctl dub video.mp4 --cues cues.csv --output dubbed.mov
    pirctl dub interview.mp4 --audio speech.wav --target obama
    """  # noqa: D301
    if audio is None and cues is None:
        raise typer.BadParameter("give --audio, or --cues with sounds")
    from fractions import Fraction

    from pirctl.dub.cast import Casting
    from pirctl.dub.cues import read_cues
    from pirctl.dub.dub import Delivery, Speech
    from pirctl.dub.dub import dub as dub_video
    from pirctl.media.delivery import DeliverySettings
    from pirctl.prepare.options import ParserOptions, TrackerOptions

    casting = Casting(
        target=target,
        face=face,
        workspace=workspace,
        preset=preset,
        changes=tuple(overrides or ()),
        tracker=TrackerOptions(name=tracker, model=tracker_model, landmarks=landmarks),
        parser=ParserOptions(name=parser),
        consent=consent,
        device=device,
    )
    speech = Speech(
        audio=audio,
        offset_s=Fraction(str(offset)),
        cues=read_cues(cues) if cues else (),
        keep_pauses=pauses == "original",
        keep_sound=keep_sound,
        keep_front=not paint_front,
    )
    delivery = Delivery(
        video=output,
        force=force,
        batch_size=batch_size,
        settings=DeliverySettings(codec=codec, quality=quality, encoder=encoder),
        signing=options.chosen_signing(certificate, key, off=no_provenance),
    )
    with show_progress(quiet) as on_progress:
        report = dub_video(
            video,
            speech,
            delivery,
            casting=casting,
            on_progress=on_progress,
        )
    if not quiet:
        _tell(report)
    if json_output:
        print_json(report.to_mapping())
    else:
        print_result(report.output)


def _tell(report: DubReport) -> None:
    """Say what was done, and what is not as one might expect."""
    print_message(
        f"{report.frames} frames: {report.painted_frames} painted, {report.copied_frames} copied "
        "as they are"
    )
    if report.missed:
        shown = report.missed[:_MOST_STRETCHES]
        more = ", ..." if len(report.missed) > len(shown) else ""
        stretches = ", ".join(f"{first}-{last}" for first, last in shown)
        print_message(
            f"no usable face in frames in which something is said; they passed unchanged: "
            f"{stretches}{more}"
        )
    print_message(report.provenance.words())
    for note in report.notes:
        print_message(note)
