"""Tensors of a TensorFlow.js model: a list in model.json, their bytes in files beside it.

Only the list of weights is read; the graph, which says what is done with them, is not.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import WeightsCorrupt

_KINDS = {"float32": "<f4", "int32": "<i4"}
_MOST_BYTES = 1 << 30
_MOST_LIST_BYTES = 1 << 25


def read_tfjs(folder: Path, mend: str) -> dict[str, NDArray[np.float32]]:
    """Read the float32 tensors of a model; numbers that steer its graph (int32) are left out.

    Args:
        folder: with model.json and its shards.
        mend: the command that replaces it.

    Returns:
        Name -> array in TensorFlow's layout: kernels (H, W, I, O).

    Raises:
        WeightsCorrupt: it is something else, it is incomplete, or it names files elsewhere.
    """
    try:
        listed = folder / "model.json"
        if listed.stat().st_size > _MOST_LIST_BYTES:
            raise ValueError("its list is too long")
        manifest = json.loads(listed.read_text(encoding="utf-8"))["weightsManifest"]
        tensors: dict[str, NDArray[np.float32]] = {}
        for group in manifest:
            tensors |= _group(group["weights"], _bytes(folder, group["paths"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsCorrupt(
            f"{folder} is no model of TensorFlow.js ({error})", hint=mend
        ) from error
    return tensors


def _bytes(folder: Path, names: Any) -> bytes:
    """The shards of a group, joined."""
    paths = []
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or "\\" in name:
            raise ValueError(f"{name!r} is no plain name")
        paths.append(folder / name)
    if any(path.is_symlink() for path in paths):
        raise ValueError("a shard lies elsewhere")
    if sum(path.stat().st_size for path in paths) > _MOST_BYTES:
        raise ValueError("its shards are too large")
    return b"".join(path.read_bytes() for path in paths)


def _group(weights: Any, content: bytes) -> dict[str, NDArray[np.float32]]:
    tensors, start = {}, 0
    for weight in weights:
        name, shape, kind = weight["name"], weight["shape"], _KINDS.get(weight["dtype"])
        if kind is None or "quantization" in weight:
            raise ValueError(f"{name} is not of plain float32 or int32")
        if not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"{name} has no plain shape")
        count = math.prod(shape)
        if start + 4 * count > len(content):
            raise ValueError("its shards are too short")
        if kind == "<f4":
            values = np.frombuffer(content, kind, count, start).reshape(shape)
            tensors[name] = np.array(values, np.float32)
        start += 4 * count
    if start != len(content):
        raise ValueError("its shards are too long")
    return tensors
