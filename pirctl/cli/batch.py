"""`pirctl batch`: a table of dubbings."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer.models import OptionInfo

from pirctl.cli import dub, options
from pirctl.cli.batch_table import show_jobs
from pirctl.cli.output import print_json, print_message, print_result

if TYPE_CHECKING:
    from pirctl.batch.batch import Progressing
    from pirctl.batch.jobs import Option
    from pirctl.batch.places import Place

_NOT_IN_TABLES = {"json", "quiet"}


def batch(
    jobs: Annotated[
        Path,
        typer.Argument(
            help="CSV (or YAML): one row a job; the columns are the options of pirctl dub, and "
            "'video'. Paths start at its folder."
        ),
    ],
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Jobs at a time; they share the cores.  [default: 1; with --ray one a GPU]",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="More tries of a job that was killed or had too little memory."
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on this Ray cluster; 'auto' starts one of this machine.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for report.csv, report.json and the logs.  [default: JOBS_report, beside "
            "the table]",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make everything anew, and replace what stands there.")
    ] = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Dub many videos: one row of a table each, here or on a cluster.

    Mistakes in the table are told before anything starts. A job that fails does not stop the
    others; what is made already is skipped, so the same command goes on after a stop. The exit
    status is 1 if any job failed.

    \b
    pirctl batch jobs.csv
    pirctl batch jobs.csv --parallel 2 --retries 3
    pirctl batch jobs.yaml --ray auto
    """  # noqa: D301
    from pirctl.batch.batch import run_batch
    from pirctl.batch.jobs import read_jobs
    from pirctl.batch.report import to_mapping
    from pirctl.dub.dub import default_output

    folder = output or jobs.with_name(f"{jobs.stem}_report")
    common = {"workspace": str(_workspace(workspace))}
    common |= {"device": device} if device else {}
    common |= {"offline": "yes"} if offline else {}
    found = read_jobs(jobs, table_options(), default_output, common)
    with show_jobs(quiet) as on_change:
        tasks = run_batch(
            found, _place(ray, parallel, device), folder.absolute(),
            retries=retries, force=force, on_change=on_change,
        )  # fmt: skip
    if not quiet:
        _tell(tasks)
    if json_output:
        print_json(to_mapping([task.row() for task in tasks]))
    else:
        print_result(folder / "report.csv")
    if any(task.state == "failed" for task in tasks):
        raise typer.Exit(1)


def table_options() -> list[Option]:
    """The columns that a table may have: the parameters of `pirctl dub`."""
    from pirctl.batch.jobs import Option

    found = []
    for name, hint in get_type_hints(dub.dub, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue  # What it returns.
        kind, info = get_args(hint)[:2]
        # In an annotation, Typer takes the first name of an option for its default.
        names = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
        flags = [one for one in names if one.startswith("--")]
        column = flags[0].lstrip("-") if flags else name.replace("_", "-")
        if column in _NOT_IN_TABLES:
            continue
        least, most = (info.min, info.max) if isinstance(info, OptionInfo) else (None, None)
        found.append(Option(name=column, least=least, most=most, **_kind(kind)))
    return found


def _kind(hint: Any) -> dict[str, Any]:
    """What values of a type are."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if get_origin(hint) is list:
        return {"kind": get_args(hint)[0], "repeats": True}
    return {"kind": hint}


def _workspace(option: Path | None) -> Path:
    from pirctl.target.workspace import workspace_folder

    # Workers have other current folders.
    return workspace_folder(option).absolute()


def _place(ray: str | None, parallel: int | None, device: str | None) -> Place:
    if ray is not None:
        from pirctl import cli
        from pirctl.batch.cluster import Cluster

        return Cluster(ray, cli.main, parallel, on_cpu=device == "cpu")
    from pirctl.batch.places import Here

    return Here(parallel or 1, _gpus() if parallel and parallel > 1 and not device else ())


def _gpus() -> Sequence[str]:
    """Names of the GPUs that jobs at a time can take turns in."""
    import os

    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one for one in visible.split(",") if one]
    return [str(number) for number in range(torch.cuda.device_count())]


def _tell(tasks: Sequence[Progressing]) -> None:
    counts = Counter(task.state for task in tasks)
    print_message(", ".join(f"{count} {state}" for state, count in counts.items()))
    for task in tasks:
        if task.state == "failed":
            print_message(f"row {task.job.line}, {task.job.video.name}: {task.note}")
            if task.hint:
                print_message(f"  hint: {task.hint}")
