"""Tri-planes to the feature image I_F: rays, samples, lookup, decoder, compositing.

Conventions: the planes cover a cube of side `box_side_dm` around the model's origin; the texel
centres of a plane with S texels lie at (i + 0.5) / S of the side. The camera is world to camera,
x_cam = R x + t, with K in pixels of the square crop; pixel centres are at +0.5. Depths are
distances along unit rays, in decimetres. Nothing is drawn at random: the same inputs give the same
picture, so the rendering does not flicker.

Source: Chan et al. 2022, section 4 and supplement; Mildenhall et al. 2020, section 5.2 (importance
sampling); Max 1995 (compositing). Written from the formulas. Samples lie between each ray's entry
to and exit from the cube, so nothing outside the cube can create fog.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.networks.layers import EqualLinear, full_precision, in_precision_of
from pirctl.networks.triplane import PLANE_AXES
from pirctl.settings import FaceSettings

COLOUR_MARGIN = 0.001
"""Features are sigmoid(x) (1 + 2 m) - m, so that 0 and 1 can be reached."""

BALL_RADIUS, BALL_SLOPE = 0.55, 7.0
"""The raw density that the decoder starts from: a ball at the origin, where the head is, in halves
of the cube's side, and its slope per half side. Without it the start is a fog that fills the cube,
and training spends its first hundreds of steps on clearing it."""


def ball_density(points: Tensor) -> Tensor:
    """Return the raw density (...) of the starting ball at points (..., 3) in [-1, 1]."""
    distance = points.square().sum(dim=-1).sqrt()
    return ((BALL_RADIUS - distance) * BALL_SLOPE).clamp(-4, 4)


def cast_rays(R: Tensor, t: Tensor, K: Tensor, size: int, size_px: int) -> tuple[Tensor, Tensor]:
    """Return camera centres (B, 3) and unit directions (B, size * size, 3) in model space.

    Args:
        R: (B, 3, 3) model to camera.
        t: (B, 3) model to camera, dm.
        K: (B, 3, 3) or (3, 3) in pixels of the crop.
        size: side of the image whose pixel centres the rays pass, row by row.
        size_px: side of the crop, in the pixels of K.
    """
    centres = (torch.arange(size, device=R.device, dtype=R.dtype) + 0.5) * (size_px / size)
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1).reshape(-1, 3)
    # (R^T K^-1) p for every pixel p, as row vectors.
    directions = pixels @ (R.transpose(1, 2) @ torch.linalg.inv(K)).transpose(1, 2)
    origins = -(R.transpose(1, 2) @ t[:, :, None])[:, :, 0]
    return origins, F.normalize(directions, dim=-1)


def box_limits(origins: Tensor, directions: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """Return where rays enter and leave the cube, each (B, N); equal for a ray that misses it.

    Source: Kay and Kajiya 1986 (slabs).
    """
    tiny = torch.full_like(directions, 1e-9)
    safe = torch.where(directions.abs() < 1e-9, tiny, directions)
    first = (-side / 2 - origins[:, None]) / safe
    second = (side / 2 - origins[:, None]) / safe
    near = torch.minimum(first, second).amax(dim=-1).clamp(min=0)
    far = torch.maximum(first, second).amin(dim=-1)
    return near, torch.maximum(near, far)


def importance_depths(weights: Tensor, near: Tensor, far: Tensor, count: int) -> Tensor:
    """Return `count` depths per ray where the coarse weights are, (..., count), ascending.

    The weights (..., D) of D equal bins between near and far (...) are smoothed (so that a surface
    between two samples is not missed) and inverted at fixed quantiles. No gradient passes.
    Source: Barron et al. 2021, eq. 18 (smoothing with padding 0.01).
    """
    bins = weights.shape[-1]
    padded = F.pad(weights, (1, 1))
    peaks = torch.maximum(padded[..., :-1], padded[..., 1:])
    smooth = 0.5 * (peaks[..., :-1] + peaks[..., 1:]) + 0.01
    total = F.pad(smooth.cumsum(dim=-1), (1, 0))
    total = total / total[..., -1:]  # (..., D + 1)
    quantiles = (torch.arange(count, device=weights.device, dtype=weights.dtype) + 0.5) / count
    quantiles = quantiles.expand(*weights.shape[:-1], count).contiguous()
    # Inner edges only, so that the bin is always in [0, D).
    index = torch.searchsorted(total[..., 1:-1].contiguous(), quantiles, right=True)
    low, high = total.gather(-1, index), total.gather(-1, index + 1)
    fraction = (index + (quantiles - low) / (high - low)) / bins
    return near[..., None] + (far - near)[..., None] * fraction


def merged_ranks(coarse: Tensor, fine: Tensor) -> Tensor:
    """Return the place of every depth of [coarse; fine] in the sorted union, (..., D + F).

    Both parts (..., D) and (..., F) are ascending, so two searches replace a sort.
    """
    before_coarse = torch.searchsorted(fine, coarse, right=True)
    before_fine = torch.searchsorted(coarse, fine, right=False)
    steps = torch.arange(max(coarse.shape[-1], fine.shape[-1]), device=coarse.device)
    return torch.cat(
        [before_coarse + steps[: coarse.shape[-1]], before_fine + steps[: fine.shape[-1]]], dim=-1
    )


def sample_weights(density: Tensor, depths: Tensor) -> Tensor:
    """Return the weight of every sample in its ray's sum, (..., D).

    Intervals between neighbouring samples take the average density of their ends, and their colour
    is the average of their ends': so a sample weighs half of either interval beside it.

    Args:
        density: (..., D) raw; softplus(density - 1) is the density per dm.
        depths: (..., D) ascending, dm.
    """
    middle = 0.5 * (density[..., :-1] + density[..., 1:])
    thickness = F.softplus(middle - 1) * (depths[..., 1:] - depths[..., :-1])
    transmitted = F.pad(torch.exp(-thickness.cumsum(dim=-1)), (1, 0), value=1.0)
    intervals = transmitted[..., :-1] - transmitted[..., 1:]  # (..., D - 1)
    padded = F.pad(intervals, (1, 1))
    return 0.5 * (padded[..., :-1] + padded[..., 1:])


def lookup_grid(planes: Tensor, points: Tensor) -> Tensor:
    """Sum the three planes' features at points: (B, M, C), in the planes' type.

    Args:
        planes: (B, 3, C, S, S).
        points: (B, M, 3) in [-1, 1]; beyond, the border is replicated.
    """
    axes = torch.tensor(PLANE_AXES, device=points.device)
    grid = points[:, :, axes].transpose(1, 2)  # (B, 3, M, 2)
    features = F.grid_sample(
        planes.flatten(0, 1).contiguous(),
        grid.flatten(0, 1)[:, None].to(planes.dtype),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return features.view(len(points), 3, -1, points.shape[1]).sum(dim=1).transpose(1, 2)


def lookup_table(planes: Tensor, points: Tensor) -> Tensor:
    """Return the same as `lookup_grid`, much faster on a CPU without gradients.

    The planes are read as one table with a row per texel: the twelve texels around a point are one
    weighted sum of rows, without a tensor per plane.
    """
    batch, _, channels, size, _ = planes.shape
    table = planes.permute(0, 3, 4, 1, 2).reshape(-1, channels)  # a view of channels-last planes
    place = ((points + 1) * (size / 2) - 0.5).clamp_(0, size - 1)
    corner = place.floor().clamp_(max=size - 2)
    fraction = place - corner
    corner = corner.int()
    column, row = (corner[:, :, list(axis)] for axis in zip(*PLANE_AXES, strict=True))
    right, down = (fraction[:, :, list(axis)] for axis in zip(*PLANE_AXES, strict=True))
    base = (row * size + column) * 3
    base += torch.arange(3, dtype=torch.int32, device=points.device)
    base += (torch.arange(batch, dtype=torch.int32, device=points.device) * (size * size * 3))[
        :, None, None
    ]
    offsets = torch.tensor([0, 3, 3 * size, 3 * size + 3], dtype=torch.int32, device=points.device)
    index = base[..., None] + offsets  # (B, M, 3, 4)
    diagonal = right * down
    weights = torch.stack(
        [1 - right - down + diagonal, right - diagonal, down - diagonal, diagonal], dim=-1
    )
    features = F.embedding_bag(
        index.view(-1, 12),
        table,
        per_sample_weights=weights.view(-1, 12).to(table.dtype),
        mode="sum",
    )
    return features.view(batch, -1, channels)


class TableLookup(torch.autograd.Function):
    """`lookup_table` with a gradient for the planes: twice as fast on a CPU as `lookup_grid`."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, points: Tensor) -> Tensor:  # noqa: D102
        ctx.save_for_backward(points)
        ctx.shape = planes.shape
        return lookup_table(planes, points)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        (points,) = ctx.saved_tensors
        batch, _, channels, size, _ = ctx.shape
        # The planes are summed, so all three take the same gradient: laid out once, not thrice.
        gradient = gradient.transpose(1, 2).contiguous()[:, :, None]
        unread = gradient.new_zeros(()).expand(batch, channels, size, size)
        scatter = torch.ops.aten.grid_sampler_2d_backward
        shares = [
            scatter(gradient, unread, points[:, None][..., list(axes)], 0, 1, False, (True, False))
            for axes in PLANE_AXES
        ]
        return torch.stack([share[0] for share in shares], dim=1), None


