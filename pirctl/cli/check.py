"""`pirctl check`: will dubbing work, how well, and what does it cost?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_result
from pirctl.cli.progress import show_progress
from pirctl.errors import PirctlError
from pirctl.settings import DEFAULT_PRESET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pirctl.check.check import CheckReport
    from pirctl.check.cost import Cost
    from pirctl.check.sounds import SoundFacts


def check(
    video: Annotated[Path, typer.Argument(help="The video that shall be dubbed.")],
    audio: options.Audio = None,
    preset: options.Preset = DEFAULT_PRESET,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Look at a video and a speech before anything costs time: takes seconds, writes nothing.

    Problems come the worst first: 'stop' means that dubbing cannot work, and ends with 1.

    \b
    pirctl check video.mp4 --audio speech.wav
    pirctl check video.mp4 --json
    """  # noqa: D301
    from pirctl.check.check import check as check_inputs

    with show_progress(quiet) as on_progress:
        report = check_inputs(
            video,
            audio,
            preset=preset,
            workspace=workspace,
            device=device,
            on_progress=on_progress,
        )
    if json_output:
        print_json(report)
    else:
        _print(report)
    if not report.ready:
        worst = report.findings[0]
        raise PirctlError(
            f"dubbing cannot work: {worst.about}: {worst.what}", hint=worst.do or None
        )


def _print(report: CheckReport) -> None:
    for name, found in _facts(report):
        print_result(f"{name:<9}{found}")
    print_result("")
    for finding in report.findings:
        print_result(f"{finding.level:<9}{finding.about}: {finding.what}")
        if finding.do:
            print_result(f"{'':<9}-> {finding.do}")
    if report.ready:
        warnings = sum(finding.level == "warning" for finding in report.findings)
        rest = {0: "", 1: ", with one warning"}.get(warnings, f", with {warnings} warnings")
        print_result(f"{'ready':<9}dubbing can work{rest}")


def _facts(report: CheckReport) -> Iterator[tuple[str, str]]:
    pictures, face = report.pictures, report.face
    if pictures is not None:
        rate = (
            "unknown rate" if pictures.frame_rate is None else f"{pictures.frame_rate:.5g} frames/s"
        )
        kind = "" if pictures.has_steady_rate else ", variable"
        yield (
            "pictures",
            f"{pictures.width} x {pictures.height}, {rate}{kind}, {time_text(pictures.duration_s)}"
            f", {pictures.bit_depth} bit, {pictures.dynamic_range} range",
        )
    if pictures is not None and face is not None:
        yield (
            "face",
            f"{face.height_px:.0f} px from brow to chin, usable in "
            f"{round(face.usable_share * pictures.looks)} of {pictures.looks} pictures",
        )
    if report.sound is not None:
        yield "sound", _sound_text(report.sound)
    if report.speech_sound is not None:
        yield "speech", _sound_text(report.speech_sound)
    if report.training_s is not None:
        yield (
            "footage",
            f"{time_text(report.training_s)} of speech with a usable face to learn from",
        )
    if report.cost is not None:
        yield "time", _cost_text(report.cost)
        free = report.cost.free_bytes
        of = "" if free is None else f" of {free / 1e9:.1f} GB that are free"
        yield "disk", f"{report.cost.disk_bytes / 1e9:.2f} GB{of}"


def _sound_text(sound: SoundFacts) -> str:
    said = "" if sound.voiced_share is None else f", {100 * sound.voiced_share:.0f} % speech"
    return f"{time_text(sound.duration_s)}, level {sound.level_db:.0f} dB{said}"


def _cost_text(cost: Cost) -> str:
    if cost.total_s is None:
        return f"unknown: {cost.basis}"
    parts = (("preprocess", cost.preprocess_s), ("train", cost.train_s), ("dub", cost.dub_s))
    each = ", ".join(f"{name} {_about(seconds or 0)}" for name, seconds in parts)
    return f"about {_about(cost.total_s)} ({each}), by {cost.basis}"


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def time_text(seconds: float) -> str:
    """Seconds for people: 9.5 s, 3:07 min, 2:05 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 20 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"
