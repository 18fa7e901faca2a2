"""The renderer with references: what of the person's own pixels to show, and what to paint anew.

A U-Net looks at the masked frame, I_F, and references that are warped onto the wanted face. It
does not paint the picture but decides, per pixel, which reference to trust, how to shift and light
it, and where none will do; there, mostly between the lips, it paints. Shifts and light are smooth
by construction, so what a reference has of texture stays. The decisions hold at any resolution: the
picture is put together where the references' own pixels are.

Ours; the paper's renderer is `renderer.Renderer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.networks.layers import full_precision, in_precision_of
from pirctl.networks.renderer import (
    Convolution,
    ResidualBlock,
    cell_of,
    enlarged_start,
)
from pirctl.settings import RendererSettings
from pirctl.tensors import check_shape

_FLOW_PX = 4.0  # A last convolution's output of 1, in pixels of the network's picture.
_LIGHT = 0.25
_NEW_AT_FIRST = -3.0
_LEAST_CONFIDENCE = 1e-3
_HARDNESS = 2.0
"""How much harder the choice is between the lips: teeth of two pictures, or half of a tooth, are
seen at once, where two cheeks make a third one."""
_LAST_STD = 1e-3


@dataclass(frozen=True, kw_only=True)
class References:
    """K references of each picture of a batch, and where the wanted face lies on them.

    Attributes:
        pictures: (B, K, 3, h, w) in [-1, 1], RGB: the references' own pixels, not warped.
        source: (B, K, H, W, 2) where the pixels of the wanted picture lie in `pictures`, in
            their pixels, centre of pixel 0 at 0.5.
        confidence: (B, K, H, W) in [0, 1].
        weight: (B, K) in [0, 1]: how far a reference has come in; 0 is not shown.
        mouth: (B, H, W) in [0, 1], 1 inside the lips of the wanted face.
    """

    pictures: Tensor
    source: Tensor
    confidence: Tensor
    weight: Tensor
    mouth: Tensor


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What to show; `assemble` makes the picture.

    Attributes:
        trust: (B, K + 1, H, W) logits of the references, and last of the new pixels.
        flow: (B, K, 2, h, w) shift of the place to look at, in pixels of the network's picture.
        light: (B, K, 3, h, w) what is added to a reference.
        new: (B, 3, H, W) new pixels, nominally in [-1, 1].
    """

    trust: Tensor
    flow: Tensor
    light: Tensor
    new: Tensor


