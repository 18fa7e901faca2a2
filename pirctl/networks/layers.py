"""Layers shared by the generator and the upsampler: equalised learning rate and modulation.

Every layer knows how to `freeze` itself for inference: run-time gains are folded into the weights,
which are then cast and laid out channels-last. A frozen layer cannot be trained any more.

Source: Karras et al. 2018 (equalised learning rate), Karras et al. 2020 (weight demodulation,
"skip" architecture). Written from the formulas.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of the leaky ReLU; its output is scaled by sqrt(2) to keep the variance."""

STYLE_SPREAD = 0.1
"""Standard deviation of the styles' weights at first, 1 in StyleGAN2. A person's frames are nearly
the same picture: so the planes start nearly the same, and learn where they have to differ. Measured
on 1000 frames: half the error of the feature image after 150 steps."""


def full_precision(like: Tensor) -> AbstractContextManager[None]:
    """Leave autocast: styles, skips, rays and weights are cheap and need what is given, float32."""
    return torch.autocast(like.device.type, enabled=False)


def in_precision_of(weight: Tensor, x: Tensor) -> Tensor:
    """Cast x to the weight's type, unless they agree or autocast will see to it."""
    if x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type):
        return x
    return x.to(weight.dtype)


def upsample(image: Tensor) -> Tensor:
    """Double the size of `image` (B, C, H, W) with the filter [1, 3, 3, 1].

    Bilinear interpolation by two between pixel centres is that filter, and is far faster than a
    grouped transposed convolution; only the border differs (replicated instead of darkened).
    """
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


