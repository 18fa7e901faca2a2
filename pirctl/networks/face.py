"""The implicit face: coefficients and a camera to the feature image I_F, and to I_face.

Source: Huang et al. 2023, section 3.2. At test time only I_F is needed; the upsampler exists to
train it.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.networks.layers import EqualConv, full_precision, upsample
from pirctl.networks.triplane import TriplaneGenerator
from pirctl.networks.volume import VolumeRenderer
from pirctl.settings import FaceSettings
from pirctl.tensors import check_shape


class UpsamplerBlock(nn.Module):
    """Twice the size, and the detail that it adds to the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.grow = EqualConv(inputs, outputs, up=True)
        self.refine = EqualConv(outputs, outputs)
        self.to_rgb = EqualConv(outputs, 3, 1, activate=False)

    def forward(self, x: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, outputs, 2H, 2W) and picture (B, 3, 2H, 2W), in float32."""
        x = self.refine(self.grow(x))
        with full_precision(x):
            image = upsample(image)
        return x, image + self.to_rgb(x).float()


class Upsampler(nn.Module):
    """I_F to the face's picture I_face.

    The first three channels of I_F are a small RGB picture; every doubling adds detail to it. No
    style enters here, although the generator it resembles would allow it: all that the picture
    shows has to pass through I_F, which is all that the renderer will see. The last doubling is a
    sub-pixel convolution, which saves the costliest resolution.
    """

    def __init__(self, settings: FaceSettings, size_px: int) -> None:
        super().__init__()
        doublings = (size_px // settings.feature_size).bit_length() - 1
        if settings.feature_size << doublings != size_px or doublings < 1:
            raise ValueError(
                f"face.feature_size is {settings.feature_size}: media.size_px {size_px} must be"
                " that doubled one or more times"
            )
        widths = [settings.feature_channels]
        widths += [max(16, settings.upsampler_channels >> i) for i in range(doublings - 1)]
        self.blocks = nn.ModuleList(
            UpsamplerBlock(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)
        )

        self.finish = EqualConv(widths[-1], 12, activate=False)
        with torch.no_grad():
            # The four pixels of a group start equal, else the start is a chequerboard.
            self.finish.weight.copy_(self.finish.weight[::4].repeat_interleave(4, dim=0))

    def forward(self, feature_image: Tensor) -> Tensor:
        """Map (B, C, h, h) to (B, 3, size_px, size_px), nominally in [-1, 1]."""
        x = feature_image.contiguous(memory_format=torch.channels_last)
        with full_precision(x):
            image = feature_image[:, :3].float()
        for block in self.blocks:
            x, image = block(x, image)
        with full_precision(x):
            image = upsample(image)
        return image + F.pixel_shuffle(self.finish(x).float(), 2)


class FaceNetwork(nn.Module):
    """The face stage: generator, volume renderer and upsampler.

    Args of the methods, throughout: z_id (B, I) and z_exp (B, E) raw coefficients; R (B, 3, 3) and
    t (B, 3) in dm, model to camera; K (B, 3, 3) or (3, 3) in pixels of the size_px crop.
    """

    def __init__(
        self, settings: FaceSettings, identity_width: int, expression_width: int, size_px: int
    ) -> None:
        super().__init__()
        self.size_px = size_px
        self.feature_size = settings.feature_size
        self.identity_width = identity_width
        self.expression_width = expression_width
        self.generator = TriplaneGenerator(settings, identity_width, expression_width)
        self.volume = VolumeRenderer(settings)
        self.upsampler = Upsampler(settings, settings.picture_size or size_px)

    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Standardise z_exp with these (E,) statistics of the training frames from now on.

        A deviation counts as at least a tenth of the largest: an axis that hardly moves in the
        training frames must not become loud. Identity coefficients are standardised already.
        """
        check_shape("mean", mean, self.expression_width)
        check_shape("deviation", deviation, self.expression_width)
        mapping = self.generator.mapping
        width = self.identity_width
        floor = 0.1 * float(deviation.max()) or 1.0
        deviation = deviation.to(mapping.deviation).clamp(min=floor)
        mapping.set_statistics(
            torch.cat([mapping.mean[:width], mean.to(mapping.mean)]),
            torch.cat([mapping.deviation[:width], deviation]),
        )

    def planes(self, z_id: Tensor, z_exp: Tensor) -> Tensor:
        """Return the three feature planes, (B, 3, P, S, S)."""
        planes: Tensor = self.generator(z_id, z_exp)
        return planes

    def feature_image(
        self,
        z_id: Tensor,
        z_exp: Tensor,
        R: Tensor,
        t: Tensor,
        K: Tensor,
        size: int | None = None,
        *,
        planes: Tensor | None = None,
    ) -> Tensor:
        """Return I_F, (B, C, size, size) float32 in [-1, 1], -1 where there is nothing.

        Args:
            z_id: see the class.
            z_exp: see the class.
            R: see the class.
            t: see the class.
            K: see the class.
            size: side of I_F, any; default the face stage's own.
            planes: what `planes` returned for these coefficients, to save computing it again.
        """
        if planes is None:
            planes = self.planes(z_id, z_exp)
        image: Tensor = self.volume(
            planes, R, t, K, size=size or self.feature_size, size_px=self.size_px
        )
        return image

    def upsample(self, feature_image: Tensor) -> Tensor:
        """Return I_face, (B, 3, H, H), nominally in [-1, 1]; H is `picture_size` or size_px."""
        image: Tensor = self.upsampler(feature_image)
        return image

    def forward(
        self, z_id: Tensor, z_exp: Tensor, R: Tensor, t: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (I_F, I_face)."""
        feature_image = self.feature_image(z_id, z_exp, R, t, K)
        return feature_image, self.upsample(feature_image)
