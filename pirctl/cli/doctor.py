"""`pirctl doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pirctl.cli import options
from pirctl.cli.output import print_json, print_result
from pirctl.errors import PirctlError
from pirctl.settings import DEFAULT_PRESET

if TYPE_CHECKING:
    from pirctl.doctor import Report


def doctor(
    preset: options.Preset = DEFAULT_PRESET,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
) -> None:
    """Look at Python, torch, GPU, ffmpeg, model files, presets and disks; fetches nothing.

    Ends with 1 when the preset cannot run. The output belongs into a bug report.

    \b
    pirctl doctor
    pirctl doctor --preset tiny --json
    """  # noqa: D301
    from pirctl.doctor import examine

    report = examine(options.find_preset(preset), workspace)
    if json_output:
        print_json(report)
    else:
        _print(report)
    if not report.ready:
        raise _reason(report)


def _print(report: Report) -> None:
    for check in report.checks:
        print_result(f"{check.state:<8} {check.name:<12} {check.found}")
        _print_advice(check.advice)
    print_result("\nmodel files")
    for file in report.weights:
        print_result(f"{file.state.value:<8} {file.name:<30} {file.used_for}")
        if file.state != "here":
            print_result(f"{'':<9}from: {'; '.join(file.sources)}")
        _print_advice(file.advice)
    print_result("\npresets")
    for one in report.presets:
        lacks = ", ".join(lack.name for lack in one.lacks)
        print_result(f"{'ready' if one.ready else 'lacks':<8} {one.name:<12} {lacks}".rstrip())
        if one.by_itself:
            _print_advice(f"fetched when first needed: {', '.join(one.by_itself)}")
        for lack in one.lacks:
            _print_advice(f"{lack.get}; or without: {lack.without}")


def _print_advice(advice: str | None) -> None:
    if advice:
        print_result(f"{'':<9}-> {advice}")


def _reason(report: Report) -> PirctlError:
    broken = [check for check in report.checks if check.state == "problem"]
    if broken:
        names = ", ".join(check.name for check in broken)
        return PirctlError(f"pirctl cannot run here: {names}", hint=broken[0].advice)
    lacks = next(one.lacks for one in report.presets if one.name == report.preset)
    names = ", ".join(lack.name for lack in lacks)
    commands = [lack.get for lack in lacks]
    start = "pirctl models pull "
    if all(command.startswith(start) and "--force" not in command for command in commands):
        commands = [start + " ".join(command.removeprefix(start) for command in commands)]
    return PirctlError(
        f"the preset {report.preset} cannot run yet: it lacks {names}",
        hint="; ".join(commands),
    )
