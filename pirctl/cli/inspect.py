"""`pirctl inspect`: look at a target before training on it."""

from __future__ import annotations

from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress


def inspect(
    target: options.TargetArgument = None,
    target_option: options.TargetOption = None,
    axes: Annotated[
        bool,
        typer.Option(
            "--axes",
            help="Draw the face under each expression axis at full strength: the implicit face "
            "when it is trained, else the mesh.",
        ),
    ] = False,
    device: options.Device = None,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw what preprocess found: landmarks, mesh, masks, labels, curves, worst frames.

    The pictures go to TARGET/inspect/. Look at worst.png first.

    \b
    pirctl inspect obama
    pirctl inspect obama --json
    pirctl inspect obama --axes
    """  # noqa: D301
    from pirctl.inspect.axes import inspect_axes
    from pirctl.inspect.inspect import inspect as inspect_target

    found = options.chosen_target(target, target_option, workspace)
    if axes:
        with show_progress(quiet) as on_progress:
            drawn = inspect_axes(found, device=device, on_progress=on_progress)
        if json_output:
            print_json(drawn.to_mapping())
            return
        print_result(drawn.picture)
        if not quiet:
            what = "the mesh"
            if drawn.drawn_with == "face":
                what = "the implicit face; in percent, how much of an axis it has learnt to show"
            print_message(f"rest and {len(drawn.shares)} axes at full strength, {what}")
        return
    with show_progress(quiet) as on_progress:
        report = inspect_target(found, on_progress=on_progress)
    if json_output:
        print_json(report.to_mapping())
        return
    for path in report.pictures:
        print_result(path)
    if not quiet:
        mean, worst = report.error_percent
        print_message(
            f"{report.frames} frames, {len(report.unusable_frames)} without a usable face; "
            f"fit error {mean:.2f} % of the eye distance, worst {worst:.2f} %"
        )
