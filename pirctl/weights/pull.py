"""Third-party model files into the user's cache, from their own addresses or a mirror."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from pirctl.errors import SettingsError, WeightsError
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights import hub
from pirctl.weights.entry import WeightsEntry, cache_errors, check_once, remember
from pirctl.weights.transfer import transfer


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
    mirror = mirror_address(mirror)
    if entry.obtain == "hub":
        assert entry.repository is not None
        assert entry.revision is not None
        folder = hub.fetch(
            entry.repository,
            entry.revision,
            endpoint=mirror,
            force=force,
            on_progress=on_progress,
        )
        hub.check_once(folder, entry.mend)
        return folder
    if _is_done(entry, force):
        return entry.path
    if entry.obtain == "manual":
        raise WeightsError(
            f"{entry.name} cannot be downloaded: {entry.why or 'its licence asks for more'}",
            hint=entry.steps,
        )
    with cache_errors():
        transfer(
            entry,
            addresses(entry, mirror),
            entry.path,
            # Another pull may have finished while this one waited.
            is_done=lambda: _is_done(entry, force),
            on_progress=on_progress,
        )
        remember(entry, entry.path)
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


def mirror_address(mirror: str | None = None) -> str | None:
    """The mirror to fetch from: what the user named, else PIRCTL_MIRROR; None: no mirror.

    Raises:
        SettingsError: it is no address.
    """
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
