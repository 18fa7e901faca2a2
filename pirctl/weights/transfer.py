"""One file over HTTP: resumed when broken, checked before it gets its name.

Unfinished bytes stay in a folder `.partial` beside the goal, with a note of where they came from
and what the server called that version, so that the next try goes on where this one stopped. A
lock beside them keeps two tries apart. Proxies are those of the environment (urllib's).
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pirctl import __version__
from pirctl.errors import WeightsCorrupt, WeightsError
from pirctl.files import check_writable, disk_errors
from pirctl.progress import OnProgress, Progress
from pirctl.weights.entry import WeightsEntry, mismatch
from pirctl.weights.partial import Part, alone

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Waiting times before tries in a row that follow one which brought nothing."""
_MOST_TRIES = 100
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_GONE = {404, 410}


class _CutError(Exception):
    """The connection ended early, or the server is busy: trying again may help."""


class _NotThereError(Exception):
    """The server has no such file."""


def transfer(
    entry: WeightsEntry,
    urls: Sequence[str],
    goal: Path,
    *,
    is_done: Callable[[], bool],
    headers: Mapping[str, str] | None = None,
    opener: urllib.request.OpenerDirector | None = None,
    on_progress: OnProgress,
) -> None:
    """Bring a file to `goal`, from the first of some addresses that has it.

    Args:
        entry: its name, size and hash; what is None is not checked.
        urls: where to ask, in this order.
        goal: where it is to lie; what stands there is replaced once the new file is right.
        is_done: asked when no other process fetches this file (any more); true: nothing is to do.
        headers: sent to the addresses themselves, not to where they redirect.
        opener: what asks; None asks as the environment says.
        on_progress: receives the bytes.

    Raises:
        WeightsError: no connection, or none of the addresses has the file.
        WeightsCorrupt: what arrived is another file.
        PirctlError: `goal` cannot be written.
    """
    check_writable(goal)
    part = Part(goal)
    with disk_errors(goal):
        part.path.parent.mkdir(parents=True, exist_ok=True)
        with alone(part, entry.name, on_progress):
            if is_done():
                return
            for url in urls:
                with suppress(_NotThereError):
                    _Transfer(entry, url, dict(headers or {}), part, opener, on_progress).run()
                    return
    raise WeightsError(
        f"there is no {entry.name} at {' nor at '.join(urls)}",
        hint=f"{_elsewhere(entry)}, or name a --mirror that has it",
    )


def _elsewhere(entry: WeightsEntry) -> str:
    return f"fetch it elsewhere and pirctl models import {entry.name} FILE"


