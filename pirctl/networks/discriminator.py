"""Patch discriminators on several scales, for training the renderer.

Source: Isola et al. 2017 (PatchGAN); Wang et al. 2018 (several scales, feature matching); Huang et
al. 2023, eq. 6 (no condition, three scales). The logits are raw: the loss applies its own sigmoid.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.networks.layers import SLOPE
from pirctl.settings import DiscriminatorSettings


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of one scale."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        widths = [3]
        widths += [settings.channels * min(2**i, 8) for i in range(settings.layers + 1)]
        widths += [1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2 if i < settings.layers else 1, padding=2)
            for i, (inputs, outputs) in enumerate(itertools.pairwise(widths))
        )
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            nn.init.normal_(convolution.weight, std=0.02)
            nn.init.zeros_(convolution.bias)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return every layer's output for (B, 3, H, W); the last is the logits (B, 1, h, w)."""
        x = image
        outputs = []
        last = len(self.convolutions) - 1
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if 0 < i < last:
                # One group per channel is instance normalisation, in a kernel that keeps the
                # channels-last layout.
                x = F.group_norm(x, x.shape[1])
            if i < last:
                x = F.leaky_relu(x, SLOPE)
            outputs.append(x)
        return outputs


class MultiscaleDiscriminator(nn.Module):
    """The same discriminator on the picture, on its half, on its quarter, and so on."""

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(settings) for _ in range(settings.scales))

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Return, finest scale first, the layers' outputs; the last of each is the logits.

        Args:
            image: (B, 3, H, W) in [-1, 1].
        """
        image = image.contiguous(memory_format=torch.channels_last)
        results: list[list[Tensor]] = []
        for discriminator in self.scales:
            if results:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            results.append(discriminator(image))
        return results
