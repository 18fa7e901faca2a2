"""Identity and expression to tri-planes: a mapping network and a StyleGAN2 generator.

Source: Huang et al. 2023, section 3.2 and supplement; Chan et al. 2022 (tri-planes); Karras et al.
2020 (generator). Written from the formulas.

Unlike StyleGAN2, the input is never divided by its norm: that would destroy the strength of an
expression. It is standardised with fixed statistics of the training frames instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pirctl.networks.layers import EqualLinear, ModulatedConv, full_precision, upsample
from pirctl.settings import FaceSettings

PLANE_AXES = ((0, 1), (0, 2), (1, 2))
"""Model axes of the planes XY, XZ and YZ: (horizontal, vertical) of each plane's texels."""


class Mapping(nn.Module):
    """[z_id; z_exp] to the latent that styles every layer."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, settings: FaceSettings) -> None:
        super().__init__()
        width = settings.style_width
        widths = [inputs] + [width] * settings.mapping_layers
        self.layers = nn.Sequential(
            *(
                EqualLinear(
                    widths[i],
                    width,
                    lr_multiplier=settings.mapping_lr_multiplier,
                    activate=True,
                )
                for i in range(settings.mapping_layers)
            )
        )
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Standardise the inputs with these (inputs,) statistics from now on."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def forward(self, z_id: Tensor, z_exp: Tensor) -> Tensor:
        """Map raw coefficients (B, I) and (B, E) to the latent (B, style_width), in float32."""
        with full_precision(z_id):
            coefficients = torch.cat([z_id, z_exp], dim=-1).float()
            latent: Tensor = self.layers((coefficients - self.mean) / self.deviation)
            return latent


class SynthesisBlock(nn.Module):
    """One resolution of the generator: (up-)convolution, convolution, and a share of the planes."""

    def __init__(self, inputs: int, outputs: int, size: int, planes: int, style_width: int) -> None:
        """Make the block of side `size`; `inputs` is 0 for the first, which owns a constant."""
        super().__init__()
        self.const = nn.Parameter(torch.randn(outputs, size, size)) if not inputs else None
        self.conv0 = (
            ModulatedConv(inputs, outputs, 3, style_width, up=True, noise_size=size)
            if inputs
            else None
        )
        self.conv1 = ModulatedConv(outputs, outputs, 3, style_width, noise_size=size)
        self.to_planes = ModulatedConv(outputs, planes, 1, style_width, demodulate=False)

    def forward(
        self, x: Tensor | None, image: Tensor | None, latent: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the activations (B, outputs, size, size) and the planes so far, in float32."""
        if self.conv0 is None:
            assert self.const is not None
            x = self.const.expand(len(latent), -1, -1, -1).contiguous(
                memory_format=torch.channels_last
            )
        else:
            assert x is not None
            x = self.conv0(x, latent)
        x = self.conv1(x, latent)
        # The skip image stays float32: it is cheap, and every block's share adds to it.
        share = self.to_planes(x, latent).float()
        if image is not None:
            with full_precision(share):
                share = share + upsample(image)
        return x, share


class TriplaneGenerator(nn.Module):
    """Coefficients to three feature planes."""

    def __init__(self, settings: FaceSettings, identity_width: int, expression_width: int) -> None:
        super().__init__()
        self.plane_channels = settings.plane_channels
        self.mapping = Mapping(identity_width + expression_width, settings)
        sizes = [2**power for power in range(2, settings.plane_size.bit_length())]
        widths = [min(settings.channel_max, settings.channel_base // size) for size in sizes]
        self.blocks = nn.ModuleList(
            SynthesisBlock(inputs, outputs, size, 3 * settings.plane_channels, settings.style_width)
            for inputs, outputs, size in zip([0, *widths[:-1]], widths, sizes, strict=True)
        )

    def forward(self, z_id: Tensor, z_exp: Tensor) -> Tensor:
        """Return the planes XY, XZ, YZ: (B, 3, P, S, S) float32, for raw (B, I) and (B, E).

        Texel (row, column) of a plane lies at its vertical and horizontal axis, see PLANE_AXES.
        """
        latent = self.mapping(z_id, z_exp)
        x: Tensor | None = None
        image: Tensor | None = None
        for block in self.blocks:
            x, image = block(x, image, latent)
        assert image is not None
        batch, _, size, _ = image.shape
        return image.view(batch, 3, self.plane_channels, size, size)
