"""Model files in a format of ours, made once from what was fetched.

A loader that has to read a foreign format (a pickle, shards of another library) does so once, and
from then on reads safetensors. The name of the converted file has the original's hash in it, so
that another original, or a newer way to convert it, never meets an old result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pirctl.files import atomic_file, file_hash
from pirctl.weights.catalog import find_weights, weights_entry
from pirctl.weights.entry import WeightsEntry, cache_errors, cache_folder


def converted(
    name: str, suffix: str, make: Callable[[Path, Path], None], *, version: int = 1
) -> Path:
    """The converted file of a model, made now if it is not there.

    Args:
        name: of the entry in models/weights.yaml; its file must be in the cache.
        suffix: of the converted file: ".safetensors".
        make: takes the verified original (a file, or the folder of its pieces) and the path to
            write; what it leaves unfinished when it raises gets no name.
        version: of `make`; to be raised when it gives another result.

    Raises:
        WeightsMissing: the original is not there.
        WeightsCorrupt: the original is another file.
        PirctlError: the cache cannot be written.
        Whatever `make` raises.
    """
    original = find_weights(name)
    folder = cache_folder() / "weights" / "converted"
    path = folder / f"{name}-{_identity(weights_entry(name), original)}-{version}{suffix}"
    if not path.is_file():
        with cache_errors(), atomic_file(path) as temporary:
            make(original, temporary)
        for old in folder.glob(f"{name}-*{suffix}"):
            if old != path and _is_of(name, old):
                old.unlink(missing_ok=True)
    return path


def drop_converted(name: str) -> None:
    """Remove what was made from a model file, which is about to be fetched again."""
    for old in (cache_folder() / "weights" / "converted").glob(f"{name}-*"):
        if _is_of(name, old):
            old.unlink(missing_ok=True)


def _is_of(name: str, path: Path) -> bool:
    """Whether a file was made from this model, not from one whose name begins alike."""
    return path.stem.rsplit("-", 2)[0] == name


def _identity(entry: WeightsEntry, original: Path) -> str:
    """Twelve digits of the original's hash; of the hashes of its pieces, where it has several."""
    digests = [digest or file_hash(path) for path, _, digest in entry.files_in(original)]
    if len(digests) == 1:
        return digests[0][:12]
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()[:12]
