"""What the steps of a stage take of a GPU's memory, and what is left for the footage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

_CUSHION = 1.1
"""Times what the trial steps took: blocks of other sizes, the preview, what others start."""
_ADAM_STATES = 2


class StepMemory(Protocol):
    """Measures trial steps; `CudaMemory` does, tests bring their own."""

    def start(self) -> None:
        """Count from here on."""
        ...

    def taken_bytes(self) -> int:
        """The most that has been taken at once since `start`."""
        ...

    def free_bytes(self) -> int:
        """What is free on the device, with all that is only kept for later."""
        ...


class CudaMemory:
    """Memory of a CUDA device, as its allocator takes it: in blocks, with what lies between."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0

    def start(self) -> None:  # noqa: D102
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_reserved(self._device)

    def taken_bytes(self) -> int:  # noqa: D102
        return torch.cuda.max_memory_reserved(self._device) - self._before

    def free_bytes(self) -> int:  # noqa: D102
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(self._device)[0])


def memory_of(device: torch.device) -> StepMemory | None:
    """The measure of a device; None where it has no memory of its own."""
    return CudaMemory(device) if device.type == "cuda" else None


def spare_bytes(memory: StepMemory, optimisers: Iterable[torch.optim.Optimizer]) -> int:
    """Memory that training will never need, after the trial steps; 0 where there is none.

    Args:
        memory: has measured them.
        optimisers: Adam; their states are made in the first real step, which is still to come.
    """
    coming: int = sum(
        _ADAM_STATES * weight.nbytes
        for optimiser in optimisers
        for group in optimiser.param_groups
        for weight in group["params"]
        if weight not in optimiser.state
    )
    return max(0, memory.free_bytes() - coming - round(_CUSHION * memory.taken_bytes()))


def smaller_steps(stage: str, batch_size: int) -> str:
    """What to do when a stage's steps do not fit, as a hint."""
    other = "stop what else uses the GPU"
    if batch_size > 1:
        return f"--set train.{stage}.batch_size={batch_size // 2}, or {other}"
    return f"a smaller --preset, --device cpu, or {other}"