class EqualLinear(nn.Module):
    """y = x Wᵀ m / sqrt(in) + b m, W ~ N(0, spread²) / m, with m the learning rate multiplier."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        lr_multiplier: float = 1.0,
        bias: float = 0.0,
        activate: bool = False,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (spread / lr_multiplier))
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.activate = activate
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if self.weight_gain != 1.0:
            weight = weight * self.weight_gain
        if self.bias_gain != 1.0:
            bias = bias * self.bias_gain
        x = F.linear(x, weight, bias)
        return F.leaky_relu(x, SLOPE) * math.sqrt(2) if self.activate else x

    def freeze(self, dtype: torch.dtype) -> None:
        """Fold the gains and cast to `dtype`."""
        self.weight = nn.Parameter((self.weight * self.weight_gain).to(dtype), requires_grad=False)
        self.bias = nn.Parameter((self.bias * self.bias_gain).to(dtype), requires_grad=False)
        self.weight_gain = self.bias_gain = 1.0


class Blur(nn.Module):
    """The separable filter [1, 3, 3, 1] / 4 on every channel, after a transposed convolution.

    Takes (B, C, 2H + 1, 2W + 1) to (B, C, 2H, 2W); the sum of the filter is 4, which makes up for
    the zeros that the stride has put in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        rows = taps.view(1, 1, 4, 1).repeat(channels, 1, 1, 1)
        self.register_buffer("taps", rows, persistent=False)
        self.taps: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Filter rows, then columns."""
        channels = len(self.taps)
        taps = self.taps.to(x.dtype)
        x = F.conv2d(x, taps, padding=(1, 0), groups=channels)
        return F.conv2d(x, taps.transpose(2, 3), padding=(0, 1), groups=channels)


class EqualConv(nn.Module):
    """A convolution with equalised learning rate, leaky ReLU, and optional doubling of the size."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, up: bool = False, activate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.blur = Blur(outputs) if up else None
        self.activate = activate
        # The gain sqrt(2) of the activation is folded in: leaky ReLU is homogeneous.
        self.bias_gain = math.sqrt(2) if activate else 1.0
        self.weight_gain = self.bias_gain / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), or twice the size with `up`."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if self.weight_gain != 1.0:
            weight, bias = weight * self.weight_gain, bias * self.bias_gain
        x = in_precision_of(weight, x)
        if self.blur is None:
            x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        else:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
            x = x + bias.to(x.dtype)[:, None, None]
        return F.leaky_relu(x, SLOPE, inplace=True) if self.activate else x

    def freeze(self, dtype: torch.dtype) -> None:
        """Fold the gains, cast to `dtype` and lay out channels-last."""
        weight = self.weight * self.weight_gain
        self.weight = _laid_out(weight, dtype, transposed=self.blur is not None)
        self.bias = nn.Parameter((self.bias * self.bias_gain).to(dtype), requires_grad=False)
        self.weight_gain = self.bias_gain = 1.0
        if self.blur is not None:
            self.blur.to(dtype)


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled per sample by a style, and optionally demodulated.

    w' = W s over the input channels; with `demodulate` each output is divided by |w'|. The weights
    carry a gain 1 / sqrt(fan-in), which demodulation makes moot except for range: sums stay near 1
    in any precision. Source: Karras et al. 2020, eq. 1-3.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_width: int,
        *,
        up: bool = False,
        demodulate: bool = True,
        noise_size: int = 0,
    ) -> None:
        """Make the layer.

        Args:
            inputs: channels in.
            outputs: channels out.
            kernel: side of the kernel, odd.
            style_width: width of the latent.
            up: double the size first.
            demodulate: divide by the norm of the modulated weights, and activate.
            noise_size: side of the fixed noise map, 0 for none. Its strength is learnt, from 0; the
                map is a constant of the network, so the same inputs give the same planes.
        """
        super().__init__()
        self.affine = EqualLinear(style_width, inputs, bias=1.0, spread=STYLE_SPREAD)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.blur = Blur(outputs) if up else None
        self.demodulate = demodulate
        self.weight_gain = 1 / math.sqrt(inputs * kernel * kernel)
        self.noise_strength: Tensor | None = None
        self.noise: Tensor | None
        if noise_size:
            self.noise_strength = nn.Parameter(torch.zeros(()))
            seeded = torch.Generator().manual_seed(noise_size)
            self.register_buffer(
                "noise", torch.randn(noise_size, noise_size, generator=seeded, device="cpu")
            )
        else:
            self.noise = None
        self.frozen_energy: Tensor | None = None

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Apply to x (B, inputs, H, W) under latent (B, style_width)."""
        with full_precision(x):
            style = self.affine(latent.float()) * self.weight_gain  # (B, inputs)
            scale = self._output_scale(style) if self.demodulate else None
        x = in_precision_of(self.weight, x)
        # One sample: scaling the weights is cheaper than the activations where those are larger.
        if len(x) == 1 and not torch.is_grad_enabled() and self.weight.numel() < x.numel():
            return self._forward_fused(x, style, scale)
        x = self._convolve(x * style.to(x.dtype)[:, :, None, None], self.weight, None)
        bias = self._offset(x)
        if scale is None:
            return x + bias
        x = torch.addcmul(bias, x, scale.to(x.dtype)[:, :, None, None])
        return F.leaky_relu(x, SLOPE, inplace=True)

    def _output_scale(self, style: Tensor) -> Tensor:
        energy = self.frozen_energy
        if energy is None:
            energy = self.weight.float().square().sum((2, 3))  # (outputs, inputs)
        # sqrt(2) is the gain of the activation, folded in here and in the bias.
        return math.sqrt(2) * torch.rsqrt(style.square() @ energy.T + 1e-8)

    def _forward_fused(self, x: Tensor, style: Tensor, scale: Tensor | None) -> Tensor:
        factor = style if scale is None else scale[0, :, None] * style  # (outputs or 1, inputs)
        weight = self.weight * factor.to(self.weight.dtype)[:, :, None, None]
        if self.blur is None and self.noise_strength is None:
            x = self._convolve(x, weight, self._bias(x))
        else:
            x = self._convolve(x, weight, None).add_(self._offset(x))
        return x if scale is None else F.leaky_relu_(x, SLOPE)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.blur is None:
            return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
        x = F.conv_transpose2d(x, weight.transpose(0, 1), bias, stride=2)
        blurred: Tensor = self.blur(x)
        return blurred

    def _bias(self, like: Tensor) -> Tensor:
        bias = self.bias * math.sqrt(2) if self.demodulate else self.bias
        return bias.to(like.dtype)

    def _offset(self, like: Tensor) -> Tensor:
        """Bias and noise together, (1, outputs, H, W) or (1, outputs, 1, 1), with the gain."""
        offset = self._bias(like)[None, :, None, None]
        if self.noise_strength is not None and self.noise is not None:
            noise = self.noise * (self.noise_strength * math.sqrt(2))
            offset = offset + noise.to(like.dtype)
        return offset

    def freeze(self, dtype: torch.dtype) -> None:
        """Cast to `dtype`, channels-last; drop a noise map that was never used."""
        self.frozen_energy = self.weight.float().square().sum((2, 3)).detach()
        self.weight = _laid_out(self.weight, dtype, transposed=self.blur is not None)
        self.bias.requires_grad_(False)
        if self.noise_strength is not None and not self.noise_strength.item():
            self.noise_strength = None
        if self.blur is not None:
            self.blur.to(dtype)


def _laid_out(weight: Tensor, dtype: torch.dtype, *, transposed: bool) -> nn.Parameter:
    """Cast weights (outputs, inputs, k, k) so that the convolution need not copy them again.

    A transposed convolution wants (inputs, outputs, k, k) channels-last; the shape stays, and the
    strides are such that its transpose is.
    """
    if transposed:
        turned = weight.transpose(0, 1).to(dtype, memory_format=torch.channels_last)
        return nn.Parameter(turned.transpose(0, 1), requires_grad=False)
    return nn.Parameter(weight.to(dtype, memory_format=torch.channels_last), requires_grad=False)