@dataclass(frozen=True)
class _Transfer:
    """One file from one address."""

    entry: WeightsEntry
    url: str
    headers: dict[str, str]
    part: Part
    opener: urllib.request.OpenerDirector | None
    on_progress: OnProgress

    def run(self) -> None:
        """Bring the file and give it its name."""
        resumed = self._fill()
        found = mismatch(self.entry, self.part.path, self.on_progress)
        if found and resumed:
            # Pieces of two versions, perhaps: only a server that names no version lets that happen.
            self.part.drop()
            self._fill()
            found = mismatch(self.entry, self.part.path, self.on_progress)
        if found:
            self.part.drop()
            raise self._another_file(found)
        self.part.finish()

    def _fill(self) -> bool:
        """Bring all bytes, in as many pieces as it takes; whether there was more than one."""
        part = self.part
        part.version(self.url)  # Drops what came from elsewhere.
        reached, idle, begun = part.size(), 0, part.size()
        for attempt in range(_MOST_TRIES):
            try:
                if self._read(had_answer=attempt > 0):
                    return begun > 0 or attempt > 0
                reason: object = "the connection was cut"
            except _CutError as error:
                reason = error
            # What a server that cannot resume sends twice is no gain.
            idle = 0 if part.size() > reached else idle + 1
            reached = max(reached, part.size())
            if idle > len(_PAUSES_S):
                break
            time.sleep(_PAUSES_S[max(idle - 1, 0)])
        of = f" of {self.entry.bytes}" if self.entry.bytes else ""
        again = "goes on from there" if part.size() else "tries again"
        raise WeightsError(
            f"{self.url} could not be fetched, {reason} after {part.size()}{of} bytes",
            hint=f"the same command {again}; or {_elsewhere(self.entry)}",
        )

    def _another_file(self, found: str) -> WeightsCorrupt:
        return WeightsCorrupt(
            f"{self.url} gives another file: it has {found}",
            hint=f"a proxy or a login page may answer in its place; {_elsewhere(self.entry)}",
        )

    def _read(self, *, had_answer: bool) -> bool:
        """Ask once for the bytes that are missing and write what comes; whether all are there."""
        entry, part = self.entry, self.part
        have, version = part.size(), part.version(self.url)
        headers = {"User-Agent": f"pirctl/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if version:
                headers["If-Range"] = version
        answer = self._ask(headers, had_answer)
        if answer is None:  # 416: nothing follows the bytes that are there.
            if have == entry.bytes:
                return True
            part.drop()
            raise _CutError("the server knows a shorter file")
        with answer:
            start, total = _extent(answer)
            if answer.status == 206 and start != have:
                part.drop()
                raise _CutError("the server sent another piece than the one asked for")
            if entry.bytes is not None and total is not None and total != entry.bytes:
                part.drop()
                raise self._another_file(f"{total} bytes, {entry.name} has {entry.bytes}")
            if answer.status != 206:
                part.drop()
                have = 0
            part.note(self.url, _version(answer))
            have = self._write(answer, have, total)
        if total is None and entry.bytes is None:
            return True
        return have == (entry.bytes if entry.bytes is not None else total)

    def _ask(self, headers: dict[str, str], had_answer: bool) -> http.client.HTTPResponse | None:
        """The open answer; None for 416."""
        request = urllib.request.Request(self.url, headers=headers)
        for name, value in self.headers.items():
            request.add_unredirected_header(name, value)
        # A new opener, because urllib's shared one keeps the proxies of its first use.
        opener = self.opener or urllib.request.build_opener()
        try:
            answer: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT_S)
            return answer
        except urllib.error.HTTPError as error:
            error.close()  # It holds the connection.
            if error.code == 416 and request.has_header("Range"):
                return None
            if error.code in _GONE:
                raise _NotThereError from error
            if error.code in _BUSY:
                raise _CutError(f"the server answers {error.code}") from error
            said = (str(error.reason).splitlines() or [""])[0]
            raise WeightsError(
                f"{self.url} could not be fetched: the server answers {error.code} {said}".strip(),
                hint=f"{_elsewhere(self.entry)}, or name a --mirror",
            ) from error
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            if had_answer:
                raise _CutError(reason) from error
            raise WeightsError(
                f"no connection to {urlsplit(self.url).netloc}{_proxy(request)} for "
                f"{self.entry.name}: {reason}",
                hint=f"try again with a network; or {_elsewhere(self.entry)}, or name a --mirror",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(str(error) or type(error).__name__) from error

    def _write(self, answer: http.client.HTTPResponse, have: int, total: int | None) -> int:
        """Append what the server sends; the bytes there are then."""
        part, total = self.part, total if self.entry.bytes is None else self.entry.bytes
        check_writable(part.goal, needed_bytes=max(0, (total or 0) - have))
        step = f"fetching {self.entry.name}"
        self.on_progress(Progress(step=step, done=have, total=total, unit="bytes"))
        with part.path.open("ab") as to:
            while True:
                try:
                    chunk = answer.read1(_CHUNK_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    raise _CutError(str(error) or type(error).__name__) from error
                if not chunk:
                    return have
                have += len(chunk)
                if total is not None and have > total:
                    to.close()
                    part.drop()
                    raise self._another_file(f"more than {total} bytes")
                to.write(chunk)
                self.on_progress(Progress(step=step, done=have, total=total, unit="bytes"))


def _proxy(request: urllib.request.Request) -> str:
    """For a message: the proxy that a request went to, without its password."""
    address = urllib.request.getproxies().get(urlsplit(request.full_url).scheme, "")
    host = urlsplit(request.full_url).hostname or ""
    if not address or urllib.request.proxy_bypass(host):
        return ""
    return f" through the proxy {address.rpartition('@')[2].rpartition('//')[2]}"


def _version(answer: http.client.HTTPResponse) -> str | None:
    """What If-Range takes: a strong tag, else the date of the last change."""
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return answer.headers.get("Last-Modified")


def _extent(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte of an answer, and bytes of the whole file, if the server says."""
    if answer.status != 206:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    unit, _, piece = answer.headers.get("Content-Range", "").partition(" ")
    span, _, whole = piece.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdecimal():
        return -1, None
    return int(first), int(whole) if whole.isdecimal() else None
