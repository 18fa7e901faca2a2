"""`pirctl evaluate`: how well a target speaks, beside baselines."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.cli.tables import print_table

if TYPE_CHECKING:
    from rich.table import Table

    from pirctl.evaluate.result import EvaluateReport
    from pirctl.evaluate.scores import Score


def evaluate(
    target: options.TargetArgument = None,
    target_option: options.TargetOption = None,
    output: options.OutputFolder = None,
    tracker: options.LipTracker = "own",
    tracker_model: options.TrackerModel = None,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a trained target on the end of its clip, which training has not seen.

    The held-out frames are repainted, driven by the held-out sound, and compared with the truth;
    the same is done for baselines: the mean mouth, the wrong speech, untouched frames. Sharpness,
    flicker, seam and the mouth's movement are shares of the truth's, so 1 is best; in the row
    "silence" the movement is what leaks. scores.json has more: PSNR and SSIM of the whole crop,
    LPIPS with VGG16, CPBD.

    \b
    pirctl evaluate obama
    pirctl evaluate obama --json > scores.json
    """  # noqa: D301
    from pirctl.evaluate.evaluate import evaluate as evaluate_actor
    from pirctl.evaluate.lip_reader import mediapipe_reader
    from pirctl.perform.actor import load_actor
    from pirctl.target.lock import lock_target
    from pirctl.weights.catalog import find_weights
    from pirctl.weights.needs import fetch_at_first_use

    found = options.chosen_target(target, target_option, workspace)
    with ExitStack() as stack:
        on_progress = stack.enter_context(show_progress(quiet))
        if output is None:
            stack.enter_context(lock_target(found, "evaluate"))
        read = None
        if tracker == "mediapipe":
            if tracker_model is None:
                fetch_at_first_use("face_landmarker", on_progress)
            model_path = tracker_model or find_weights("face_landmarker")
            read = stack.enter_context(mediapipe_reader(model_path))
        actor = load_actor(found, device)
        report = evaluate_actor(actor, output, read=read, on_progress=on_progress)
    if not quiet:
        warn_without_gain(report)
    if json_output:
        print_json(report.to_mapping())
        return
    print_table(score_table(report))
    print_result(f"leak           {report.leak:.2f}")
    print_result(f"scores         {report.scores_path}")
    print_result(f"contact sheet  {report.sheet_path}")


def warn_without_gain(report: EvaluateReport) -> None:
    """Say so where the lips are no nearer to the truth than a baseline's, or only by chance."""
    as_good = [
        name
        for name, gain in report.improvement.items()
        if gain["lmd"] <= 0 or _is_alike(report, name, "lmd_px")
    ]
    if as_good:
        print_message(
            "beyond noise, the lips are no nearer to the truth than those of: "
            f"{', '.join(as_good)}; train "
            "longer or on more footage, and look at preview.png in the stages of the target"
        )


def _is_alike(report: EvaluateReport, name: str, field: str) -> bool:
    from pirctl.evaluate.intervals import is_within_noise

    return is_within_noise(report.differences.get(name, {}).get(field))


_COLUMNS = {
    "correlation": ("corre-\nlation ↑", 3),
    "lmd_px": ("LMD\npx ↓", 2),
    "movement": ("mouth\nmoves", 2),
    "sync": ("\nsync ↑", 2),
    "sync_lag": ("\nlag", 0),
    "mouth_psnr_db": ("mouth\nPSNR ↑", 2),
    "mouth_ssim": ("mouth\nSSIM ↑", 3),
    "lpips_alex": ("LPIPS\n↓", 3),
    "sharpness": ("sharp-\nness", 2),
    "flicker": ("\nflicker", 2),
    "seam": ("\nseam", 2),
}
"""Field of a row -> head of its column, digits. The best share of the truth is 1."""


def score_table(report: EvaluateReport) -> Table:
    """The main scores, one row each, and how much ours is better than each baseline."""
    from rich.table import Table

    title = f"{report.target}: {report.frames} held-out frames"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    fields = {
        field: column
        for field, column in _COLUMNS.items()
        if any(getattr(row, field) is not None for row in report.rows)
    }
    for head, _ in fields.values():
        table.add_column(head, justify="right")
    table.add_column("ours has\nless LMD", justify="right")
    for row in report.rows:
        values = [_cell(report, row, field, places) for field, (_, places) in fields.items()]
        gain = report.improvement.get(row.name)
        alike = "" if gain is None else _mark(report, row.name, "lmd_px")
        values.append("" if gain is None else f"{alike}{gain['lmd']:.0f} %")
        is_ours = row.name == "ours"
        table.add_row(row.name, *values, style="bold" if is_ours else None)
        if is_ours:
            bounds = [_bounds(row, field, places) for field, (_, places) in fields.items()]
            table.add_row("  95 %", *bounds, "")
    table.caption = "≈ within noise of ours; 95 %: confidence interval of ours"
    table.caption_justify = "left"
    return table


def _cell(report: EvaluateReport, row: Score, field: str, places: int) -> str:
    value = getattr(row, field)
    return "" if value is None else f"{_mark(report, row.name, field)}{value:.{places}f}"


def _mark(report: EvaluateReport, name: str, field: str) -> str:
    """A sign before what cannot be told from ours; the lag is a place, not a score."""
    is_compared = field in report.differences.get(name, {}) and field != "sync_lag"
    return "≈" if is_compared and _is_alike(report, name, field) else ""


def _bounds(row: Score, field: str, places: int) -> str:
    if field not in row.intervals:
        return ""
    low, high = row.intervals[field]
    return f"{low:.{places}f}\n{high:.{places}f}"
