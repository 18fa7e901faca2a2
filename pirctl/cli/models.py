"""`pirctl models`: the third-party model files."""

from __future__ import annotations

from typing import Annotated

import typer

from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Third-party model files: list and fetch."
)

Names = Annotated[list[str], typer.Argument(help="Names, as `pirctl models list` shows them.")]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    r"""Show every model file: whether it is here, what for, and under which licence.

    \b
    pirctl models list
    pirctl models list --json
    """
    from pirctl import catalog

    entries = catalog.weights_entries().values()
    here = {entry.name: catalog.is_here(entry) for entry in entries}
    if as_json:
        print_json([entry | {"here": here[entry["name"]]} for entry in map(vars, entries)])
        return
    for entry in entries:
        state = "here" if here[entry.name] else "not here"
        print_result(f"{entry.name:<22} {state:<9} {entry.used_for}")
        print_result(f"{'':<32} licence: {entry.licence}")


@app.command("pull")
def pull_models(
    names: Names,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    r"""Fetch model files into the cache and verify them.

    \b
    pirctl models pull face_landmarker
    pirctl models pull bisenet vgg16
    """
    from pirctl import catalog

    for entry in [catalog.weights_entry(name) for name in names]:
        if not quiet:
            print_message(f"{entry.name}: licence {entry.licence}, {entry.licence_url}")
        with show_progress(quiet) as on_progress:
            print_result(catalog.pull(entry.name, force=force, on_progress=on_progress))


@app.command("path")
def show_path(name: Annotated[str, typer.Argument(help="Name of one model file.")]) -> None:
    r"""Show where a model file lies; an error when it is not there.

    \b
    pirctl models path face_landmarker
    sha256sum "$(pirctl models path bisenet)"
    """
    from pirctl import catalog

    print_result(catalog.find_weights(name))
