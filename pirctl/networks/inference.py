"""Making trained picture networks ready for use: gains folded, weights cast, channels-last.

What is cast is what costs: convolutions, the decoder's matrix products, and the weighted sum of its
colours along a ray. Styles, the planes' skip image, rays, depths, densities, the samples' weights
and the final picture stay float32.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import nn

from pirctl.device import has_bfloat16
from pirctl.networks.layers import EqualConv, EqualLinear, ModulatedConv
from pirctl.networks.volume import Decoder

Network = TypeVar("Network", bound=nn.Module)

Precision = Literal["float32", "bfloat16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def prepare_inference(network: Network, device: torch.device, precision: Precision) -> Network:
    """Change a FaceNetwork or Renderer for inference, in place, and return it.

    It cannot be trained afterwards. Inputs and outputs stay float32. Call it under
    `torch.inference_mode()` or `torch.no_grad()`: some short cuts are only taken without gradients.

    Args:
        network: with its trained weights.
        device: where it shall run.
        precision: of the convolutions; "bfloat16" is about twice as fast where the device has it
            and differs from float32 by less than the encoder of the video.
    """
    dtype = _DTYPES[precision]
    network.eval().requires_grad_(False).to(device)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, EqualLinear):
                module.freeze(torch.float32)
            elif isinstance(module, EqualConv | ModulatedConv):
                module.freeze(dtype)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if isinstance(module, Decoder):
                module.freeze(dtype)
    return network


def default_precision(device: torch.device) -> Precision:
    """Return bfloat16 where the device computes it natively, float32 elsewhere."""
    return "bfloat16" if has_bfloat16(device) else "float32"
