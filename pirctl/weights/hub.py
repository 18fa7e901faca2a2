"""Models of the Hugging Face hub, in a folder of pirctl's own cache that is laid out as the hub's.

The hub's client brings the small files and keeps the folder. The weights are brought by `transfer`,
because the client neither resumes a download that was stopped nor compares what arrives with its
hash. Every file is named by its hash, so what is there can be checked without a network. A model
that the user has in the hub's cache is read there; nothing is ever written into that.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.files import check_writable, file_hash
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights import entry as weights
from pirctl.weights.entry import WeightsEntry, cache_folder, is_offline, mismatch
from pirctl.weights.transfer import transfer

_SETTINGS = ("config.json", "preprocessor_config.json")
# In the order of preference; the second is loaded with weights_only.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_ELSEWHERE = "name a local folder: --set speech.model=FOLDER"


def find(repository: str, revision: str) -> Path | None:
    """The folder of a model in our cache, else in the hub's; None where neither has it whole."""
    return _find(repository, revision, hub_folder()) or _find(repository, revision, None)


def hub_folder() -> Path:
    """Where models of the hub are kept; may not exist."""
    return cache_folder() / "hub"


def _find(repository: str, revision: str, cache: Path | None) -> Path | None:
    """The folder of a model in a cache; None is the hub's own."""
    import huggingface_hub

    folder = None
    for name in _SETTINGS:
        found = huggingface_hub.try_to_load_from_cache(
            repository, name, cache_dir=cache, revision=revision
        )
        if not isinstance(found, str):
            return None
        folder = Path(found).parent
    if folder is None or not any((folder / name).is_file() for name in _WEIGHTS):
        return None
    return folder


