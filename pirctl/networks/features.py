"""The trunks of VGG16 and AlexNet: what networks that know pictures see at each depth.

Source: Simonyan and Zisserman 2015 (VGG16); Krizhevsky 2014, "One weird trick" (AlexNet as
torchvision has it). Layers are named after their ReLU, whose output is the feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution with its ReLU.

    Attributes:
        name: of the ReLU.
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel.
        stride: of the convolution.
        padding: of the convolution.
        pool: side of the pooling before it, of stride 2; 0: none.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0


def _vgg16() -> Iterator[Layer]:
    inputs = 3
    for stage, (count, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for i in range(1, count + 1):
            pool = 2 if i == 1 and stage > 1 else 0
            yield Layer(name=f"relu{stage}_{i}", inputs=inputs, outputs=width, pool=pool)
            inputs = width


VGG16 = tuple(_vgg16())
ALEXNET = (
    Layer(name="relu1", inputs=3, outputs=64, kernel=11, stride=4, padding=2),
    Layer(name="relu2", inputs=64, outputs=192, kernel=5, padding=2, pool=3),
    Layer(name="relu3", inputs=192, outputs=384, pool=3),
    Layer(name="relu4", inputs=384, outputs=256),
    Layer(name="relu5", inputs=256, outputs=256),
)


class Features(nn.Module):
    """A trunk down to the deepest layer asked for.

    Its tensors are `convolutions.N.weight` and `.bias`, N counting from the first layer.

    Args:
        layers: VGG16 or ALEXNET.
        compared: names of the layers whose features are returned.

    Raises:
        ValueError: an unknown layer, or none.
    """

    def __init__(self, layers: Sequence[Layer], compared: Collection[str]) -> None:
        super().__init__()
        names = [layer.name for layer in layers]
        unknown = [name for name in compared if name not in names]
        if unknown or not compared:
            raise ValueError(f"layers {unknown}: must be among {', '.join(names)}")
        self.compared = frozenset(compared)
        self.layers = tuple(layers[: max(names.index(name) for name in compared) + 1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
            for layer in self.layers
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of the compared layers, shallow to deep.

        Args:
            image: (B, 3, H, W), normalised as the trunk's weights expect it.
        """
        x = image
        results = []
        for layer, convolution in zip(self.layers, self.convolutions, strict=True):
            if layer.pool:
                x = F.max_pool2d(x, layer.pool, 2)
            x = F.relu(convolution(x))
            if layer.name in self.compared:
                results.append(x)
        return results
