"""Between what screens show (sRGB) and amounts of light (linear)."""

from __future__ import annotations

import numpy as np


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0,1]. Source: IEC 61966-2-1."""
    value = np.clip(srgb, 0, 1)
    result: np.ndarray = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return result.astype(np.float32)


def display_table() -> np.ndarray:
    """(4096,) uint8 sRGB values of evenly spaced linear values in [0,1]."""
    linear = np.linspace(0, 1, 4096)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(shown * 255).astype(np.uint8)
