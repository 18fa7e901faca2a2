"""Fetching third-party model files: resumed when broken, checked before they get their names.

Unfinished bytes stay in `weights/.partial` of the cache, beside a note of where they came from and
what the server called that version, so that the next pull goes on where this one stopped. A lock
beside them keeps two pulls of one file apart. Proxies are those of the environment (urllib's).
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from pirctl import __version__, hub
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsError
from pirctl.files import check_writable, disk_errors
from pirctl.partial import Part, alone
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.weights import WeightsEntry, check_once, mismatch, remember

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


def pull(
    entry: WeightsEntry,
    *,
    force: bool = False,
    mirror: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Fetch a model file into the cache, or a hub model into the hub's cache.

    Args:
        entry: which.
        force: fetch it again when it is there.
        mirror: address that takes the place of "https://host" in the entry's url, and of the hub;
            the file is also looked for directly under it. None: PIRCTL_MIRROR, else no mirror.
        on_progress: receives the bytes.

    Returns:
        The file, or the folder of a hub model.

    Raises:
        WeightsError: no network, no such file there, or it has to be fetched by hand.
        WeightsCorrupt: what arrived, or what is in the cache, is not what was expected.
        SettingsError: the mirror is no address.
        PirctlError: the cache cannot be written.
    """
    if entry.obtain == "manual":
        raise WeightsError(
            f"{entry.name} cannot be downloaded: {entry.why or 'its licence asks for more'}",
            hint=entry.steps,
        )
    mirror = _mirror_address(mirror)
    if entry.obtain == "hub":
        assert entry.repository is not None
        assert entry.revision is not None
        return hub.fetch(
            entry.repository,
            entry.revision,
            endpoint=mirror,
            force=force,
            on_progress=on_progress,
        )
    if _is_done(entry, force):
        return entry.path
    folder = entry.path.parent / ".partial"
    check_writable(entry.path)
    with disk_errors(entry.path):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(entry, folder, on_progress):
            # Another pull may have finished while this one waited.
            if not _is_done(entry, force):
                _fetch(entry, addresses(entry, mirror), Part(folder, entry), on_progress)
    return entry.path


def _is_done(entry: WeightsEntry, force: bool) -> bool:
    if force or not entry.path.is_file():
        return False
    check_once(entry, entry.path)
    return True


def addresses(entry: WeightsEntry, mirror: str | None) -> list[str]:
    """Where to look for a file, in this order."""
    assert entry.url is not None
    if mirror is None:
        return [entry.url]
    return [f"{mirror}{urlsplit(entry.url).path}", f"{mirror}/{entry.file}"]


def _mirror_address(mirror: str | None) -> str | None:
    address = (mirror or os.environ.get("PIRCTL_MIRROR") or "").rstrip("/")
    if not address:
        return None
    hint = "--mirror or PIRCTL_MIRROR, such as https://mirror.example/models"
    if "@" in address:
        # Not repeated: it has a password in it.
        raise SettingsError("the mirror's address names a user, which is not supported", hint=hint)
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # A port that is no number.
        is_address = False
    if not is_address or not address.isprintable() or " " in address:
        raise SettingsError(f"the mirror {address!r} is no address", hint=hint)
    return address


def _fetch(entry: WeightsEntry, urls: list[str], part: Part, on_progress: OnProgress) -> None:
    for url in urls:
        try:
            _fetch_from(entry, url, part, on_progress)
            remember(entry, entry.path)
            return
        except _NotThereError:
            continue
    raise WeightsError(
        f"there is no {entry.name} at {' nor at '.join(urls)}",
        hint=f"{_elsewhere(entry)}, or name a --mirror that has it",
    )


def _fetch_from(entry: WeightsEntry, url: str, part: Part, on_progress: OnProgress) -> None:
    """Download from one address and put the file in its place."""
    resumed = _fill(entry, url, part, on_progress)
    found = mismatch(entry, part.path, on_progress)
    if found and resumed:
        # Pieces of two versions, perhaps: only a server that names no version lets that happen.
        part.drop()
        _fill(entry, url, part, on_progress)
        found = mismatch(entry, part.path, on_progress)
    if found:
        part.drop()
        raise _another_file(entry, url, found)
    part.finish(entry.path)


def _fill(entry: WeightsEntry, url: str, part: Part, on_progress: OnProgress) -> bool:
    """Bring all bytes, in as many pieces as it takes; whether there was more than one."""
    part.version(url)  # Drops what came from elsewhere.
    reached, idle, begun = part.size(), 0, part.size()
    for attempt in range(_MOST_TRIES):
        try:
            if _read(entry, url, part, on_progress, had_answer=attempt > 0):
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
    of = f" of {entry.bytes}" if entry.bytes else ""
    raise WeightsError(
        f"{url} could not be fetched, {reason} after {part.size()}{of} bytes",
        hint=f"the same command goes on from there; or {_elsewhere(entry)}",
    )


def _elsewhere(entry: WeightsEntry) -> str:
    return f"fetch it elsewhere and pirctl models import {entry.name} FILE"


def _another_file(entry: WeightsEntry, url: str, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"{url} gives another file: it has {found}",
        hint=f"a proxy or a login page may answer in its place; {_elsewhere(entry)}",
    )


def _read(
    entry: WeightsEntry, url: str, part: Part, on_progress: OnProgress, *, had_answer: bool
) -> bool:
    """Ask once for the bytes that are missing and write what comes; whether all are there."""
    have, version = part.size(), part.version(url)
    headers = {"User-Agent": f"pirctl/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    answer = _ask(entry, urllib.request.Request(url, headers=headers), had_answer)
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
            raise _another_file(entry, url, f"{total} bytes, {entry.name} has {entry.bytes}")
        if answer.status != 206:
            part.drop()
            have = 0
        part.note(url, _version(answer))
        have = _write(entry, url, answer, part, have, total, on_progress)
    if total is None and entry.bytes is None:
        return True
    return have == (entry.bytes if entry.bytes is not None else total)


def _ask(
    entry: WeightsEntry, request: urllib.request.Request, had_answer: bool
) -> http.client.HTTPResponse | None:
    """The open answer; None for 416."""
    # A new opener, because urllib's shared one keeps the proxies of its first use.
    opener = urllib.request.build_opener()
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
        raise WeightsError(
            f"{request.full_url} could not be fetched: the server answers {error.code} "
            f"{error.reason}",
            hint=f"{_elsewhere(entry)}, or name a --mirror",
        ) from error
    except urllib.error.URLError as error:
        if had_answer:
            raise _CutError(error.reason) from error
        raise WeightsError(
            f"no connection to {urlsplit(request.full_url).netloc} for {entry.name}: "
            f"{error.reason}",
            hint=f"try again with a network; or {_elsewhere(entry)}, or name a --mirror",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error


def _write(
    entry: WeightsEntry,
    url: str,
    answer: http.client.HTTPResponse,
    part: Part,
    have: int,
    total: int | None,
    on_progress: OnProgress,
) -> int:
    """Append what the server sends; the bytes there are then."""
    total = entry.bytes if entry.bytes is not None else total
    check_writable(entry.path, needed_bytes=max(0, (total or 0) - have))
    step = f"fetching {entry.name}"
    on_progress(Progress(step=step, done=have, total=total, unit="bytes"))
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
                raise _another_file(entry, url, f"more than {total} bytes")
            to.write(chunk)
            on_progress(Progress(step=step, done=have, total=total, unit="bytes"))


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
