"""`pirctl demo`: everything on a synthetic speaker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pirctl.cli import options
from pirctl.cli.evaluate import score_table, warn_without_gain
from pirctl.cli.output import print_json, print_result
from pirctl.cli.progress import show_progress
from pirctl.cli.tables import print_table

if TYPE_CHECKING:
    from rich.table import Table

    from pirctl.demo.demo import DemoReport


def demo(
    folder: Annotated[Path, typer.Option("--folder", "-f", help="Where everything goes.")] = Path(
        "demo"
    ),
    seconds: Annotated[
        float, typer.Option(help="Length of the synthetic video in seconds; the end is held out.")
    ] = 52.0,
    preset: options.Preset = "tiny",
    overrides: options.Set = None,
    device: options.Device = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a synthetic speaker, train on it, let it say new speech, and measure the result.

    Needs no download and no GPU. A second run reuses the steps that are finished.

    \b
    pirctl demo
    pirctl demo --folder /tmp/quick --seconds 12 --set train.render.epochs=2
    """  # noqa: D301
    from pirctl.demo.demo import demo as run_demo

    preset = options.find_preset(preset, device=device, quiet=quiet)
    with show_progress(quiet) as on_progress:
        report = run_demo(
            folder,
            seconds=seconds,
            preset=preset,
            overrides=overrides or (),
            device=device,
            on_progress=on_progress,
        )
    if not quiet:
        warn_without_gain(report.evaluation)
    if json_output:
        print_json(report.to_mapping())
        return
    print_table(step_table(report))
    print_table(score_table(report.evaluation))
    print_result(f"video          {report.video}")
    print_result(f"contact sheet  {report.evaluation.sheet_path}")
    print_result(f"report         {report.folder / 'report.json'}")


def step_table(report: DemoReport) -> Table:
    """Wall time of every step, and the peak memory."""
    from rich.table import Table

    memory = f"{report.peak_memory_bytes / 2**30:.2f} GB at most"
    table = Table(title=f"{report.seconds:.0f} s in all, {memory}", title_justify="left")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("")
    for step in report.steps:
        table.add_row(step.name, f"{step.seconds:.1f}", "done before" if step.reused else "")
    return table
