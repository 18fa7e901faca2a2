"""Arithmetic of training: bfloat16 where the device has it, weights and losses in float32."""

from __future__ import annotations

import torch

from pirctl.settings import TrainSettings


def autocast(settings: TrainSettings, device: torch.device) -> torch.autocast:
    """The context for forward passes; does nothing where bfloat16 would only be emulated."""
    wanted = settings.precision == "bfloat16" and has_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes convolutions in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without these instructions oneDNN emulates bfloat16, slower than float32.
        abilities = torch.cpu.get_capabilities()
        return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
    return False
