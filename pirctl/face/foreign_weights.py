"""Weights of other projects into the networks that they belong to.

Files are read as tensors only; a pickle with code in it is refused.
"""

from __future__ import annotations

from pathlib import Path

import torch

from pirctl.errors import WeightsCorrupt, WeightsMissing


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
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state if key is None else state[key]
        state = {entry.removeprefix("module."): tensor for entry, tensor in state.items()}
        network.load_state_dict(state, assign=True)
    except Exception as error:  # torch.load and load_state_dict raise many kinds.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsCorrupt(
            f"{path}: not the weights of {what} ({reason})",
            hint=f"pirctl models pull {name} --force",
        ) from error
