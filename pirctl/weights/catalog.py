"""Which third-party model files there are, and where they are; `models/weights.yaml` lists them.

Nothing here uses the network: `pull` does.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from pirctl.config import models_folder
from pirctl.errors import (
    WeightsCorrupt,
    WeightsError,
    WeightsMissing,
)
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings.strict import build, read_yaml, told
from pirctl.weights import entry as weights
from pirctl.weights import hub
from pirctl.weights.entry import WeightsEntry, WeightsState


@cache
def weights_entries() -> dict[str, WeightsEntry]:
    """Every third-party model file that pirctl can use, by name.

    Raises:
        WeightsError: the list itself is wrong; tells everything that is.
    """
    path = models_folder() / "weights.yaml"
    entries: dict[str, WeightsEntry] = {}
    problems: list[str] = []
    for name, content in read_yaml(path.read_text(encoding="utf-8")).items():
        of_this: list[str] = []
        named = content | {"name": name} if isinstance(content, dict) else content
        entry = build(WeightsEntry, named, of_this)
        problems += [f"{name}: {problem}" for problem in of_this]
        if entry is not None:
            entries[name] = entry
    if problems:
        raise WeightsError(f"{path}: {told(problems)}", hint="install pirctl again")
    return entries


def weights_entry(name: str) -> WeightsEntry:
    """The entry `name`.

    Raises:
        WeightsError: there is none; names those that are.
    """
    entries = weights_entries()
    if name in entries:
        return entries[name]
    near = get_close_matches(name, entries, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise WeightsError(
        f"there is no model file {name!r}", hint=f"{guess}model files: {', '.join(entries)}"
    )


def find_weights(name: str) -> Path:
    """The verified file of a third-party model, or the folder of a hub model; never downloads.

    Args:
        name: of the entry in models/weights.yaml.

    Raises:
        WeightsMissing: it is not there; the hint says how to get it.
        WeightsCorrupt: its size or hash is not the expected one.
    """
    entry = weights_entry(name)
    if entry.obtain == "hub":
        folder = hub_folder(entry)
        if folder is None:
            raise WeightsMissing(
                f"{entry.repository} is needed for {entry.used_for}, and is neither in "
                f"{hub.hub_folder()} nor in the cache of the Hugging Face hub",
                hint=f"pirctl models pull {name}",
            )
        hub.check_once(folder, entry.mend)
        return folder
    if not entry.is_here:
        offline = ""
        if entry.at_first_use and weights.is_offline():
            offline = ", and may not be fetched (--offline or PIRCTL_OFFLINE)"
        raise WeightsMissing(
            f"{entry.file} is needed for {entry.used_for}, and is not in {entry.path.parent}"
            f"{offline}",
            hint=entry.steps
            or f"pirctl models pull {name}  (a file you have: pirctl models import {name} FILE)",
        )
    weights.check_once(entry, entry.path)
    return entry.path


def hub_folder(entry: WeightsEntry) -> Path | None:
    """The folder of a hub model; None: it is nowhere, or not complete."""
    assert entry.repository is not None
    assert entry.revision is not None
    return hub.find(entry.repository, entry.revision)


def hub_entry(repository: str) -> WeightsEntry | None:
    """The entry of models/weights.yaml for a model of the hub; None where none lists it."""
    listed = weights_entries().values()
    return next((entry for entry in listed if entry.repository == repository), None)


def hub_revision(repository: str) -> str:
    """The commit at which models/weights.yaml pins a hub model; "main" for others."""
    entry = hub_entry(repository)
    return "main" if entry is None or entry.revision is None else entry.revision


def hub_command(repository: str) -> str:
    """The command that fetches a model of the hub, whether models/weights.yaml lists it or not."""
    entry = hub_entry(repository)
    return f"hf download {repository}" if entry is None else f"pirctl models pull {entry.name}"


def state_of(entry: WeightsEntry) -> WeightsState:
    """Whether a model file is there, and is the right one."""
    if entry.obtain != "hub":
        return weights.state_of(entry)
    folder = hub_folder(entry)
    if folder is None:
        return WeightsState.MISSING
    try:
        hub.check_once(folder, entry.mend)
    except WeightsCorrupt:
        return WeightsState.WRONG
    return WeightsState.HERE


def verify(
    entry: WeightsEntry, on_progress: OnProgress = ignore_progress
) -> Literal["right", "unknown"]:
    """Compare a model file with its hash, whatever was found before.

    Returns:
        "unknown" where there is no hash to compare with.

    Raises:
        WeightsMissing: it is not there.
        WeightsCorrupt: it is another file.
    """
    if entry.obtain == "hub":
        folder = hub_folder(entry)
        hub.check(find_weights(entry.name) if folder is None else folder, entry.mend)
        return "right"
    if not entry.is_here:
        raise WeightsMissing(
            f"{entry.file} is not in {entry.path.parent}",
            hint=entry.steps or f"pirctl models pull {entry.name}",
        )
    weights.check(entry, entry.path, on_progress)
    weights.remember(entry, entry.path)
    return "right" if entry.is_known else "unknown"
