"""One writer per target: two commands on one target wait or refuse, and never mix their work.

The lock is the operating system's, on `WORKSPACE/.locks/NAME.lock`: beside the target, which
preprocessing replaces as a whole, and gone with its process however that ends. What is whole in a
target may be read by anyone at any time. The file stays; only whether it is locked counts.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pirctl.errors import TargetError
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.target.folder import Target

FOLDER = ".locks"
"""In the workspace; its dot tells that it is no target."""

_log = logging.getLogger(__name__)
_REPORT_EVERY_S = 1.0
_own = threading.local()


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who writes to a target.

    Attributes:
        command: as typed: `train`, `dub`.
        process: its number.
        host: name of the machine it runs on: workspaces lie on shared disks too.
        since: local time at which it began, `12:03:11`.
    """

    command: str
    process: int
    host: str
    since: str

    def __str__(self) -> str:
        """For a sentence."""
        place = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"pirctl {self.command} (process {self.process}{place}, since {self.since})"


def lock_path(target: Target) -> Path:
    """Where the lock of a target is, whether or not the target exists."""
    folder = target.folder.resolve()
    return folder.parent / FOLDER / f"{folder.name}.lock"


@contextmanager
def lock_target(
    target: Target,
    command: str,
    *,
    wait: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Iterator[None]:
    """Be the only one who writes to a target; also within a block that is that already.

    Args:
        target: the folder need not exist.
        command: that writes, for those who wait.
        wait: until the other has ended; else refuse.
        on_progress: is told for whom it waits.

    Raises:
        TargetError: another process writes to the target.
    """
    path = lock_path(target)
    held: set[Path] = _own.__dict__.setdefault("held", set())
    if path in held:
        yield
        return
    with _locked(path, target.name, wait=wait, on_progress=on_progress):
        held.add(path)
        note = _note_path(path)
        with suppress(OSError):
            note.write_text(json.dumps(asdict(_myself(command))), encoding="utf-8")
        try:
            yield
        finally:
            held.discard(path)
            with suppress(OSError):
                note.unlink(missing_ok=True)


@contextmanager
def lock_targets(
    targets: Iterable[Target], command: str, on_progress: OnProgress = ignore_progress
) -> Iterator[None]:
    """Wait until all these targets are written to by nobody else, and hold them."""
    # In one order for everybody: else two that want the same two would wait for each other.
    ordered = sorted({lock_path(target): target for target in targets}.items())
    with ExitStack() as stack:
        for _, target in ordered:
            stack.enter_context(lock_target(target, command, wait=True, on_progress=on_progress))
        yield


@contextmanager
def _locked(path: Path, name: str, *, wait: bool, on_progress: OnProgress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    # Not by a file that only exists: after a kill it would lock for good.
    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                lock.acquire(timeout=_REPORT_EVERY_S if wait else 0)
                break
            except Timeout:
                if not wait:
                    raise
                on_progress(_waiting(name, _holder(path)))
    except Timeout:
        raise _refusal(name, _holder(path)) from None
    except OSError as error:
        # A disk without locks, or one that may not be written: that is told when it is written.
        _log.debug("no lock at %s: %s", path, error)
    try:
        yield
    finally:
        lock.release()


def _waiting(name: str, holder: Holder | None) -> Progress:
    who = f": {holder}" if holder else ""
    return Progress(step=f"waiting for target {name!r}{who}", done=0, total=None)


def _refusal(name: str, holder: Holder | None) -> TargetError:
    stop = ""
    if holder is not None and holder.host == socket.gethostname():
        stop = f", or stop it: kill {holder.process}"
    return TargetError(
        f"target {name!r} is being written by {holder or 'another process'}",
        hint=f"try again when that has ended{stop}",
    )


def _myself(command: str) -> Holder:
    return Holder(
        command=command,
        process=os.getpid(),
        host=socket.gethostname(),
        since=time.strftime("%H:%M:%S"),
    )


def _note_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _holder(path: Path) -> Holder | None:
    """Who noted to hold a lock; None: nobody yet."""
    with suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(_note_path(path).read_text(encoding="utf-8")))
    return None
