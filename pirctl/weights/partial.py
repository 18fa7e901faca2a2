"""The bytes of a download that is not finished: kept for the next try, by one process at a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pirctl.progress import OnProgress, Progress

_log = logging.getLogger(__name__)


class Part:
    """The bytes of a file so far, and where they came from."""

    def __init__(self, goal: Path) -> None:
        self.goal = goal
        folder = goal.parent / ".partial"
        self.path = folder / f"{goal.name}.part"
        self.lock = folder / f"{goal.name}.lock"
        self._note = folder / f"{goal.name}.json"

    def size(self) -> int:
        """Bytes there are."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, url: str) -> str | None:
        """What the server at `url` called the version of these bytes; drops those of another."""
        note: object = None
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
        if not isinstance(note, dict) or note.get("url") != url:
            self.drop()
            return None
        version = note.get("version")
        return version if isinstance(version, str) else None

    def note(self, url: str, version: str | None) -> None:
        """Remember where the bytes come from; before the first of them is written."""
        content = json.dumps({"url": url, "version": version})
        self._note.write_text(content, encoding="utf-8")

    def drop(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the bytes their name."""
        self.path.replace(self.goal)
        self._note.unlink(missing_ok=True)


@contextmanager
def alone(part: Part, name: str, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock of a file; the system frees it when the process ends, however it ends."""
    from filelock import FileLock, Timeout

    # Not by a file that only exists: after a kill it would lock for good.
    lock = FileLock(part.lock, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        step = f"waiting for another pull of {name}"
        on_progress(Progress(step=step, done=0, total=None, unit="bytes"))
        lock.acquire()
    except OSError:
        _log.debug("no locks on the disk of %s", part.lock)  # Some network disks have none.
    try:
        yield
    finally:
        lock.release()
