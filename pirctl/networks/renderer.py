"""The renderer: the masked frame and I_F to the frame, coarse to fine.

A half-resolution branch brings the masked frame down to the resolution of I_F, takes I_F in, thinks
in residual blocks and comes back up with skip connections; a full-resolution branch adds the
frame's own detail and finishes.

Source: Huang et al. 2023, section 3.3 and supplement; Wang et al. 2018 (coarse-to-fine generator).
Where they leave it open: there is no normalisation at all. Instance normalisation removes the
absolute brightness and contrast of its input, which are just what has to be matched at the mask's
edge, and makes every pixel depend on the whole frame. Residual blocks that start as the identity
train without it. The first three channels of I_F are a small RGB picture, and what is learnt is
the difference to it, so colours are right from the first step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.networks.layers import SLOPE, full_precision, in_precision_of
from pirctl.settings import RendererSettings
from pirctl.tensors import check_shape


class Convolution(nn.Module):
    """A convolution and a leaky ReLU; stride 2 halves the size, -2 doubles it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1) -> None:
        super().__init__()
        self.convolution: nn.Conv2d | nn.ConvTranspose2d
        if stride < 0:
            # Kernel 4: every output pixel gets the same number of taps, so no chequerboard.
            self.convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=-stride, padding=1)
            fan_in = inputs * 4
        else:
            self.convolution = nn.Conv2d(
                inputs, outputs, kernel, stride=stride, padding=kernel // 2
            )
            fan_in = inputs * kernel * kernel
        gain = nn.init.calculate_gain("leaky_relu", SLOPE)
        nn.init.normal_(self.convolution.weight, std=gain / fan_in**0.5)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H', W')."""
        return F.leaky_relu(self.convolution(x), SLOPE, inplace=True)


class ResidualBlock(nn.Module):
    """x + f(x), the identity at first: the second convolution starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        change: Tensor = self.second(self.first(x))
        return x + change


class CoarseBranch(nn.Module):
    """The half-resolution U-Net into which I_F goes."""

    def __init__(self, settings: RendererSettings, feature_channels: int, halvings: int) -> None:
        super().__init__()
        widths = [settings.coarse_channels << i for i in range(halvings + 1)]
        deepest = widths[-1]
        self.enter = Convolution(3, widths[0], 7)
        self.downs = nn.ModuleList(Convolution(wide // 2, wide, stride=2) for wide in widths[1:])
        self.join = Convolution(deepest + feature_channels, deepest)
        self.blocks = nn.Sequential(
            *(ResidualBlock(deepest) for _ in range(settings.coarse_blocks))
        )
        # The deepest level has no skip: it goes through the blocks itself.
        self.ups = nn.ModuleList(
            Convolution(wide if wide == deepest else 2 * wide, wide // 2, stride=-2)
            for wide in reversed(widths[1:])
        )
        self.leave = Convolution(2 * widths[0], 2 * settings.fine_channels)

    def forward(self, masked: Tensor, feature_image: Tensor) -> Tensor:
        """Map (B, 3, H, W) and (B, C, h, h) to (B, 2 * fine_channels, H, W)."""
        levels = [self.enter(masked)]
        for down in self.downs:
            levels.append(down(levels[-1]))
        deepest = levels.pop()
        x = self.blocks(self.join(torch.cat([deepest, feature_image.to(deepest.dtype)], dim=1)))
        for up in self.ups:
            x = torch.cat([up(x), levels.pop()], dim=1)
        leaving: Tensor = self.leave(x)
        return leaving


class Renderer(nn.Module):
    """The frame with a new face where the mask was."""

    def __init__(self, settings: RendererSettings, feature_channels: int, size_px: int) -> None:
        """Make the network.

        Args:
            settings: its sizes.
            feature_channels: channels of I_F.
            size_px: side of whole frames. The half resolution, halved one or more times, must be
                `settings.feature_size`. Windows of any side that is whole cells can be painted.
        """
        super().__init__()
        self.cell_px = cell_of(settings, size_px)
        halvings = self.cell_px.bit_length() - 2
        self.feature_channels = feature_channels
        fine = settings.fine_channels
        self.coarse = CoarseBranch(settings, feature_channels, halvings)
        kernel = settings.fine_kernel
        self.enter = Convolution(3, fine, kernel)
        self.down = Convolution(fine, 2 * fine, stride=2)
        self.blocks = nn.Sequential(*(ResidualBlock(2 * fine) for _ in range(settings.fine_blocks)))
        self.up = Convolution(2 * fine, fine, stride=-2)
        self.leave = nn.Conv2d(fine, 3, kernel, padding=kernel // 2)
        nn.init.normal_(self.leave.weight, std=0.1 / (fine * kernel * kernel) ** 0.5)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, masked: Tensor, feature_image: Tensor) -> Tensor:
        """Return the frame, (B, 3, H, W) float32, in [-1, 1] but for errors.

        Nothing bounds it: a bound that is met has no gradient, and training would never come back.

        Args:
            masked: (B, 3, H, W) in [-1, 1]: frame (1 - m) - m, so -1 inside the mask.
            feature_image: I_F, (B, feature_channels, H / cell_px, W / cell_px).
        """
        check_shape("masked", masked, None, 3, None, None)
        cells = (side // self.cell_px for side in masked.shape[-2:])
        check_shape("feature_image", feature_image, None, self.feature_channels, *cells)
        masked = in_precision_of(self.leave.weight, masked)
        masked = masked.contiguous(memory_format=torch.channels_last)
        half = F.avg_pool2d(masked, 3, stride=2, padding=1, count_include_pad=False)
        x = self.down(self.enter(masked)) + self.coarse(half, feature_image)
        image: Tensor = self.leave(self.up(self.blocks(x)))
        with full_precision(image):
            return image.float() + enlarged_start(feature_image, masked)


def cell_of(settings: RendererSettings, size_px: int) -> int:
    """Pixels of the frame per texel of I_F, a power of two, at least 4.

    Raises:
        ValueError: the sizes do not fit each other.
    """
    cell = size_px // settings.feature_size
    if cell < 4 or cell & (cell - 1) or cell * settings.feature_size != size_px:
        raise ValueError(
            f"renderer.feature_size is {settings.feature_size}: media.size_px {size_px} must"
            " be that doubled two or more times"
        )
    return cell


def enlarged_start(feature_image: Tensor, like: Tensor) -> Tensor:
    """The small RGB picture in I_F, (B, 3, H, W) float32 at the size of `like`."""
    small = feature_image[:, :3].float()
    return F.interpolate(small, size=like.shape[-2:], mode="bilinear", align_corners=False)
