"""Light on surfaces: three lamps, and what skin, cloth and hair make of them. Linear colours."""

from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.machine import compiled
from pirctl.demo.synthetic.raster import SKIN

# Light in camera axes (x right, y down, z forward): directions point towards the light.
KEY = (-0.50, -0.62, -0.60)
FILL = (0.80, -0.10, -0.59)
RIM = (0.72, -0.42, 0.55)


@compiled
def smooth(low: float, high: float, value: float) -> float:
    """0 below `low`, 1 above `high`, and a smooth step between."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


@compiled
def shade_skin(
    n: np.ndarray, light: np.ndarray, view: np.ndarray, material: int, colour: np.ndarray
) -> None:
    """Light on skin (wrapped more in the red: light travels under it) or cloth; in place.

    Args:
        n: (3,) unit normal, camera axes.
        light: (2,) open sky and key light left, 0 to 1.
        view: (3,) unit vector towards the camera.
        material: SKIN or CLOTH.
        colour: (4,) albedo and gloss in, colour out.
    """
    sky, key_open = light[0], light[1]
    key = n[0] * KEY[0] + n[1] * KEY[1] + n[2] * KEY[2]
    fill = max(0.0, 0.25 + 0.75 * (n[0] * FILL[0] + n[1] * FILL[1] + n[2] * FILL[2]))
    rim = max(0.0, n[0] * RIM[0] + n[1] * RIM[1] + n[2] * RIM[2])
    up = 0.5 - 0.5 * n[1]
    ambient = (0.16 + 0.24 * up) * sky
    gloss = colour[3]
    soft = 1.0 if material == SKIN else 0.3
    for k in range(3):
        wrap = soft * (0.34 if k == 0 else (0.18 if k == 1 else 0.13))
        lit = max(0.0, (key + wrap) / (1.0 + wrap))
        # A shadow's edge bleeds red for the same reason.
        left = key_open ** (0.75 if k == 0 and material == SKIN else 1.0)
        warm = 1.03 if k == 0 else (1.0 if k == 1 else 0.95)
        cool = 0.94 if k == 0 else (0.99 if k == 1 else 1.06)
        colour[k] *= 0.92 * warm * lit * left + 0.26 * cool * fill * sky + cool * ambient
        colour[k] += 0.05 * rim * sky * cool
    for which in range(2):
        lx = KEY[0] if which == 0 else FILL[0]
        ly = KEY[1] if which == 0 else FILL[1]
        lz = KEY[2] if which == 0 else FILL[2]
        hx, hy, hz = lx + view[0], ly + view[1], lz + view[2]
        h = np.sqrt(hx * hx + hy * hy + hz * hz)
        shine = max(0.0, (n[0] * hx + n[1] * hy + n[2] * hz) / h)
        amount = gloss * (key_open if which == 0 else 0.45 * sky)
        wide = 0.065 * shine**12 + 0.085 * shine**40
        colour[0] += amount * wide
        colour[1] += amount * wide
        colour[2] += amount * wide


@compiled
def shade_hair(
    tangent: np.ndarray, light: np.ndarray, view: np.ndarray, colour: np.ndarray
) -> None:
    """Light on a hair with unit `tangent` (3,), camera axes; `colour` (4,) in place.

    Source: Kajiya and Kay 1989, "Rendering fur with three dimensional textures", eq. 14 and 16.
    """
    total, shine = 0.0, 0.0
    for which in range(2):
        lx = KEY[0] if which == 0 else RIM[0]
        ly = KEY[1] if which == 0 else RIM[1]
        lz = KEY[2] if which == 0 else RIM[2]
        along = tangent[0] * lx + tangent[1] * ly + tangent[2] * lz
        across = np.sqrt(max(0.0, 1.0 - along * along))
        seen = tangent[0] * view[0] + tangent[1] * view[1] + tangent[2] * view[2]
        seen_across = np.sqrt(max(0.0, 1.0 - seen * seen))
        strength = light[1] if which == 0 else 0.45 * light[0]
        total += strength * across
        shine += strength * max(0.0, across * seen_across - along * seen) ** 36
    for k in range(3):
        warm = 1.0 if k == 0 else (0.86 if k == 1 else 0.70)
        colour[k] = colour[k] * (0.30 * light[0] + 0.80 * total) + 0.060 * warm * shine * colour[3]
