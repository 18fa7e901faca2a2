"""What a stage brings to the loop: its networks, its optimisers and the losses of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pirctl.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One update of a step.

    Attributes:
        optimiser: which optimiser of the trainer takes the step.
        terms: weighted losses by name; their sum is what is minimised.
        clip: largest norm of the gradient, or None.
    """

    optimiser: str
    terms: Mapping[str, Tensor]
    clip: float | None = None


class Trainer(Protocol):
    """What a stage brings to the loop."""

    @property
    def stage(self) -> str:
        """`audio`, `face` or `render`."""
        ...

    @property
    def samples(self) -> int:
        """Samples in an epoch."""
        ...

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Everything that has a state to save, by name."""
        ...

    @property
    def exported(self) -> Sequence[str]:
        """Names of the networks that are used after training; these are averaged."""
        ...

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """One per group of networks that is updated together."""
        ...

    def phases(self, positions: Tensor, step: int, steps: int) -> Iterator[Phase]:
        """The updates of one step; each is made before the next one is asked for.

        The first term of the first says how near to the truth the result is: the loop watches it.

        Args:
            positions: (B,) int64 in [0, samples), the samples of this step.
            step: number of the step, from 0.
            steps: steps of the whole stage.
        """
        ...

    def changes_at(self, steps: int) -> int:
        """Number of the step, of `steps`, from which on a step costs otherwise; 0: all alike."""
        ...

    def settle(self, spare_bytes: int) -> None:
        """Take up to so much memory of the device for good, where that makes steps faster.

        Asked at most once, before the first step: what the steps need is already set aside.
        """
        ...

    def preview(self, averaged: Mapping[str, nn.Module]) -> np.ndarray:
        """A picture (H, W, 3) uint8 of how far it is, made with the averaged networks."""
        ...


def adam(
    network: nn.Module, settings: Settings, stage: str, lr_multiplier: float = 1.0
) -> torch.optim.Adam:
    """The optimiser of a stage over the trainable weights of a network.

    Args:
        network: what it updates.
        settings: the resolved settings.
        stage: whose learning rate and momenta.
        lr_multiplier: factor on the learning rate, which the loop applies.
    """
    chosen = getattr(settings.train, stage)
    parameters = [weight for weight in network.parameters() if weight.requires_grad]
    return torch.optim.Adam(
        [{"params": parameters, "lr_multiplier": lr_multiplier}],
        lr=chosen.learning_rate,
        betas=(chosen.beta1, chosen.beta2),
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )
