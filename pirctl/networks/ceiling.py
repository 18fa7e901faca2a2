"""What a machine can do at most: a convolution as fast as it has one, to measure others against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pirctl.networks.inference import Precision

_CHANNELS, _SIZE = 256, 128


class Ceiling:
    """A convolution as fast as the device has one: 3 x 3, channels-last."""

    OPERATIONS = 2 * 9 * _CHANNELS**2 * _SIZE**2
    """Of one run; a multiplication and an addition count as two."""

    def __init__(self, device: torch.device, precision: Precision) -> None:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        x = torch.randn(1, _CHANNELS, _SIZE, _SIZE)
        weight = torch.randn(_CHANNELS, _CHANNELS, 3, 3)
        self.x = x.to(device, dtype, memory_format=torch.channels_last)
        self.weight = weight.to(device, dtype, memory_format=torch.channels_last)

    def run(self) -> Tensor:
        """Convolve once."""
        return F.conv2d(self.x, self.weight, padding=1)
