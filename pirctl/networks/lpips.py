"""LPIPS: how different two pictures look, by networks that know pictures.

Source: Zhang et al. 2018, eq. 1 and version 0.1 of its weights: features of unit length at each
place, their squared difference weighed by a learnt number per channel, averaged over the picture
and summed over the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch import Tensor, nn

from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.networks.features import ALEXNET, VGG16, Features, Layer
from pirctl.weights.catalog import weights_entry
from pirctl.weights.converted import converted
from pirctl.weights.pickled import read_pickled_arrays

ByteArray = NDArray[np.uint8]

WEIGHTS = {"lpips_alex": "lpips_alexnet", "lpips_vgg": "lpips_vgg16"}
"""The two distances, and their weights in models/weights.yaml."""

# Mean and deviation of ImageNet's colours in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TRUNKS: dict[str, tuple[str, tuple[Layer, ...], tuple[str, ...]]] = {
    "lpips_alex": ("AlexNet_0", ALEXNET, tuple(layer.name for layer in ALEXNET)),
    "lpips_vgg": ("VGG16_0", VGG16, ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
}


class Lpips(nn.Module):
    """The distance of two pictures. Frozen, in evaluation mode.

    Args:
        name: `lpips_alex` or `lpips_vgg`.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        _, layers, compared = _TRUNKS[name]
        self.trunk = Features(layers, compared)
        widths = [layer.outputs for layer in layers if layer.name in compared]
        self.heads = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in widths)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance (B,) of pictures (B, 3, H, W), RGB in [-1, 1]."""
        pairs = zip(self._units(first), self._units(second), strict=True)
        total = first.new_zeros(len(first))
        for head, (one, other) in zip(self.heads, pairs, strict=True):
            difference = (one - other).square().mean((2, 3))  # (B, C)
            total = total + difference @ head
        return total

    def _units(self, image: Tensor) -> list[Tensor]:
        features = self.trunk((image - self.shift) / self.scale)
        return [F.normalize(feature, eps=1e-10) for feature in features]

    @torch.inference_mode()
    def distance(self, first: ByteArray, second: ByteArray) -> float:
        """Distance of two pictures (H, W, 3) uint8."""
        pair = torch.from_numpy(np.stack([first, second])).to(self.shift.device)
        images = pair.permute(0, 3, 1, 2).float() / 127.5 - 1
        return float(self(images[:1], images[1:]))


def load_lpips(name: str, device: torch.device) -> Lpips:
    """The distance `lpips_alex` or `lpips_vgg`, with its weights.

    Raises:
        WeightsMissing: they are not there.
        WeightsCorrupt: they are something else.
    """
    path = lpips_weights(name)
    network = Lpips(name)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsCorrupt(
            f"{path} are not the weights of {name}", hint=weights_entry(WEIGHTS[name]).mend
        ) from error
    return network.to(device)


def find_lpips(device: torch.device) -> dict[str, Callable[[ByteArray, ByteArray], float]]:
    """Both distances of pictures (H, W, 3) uint8, as far as their weights are there."""
    found: dict[str, Callable[[ByteArray, ByteArray], float]] = {}
    for name in WEIGHTS:
        try:
            found[name] = load_lpips(name, device).distance
        except WeightsMissing:
            continue
    return found


def lpips_weights(name: str) -> Path:
    """The weights of a distance in our format: `trunk.convolutions.N.*`, and `heads.N`.

    Raises:
        WeightsMissing: they are not there.
        WeightsCorrupt: they are something else.
    """
    return converted(WEIGHTS[name], ".safetensors", lambda *paths: _convert(name, *paths))


def _convert(name: str, original: Path, path: Path) -> None:
    """Write the tensors of Flax's file, kernels (H, W, I, O) as (O, I, H, W)."""
    mend = weights_entry(WEIGHTS[name]).mend
    arrays = read_pickled_arrays(original, mend)
    trunk, layers, compared = _TRUNKS[name]
    tensors = {}
    try:
        for index in range(len(layers)):
            kernel = arrays[f"{trunk}/Conv_{index}/kernel"].transpose(3, 2, 0, 1)
            tensors[f"trunk.convolutions.{index}.weight"] = np.ascontiguousarray(kernel)
            tensors[f"trunk.convolutions.{index}.bias"] = arrays[f"{trunk}/Conv_{index}/bias"]
        for index in range(len(compared)):
            head = arrays[f"NetLinLayer_{index}/Conv_0/kernel"]
            tensors[f"heads.{index}"] = head.reshape(-1)
    except (KeyError, ValueError) as error:
        raise WeightsCorrupt(f"{original} are not the weights of {name}", hint=mend) from error
    save_file(tensors, path)
