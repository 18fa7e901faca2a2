"""Weights of other projects into the networks that they belong to.

Files are read as tensors and numbers only; a pickle with code in it is refused.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from pirctl.errors import WeightsCorrupt, WeightsMissing

# Checkpoints of a training keep its losses beside the weights, often as numpy's numbers, under
# the module's name of today or that of numpy 1.
_NUMBERS = [
    np.dtype,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)),
]


def load_weights(
    network: torch.nn.Module,
    path: Path,
    *,
    what: str,
    name: str,
    way_out: str,
    key: str | None = None,
) -> None:
    """Load a file into a network, strictly: every tensor is there and has its shape.

    The prefix `module.`, which training on several GPUs leaves, is taken off.

    Args:
        network: its parameters are replaced, so it may be on "meta".
        path: the file.
        what: what it is, for messages: "RetinaFace".
        name: its name in the catalogue, for `pirctl models pull`.
        way_out: what to do without it, for messages.
        key: where in the file the tensors are; None where they are the file.

    Raises:
        WeightsMissing: no such file.
        WeightsCorrupt: not the weights of this network.
    """
    if not path.is_file():
        raise WeightsMissing(
            f"the weights of {what} {path} are not there",
            hint=f"pirctl models pull {name}, or {way_out}",
        )
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            state = torch.load(path, map_location="cpu", weights_only=True)
        state = state if key is None else state[key]
        state = {entry.removeprefix("module."): tensor for entry, tensor in state.items()}
        network.load_state_dict(state, assign=True)
    except Exception as error:  # torch.load and load_state_dict raise many kinds.
        raise WeightsCorrupt(
            f"{path}: not the weights of {what} ({_reason(error)})",
            hint=f"pirctl models pull {name} --force",
        ) from error


def _reason(error: Exception) -> str:
    """What is wrong, in a few words; torch's own advice is to read the file without a check."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no file of tensors alone"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    lines = str(error).splitlines() or [type(error).__name__]
    # The first line of load_state_dict has no news, the second may list hundreds of names.
    line = lines[1].strip() if len(lines) > 1 else lines[0]
    return line if len(line) <= 120 else f"{line[:120]}..."
