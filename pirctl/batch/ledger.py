"""What earlier runs of a batch made: which result stands where, and what it was made of.

A result is known by its size and time as they were when its job ended; one whose job was begun and
whose end was not seen, because the batch was killed, is known by being another than before it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pirctl.files import atomic_file

Stamp = tuple[int, int]
"""Size in bytes and time of writing in nanoseconds, of a file."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result.

    Attributes:
        digest: of what its job was made of.
        before: what stood there when the job began.
        after: what stood there when it had ended; None: that was not seen.
    """

    digest: str
    before: Stamp | None = None
    after: Stamp | None = None


class Ledger:
    """The results of a batch, kept in a file that is always whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, Entry] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
                stamps = {
                    which: None if entry[which] is None else (entry[which][0], entry[which][1])
                    for which in ("before", "after")
                }
                self._entries[name] = Entry(digest=entry["digest"], **stamps)

    def is_ours(self, output: Path) -> bool:
        """Whether what stands there is what a job of this batch made."""
        entry, stamp = self._entries.get(self._name(output)), _stamp(output)
        if entry is None or stamp is None:
            return False
        # A result gets its name when it is whole; so another file than before is a whole result.
        return stamp == entry.after if entry.after else stamp != entry.before

    def is_made(self, output: Path, digest: str) -> bool:
        """Whether the result is there, made of this."""
        entry = self._entries.get(self._name(output))
        return entry is not None and entry.digest == digest and self.is_ours(output)

    def begin(self, output: Path, digest: str) -> None:
        """Note that a job begins."""
        self._write(output, Entry(digest=digest, before=_stamp(output)))

    def finish(self, output: Path) -> None:
        """Note that the job has made its result."""
        entry = self._entries[self._name(output)]
        self._write(output, Entry(digest=entry.digest, after=_stamp(output)))

    def _name(self, output: Path) -> str:
        # Relative, so that a folder with its table and results can be moved.
        return os.path.relpath(output, self._path.parent)

    def _write(self, output: Path, entry: Entry) -> None:
        self._entries[self._name(output)] = entry
        text = json.dumps({name: asdict(one) for name, one in self._entries.items()}, indent=2)
        with atomic_file(self._path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _stamp(path: Path) -> Stamp | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
