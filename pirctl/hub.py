"""Models of the Hugging Face hub, through its own client and in its own cache.

The hub's cache names every file by its hash, so what is there can be checked without a network.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from pirctl.errors import WeightsCorrupt, WeightsError
from pirctl.progress import OnProgress, Progress, ignore_progress

_SETTINGS = ("config.json", "preprocessor_config.json")
# In the order of preference; the second is loaded with weights_only.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CHUNK_BYTES = 1 << 20


def find(repository: str, revision: str) -> Path | None:
    """The folder of a model in the hub's cache, or None where it is not or not complete."""
    import huggingface_hub

    folder = None
    for name in _SETTINGS:
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
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
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Download a model into the hub's cache: its settings and one file of weights.

    Broken downloads are resumed, and several at once are kept apart, by the hub's client.

    Args:
        repository: "owner/name".
        revision: commit, tag or branch.
        endpoint: a mirror of the hub; None: HF_ENDPOINT, else the hub.
        force: download again what is there.
        on_progress: receives the bytes.

    Raises:
        WeightsError: offline, no such model, or the connection failed.
    """
    import huggingface_hub

    folder = find(repository, revision)
    if folder is not None and not force:
        return folder
    if huggingface_hub.is_offline_mode():
        raise WeightsError(
            f"{repository} is not in the cache of the Hugging Face hub, and HF_HUB_OFFLINE forbids "
            "to fetch it",
            hint="unset HF_HUB_OFFLINE, or name a local folder: --set speech.model=FOLDER",
        )
    options: dict[str, Any] = {
        "revision": revision,
        "endpoint": endpoint,
        "force_download": force,
        "tqdm_class": _reporter(f"fetching {repository}", on_progress),
    }
    try:
        for weights in _WEIGHTS:
            wanted = [*_SETTINGS, weights]
            folder = Path(
                huggingface_hub.snapshot_download(repository, allow_patterns=wanted, **options)
            )
            if (folder / weights).is_file():
                return folder
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{repository} could not be fetched from the Hugging Face hub: {reason}",
            hint="try again with a network, or name a local folder: --set speech.model=FOLDER",
        ) from error
    raise WeightsError(
        f"{repository} at {revision} has neither {' nor '.join(_WEIGHTS)}",
        hint="name a local folder: --set speech.model=FOLDER",
    )


def _reporter(step: str, on_progress: OnProgress) -> type:
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Reporter(tqdm):
        """The client's bar for the bytes of all files, as reports; its other bars are silent."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts = options.get("unit") == "B" and "transfer" not in str(options.get("name"))
            self._bytes = 0
            options["file"] = io.StringIO()
            super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts and n:
                self._bytes += int(n)
                total = int(self.total or 0) or None
                on_progress(Progress(step=step, done=self._bytes, total=total, unit="bytes"))
            shown: bool | None = super().update(n)
            return shown

    return Reporter


def check(folder: Path, mend: str) -> None:
    """Raise unless every file of a model in the hub's cache has the hash that it is named by.

    Args:
        folder: as `find` gives it.
        mend: the command that fetches the model again.

    Raises:
        WeightsCorrupt: a file was changed or is cut off.
    """
    for path in sorted(folder.iterdir()):
        name = path.resolve().name
        if path.is_file() and not _is_named_by_hash(path, name):
            raise WeightsCorrupt(f"{path} is not the file that the hub has", hint=mend)


def _is_named_by_hash(path: Path, name: str) -> bool:
    if set(name) - set("0123456789abcdef") or len(name) not in {40, 64}:
        return True  # A cache without links, as on Windows: nothing to compare with.
    # Large files are named by their SHA-256, small ones as git names its blobs.
    if len(name) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == name
