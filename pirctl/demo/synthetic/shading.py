"""Colour: one deferred shading pass over the z-buffer's samples, compiled by numba.

A pixel whose samples share their material is shaded once, all others per sample. Colours are
linear until the last step. What light does to a surface is in `lighting`, what lies behind the
openings of eyes and mouth in `openings`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pirctl.demo.synthetic.lighting import shade_hair, shade_skin
from pirctl.demo.synthetic.machine import compiled
from pirctl.demo.synthetic.openings import Openings, shade_eye, shade_mouth
from pirctl.demo.synthetic.raster import CLOTH, EYE, HAIR, MOUTH

# Parsing labels that a material brings by itself (BiSeNet's ids); skin asks the label atlas.
_LABEL_MOUTH, _LABEL_CLOTH = 11, 16


class Surface(NamedTuple):
    """What no frame changes.

    Attributes:
        triangles: (F, 3) int32.
        materials: (F,) uint8.
        parts: (F,) uint8 parsing labels, 0 where the label atlas decides.
        uv: (V, 2) float32 texels.
        light: (V, 2) float32 open sky and open key light, 0 to 1.
        atlas: (h, w, 4) float32 linear albedo and gloss.
        label_atlas: (h, w) uint8.
        background: (H, W, 3) float32, linear.
        encode: (4096,) uint8, linear [0, 1] to display values.
    """

    triangles: np.ndarray
    materials: np.ndarray
    parts: np.ndarray
    uv: np.ndarray
    light: np.ndarray
    atlas: np.ndarray
    label_atlas: np.ndarray
    background: np.ndarray
    encode: np.ndarray


class Placed(NamedTuple):
    """The surface before the camera in one frame.

    Attributes:
        ids: (2H, 2W) int32 from `raster.draw`.
        screen: (V, 3) float32 as in `raster.draw`.
        normals: (V, 3) float32 unit normals, tangents for hair; camera axes.
        local: (V, 3) float32 positions in head space, dm.
        focal: focal length in samples.
    """

    ids: np.ndarray
    screen: np.ndarray
    normals: np.ndarray
    local: np.ndarray
    focal: float


class _Point(NamedTuple):
    """A point of the surface, interpolated: memory that all samples share."""

    normal: np.ndarray  # (3,) float32, camera axes
    local: np.ndarray  # (3,) float32, head space
    to_camera: np.ndarray  # (3,) float32 unit vector
    light: np.ndarray  # (2,) float32 as in `Surface`
    texel: np.ndarray  # (2,) float64


@compiled
def _fetch(atlas: np.ndarray, u: float, v: float, out: np.ndarray) -> None:
    height, width = atlas.shape[0], atlas.shape[1]
    u = min(max(u - 0.5, 0.0), width - 1.001)
    v = min(max(v - 0.5, 0.0), height - 1.001)
    x, y = int(u), int(v)
    fx, fy = u - x, v - y
    for k in range(4):
        top = atlas[y, x, k] + fx * (atlas[y, x + 1, k] - atlas[y, x, k])
        low = atlas[y + 1, x, k] + fx * (atlas[y + 1, x + 1, k] - atlas[y + 1, x, k])
        out[k] = top + fy * (low - top)


@compiled
def _find_point(
    f: int, sx: float, sy: float, surface: Surface, placed: Placed, point: _Point
) -> None:
    """Interpolate triangle `f` at the sample (sx, sy), with regard to perspective."""
    screen, n, p, view = placed.screen, point.normal, point.local, point.to_camera
    a, b, c = surface.triangles[f, 0], surface.triangles[f, 1], surface.triangles[f, 2]
    bx, by = screen[b, 0] - screen[a, 0], screen[b, 1] - screen[a, 1]
    cx, cy = screen[c, 0] - screen[a, 0], screen[c, 1] - screen[a, 1]
    px, py = sx - screen[a, 0], sy - screen[a, 1]
    area = bx * cy - by * cx
    wb = min(1.0, max(0.0, (px * cy - py * cx) / area))
    wc = min(1.0 - wb, max(0.0, (py * bx - px * by) / area))
    qa = (1.0 - wb - wc) * screen[a, 2]
    qb, qc = wb * screen[b, 2], wc * screen[c, 2]
    q = qa + qb + qc
    qa, qb, qc = qa / q, qb / q, qc / q
    normals, local, light, uv = placed.normals, placed.local, surface.light, surface.uv
    for j in range(3):
        n[j] = qa * normals[a, j] + qb * normals[b, j] + qc * normals[c, j]
        p[j] = qa * local[a, j] + qb * local[b, j] + qc * local[c, j]
    for j in range(2):
        point.light[j] = qa * light[a, j] + qb * light[b, j] + qc * light[c, j]
        point.texel[j] = qa * uv[a, j] + qb * uv[b, j] + qc * uv[c, j]
    length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-9
    n[0], n[1], n[2] = n[0] / length, n[1] / length, n[2] / length
    height, width = placed.ids.shape
    view[0] = (width // 2 - sx) / placed.focal
    view[1] = (height // 2 - sy) / placed.focal
    length = np.sqrt(view[0] * view[0] + view[1] * view[1] + 1.0)
    view[0], view[1], view[2] = view[0] / length, view[1] / length, -1.0 / length


@compiled
def _shade_point(
    f: int, surface: Surface, openings: Openings, point: _Point, colour: np.ndarray
) -> int:
    """Colour (4,) of a point of triangle `f`, in place; returns its parsing label."""
    material, part = surface.materials[f], int(surface.parts[f])
    if material == EYE:
        shade_eye(point.local, point.light[0], openings.camera, openings.eyes, colour)
        return part
    if material == MOUTH:
        shade_mouth(point.local, openings.camera, openings.mouth, colour)
        return _LABEL_MOUTH
    u, v = point.texel[0], point.texel[1]
    _fetch(surface.atlas, u, v, colour)
    if material == HAIR:
        shade_hair(point.normal, point.light, point.to_camera, colour)
    else:
        shade_skin(point.normal, point.light, point.to_camera, material, colour)
    if part == 0:
        row = min(max(int(v), 0), surface.label_atlas.shape[0] - 1)
        column = min(max(int(u), 0), surface.label_atlas.shape[1] - 1)
        return int(surface.label_atlas[row, column])
    return _LABEL_CLOTH if material == CLOTH else part


@compiled
def _is_uniform(ids: np.ndarray, materials: np.ndarray, x: int, y: int) -> bool:
    """Whether the four samples of a pixel may be shaded as one."""
    f0 = ids[2 * y, 2 * x]
    kind = -1 if f0 < 0 else int(materials[f0])
    for k in range(1, 4):
        f = ids[2 * y + k // 2, 2 * x + k % 2]
        other = -1 if f < 0 else int(materials[f])
        # Hairs and teeth are finer than a pixel.
        fine = kind == MOUTH or (kind == HAIR and f != f0)
        if other != kind or fine:
            return False
    return True


@compiled
def _most_frequent(labels: np.ndarray) -> int:
    """The label that most of the four samples have, the first of them where two tie."""
    best, votes = labels[0], 0
    for k in range(4):
        equal = 0
        for m in range(4):
            equal += labels[m] == labels[k]
        if equal > votes:
            best, votes = labels[k], equal
    return int(best)


@compiled
def _display(value: float, encode: np.ndarray) -> int:
    """A linear value as it is shown; a soft shoulder keeps highlights from clipping."""
    if value > 0.7:
        value = 0.7 + 0.3 * (1.0 - np.exp(-(value - 0.7) / 0.3))
    return int(encode[min(4095, max(0, int(value * 4095.0 + 0.5)))])


@compiled
def shade(
    surface: Surface, placed: Placed, openings: Openings, picture: np.ndarray, labels: np.ndarray
) -> None:
    """Colour every pixel from its four samples.

    Args:
        surface: what no frame changes.
        placed: the surface in this frame.
        openings: what lies behind the eyes' and the mouth's opening in this frame.
        picture: (H, W, 3) uint8, overwritten.
        labels: (H, W) uint8, overwritten.
    """
    height, width = labels.shape
    ids, background = placed.ids, surface.background
    colour = np.empty(4, np.float32)
    total = np.empty(3, np.float32)
    normal, local, to_camera = (
        np.empty(3, np.float32),
        np.empty(3, np.float32),
        np.empty(3, np.float32),
    )
    point = _Point(normal, local, to_camera, np.empty(2, np.float32), np.empty(2, np.float64))
    sample_labels = np.empty(4, np.uint8)
    for y in range(height):
        for x in range(width):
            same = _is_uniform(ids, surface.materials, x, y)
            total[:] = 0.0
            count = 1 if same else 4
            for k in range(count):
                f = ids[2 * y + k // 2, 2 * x + k % 2]
                if f < 0:
                    sample_labels[k] = 0
                    for j in range(3):
                        total[j] += background[y, x, j]
                    continue
                sx = 2.0 * x + (1.0 if same else 0.5 + k % 2)
                sy = 2.0 * y + (1.0 if same else 0.5 + k // 2)
                _find_point(f, sx, sy, surface, placed, point)
                sample_labels[k] = _shade_point(f, surface, openings, point, colour)
                for j in range(3):
                    total[j] += colour[j]
            for j in range(3):
                picture[y, x, j] = _display(total[j] / count, surface.encode)
            labels[y, x] = sample_labels[0] if same else _most_frequent(sample_labels)
