"""`pirctl bench`: how fast this machine is, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json
from pirctl.cli.progress import show_progress
from pirctl.cli.tables import print_table
from pirctl.settings import DEFAULT_PRESET

if TYPE_CHECKING:
    from rich.table import Table

    from pirctl.bench.bench import BenchReport


def bench(
    preset: options.Preset = DEFAULT_PRESET,
    overrides: options.Set = None,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of every part.")] = 7,
    batch_size: options.BatchSize = 1,
    speech: Annotated[
        bool, typer.Option("--speech/--no-speech", help="Also time the speech networks.")
    ] = True,
    video: Annotated[
        bool, typer.Option("--video/--no-video", help="Also time decoding and encoding.")
    ] = True,
    device: options.Device = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Time the parts of the pipeline on random weights: needs no target and no download.

    \b
    pirctl bench
    pirctl bench --preset tiny --batch-size 4 --json
    """  # noqa: D301
    from pirctl import config
    from pirctl.bench.bench import bench as time_parts
    from pirctl.device import select_device

    preset = options.find_preset(preset, device=device, quiet=quiet)
    settings = config.load(preset, overrides or ())
    with show_progress(quiet) as on_progress:
        report = time_parts(
            settings,
            select_device(device),
            repeats=repeats,
            batch_size=batch_size,
            speech=speech,
            video=video,
            on_progress=on_progress,
        )
    if json_output:
        print_json(report)
    else:
        print_table(part_table(report))


def part_table(report: BenchReport) -> Table:
    """One row per part, and the whole frame below."""
    from rich.table import Table

    title = (
        f"{report.device}, {report.precision}, {report.threads} threads, {report.size_px} px, "
        f"batch {report.batch_size}"
    )
    caption = (
        f"neural part {report.frame_ms:.1f} ms per frame ({report.frames_per_s:.2f} frames/s), "
        f"{_beside_load(report)}{report.gflop:.1f} GFLOP; "
        f"convolutions reach {report.ceiling_gflops:.0f} GFLOP/s here; "
        f"peak memory {report.peak_memory_mb:.0f} MB"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("part")
    for name in ("ms/frame", "best ms", "GFLOP", "of the ceiling"):
        table.add_column(name, justify="right")
    table.add_column("")
    for part in report.parts:
        table.add_row(
            part.name,
            _number(part.ms, 2),
            _number(part.best_ms, 2),
            _number(part.gflop, 2),
            "" if part.ceiling is None else f"{100 * part.ceiling:.0f} %",
            part.note,
        )
    return table


def _beside_load(report: BenchReport) -> str:
    if report.frame_busy_ms is None:
        return ""
    slower = report.frame_busy_ms / report.frame_ms
    return f"{report.frame_busy_ms:.1f} ms beside one busy thread ({slower:.1f} times as long), "


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
