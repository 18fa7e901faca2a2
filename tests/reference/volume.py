"""Volume rendering as the papers write it: slow, plain, and without this project's shortcuts.

Sorts every ray, moves whole colours, samples each plane by hand and composites with a running
product. Used only to check `pirctl.networks.volume`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pirctl.networks.volume import ball_density


def bilinear(plane: Tensor, horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Plane (C, S, S) at coordinates (M,) in [-1, 1], border replicated: (M, C)."""
    size = plane.shape[-1]
    x = (((horizontal + 1) * size - 1) / 2).clamp(0, size - 1)
    y = (((vertical + 1) * size - 1) / 2).clamp(0, size - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp(max=size - 1), (top + 1).clamp(max=size - 1)
    fx, fy = x - left, y - top
    upper = plane[:, top, left] * (1 - fx) + plane[:, top, right] * fx
    lower = plane[:, bottom, left] * (1 - fx) + plane[:, bottom, right] * fx
    return (upper * (1 - fy) + lower * fy).T


def plane_features(planes: Tensor, points: Tensor) -> Tensor:
    """Planes (3, C, S, S) named XY, XZ, YZ, summed at points (M, 3) in [-1, 1]."""
    x, y, z = points.unbind(-1)
    return bilinear(planes[0], x, y) + bilinear(planes[1], x, z) + bilinear(planes[2], y, z)


def ray(R: Tensor, t: Tensor, K: Tensor, u: float, v: float) -> tuple[Tensor, Tensor]:
    """Camera centre and unit direction of the ray through pixel position (u, v)."""
    direction = R.T @ torch.linalg.solve(K, torch.tensor([u, v, 1.0], dtype=K.dtype))
    return -R.T @ t, direction / direction.norm()


def limits(origin: Tensor, direction: Tensor, side: float) -> tuple[float, float]:
    """Entry to and exit from the cube of this side, equal when it is missed."""
    near, far = 0.0, math.inf
    for o, d in zip(origin.tolist(), direction.tolist(), strict=True):
        a, b = sorted(((-side / 2 - o) / d, (side / 2 - o) / d))
        near, far = max(near, a), min(far, b)
    return near, max(near, far)


def composite(density: Tensor, colour: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
    """Feature (C,) and interval weights (D - 1,) of one ray's sorted samples."""
    thickness = torch.nn.functional.softplus((density[1:] + density[:-1]) / 2 - 1)
    alpha = 1 - torch.exp(-thickness * depths.diff())
    weights, transmitted = [], torch.ones((), dtype=density.dtype)
    for a in alpha:
        weights.append(a * transmitted)
        transmitted = transmitted * (1 - a)
    w = torch.stack(weights)
    feature = (w[:, None] * (colour[1:] + colour[:-1]) / 2).sum(0)
    return feature * 2 - 1, w


def fine_depths(weights: Tensor, near: float, far: float, count: int) -> Tensor:
    """Depths at fixed quantiles of the smoothed weights (D - 1,) of D coarse mid-points."""
    bins = len(weights) + 1
    around = [0.0, *weights.tolist(), 0.0]
    # The interval weights sit between the samples; a sample's own weight is half of either side.
    points = [(around[i] + around[i + 1]) / 2 for i in range(bins)]
    padded = [0.0, *points, 0.0]
    peaks = [max(padded[i], padded[i + 1]) for i in range(bins + 1)]
    smooth = [(peaks[i] + peaks[i + 1]) / 2 + 0.01 for i in range(bins)]
    total = sum(smooth)
    depths = []
    for k in range(count):
        wanted, i = (k + 0.5) / count * total, 0
        while i < bins - 1 and wanted >= smooth[i]:
            wanted -= smooth[i]
            i += 1
        depths.append(near + (far - near) * (i + wanted / smooth[i]) / bins)
    return torch.tensor(depths, dtype=weights.dtype)


def render(
    planes: Tensor,
    decode,
    R: Tensor,
    t: Tensor,
    K: Tensor,
    *,
    size: int,
    size_px: int,
    side: float,
    coarse: int,
    fine: int,
) -> Tensor:
    """I_F (C, size, size) of one sample; `decode` maps (M, C) to density (M,) and colour."""
    rows = []
    for row in range(size):
        for column in range(size):
            scale = size_px / size
            origin, direction = ray(R, t, K, (column + 0.5) * scale, (row + 0.5) * scale)
            near, far = limits(origin, direction, side)
            edges = torch.linspace(near, far, coarse + 1, dtype=planes.dtype)
            depths = (edges[1:] + edges[:-1]) / 2

            def at(where: Tensor, origin=origin, direction=direction) -> tuple[Tensor, Tensor]:
                points = (origin + where[:, None] * direction) * (2 / side)
                density, colour = decode(plane_features(planes, points))
                # The ball that this project starts from is no shortcut: take it as it is.
                return density + ball_density(points), colour

            density, colour = at(depths)
            feature, weights = composite(density, colour, depths)
            if fine:
                more = fine_depths(weights.detach(), near, far, fine)
                fine_density, fine_colour = at(more)
                order = torch.cat([depths, more]).argsort(stable=True)
                feature, _ = composite(
                    torch.cat([density, fine_density])[order],
                    torch.cat([colour, fine_colour])[order],
                    torch.cat([depths, more])[order],
                )
            rows.append(feature)
    return torch.stack(rows).T.reshape(-1, size, size)
