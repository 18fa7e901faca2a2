"""Presets, face models and third-party weights: where they are, and fetching what is not there.

What is shipped lies in `models/`; what is downloaded, in the user's cache. A weight file is checked
against its size and hash once and remembered by size and time. Being offline is a normal state:
only `pull` uses the network.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from pirctl.errors import PirctlError, SettingsError, WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.files import atomic_file, check_writable
from pirctl.progress import OnProgress, Progress, ignore_progress

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 60.0


@cache
def models_folder() -> Path:
    """The folder of shipped data: inside an installed package, else beside it in a checkout."""
    package = Path(str(importlib.resources.files("pirctl")))
    for folder in (package / "models", package.parent / "models"):
        if folder.is_dir():
            return folder
    raise PirctlError(
        f"the folder models was found neither in {package} nor beside it",
        hint="install pirctl again",
    )


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    folder = models_folder() / "presets"
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(path.as_posix() for path in paths)


def preset_path(preset: str | Path) -> Path:
    """The YAML file of a preset.

    Args:
        preset: a shipped name ("tiny"), or the path of a file that ends in .yaml or .yml.

    Raises:
        SettingsError: there is none; names those that are.
    """
    if isinstance(preset, Path) or preset.endswith((".yaml", ".yml")):
        path = Path(preset)
        if not path.is_file():
            raise SettingsError(f"the preset {path} does not exist", hint="check the path")
        return path
    names = preset_names()
    if preset in names:
        return models_folder() / "presets" / f"{preset}.yaml"
    near = get_close_matches(preset, names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise SettingsError(
        f"there is no preset {preset!r}",
        hint=f"{guess}presets: {', '.join(names)}, or the path of a YAML file",
    )


def face_model_path(name: str = "generic") -> Path:
    """The file of a face model: a shipped one, or one the user imported into the cache.

    Raises:
        SettingsError: there is none of this name; names those that are.
    """
    folders = (models_folder() / "face", cache_folder() / "face")
    for folder in folders:
        path = folder / f"{name}.safetensors"
        if path.is_file():
            return path
    found = sorted(path.stem for folder in folders for path in folder.glob("*.safetensors"))
    raise SettingsError(
        f"there is no face model {name!r}", hint=f"face models: {', '.join(found) or 'none'}"
    )


def cache_folder() -> Path:
    """The folder for downloads: PIRCTL_HOME, else the platform's cache folder. May not exist."""
    home = os.environ.get("PIRCTL_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pirctl", appauthor=False))


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """A third-party model file, or folder of the Hugging Face hub, as models/weights.yaml has it.

    Attributes:
        name: what commands call it.
        used_for: one phrase.
        licence: of the weights, which is not that of the code around them.
        licence_url: where it can be read.
        file: name of the file in the cache; None for a hub model.
        url: where it is downloaded.
        bytes: its exact size, or None where that is not published.
        sha256: its hash, or the first digits that are published, or None.
        unverified: why size or hash are not complete.
        obtain: "download", "hub" (through the Hugging Face client) or "manual".
        repository: name on the hub.
        revision: on the hub.
        steps: what to do by hand.
    """

    name: str
    used_for: str
    licence: str
    licence_url: str
    file: str | None = None
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    unverified: str | None = None
    obtain: Literal["download", "hub", "manual"] = "download"
    repository: str | None = None
    revision: str | None = None
    steps: str | None = None

    @property
    def path(self) -> Path:
        """Where the file lies, or has to be put by hand."""
        assert self.file is not None, f"{self.name} is no single file"
        return cache_folder() / "weights" / self.file