def fetch(
    repository: str,
    revision: str,
    *,
    endpoint: str | None = None,
    force: bool = False,
    is_asked: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Download a model into our cache: its settings and one file of weights.

    A broken download goes on where it stopped; weights get their name when their hash is right.

    Args:
        repository: "owner/name".
        revision: commit, tag or branch.
        endpoint: a mirror of the hub; None: HF_ENDPOINT, else the hub.
        force: download again what is there.
        is_asked: the user named it, which PIRCTL_OFFLINE does not forbid.
        on_progress: receives the bytes.

    Raises:
        WeightsError: offline, no such model, or the connection failed.
        WeightsCorrupt: what arrived is not what the hub says it has.
        PirctlError: the cache cannot be written.
    """
    from huggingface_hub import constants, is_offline_mode

    folder = find(repository, revision)
    if folder is not None and not force:
        return folder
    forbidden = "PIRCTL_OFFLINE" if is_offline() and not is_asked else ""
    if is_offline_mode():
        forbidden = "HF_HUB_OFFLINE"
    if forbidden:
        raise WeightsError(
            f"{repository} cannot be fetched from the Hugging Face hub: {forbidden} forbids it",
            hint=f"unset {forbidden}, or {_ELSEWHERE}",
        )
    try:
        check_writable(hub_folder() / "models")
        with _quiet_client():
            _ask(repository, revision, endpoint)
            folder = _snapshot(repository, revision, _SETTINGS, endpoint, force=force)
            _check_settings(repository, folder)
            name = _fetch_weights(repository, folder, endpoint, force, on_progress)
            # The commit, not the branch, which may have moved on.
            return _snapshot(repository, folder.name, [*_SETTINGS, name], endpoint)
    except WeightsError as error:
        raise type(error)(error.message, hint=f"try again later, or {_ELSEWHERE}") from error
    except PirctlError as error:
        hint = "free some space, or name a folder of your own for the cache: PIRCTL_HOME=FOLDER"
        raise PirctlError(error.message, hint=hint) from error
    except Exception as error:  # The client raises many kinds, its HTTP library's among them.
        host = endpoint or constants.ENDPOINT
        raise WeightsError(
            f"{repository} could not be fetched from {host}: {_reason(error)}",
            hint=f"try again with a network, name a mirror of the hub with --mirror, or "
            f"{_ELSEWHERE}",
        ) from error


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Without the client's own words about each try: what it fails of is told once, at the end."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _ask(repository: str, revision: str, endpoint: str | None) -> None:
    """Fail at once where there is no connection; the client would try for half a minute."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, _SETTINGS[0], revision=revision, endpoint=endpoint)
    # A server that answers anything is there: the client asks it again and says what is wrong.
    with suppress(errors.HfHubHTTPError):
        get_hf_file_metadata(url, endpoint=endpoint)


def _snapshot(
    repository: str,
    revision: str,
    names: Iterable[str],
    endpoint: str | None,
    *,
    force: bool = False,
) -> Path:
    """Have the client bring what is not there of some files; their folder."""
    import huggingface_hub

    return Path(
        huggingface_hub.snapshot_download(
            repository,
            cache_dir=hub_folder(),
            revision=revision,
            allow_patterns=list(names),
            endpoint=endpoint,
            force_download=force,
            tqdm_class=_silent(),
        )
    )


def _silent() -> type[Any]:
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Silent(tqdm):
        """A bar that is not drawn."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            options["disable"] = True
            super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]

    return Silent


def _check_settings(repository: str, folder: Path) -> None:
    for name in _SETTINGS:
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{repository} at {folder.name} has no {name}")
        if not _has_its_hash(path):
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise WeightsCorrupt(f"{repository} at {folder.name}: another {name} arrived")


def _fetch_weights(
    repository: str, folder: Path, endpoint: str | None, force: bool, on_progress: OnProgress
) -> str:
    """Bring the weights among the blobs of the cache, under their hash; their name in `folder`."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    name, entry = _find_weights(repository, folder.name, endpoint)
    assert entry.file is not None
    assert entry.url is not None
    blob = folder.parent.parent / "blobs" / entry.file
    token = build_hf_headers().get("authorization")  # Of a user who may see more.
    transfer(
        entry,
        [entry.url],
        blob,
        is_done=lambda: not force and blob.is_file() and mismatch(entry, blob) is None,
        headers={"Authorization": token} if token else None,
        on_progress=on_progress,
    )
    weights.remember(entry, blob)
    return name


def _find_weights(repository: str, commit: str, endpoint: str | None) -> tuple[str, WeightsEntry]:
    """Name of the file of weights that the hub has, and what is to arrive."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    for name in _WEIGHTS:
        url = hf_hub_url(repository, name, revision=commit, endpoint=endpoint)
        try:
            about = get_hf_file_metadata(url, endpoint=endpoint)
        except errors.EntryNotFoundError:
            continue
        digest = about.etag or ""
        if not _is_hash(digest, 64):
            raise WeightsError(f"{url}: the server does not tell the hash of the weights")
        return name, _blob_entry(repository, digest, url, about.size)
    raise WeightsError(f"{repository} at {commit} has neither {' nor '.join(_WEIGHTS)}")


def _blob_entry(
    name: str, digest: str, url: str | None = None, size: int | None = None
) -> WeightsEntry:
    """A large file of such a cache, which is named by its SHA-256."""
    return weights.unlisted(name, digest, url=url, bytes=size, sha256=digest)


def _is_hash(text: str, length: int) -> bool:
    return len(text) == length and not set(text) - set("0123456789abcdef")


def _reason(error: BaseException) -> str:
    """Why the client failed, in one line."""
    from huggingface_hub import errors

    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return "there is no such model, or not this revision of it"
    while error.__cause__ is not None:
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the server answers {status}"
    if isinstance(error, ValueError):
        return f"it does not answer like the hub ({type(error).__name__})"
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[Errno -?\d+\] ", "", said)


def check(folder: Path, mend: str) -> None:
    """Raise unless every file of a model has the hash that it is named by.

    Args:
        folder: as `find` gives it.
        mend: the command that fetches the model again.

    Raises:
        WeightsCorrupt: a file was changed or is cut off.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file() and not _has_its_hash(path):
            raise WeightsCorrupt(f"{path} is not the file that the hub has", hint=mend)


def check_once(folder: Path, mend: str) -> None:
    """`check`, but weights that were found right before are not read again.

    Raises:
        WeightsCorrupt: a file was changed or is cut off.
    """
    for path in sorted(folder.iterdir()):
        blob = path.resolve()
        try:
            if _is_hash(blob.name, 64):
                weights.check_once(_blob_entry(path.name, blob.name), blob)
            elif not _has_its_hash(path):
                raise WeightsCorrupt(f"{path} is not the file that the hub has")
        except WeightsCorrupt as error:
            raise WeightsCorrupt(error.message, hint=mend) from error


def _has_its_hash(path: Path) -> bool:
    name = path.resolve().name
    # Large files are named by their SHA-256, small ones as git names its blobs.
    if _is_hash(name, 64):
        return file_hash(path) == name
    if not _is_hash(name, 40):
        return True  # A cache without links, as on Windows: nothing to compare with.
    content = path.read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return digest.hexdigest() == name
