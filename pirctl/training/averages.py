"""Averaged copies of networks: exponential moving averages of the weights, used after training."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pirctl.training.schedule import average_decay


class Averages:
    """Copies of some networks whose weights trail the trained ones.

    Args:
        networks: the networks that are trained, by name.
        half_life_steps: steps after which a weight's old value counts half.
    """

    def __init__(self, networks: Mapping[str, nn.Module], half_life_steps: float) -> None:
        self.half_life_steps = half_life_steps
        self._trained = dict(networks)
        self.networks = {
            name: copy.deepcopy(network).eval().requires_grad_(False)
            for name, network in networks.items()
        }
        """The averaged networks, in evaluation mode, without gradients."""

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages towards the weights as they are after step `step` (from 0)."""
        decay = average_decay(self.half_life_steps, step)
        averaged: list[Tensor] = []
        trained: list[Tensor] = []
        for name, network in self._trained.items():
            pairs = zip(network.parameters(), self.networks[name].parameters(), strict=True)
            for source, average in pairs:
                if source.requires_grad:  # Frozen weights were copied once and for all.
                    averaged.append(average)
                    trained.append(source)
        if averaged:
            torch._foreach_lerp_(averaged, trained, 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """All averaged weights and buffers as "<network>.<name>"."""
        return flat_state(self.networks)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up averages that `state_dict` gave."""
        load_flat_state(self.networks, state)


def flat_state(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The weights and buffers of several networks as "<network>.<name>"."""
    return {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def load_flat_state(networks: Mapping[str, nn.Module], state: Mapping[str, Tensor]) -> None:
    """Load what `flat_state` gave, strictly."""
    for name, network in networks.items():
        start = f"{name}."
        part = {key.removeprefix(start): value for key, value in state.items()
                if key.startswith(start)}  # fmt: skip
        network.load_state_dict(part, strict=True)
