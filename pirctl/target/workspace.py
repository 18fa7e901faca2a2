"""The folder of all targets: where it is, what may be a target's name, and which targets it has."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path

from pirctl.errors import TargetError
from pirctl.target.folder import Target


def check_name(name: str) -> str:
    """Return `name` if it can name a target.

    Raises:
        TargetError: empty, a path, hidden, or with control characters.
    """
    problem = None
    if not name or name.isspace():
        problem = "it is empty"
    elif "/" in name or "\\" in name:
        problem = "it is a path, not a name"
    elif name.startswith(".") or ".." in name:
        problem = "it must not start with a dot or contain '..'"
    elif not name.isprintable() or name != name.strip() or len(name.encode()) > 200:
        problem = "it has control characters or outer spaces, or is too long"
    if problem:
        raise TargetError(
            f"target name {name!r} cannot be used: {problem}",
            hint="--target NAME, for example --target obama; the root folder is --workspace",
        )
    return name


def name_from_video(video: Path) -> str:
    """The target's name when none is given: the file's stem, made usable."""
    stem = re.sub(r"\.{2,}", ".", video.stem).strip().lstrip(".")
    return check_name(stem)


def workspace_folder(option: str | Path | None = None) -> Path:
    """The root of the targets: the option, else PIRCTL_WORKSPACE, else `./targets`."""
    if option is not None:
        return Path(option)
    return Path(os.environ.get("PIRCTL_WORKSPACE") or "targets")


def target_names(workspace: str | Path | None = None) -> list[str]:
    """Names of the targets in the workspace, sorted; empty when there is no such folder."""
    root = workspace_folder(workspace)
    if not root.is_dir():
        return []
    # A leading dot is an unfinished temporary folder, never a target.
    return sorted(
        path.parent.name for path in root.glob("*/target.yaml") if path.parent.name[0] != "."
    )


def find_target(name: str | None = None, workspace: str | Path | None = None) -> Target:
    """Find a target by name, or the only one there is.

    Raises:
        TargetError: no such target, or no name and not exactly one; lists those that exist.
    """
    root = workspace_folder(workspace)
    names = target_names(root)
    if name is None:
        if len(names) == 1:
            return Target(root / names[0])
        if names:
            raise TargetError(
                f"{root} has {len(names)} targets: {', '.join(names)}",
                hint=f"say which one: --target {names[0]}",
            )
        raise TargetError(f"no target in {root}", hint="pirctl preprocess video.mp4")
    check_name(name)
    if name in names:
        return Target(root / name)
    if not names:
        raise TargetError(
            f"no target {name!r}: there is none in {root}", hint="pirctl preprocess video.mp4"
        )
    near = get_close_matches(name, names, n=1)
    hint = f"--target {near[0]}" if near else f"pirctl preprocess {name}.mp4, or --workspace"
    raise TargetError(f"no target {name!r} in {root}; there are: {', '.join(names)}", hint=hint)
