"""Triangles to pixels: values at the corners of a mesh, drawn over the squares it covers.

Compiled by numba: a mesh of a thousand small triangles is a poor fit for tensors, and takes one to
three milliseconds here. It releases the interpreter's lock, so threads draw side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])

FAR = np.float32(1e9)
"""Depth where nothing was drawn."""
# Neighbours overlap by so much of a triangle, so that rounding leaves no pixel to neither.
_OVERLAP = 1e-5


def compiled(function: _Function) -> _Function:
    """Compile to machine code that releases the interpreter's lock; cached on disk."""
    result: _Function = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return result


@compiled
def draw_values(
    screen: np.ndarray,
    values: np.ndarray,
    triangles: np.ndarray,
    picture: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Interpolate values over the front faces of a mesh, the nearest triangle winning.

    Linear in the picture: the triangles are so small that perspective does not show.

    Args:
        screen: (V, 3) float32; x, y in pixels, centre of pixel 0 at 0.5; z grows away from us.
        values: (V, A) float32.
        triangles: (F, 3) int32, counter-clockwise seen from outside.
        picture: (H, W, A) float32, written where the mesh is.
        depth: (H, W) float32, `FAR` at first; lowered to the depth of what is drawn.
    """
    height, width, channels = picture.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        # y points down, so that a front face has a negative area.
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not area < -1e-9:
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            py = y + 0.5 - ay
            for x in range(x0, x1 + 1):
                px = x + 0.5 - ax
                wb = (px * (cy - ay) - py * (cx - ax)) * inverse
                wc = (py * (bx - ax) - px * (by - ay)) * inverse
                wa = 1.0 - wb - wc
                if wa < -_OVERLAP or wb < -_OVERLAP or wc < -_OVERLAP:
                    continue
                z = wa * az + wb * bz + wc * cz
                if z < depth[y, x]:
                    depth[y, x] = z
                    for k in range(channels):
                        picture[y, x, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]
