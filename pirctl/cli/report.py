"""`pirctl report`: an evaluation as a page to read, or two to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_message, print_result


def report(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET] [OTHER]",
            help="One or two targets that were evaluated, or folders with their scores.json.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Page to write.  [default: TARGET_report.html]"),
    ] = None,
    force: options.Force = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write what `pirctl evaluate` found as one page: verdict, film, table, curves, worst frames.

    The page needs no network and runs no script. With two names it compares them.

    \b
    pirctl report obama
    pirctl report obama other/evaluate --output compared.html
    """  # noqa: D301
    from pirctl.evaluate.report import read_run, write_report
    from pirctl.evaluate.verdict import verdict
    from pirctl.files import check_writable
    from pirctl.target.workspace import find_target

    names = targets or [find_target(None, workspace).name]
    if len(names) > 2:
        raise typer.BadParameter("give one or two targets")
    folders = [
        Path(name)
        if (Path(name) / "scores.json").is_file()
        else find_target(name, workspace).folder / "evaluate"
        for name in names
    ]
    runs = [read_run(folder) for folder in folders]
    page = output or Path("_".join(str(run.scores["target"]) for run in runs) + "_report.html")
    # The page of the default name is our own, and made again.
    check_writable(page, force=force or output is None)
    write_report(page, runs)
    if json_output:
        print_json({"page": str(page), "verdicts": [verdict(run.scores) for run in runs]})
        return
    if not quiet:
        for run in runs:
            print_message(f"{run.scores['target']}: {verdict(run.scores)}")
    print_result(page)
