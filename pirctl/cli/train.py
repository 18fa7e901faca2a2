"""`pirctl train`: teach a target to speak."""

from __future__ import annotations

from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.settings import DEFAULT_PRESET
from pirctl.settings.choices import StageName


def train(
    target: options.TargetArgument = None,
    target_option: options.TargetOption = None,
    stage: Annotated[
        StageName,
        typer.Option(
            help="'audio': speech to expression; 'face': the implicit face; 'render': the frame "
            "around it, needs 'face'."
        ),
    ] = "all",
    preset: options.Preset = DEFAULT_PRESET,
    overrides: options.Set = None,
    holdout: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds at the end of the clip to keep unseen.  [default: the preset's]"
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what was trained, and begin anew.")
    ] = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train the networks of a target, from where they stopped.

    Ctrl-C saves; the same command goes on. The log and a preview picture are in the target's
    folder, under stages.

    \b
    pirctl train obama
    pirctl train obama --stage face --set train.face.epochs=80
    """  # noqa: D301
    from pirctl import config
    from pirctl.device import select_device
    from pirctl.target.consent import consent_note
    from pirctl.training import run

    found = options.chosen_target(target, target_option, workspace)
    about = found.about
    if not about.consent and not quiet:
        print_message(consent_note(found.name, about))
    changes = list(overrides or ())
    if holdout is not None:
        changes.append(f"train.holdout_s={holdout:g}")
    chosen = options.find_preset(preset, remembered=about.preset, device=device, quiet=quiet)
    settings = config.load(chosen, changes)
    if preset == DEFAULT_PRESET and settings.media.enlarge:
        # With the preset it was preprocessed with goes the size it was preprocessed at.
        settings = config.load(chosen, [f"media.size_px={about.size_px}", *changes])
    with show_progress(quiet) as on_progress:
        report = run(
            stage,
            found,
            settings,
            device=select_device(device),
            restart=restart,
            on_progress=on_progress,
        )
    for one in report.stages:
        if quiet:
            continue
        if one.new_steps:
            print_message(
                f"{one.stage}: {one.new_steps} steps in {one.seconds:.0f} s "
                f"({one.steps_per_s:.1f} steps/s), loss {one.loss:.4f}"
            )
        else:
            print_message(
                f"{one.stage}: trained already ({one.steps} steps); --restart trains anew, "
                f"--set train.{one.stage}.epochs=N goes on"
            )
    if json_output:
        print_json(report)
    else:
        for one in report.stages:
            print_result(one.folder)
