"""One third-party model file: what it must be, where it is kept, and whether it is that.

A file is checked against its size and hash before it gets its name in the cache, and once when it
is first used; that it was right is then remembered by size and time. This module never uses the
network (`pull` does) and does not know which files there are (`catalog` does).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.files import atomic_file, check_writable, file_hash
from pirctl.progress import OnProgress, ignore_progress


class WeightsState(StrEnum):
    """What is in the cache under the name of an entry."""

    HERE = "here"
    MISSING = "missing"
    WRONG = "wrong"


def cache_folder() -> Path:
    """The folder for downloads: PIRCTL_HOME, else the platform's cache folder. May not exist."""
    home = os.environ.get("PIRCTL_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pirctl", appauthor=False))


@contextmanager
def cache_errors() -> Iterator[None]:
    """Name the way out where the cache cannot be written: another folder for it."""
    try:
        yield
    except PirctlError as error:
        if type(error) is not PirctlError:  # Not about writing.
            raise
        raise PirctlError(
            error.message,
            hint="free some space, or name a folder of your own for the cache: PIRCTL_HOME=FOLDER",
        ) from error


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """A third-party model file, or folder of the Hugging Face hub, as models/weights.yaml has it.

    Attributes:
        name: what commands call it.
        used_for: one phrase.
        needed_by: "preset NAME", or a command with the option that asks for it.
        licence: of the file, which is not that of the code around it.
        licence_url: where it can be read.
        file: name of the file in the cache; None for a hub model.
        url: where it is downloaded; None where there is no address for everybody.
        bytes: its exact size, or None where that is not known.
        sha256: its hash, 64 hexadecimal digits, or None where that is not known.
        why: why something above is not known.
        obtain: "download", "hub" (through the Hugging Face client) or "manual".
        repository: name on the hub.
        revision: commit on the hub.
        steps: what to do by hand.
    """

    name: str
    used_for: str
    needed_by: tuple[str, ...]
    licence: str
    licence_url: str
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    why: str | None = None
    obtain: Literal["download", "hub", "manual"] = "download"
    repository: str | None = None
    revision: str | None = None
    steps: str | None = None

    def __post_init__(self) -> None:
        name = self.file or "file"
        # The name of the file in the cache: never a way out of the cache.
        if Path(name).name != name or name.startswith(".") or "\\" in name:
            raise ValueError(f"models/weights.yaml: {name!r} is no plain name")

    @property
    def path(self) -> Path:
        """Where the file lies in the cache."""
        assert self.file is not None, f"{self.name} is no single file"
        return cache_folder() / "weights" / self.file

    @property
    def mend(self) -> str:
        """How to replace a file that is wrong."""
        if self.obtain == "manual":
            return f"pirctl models import {self.name} FILE, with the file that was meant"
        return f"pirctl models pull {self.name} --force"


def mismatch(
    entry: WeightsEntry, path: Path, on_progress: OnProgress = ignore_progress
) -> str | None:
    """What about the file is not as `entry` says, for a message; None: nothing.

    Only what is known of the entry is compared: its size first, then its hash.
    """
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        return f"{size} bytes, {entry.name} has {entry.bytes}"
    if entry.sha256 is None:
        return None
    found = file_hash(path, f"checking {entry.name}", on_progress)
    if found != entry.sha256:
        return f"the hash {found[:12]}..., {entry.name} has {entry.sha256[:12]}..."
    return None


def check(entry: WeightsEntry, path: Path, on_progress: OnProgress = ignore_progress) -> None:
    """Raise unless the file is the one that `entry` means, as far as that is known.

    Raises:
        WeightsCorrupt: it has another size or hash, or may not be read.
    """
    try:
        found = mismatch(entry, path, on_progress)
    except PermissionError as error:
        raise WeightsCorrupt(
            f"{path} cannot be read: permission denied", hint="check the rights of the file"
        ) from error
    if found:
        raise WeightsCorrupt(f"{path} has {found}", hint=entry.mend)


def check_once(entry: WeightsEntry, path: Path) -> None:
    """`check`, unless this very file was found right before.

    Raises:
        WeightsCorrupt: it is not the expected file.
    """
    if _verified().get(path.name) != _fingerprint(entry, path):
        check(entry, path)
        remember(entry, path)


def state_of(entry: WeightsEntry) -> WeightsState:
    """What is in the cache under the name of `entry`, which is a single file."""
    if not entry.path.is_file():
        return WeightsState.MISSING
    try:
        check_once(entry, entry.path)
    except WeightsCorrupt:
        return WeightsState.WRONG
    return WeightsState.HERE


def check_readable(path: Path) -> None:
    """Raise where a file is there and may not be read.

    Raises:
        WeightsError: no right to read it.
    """
    if path.exists() and not os.access(path, os.R_OK):
        raise WeightsError(
            f"{path} cannot be read: permission denied", hint="check the rights of the file"
        )


def import_file(
    entry: WeightsEntry, source: Path, on_progress: OnProgress = ignore_progress
) -> Path:
    """Copy a file that the user has into the cache, checked.

    Args:
        entry: what it is said to be.
        source: the file; it stays where it is.
        on_progress: receives the bytes.

    Returns:
        The file in the cache.

    Raises:
        WeightsError: there is no such file, or `entry` is a folder of the hub.
        WeightsCorrupt: it is another file; what was in the cache stays.
        PirctlError: the cache cannot be written.
    """
    if entry.obtain == "hub":
        raise WeightsError(
            f"{entry.name} is a folder of the Hugging Face hub, not a file",
            hint="name the folder where it is used: --set speech.model=FOLDER",
        )
    if not source.is_file():
        reason = "is a folder, not a file" if source.is_dir() else "does not exist"
        raise WeightsError(f"{source} {reason}", hint=f"pirctl models import {entry.name} FILE")
    check_readable(source)
    with cache_errors():
        check_writable(entry.path, needed_bytes=source.stat().st_size)
    with cache_errors(), atomic_file(entry.path) as temporary:
        shutil.copyfile(source, temporary)
        # The copy is checked, not the source, which could change in between.
        if found := mismatch(entry, temporary, on_progress):
            hint = entry.steps or f"pirctl models pull {entry.name}"
            raise WeightsCorrupt(f"{source} is not {entry.file}: it has {found}", hint=hint)
    remember(entry, entry.path)
    return entry.path


def remember(entry: WeightsEntry, path: Path) -> None:
    """Note that `path` was found right; a cache that cannot be written is checked each time."""
    content = _verified() | {path.name: _fingerprint(entry, path)}
    try:
        with atomic_file(_verified_path()) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    except PirctlError:
        return


def _fingerprint(entry: WeightsEntry, path: Path) -> list[Any]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, entry.sha256]


def _verified() -> dict[str, Any]:
    try:
        content = json.loads(_verified_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _verified_path() -> Path:
    return cache_folder() / "weights" / "verified.json"
