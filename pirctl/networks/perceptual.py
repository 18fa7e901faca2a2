"""The perceptual loss: squared distance of VGG16 features.

Source: Johnson et al. 2016; Simonyan and Zisserman 2015 (VGG16). The features are those of
ImageNet's classes, in the file of torchvision or in that of LPIPS, which hold the same numbers.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pirctl.errors import WeightsCorrupt
from pirctl.networks.features import VGG16, Features
from pirctl.networks.lpips import lpips_weights
from pirctl.settings import LossSettings
from pirctl.weights.catalog import find_weights, weights_entry
from pirctl.weights.needs import vgg16_entry

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_MARGIN = 0.1
"""What is seen around the mask, as a share of its larger side: features look around themselves."""


def find_vgg16() -> Path:
    """Find VGG16: torchvision's state dict, else the trunk of LPIPS as safetensors.

    Raises:
        WeightsMissing: neither is there; the hint says how to get the smaller one.
        WeightsCorrupt: it is something else.
    """
    name = vgg16_entry()
    return find_weights(name) if name == "vgg16" else lpips_weights("lpips_vgg")


def build_perceptual(settings: LossSettings, device: torch.device) -> PerceptualLoss | None:
    """Build the loss that the settings ask for, on a device; None: they leave the term out.

    Raises:
        WeightsMissing: VGG16 is not there.
        WeightsCorrupt: it is something else.
    """
    if not settings.perceptual:
        return None
    loss = PerceptualLoss(
        find_vgg16(),
        settings.perceptual_layers,
        every=settings.perceptual_every,
        size_px=settings.perceptual_size_px,
    )
    return loss.to(device)


class PerceptualLoss(nn.Module):
    """Sum over layers of the mean squared difference of features. Frozen, in evaluation mode."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, weights_path: Path, layers: Sequence[str], *, every: int = 1, size_px: int = 0
    ) -> None:
        """Read the weights.

        Args:
            weights_path: what `find_vgg16` finds (of torchvision's, the classifier is not needed).
            layers: names like "relu2_2".
            every: the loss is meant for every so manieth step.
            size_px: side of the square, drawn at every call, that is compared; 0: all of them.

        Raises:
            WeightsCorrupt: the file is neither.
            ValueError: an unknown layer, which the settings let nobody ask for.
        """
        super().__init__()
        self.every, self.size_px = every, size_px
        self.features = Features(VGG16, layers)
        self._read(weights_path)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _read(self, path: Path) -> None:
        # What each convolution's tensors are called in the file, in the order of the layers.
        try:
            if path.suffix == ".safetensors":
                name, state = "lpips_vgg16", load_file(path)
                places = [f"trunk.convolutions.{i}" for i in range(len(VGG16))]
            else:
                # The file of 2017 is older than the format that can be mapped into memory.
                name, mapped = "vgg16", zipfile.is_zipfile(path)
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
                places = [f"features.{index}" for index in torchvision_places()]
            wanted = {
                f"convolutions.{i}.{kind}": state[f"{places[i]}.{kind}"]
                for i in range(len(self.features.layers))
                for kind in ("weight", "bias")
            }
            self.features.load_state_dict(wanted)
        except (
            OSError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
            SafetensorError,
            pickle.PickleError,
        ) as error:
            raise WeightsCorrupt(
                f"{path} holds no weights of VGG16.", hint=weights_entry(name).mend
            ) from error

    def is_due(self, step: int) -> bool:
        """Whether the loss is meant for this step."""
        return step % self.every == 0

    def extract(self, image: Tensor) -> list[Tensor]:
        """Return the features of the compared layers, shallow to deep.

        Args:
            image: (B, 3, H, W) RGB in [-1, 1].
        """
        x = ((image + 1) / 2 - self.mean) / self.deviation
        features: list[Tensor] = self.features(x.contiguous(memory_format=torch.channels_last))
        return features

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar: `every` times the mean, so that its mean over steps is that.

        Args:
            prediction: (B, 3, H, W) RGB in [-1, 1].
            truth: the same; no gradient passes to it.
            mask: (B, 1, H, W), where they differ; with `size_px`, the square lies there.
        """
        if self.size_px:
            pair = torch.cat([prediction, truth], dim=1)
            if mask is not None:
                pair = cut_around(pair, mask)
            prediction, truth = draw_square(pair, self.size_px).chunk(2, dim=1)
        with torch.no_grad():
            fixed = self.extract(truth)
        moving = self.extract(prediction)
        errors = [F.mse_loss(a.float(), b.float()) for a, b in zip(moving, fixed, strict=True)]
        return self.every * torch.stack(errors).sum()


def torchvision_places() -> list[int]:
    """Where in torchvision's `features` the convolutions are: each has its ReLU, some a pooling."""
    places, index = [], 0
    for layer in VGG16:
        index += bool(layer.pool)
        places.append(index)
        index += 2
    return places


def cut_around(images: Tensor, mask: Tensor) -> Tensor:
    """Cut the same square around each image's mask.

    Args:
        images: (B, C, H, W).
        mask: (B, 1, H, W), positive inside.

    Returns:
        (B, C, S, S), S the largest mask's larger side and a margin, at most the images' smaller
        side; all of the images where nothing is masked.
    """
    height, width = images.shape[-2:]
    spans = []
    for one in (mask[:, 0] > 0).cpu():
        rows, columns = one.any(1).nonzero()[:, 0], one.any(0).nonzero()[:, 0]
        if not len(rows):
            return images
        spans.append((int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1))
    largest = max(max(bottom - top, right - left) for top, bottom, left, right in spans)
    side = min(height, width, round((1 + 2 * _MARGIN) * largest))
    parts = []
    for image, (top, bottom, left, right) in zip(images, spans, strict=True):
        y = min(max(0, (top + bottom - side) // 2), height - side)
        x = min(max(0, (left + right - side) // 2), width - side)
        parts.append(image[:, y : y + side, x : x + side])
    return torch.stack(parts)


def draw_square(images: Tensor, size_px: int) -> Tensor:
    """Cut a square (B, C, S, S), S at most `size_px`, at a random place, the same for all images.

    Cut and not shrunk: what a smaller picture does not show, training would fill with a weave.
    """
    height, width = images.shape[-2:]
    side = min(height, width, size_px)
    y, x = (int(torch.randint(length - side + 1, ())) for length in (height, width))
    return images[..., y : y + side, x : x + side]
