"""The perceptual loss: squared distance of VGG16 features.

Source: Johnson et al. 2016; Simonyan and Zisserman 2015 (VGG16). The layers carry torchvision's
names (`features.N`), so that its weight file can be read as it is.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pirctl.errors import WeightsCorrupt

_STAGES = (2, 2, 3, 3, 3)
_WIDTHS = (64, 128, 256, 512, 512)
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def vgg16_layers() -> dict[str, tuple[int, int, int]]:
    """Return name -> (index in torchvision's `features`, channels in, channels out), in order."""
    layers = {}
    index, inputs = 0, 3
    for stage, (count, width) in enumerate(zip(_STAGES, _WIDTHS, strict=True), start=1):
        for i in range(1, count + 1):
            layers[f"relu{stage}_{i}"] = (index, inputs, width)
            index, inputs = index + 2, width  # a convolution, its ReLU
        index += 1  # the pooling
    return layers


class PerceptualLoss(nn.Module):
    """Sum over layers of the mean squared difference of features. Frozen, in evaluation mode."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights_path: Path, layers: Sequence[str]) -> None:
        """Read the weights.

        Args:
            weights_path: torchvision's VGG16 state dict (the classifier is not needed).
            layers: names like "relu2_2".

        Raises:
            WeightsCorrupt: the file is not a VGG16 state dict.
            ValueError: an unknown layer, which the settings let nobody ask for.
        """
        super().__init__()
        known = vgg16_layers()
        unknown = [name for name in layers if name not in known]
        if unknown or not layers:
            raise ValueError(f"layers {unknown}: must be among {', '.join(known)}")
        self.compared = frozenset(layers)
        names = list(known)
        self.names = names[: max(names.index(name) for name in layers) + 1]
        self.features = nn.ModuleDict()
        for name in self.names:
            index, inputs, outputs = known[name]
            self.features[str(index)] = nn.Conv2d(inputs, outputs, 3, padding=1)
        self._read(weights_path)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _read(self, path: Path) -> None:
        wanted = self.state_dict()
        try:
            # The file of 2017 is older than the format that can be mapped into memory.
            mapped = zipfile.is_zipfile(path)
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
            self.load_state_dict({name: state[name] for name in wanted})
        except (
            OSError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
            pickle.PickleError,
        ) as error:
            raise WeightsCorrupt(
                f"{path} is not a state dict of torchvision's VGG16.",
                hint="pirctl models pull vgg16 --force",
            ) from error

    def extract(self, image: Tensor) -> list[Tensor]:
        """Return the features of the compared layers, shallow to deep.

        Args:
            image: (B, 3, H, W) RGB in [-1, 1].
        """
        x = ((image + 1) / 2 - self.mean) / self.deviation
        x = x.contiguous(memory_format=torch.channels_last)
        results = []
        for name, convolution in zip(self.names, self.features.values(), strict=True):
            if name.endswith("_1") and name != "relu1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(convolution(x))
            if name in self.compared:
                results.append(x)
        return results

    def forward(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: (B, 3, H, W) RGB in [-1, 1].
            truth: the same; no gradient passes to it.
        """
        with torch.no_grad():
            fixed = self.extract(truth)
        moving = self.extract(prediction)
        errors = [F.mse_loss(a.float(), b.float()) for a, b in zip(moving, fixed, strict=True)]
        return torch.stack(errors).sum()
