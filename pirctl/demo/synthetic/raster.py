"""Triangles to samples: placing vertices before the camera and a z-buffer, compiled by numba.

Owns projection, normals and visibility; colour is in `shading`. Four samples per pixel.
"""

from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.machine import compiled

SKIN, CLOTH, HAIR, EYE, MOUTH = 0, 1, 2, 3, 4
"""Materials of triangles."""


@compiled
def _inside(
    start: float, step: float, inverse: float, low: float, high: float
) -> tuple[float, float]:
    """The part of [low, high] where `start + k * step` is not negative; `inverse` is 1 / step."""
    if step > 0.0:
        return max(low, -start * inverse), high
    if step < 0.0:
        return low, min(high, -start * inverse)
    if start < 0.0:
        return 1.0, 0.0
    return low, high


@compiled
def draw(
    screen: np.ndarray,
    triangles: np.ndarray,
    materials: np.ndarray,
    depth: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Fill the z-buffer: `depth` (S,S) float32 with 1/z, `ids` (S,S) int32 with the triangle.

    Args:
        screen: (V,3) float32; x, y in samples, 1/z in 1/dm. A sample's centre is at +0.5.
        triangles: (F,3) int32; all but hair vanish when seen from behind.
        materials: (F,) uint8.
        depth: (S,S) float32, overwritten.
        ids: (S,S) int32, overwritten; -1 where nothing is.
    """
    height, width = depth.shape
    depth[:] = 0.0
    ids[:] = -1
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, aw = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bw = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cw = screen[c, 0], screen[c, 1], screen[c, 2]
        if aw <= 0.0 or bw <= 0.0 or cw <= 0.0:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        # y points down, so a front face (counter-clockwise seen with y up) has a negative area.
        if area > 0.0 and materials[f] != HAIR:
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if x0 > x1 or y0 > y1:
            continue
        inverse = 1.0 / area
        step_b = (cy - ay) * inverse
        step_c = -(by - ay) * inverse
        step_a = -step_b - step_c
        per_a, per_b, per_c = 1.0 / step_a, 1.0 / step_b, 1.0 / step_c
        step_w = step_b * (bw - aw) + step_c * (cw - aw)
        for y in range(y0, y1 + 1):
            py = y + 0.5 - ay
            px = x0 + 0.5 - ax
            wb = (px * (cy - ay) - py * (cx - ax)) * inverse
            wc = (py * (bx - ax) - px * (by - ay)) * inverse
            # The samples of this row inside all three edges.
            low, high = _inside(wb, step_b, per_b, 0.0, float(x1 - x0))
            low, high = _inside(wc, step_c, per_c, low, high)
            low, high = _inside(1.0 - wb - wc, step_a, per_a, low, high)
            if low > high + 1e-3:
                continue
            # The margin makes neighbours overlap where rounding would leave a sample to neither.
            first = max(0, int(np.ceil(low - 1e-3)))
            last = min(x1 - x0, int(np.floor(high + 1e-3)))
            w = aw + wb * (bw - aw) + wc * (cw - aw) + first * step_w
            for x in range(x0 + first, x0 + last + 1):
                if w > depth[y, x]:
                    depth[y, x] = w
                    ids[y, x] = f
                w += step_w


@compiled
def place(
    local: np.ndarray,
    rigidity: np.ndarray,
    moved: np.ndarray,
    still: np.ndarray,
    scale: float,
    centre: float,
    placed: np.ndarray,
    screen: np.ndarray,
) -> None:
    """Put vertices before the camera and project them.

    Plain loops on purpose: a matrix product this thin would wake the threads of the linear algebra
    library for each frame.

    Args:
        local: (V,3) float32 head space, dm.
        rigidity: (V,) float32, 1 follows the head, 0 the shoulders.
        moved: (3,4) float32 [R|t] of the head in this frame.
        still: (3,4) float32 [R|t] of the shoulders.
        scale: focal length in samples.
        centre: principal point in samples.
        placed: (V,3) float32, overwritten: camera axes, dm.
        screen: (V,3) float32, overwritten: x, y in samples and 1/z.
    """
    for v in range(local.shape[0]):
        x, y, z = local[v, 0], local[v, 1], local[v, 2]
        share = rigidity[v]
        for k in range(3):
            a = moved[k, 0] * x + moved[k, 1] * y + moved[k, 2] * z + moved[k, 3]
            b = still[k, 0] * x + still[k, 1] * y + still[k, 2] * z + still[k, 3]
            placed[v, k] = b + share * (a - b)
        inverse = 1.0 / placed[v, 2]
        screen[v, 0] = scale * placed[v, 0] * inverse + centre
        screen[v, 1] = scale * placed[v, 1] * inverse + centre
        screen[v, 2] = inverse


@compiled
def turn(vectors: np.ndarray, R: np.ndarray, result: np.ndarray) -> None:
    """Rotate vectors (V,3) by R (3,3) into `result` (V,3)."""
    for v in range(vectors.shape[0]):
        x, y, z = vectors[v, 0], vectors[v, 1], vectors[v, 2]
        for k in range(3):
            result[v, k] = R[k, 0] * x + R[k, 1] * y + R[k, 2] * z


@compiled
def vertex_normals(
    vertices: np.ndarray, triangles: np.ndarray, fixed: np.ndarray, normals: np.ndarray
) -> None:
    """Area-weighted unit normals (V,3) of a mesh; rows with `fixed` (V,) uint8 are left alone."""
    for v in range(vertices.shape[0]):
        if not fixed[v]:
            normals[v] = 0.0
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        if fixed[a]:
            continue
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            v = triangles[f, k]
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(vertices.shape[0]):
        if not fixed[v]:
            length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
            if length > 0.0:
                normals[v] /= length
