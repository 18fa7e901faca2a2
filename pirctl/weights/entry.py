"""One third-party model file: what it must be, where it is kept, and whether it is that.

A file is checked against its size and hash before it gets its name in the cache, and once when it
is first used; that it was right is then remembered by size and time. This module never uses the
network (`pull` does) and does not know which files there are (`catalog` does).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.files import atomic_file, file_hash
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights.package import Package, Piece, check_plain_name


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


def is_offline() -> bool:
    """Whether PIRCTL_OFFLINE forbids to fetch what nobody asked for by name."""
    return os.environ.get("PIRCTL_OFFLINE", "") not in {"", "0"}


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
        author: who made it; None where that is not known.
        file: name of the file in the cache, or of the folder of its pieces; None for a hub model.
        url: where it is downloaded; None where there is no address for everybody.
        packages: packages of registries that carry it.
        pieces: the files of a model that is made of several; then `file` is their folder.
        bytes: its exact size, or None where that is not known.
        sha256: its hash, 64 hexadecimal digits, or None where that is not known.
        at_first_use: small and under a permissive licence, so fetched when it is first needed.
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
    author: str | None = None
    file: str | None = None
    url: str | None = None
    packages: tuple[Package, ...] = ()
    pieces: tuple[Piece, ...] = ()
    bytes: int | None = None
    sha256: str | None = None
    at_first_use: bool = False
    why: str | None = None
    obtain: Literal["download", "hub", "manual"] = "download"
    repository: str | None = None
    revision: str | None = None
    steps: str | None = None

    def __post_init__(self) -> None:
        check_plain_name(self.file or "file")  # Never a way out of the cache.
        if self.packages and self.bytes is None:
            raise ValueError(f"models/weights.yaml: {self.name} is in a package and has no size")

    @property
    def path(self) -> Path:
        """Where the file lies in the cache."""
        assert self.file is not None, f"{self.name} is no single file"
        return cache_folder() / "weights" / self.file

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it can come from, in the order in which `pull` asks; for people."""
        found = [f"{package.title}, package licence {package.licence}" for package in self.packages]
        if self.url:
            found.append(urlsplit(self.url).netloc)
        if self.obtain == "hub":
            found.append(f"Hugging Face {self.repository}")
        return tuple(found) or ("by hand",)

    @property
    def is_here(self) -> bool:
        """Whether something lies in the cache under its name; whether it is right is not asked."""
        return all(path.is_file() for path, _, _ in self.files_in(self.path))

    @property
    def is_known(self) -> bool:
        """Whether there are hashes to compare it with."""
        return all(digest is not None for _, _, digest in self.files_in(Path()))

    def files_in(self, place: Path) -> list[tuple[Path, int | None, str | None]]:
        """Path, size and hash of each file that it is made of, were it at `place`."""
        if not self.pieces:
            return [(place, self.bytes, self.sha256)]
        return [(place / piece.name, piece.bytes, piece.sha256) for piece in self.pieces]

    @property
    def mend(self) -> str:
        """How to replace a file that is wrong."""
        if self.obtain == "manual":
            return f"pirctl models import {self.name} FILE, with the file that was meant"
        return f"pirctl models pull {self.name} --force"


def unlisted(
    name: str,
    file: str,
    *,
    url: str | None = None,
    bytes: int | None = None,
    sha256: str | None = None,
) -> WeightsEntry:
    """What is fetched on the way to a model file, and is in no list: an archive, a hub's file."""
    return WeightsEntry(
        name=name, used_for="", needed_by=(), licence="", licence_url="",
        file=file, url=url, bytes=bytes, sha256=sha256,
    )  # fmt: skip


def mismatch(
    entry: WeightsEntry, path: Path, on_progress: OnProgress = ignore_progress
) -> str | None:
    """What about the file, or folder, is not as `entry` says, for a message; None: nothing.

    Only what is known of the entry is compared: sizes first, then hashes.
    """
    files = entry.files_in(path)
    for file, size, _ in files:
        label = f"{entry.name}/{file.name}" if entry.pieces else entry.name
        found_size = file.stat().st_size
        if size is not None and found_size != size:
            return f"{found_size} bytes, {label} has {size}"
    for file, _, digest in files:
        if digest is None:
            continue
        label = f"{entry.name}/{file.name}" if entry.pieces else entry.name
        found = file_hash(file, f"checking {label}", on_progress)
        if found != digest:
            return f"the hash {found[:12]}..., {label} has {digest[:12]}..."
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
    """What is in the cache under the name of `entry`, which is no hub model."""
    if not entry.is_here:
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


def remember(entry: WeightsEntry, path: Path) -> None:
    """Note that `path` was found right; a cache that cannot be written is checked each time."""
    content = _verified() | {path.name: _fingerprint(entry, path)}
    try:
        with atomic_file(_verified_path()) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    except PirctlError:
        return


def _fingerprint(entry: WeightsEntry, path: Path) -> list[Any]:
    seen: list[Any] = []
    for file, _, digest in entry.files_in(path):
        status = file.stat()
        seen += [status.st_size, status.st_mtime_ns, digest]
    return seen


def _verified() -> dict[str, Any]:
    try:
        content = json.loads(_verified_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _verified_path() -> Path:
    return cache_folder() / "weights" / "verified.json"