class Blender(nn.Module):
    """Masked frame, I_F and warped references to `Decisions`; fully convolutional."""

    def __init__(self, settings: RendererSettings, feature_channels: int, size_px: int) -> None:
        """Make the network; arguments as for `Renderer`."""
        super().__init__()
        self.cell_px = cell_of(settings, size_px)
        halvings = self.cell_px.bit_length() - 2
        count = settings.references
        self.count = count
        self.feature_channels = feature_channels
        most = settings.most_channels
        widths = [min(settings.coarse_channels << i, most) for i in range(halvings + 1)]
        # Four pixels are looked at as one: what is decided is decided for areas.
        self.enter = Convolution(4 * (3 + 2 + 5 * count), widths[0])
        steps = list(pairwise(widths))
        self.downs = nn.ModuleList(Convolution(a, b, stride=2) for a, b in steps)
        self.join = Convolution(widths[-1] + feature_channels, widths[-1])
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[-1]) for _ in range(settings.coarse_blocks))
        )
        self.ups = nn.ModuleList(Convolution(b, a, stride=-2) for a, b in reversed(steps))
        self.merges = nn.ModuleList(Convolution(2 * a, a) for a, _ in reversed(steps))
        # Shifts and light leave one level below: they are smooth whatever is learnt.
        self.smooth_level = max(0, halvings - 2)
        self.smooth = nn.Conv2d(steps[halvings - 1 - self.smooth_level][0], 5 * count, 3, padding=1)
        self.leave = nn.Conv2d(widths[0], 4 * (count + 1 + 3), 3, padding=1)
        for last in (self.smooth, self.leave):
            assert last.bias is not None
            nn.init.zeros_(last.bias)
            nn.init.normal_(last.weight, std=_LAST_STD)

    def forward(
        self, masked: Tensor, mask: Tensor, feature_image: Tensor, references: References
    ) -> Decisions:
        """Decide.

        Args:
            masked: (B, 3, H, W) in [-1, 1]: frame (1 - m) - m, so -1 inside the mask.
            mask: (B, 1, H, W) in [0, 1].
            feature_image: I_F, (B, feature_channels, H / cell_px, W / cell_px).
            references: K of each frame, with maps of (H, W).
        """
        check_shape("masked", masked, None, 3, None, None)
        cells = (side // self.cell_px for side in masked.shape[-2:])
        check_shape("feature_image", feature_image, None, self.feature_channels, *cells)
        weight = references.weight[..., None, None].expand_as(references.confidence)
        with torch.no_grad():
            seen = look(references, "bilinear").flatten(1, 2)
            mouth = references.mouth[:, None]
            parts = [masked, mask, mouth, seen, references.confidence, weight]
            x = F.pixel_unshuffle(torch.cat(parts, dim=1), 2)
        x = in_precision_of(self.leave.weight, x).contiguous(memory_format=torch.channels_last)
        levels = [self.enter(x)]
        for down in self.downs:
            levels.append(down(levels[-1]))
        x = levels.pop()
        x = self.blocks(self.join(torch.cat([x, feature_image.to(x.dtype)], dim=1)))
        smooth: Tensor = x
        for level, (up, merge) in enumerate(zip(self.ups, self.merges, strict=True)):
            x = merge(torch.cat([up(x), levels.pop()], dim=1))
            if level == self.smooth_level:
                smooth = self.smooth(x)
        leaving = F.pixel_shuffle(self.leave(x).float(), 2)
        return self._decisions(leaving, smooth.float(), references, feature_image)

    def _decisions(
        self, leaving: Tensor, smooth: Tensor, references: References, feature_image: Tensor
    ) -> Decisions:
        count = self.count
        with full_precision(leaving):
            shape = (len(smooth), count, 5, *smooth.shape[-2:])
            shifts = smooth.reshape(shape)
            trust, new = leaving[:, : count + 1], leaving[:, count + 1 :]
            # What is learnt is the difference to trust in proportion to confidence.
            prior = references.confidence * references.weight[..., None, None]
            known = trust[:, :-1] + (prior + _LEAST_CONFIDENCE).log()
            logits = torch.cat([known, trust[:, -1:] + _NEW_AT_FIRST], dim=1)
            return Decisions(
                trust=logits * (1 + (_HARDNESS - 1) * references.mouth[:, None]),
                flow=_FLOW_PX * shifts[:, :, :2],
                light=_LIGHT * shifts[:, :, 2:],
                new=enlarged_start(feature_image, leaving) + new,
            )


def look(references: References, mode: str, shift: Tensor | None = None) -> Tensor:
    """The references as the maps show them, (B, K, 3, H, W).

    Args:
        references: the references and their maps.
        mode: "bilinear" or "bicubic" between their pixels.
        shift: (B, K, H, W, 2) added to the maps, in pixels of the references.
    """
    source = references.source if shift is None else references.source + shift
    height, width = references.pictures.shape[-2:]
    scale = torch.tensor([2 / width, 2 / height], device=source.device)
    seen = F.grid_sample(
        references.pictures.flatten(0, 1),
        source.flatten(0, 1) * scale - 1,
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )
    return seen.reshape(*source.shape[:2], *seen.shape[1:])


def sample(values: Tensor, places: Tensor) -> Tensor:
    """Look up (B, ..., h, w) at places (B, H, W, 2) in [-1, 1]: (B, ..., H, W), linear between."""
    flat = values.reshape(len(values), -1, *values.shape[-2:])
    seen = F.grid_sample(flat, places, padding_mode="border", align_corners=False)
    return seen.reshape(*values.shape[:-2], *places.shape[1:3])


def assemble(
    decisions: Decisions, references: References, mode: str = "bilinear", finer: float = 1.0
) -> Tensor:
    """The picture (B, 3, H, W) that was decided on.

    Args:
        decisions: at the resolution of the references' maps; shifts and light may be coarser.
        references: the references.
        mode: how to look between the pixels of the references.
        finer: pixels of the references per pixel of the picture that was decided on.
    """
    size = references.source.shape[2:4]

    def enlarged(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)
        if flat.shape[-2:] != size:
            flat = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)
        return flat.reshape(*values.shape[:3], *size)

    shift = finer * enlarged(decisions.flow).movedim(2, -1)
    seen = look(references, mode, shift) + enlarged(decisions.light)
    trust = decisions.trust.softmax(dim=1)
    return (trust[:, :-1, None] * seen).sum(1) + trust[:, -1:] * decisions.new