@cache
def weights_entries() -> dict[str, WeightsEntry]:
    """Every third-party model file that pirctl can use, by name."""
    text = (models_folder() / "weights.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {name: WeightsEntry(name=name, **entry) for name, entry in content.items()}


def weights_entry(name: str) -> WeightsEntry:
    """The entry `name`.

    Raises:
        WeightsError: there is none; names those that are.
    """
    entries = weights_entries()
    if name in entries:
        return entries[name]
    near = get_close_matches(name, entries, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise WeightsError(
        f"there is no model file {name!r}", hint=f"{guess}model files: {', '.join(entries)}"
    )


def find_weights(name: str, path: Path | None = None) -> Path:
    """The verified file of a third-party model, or the folder of a hub model; never downloads.

    Args:
        name: of the entry in models/weights.yaml.
        path: a file the user named; taken as it is, only its existence is checked.

    Raises:
        WeightsMissing: it is not there; the hint says how to get it.
        WeightsCorrupt: its size or hash is not the expected one.
    """
    if path is not None:
        if not path.is_file():
            raise WeightsMissing(
                f"the model file {path} does not exist", hint=f"pirctl models pull {name}"
            )
        return path
    entry = weights_entry(name)
    if entry.obtain == "hub":
        folder = _hub_folder(entry)
        if folder is None:
            raise WeightsMissing(
                f"{entry.repository} is needed for {entry.used_for}, and is not in the cache of "
                "the Hugging Face hub",
                hint=f"pirctl models pull {name}",
            )
        return folder
    if not entry.path.is_file():
        raise WeightsMissing(
            f"{entry.file} is needed for {entry.used_for}, and is not in {entry.path.parent}",
            hint=f"pirctl models pull {name}  (without network: put the file there by hand)",
        )
    _verify_once(entry, entry.path)
    return entry.path


def is_here(entry: WeightsEntry) -> bool:
    """Whether the file is in the cache; a hub model: whether the hub's own cache has it."""
    if entry.obtain != "hub":
        return entry.path.is_file()
    return _hub_folder(entry) is not None


def pull(name: str, *, force: bool = False, on_progress: OnProgress = ignore_progress) -> Path:
    """Fetch a third-party model file into the cache, verified before it gets its name.

    Args:
        name: of the entry in models/weights.yaml.
        force: fetch it again when it is there.
        on_progress: receives the bytes.

    Returns:
        The file, or the folder of a hub model.

    Raises:
        WeightsError: no such name, no network, or it has to be fetched by hand.
        WeightsCorrupt: what arrived is not what was expected.
    """
    entry = weights_entry(name)
    if entry.obtain == "manual":
        raise WeightsError(
            f"{name} cannot be downloaded, its licence has to be accepted by hand", hint=entry.steps
        )
    if entry.obtain == "hub":
        return _pull_from_hub(entry)
    if entry.path.is_file() and not force:
        _verify_once(entry, entry.path)
        return entry.path
    check_writable(entry.path, needed_bytes=entry.bytes or 0)
    with atomic_file(entry.path) as temporary:
        _download(entry, temporary, on_progress)
        _verify(entry, temporary)
    _remember(entry, entry.path)
    return entry.path


def _download(entry: WeightsEntry, goal: Path, on_progress: OnProgress) -> None:
    assert entry.url is not None
    step, done = f"fetching {entry.name}", 0
    try:
        with urllib.request.urlopen(entry.url, timeout=_TIMEOUT_S) as answer, goal.open("wb") as to:
            total = entry.bytes or int(answer.headers.get("Content-Length") or 0) or None
            while chunk := answer.read(_CHUNK_BYTES):
                to.write(chunk)
                done += len(chunk)
                on_progress(Progress(step=step, done=done, total=total, unit="bytes"))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # It holds the connection.
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{entry.url} could not be fetched: {reason}",
            hint=f"try again, or fetch it elsewhere and put it at {entry.path}",
        ) from error


def _hub_folder(entry: WeightsEntry) -> Path | None:
    import huggingface_hub

    assert entry.repository is not None
    found = huggingface_hub.try_to_load_from_cache(
        entry.repository, "config.json", revision=entry.revision
    )
    return Path(found).parent if isinstance(found, str) else None


def _pull_from_hub(entry: WeightsEntry) -> Path:
    import huggingface_hub

    assert entry.repository is not None
    try:
        # One format of the weights is enough.
        folder = huggingface_hub.snapshot_download(
            entry.repository,
            revision=entry.revision,
            ignore_patterns=["*.h5", "*.msgpack", "*.ot", "*.onnx*"],
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{entry.repository} could not be fetched from the Hugging Face hub: {error}",
            hint="try again with a network, or name a local folder: --set speech.model=FOLDER",
        ) from error
    return Path(folder)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _verify(entry: WeightsEntry, path: Path) -> None:
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise WeightsCorrupt(
            f"{path} has {size} bytes, {entry.name} has {entry.bytes}",
            hint=f"pirctl models pull {entry.name} --force",
        )
    if entry.sha256 is not None and not (found := _hash(path)).startswith(entry.sha256):
        raise WeightsCorrupt(
            f"{path} has the hash {found[:12]}..., {entry.name} has {entry.sha256[:12]}...",
            hint=f"pirctl models pull {entry.name} --force",
        )


def _verify_once(entry: WeightsEntry, path: Path) -> None:
    if _verified().get(path.name) != _fingerprint(entry, path):
        _verify(entry, path)
        _remember(entry, path)


def _fingerprint(entry: WeightsEntry, path: Path) -> list[Any]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, entry.sha256]


def _verified() -> dict[str, Any]:
    try:
        content = json.loads(_verified_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _verified_path() -> Path:
    return cache_folder() / "weights" / "verified.json"


def _remember(entry: WeightsEntry, path: Path) -> None:
    content = _verified() | {path.name: _fingerprint(entry, path)}
    try:
        with atomic_file(_verified_path()) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    except PirctlError:
        # A cache that may only be read is verified each time instead.
        return
