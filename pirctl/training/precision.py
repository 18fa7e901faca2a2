"""Arithmetic of training: bfloat16 where the device has it, weights and losses in float32."""

from __future__ import annotations

import torch

from pirctl.device import has_bfloat16
from pirctl.settings import TrainSettings


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """The context for forward passes; does nothing where bfloat16 would only be emulated."""
    wanted = settings.precision == "bfloat16" and has_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)
