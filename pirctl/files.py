"""Writing whole files and folders: under a temporary name beside the goal, renamed when finished.

A killed run leaves nothing that looks finished. What a user can cause (no such folder, no right
to write, a full disk) becomes a PirctlError; this module knows no formats. Files are told apart by
their hash.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pirctl.errors import PirctlError
from pirctl.progress import OnProgress, Progress, ignore_progress

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_BYTES = 1 << 20
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def _partial(path: Path) -> Path:
    # The suffix stays, because writers such as ffmpeg choose the format by it.
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(path: Path) -> int:
    """Free space on the disk on which `path` is, or would be if it were made.

    Raises:
        OSError: the disk does not answer.
    """
    return shutil.disk_usage(existing_parent(path.absolute())).free


def check_writable(path: Path, *, needed_bytes: int = 0, force: bool = True) -> None:
    """Raise unless a file or folder can be written at `path`; for use before expensive work.

    Nothing is created. Folders that are missing on the way are fine: writing makes them.

    Args:
        path: where the result is to go.
        needed_bytes: free space wanted on that disk.
        force: whether something that stands at `path` may be replaced.

    Raises:
        PirctlError: `path` exists and `force` is false, its folder is not a folder or not
            writable, or the disk has too little room.
    """
    if path.exists() and not force:
        raise PirctlError(
            f"{path} exists already", hint="choose another --output, or add --force to replace it"
        )
    parent = existing_parent(path.absolute().parent)
    if not parent.is_dir():
        raise PirctlError(
            f"{path} cannot be written: {parent} is not a folder",
            hint="choose another place for it",
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PirctlError(
            f"{path} cannot be written: no permission to write in {parent}",
            hint="choose an output in a folder of your own",
        )
    free = free_bytes(parent)
    if free < needed_bytes:
        raise PirctlError(
            f"{path} needs about {_megabytes(needed_bytes)}, but the disk of {parent} has "
            f"{_megabytes(free)} free",
            hint="free some space, or choose an output on another disk",
        )


def _write_error(path: Path, error: OSError) -> PirctlError | None:
    """The error to show for `error` while `path` was written; None: not about writing `path`."""
    if error.errno in _FULL:
        return PirctlError(
            f"{path} could not be written: no space left on the disk", hint="free some space"
        )
    inside = error.filename is None or path.parent in Path(os.fspath(error.filename)).parents
    if error.errno in _REFUSED and (inside or Path(error.filename) == path.parent):
        return PirctlError(
            f"{path} could not be written: permission denied",
            hint="choose an output in a folder of your own",
        )
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        # What cannot be removed must not hide the error that led here.
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a full or forbidden disk says, while `path` is written, into words.

    Raises:
        PirctlError: no space left, no right to write there, or its folder is no folder.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError) and not path.parent.is_dir():
            raise PirctlError(
                f"{path} cannot be written: {path.parent} is not a folder",
                hint="choose another output",
            ) from error
        shown = _write_error(path, error)
        if shown is None:
            raise
        raise shown from error


@contextmanager
def _finished_at(path: Path, temporary: Path) -> Iterator[None]:
    """Make the folder of `path`, remove `temporary` on failure, and translate disk errors."""
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield
        except BaseException:  # Ctrl-C included: nothing half-written may stay.
            _remove(temporary)
            raise


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, renamed to `path` when the block succeeds.

    The temporary name keeps the suffix of `path`. Missing folders are made. When the block
    raises, the temporary file is removed and what stood at `path` is untouched.

    Raises:
        PirctlError: no space left, or no right to write there.
    """
    path = Path(path)
    temporary = _partial(path)
    with _finished_at(path, temporary):
        yield temporary
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new empty folder beside `path`, which takes the place of `path` at the end.

    A folder that stands at `path` is moved aside first and removed last, so that one of the
    two is complete at every moment.

    Raises:
        PirctlError: no space left, or no right to write there.
    """
    path = Path(path)
    temporary = _partial(path)
    with _finished_at(path, temporary):
        temporary.mkdir()
        yield temporary
        if path.exists():
            old = _partial(path)
            path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                old.rename(path)
                raise
            _remove(old)
        else:
            temporary.rename(path)


def file_hash(path: Path, step: str = "checking", on_progress: OnProgress = ignore_progress) -> str:
    """SHA-256 of a file, in hexadecimal digits; `step` names the work in the reports."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            done += len(block)
            on_progress(Progress(step=step, done=done, total=total, unit="bytes"))
    return digest.hexdigest()