def lookup(planes: Tensor, points: Tensor) -> Tensor:
    """Sum the three planes' features at points, the fastest way; see `lookup_grid`."""
    if planes.is_cuda:
        return lookup_grid(planes, points)
    if planes.requires_grad and torch.is_grad_enabled():
        features: Tensor = TableLookup.apply(planes, points)  # type: ignore[no-untyped-call]
        return features
    return lookup_table(planes, points)


class Decoder(nn.Module):
    """A sample's summed feature to its density and colour: one hidden layer with softplus."""

    def __init__(self, settings: FaceSettings) -> None:
        super().__init__()
        self.hidden = EqualLinear(settings.plane_channels, settings.hidden_width)
        self.output = EqualLinear(settings.hidden_width, 1 + settings.feature_channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map (..., plane_channels) to raw density (...), float32, and colour (..., C) in [0, 1].

        The colour keeps the precision of the matrix products.
        """
        features = in_precision_of(self.hidden.weight, features)
        output = self.output(F.softplus(self.hidden(features)))
        colour = torch.sigmoid(output[..., 1:]) * (1 + 2 * COLOUR_MARGIN) - COLOUR_MARGIN
        return output[..., 0].float(), colour

    def freeze(self, dtype: torch.dtype) -> None:
        """Cast to `dtype`."""
        self.hidden.freeze(dtype)
        self.output.freeze(dtype)


class VolumeRenderer(nn.Module):
    """Planes and a camera to a feature image, in two passes."""

    def __init__(self, settings: FaceSettings) -> None:
        super().__init__()
        self.decoder = Decoder(settings)
        self.coarse_samples = settings.coarse_samples
        self.fine_samples = settings.fine_samples
        self.box_side_dm = settings.box_side_dm

    def forward(
        self, planes: Tensor, R: Tensor, t: Tensor, K: Tensor, *, size: int, size_px: int
    ) -> Tensor:
        """Render I_F, (B, C, size, size) in [-1, 1]; -1 where there is nothing.

        Args:
            planes: (B, 3, P, S, S).
            R: (B, 3, 3) model to camera.
            t: (B, 3) model to camera, dm.
            K: (B, 3, 3) or (3, 3) in pixels of the crop.
            size: side of the feature image.
            size_px: side of the crop.
        """
        with full_precision(planes):
            origins, directions = cast_rays(R.float(), t.float(), K.float(), size, size_px)
            near, far = box_limits(origins, directions, self.box_side_dm)
            steps = torch.arange(self.coarse_samples, device=near.device) + 0.5
            depths = near[..., None] + (far - near)[..., None] * (steps / self.coarse_samples)
        density, colour = self._decode(planes, origins, directions, depths)
        with full_precision(planes):
            weights = sample_weights(density, depths)
        if self.fine_samples:
            with full_precision(planes), torch.no_grad():
                fine = importance_depths(weights, near, far, self.fine_samples)
                rank = merged_ranks(depths, fine)
            fine_density, fine_colour = self._decode(planes, origins, directions, fine)
            with full_precision(planes):
                weights = _weights_of_union(
                    torch.cat([density, fine_density], -1), torch.cat([depths, fine], -1), rank
                )
            colour = torch.cat([colour, fine_colour], dim=2)
        with full_precision(planes):
            # Weights go back to the order of the colours: moving C times fewer numbers. They are
            # made in float32, and sum the colours in the colours' type.
            image = (weights.to(colour.dtype)[:, :, None] @ colour)[:, :, 0].float()
            return (image * 2 - 1).transpose(1, 2).reshape(len(image), -1, size, size)

    def _decode(
        self, planes: Tensor, origins: Tensor, directions: Tensor, depths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return density (B, N, D) and colour (B, N, D, C) at depths (B, N, D) of the rays."""
        with full_precision(planes), torch.no_grad():
            points = origins[:, None, None] + depths[..., None] * directions[:, :, None]
            points = points.flatten(1, 2) * (2 / self.box_side_dm)
        with full_precision(planes):
            features = lookup(planes, points)
        density, colour = self.decoder(features)
        density = density + ball_density(points)
        return density.view(depths.shape), colour.view(*depths.shape, -1)


def _weights_of_union(density: Tensor, depths: Tensor, rank: Tensor) -> Tensor:
    """Composite unsorted samples (B, N, D) whose places in the sorted ray are `rank`."""
    sorted_depths = torch.empty_like(depths).scatter_(-1, rank, depths)
    sorted_density = torch.zeros_like(density).scatter(-1, rank, density)
    return sample_weights(sorted_density, sorted_depths).gather(-1, rank)
