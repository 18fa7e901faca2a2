"""BiSeNet V2: a wide shallow branch for detail, a narrow deep one for meaning, and their meeting.

Source: Yu et al. 2021 (BiSeNet V2), sections 3 and 4, in the sizes of its TensorFlow version:
the first block of a gather-and-expansion stage has stride 2, batch norms are part of the
convolutions. Padding and resizing are TensorFlow's, with which the weights were trained: at
stride 2 an even picture is padded below and to the right alone, and pixel 0 of an enlarged
picture lies on pixel 0 of the small one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from pirctl.errors import WeightsCorrupt
from pirctl.weights.catalog import weights_entry
from pirctl.weights.converted import converted
from pirctl.weights.tfjs import read_tfjs

SIDE_MULTIPLE_PX = 64
"""Sides of the picture must be multiples of this: five halvings, each of an even picture."""

_EXPANSION = 6


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME does, and its ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int = 3,
        *,
        stride: int = 1,
        by_channel: bool = False,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        groups = inputs if by_channel else 1
        super().__init__(inputs, outputs, side, stride, groups=groups, bias=bias)
        self.relu = relu
        self.pad = (0, 1, 0, 1) if stride == 2 else (side // 2,) * 4

    def forward(self, input: Tensor) -> Tensor:
        x = super().forward(F.pad(input, self.pad))
        return F.relu(x) if self.relu else x


class _Stem(nn.Module):
    """Two ways to a quarter of the size, put together."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _Convolution(3, 16, stride=2, relu=True)
        self.narrow = _Convolution(16, 8, 1, relu=True)
        self.down = _Convolution(8, 16, stride=2, relu=True)
        self.fuse = _Convolution(32, 16, relu=True)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)  # (B, 16, H/2, W/2)
        pooled = F.max_pool2d(x, 3, 2, ceil_mode=True)
        joined: Tensor = self.fuse(torch.cat([self.down(self.narrow(x)), pooled], dim=1))
        return joined


class _GatherExpansion(nn.Module):
    """Gather and expand; with `outputs` other than `inputs`, at half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide, halves = _EXPANSION * inputs, inputs != outputs
        self.gather = _Convolution(inputs, inputs, relu=True)
        stride = 2 if halves else 1
        self.expand = _Convolution(inputs, wide, stride=stride, by_channel=True)
        self.deepen = _Convolution(wide, wide, by_channel=True) if halves else nn.Identity()
        self.project = _Convolution(wide, outputs, 1)
        self.shortcut: nn.Module = nn.Identity()
        if halves:
            self.shortcut = nn.Sequential(
                _Convolution(inputs, inputs, stride=2, by_channel=True),
                _Convolution(inputs, outputs, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        made = self.project(self.deepen(self.expand(self.gather(x))))
        return F.relu(made + self.shortcut(x))


class _Context(nn.Module):
    """Adds what the whole picture is like to every place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.embed = _Convolution(channels, channels, 1, relu=True)
        self.fuse = _Convolution(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        mean = mean * self.scale[:, None, None] + self.offset[:, None, None]
        fused: Tensor = self.fuse(x + self.embed(mean))
        return fused


class _Aggregation(nn.Module):
    """Each branch gates the other, at both resolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail_keep = nn.Sequential(
            _Convolution(channels, channels, by_channel=True),
            _Convolution(channels, channels, 1, bias=False),
        )
        self.detail_down = _Convolution(channels, channels, stride=2)
        self.meaning_up = _Convolution(channels, channels)
        self.meaning_keep = nn.Sequential(
            _Convolution(channels, channels, by_channel=True),
            _Convolution(channels, channels, 1, bias=False),
        )
        self.fuse = _Convolution(channels, channels, relu=True)

    def forward(self, detail: Tensor, meaning: Tensor) -> Tensor:
        fine = self.detail_keep(detail) * enlarge(self.meaning_up(meaning), 4).sigmoid()
        small = F.avg_pool2d(self.detail_down(detail), 3, 2, ceil_mode=True)
        coarse = small * self.meaning_keep(meaning).sigmoid()
        fused: Tensor = self.fuse(fine + enlarge(coarse, 4))
        return fused


class BisenetV2(nn.Module):
    """Labels pixels.

    Args:
        labels: how many labels there are.
    """

    def __init__(self, labels: int = 19) -> None:
        super().__init__()
        widths = (64, 64, 128)
        steps = [(3, widths[0]), *pairwise(widths)]
        self.detail = nn.Sequential()
        for stage, (inputs, width) in enumerate(steps):
            self.detail.append(_Convolution(inputs, width, stride=2, relu=True))
            for repeat in range(1 if stage == 0 else 2):
                is_last = (stage, repeat) == (2, 1)
                self.detail.append(_Convolution(width, width, relu=not is_last))
        self.stem = _Stem()
        sizes = ((16, 32), (32, 32), (32, 64), (64, 64), (64, 128), *[(128, 128)] * 3)
        self.stages = nn.Sequential(*(_GatherExpansion(*size) for size in sizes))
        self.context = _Context(128)
        self.aggregation = _Aggregation(128)
        self.head = nn.Sequential(
            _Convolution(128, 256, relu=True), _Convolution(256, labels, 1, bias=False)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of each label.

        Args:
            image: (B, 3, H, W) RGB in [-1, 1], H and W multiples of SIDE_MULTIPLE_PX.

        Returns:
            (B, labels, H, W).

        Raises:
            ValueError: other sides; the padding would be wrong.
        """
        if any(side % SIDE_MULTIPLE_PX for side in image.shape[-2:]):
            raise ValueError(f"sides {tuple(image.shape[-2:])}: not multiples of 64")
        detail = self.detail(image)  # (B, 128, H/8, W/8)
        meaning = self.context(self.stages(self.stem(image)))  # (B, 128, H/32, W/32)
        return enlarge(self.head(self.aggregation(detail, meaning)), 8)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Resize (B, C, h, w) bilinearly, pixel `factor` * i of the result being pixel i."""
    height, width = x.shape[-2:]
    size = (factor * height + 1, factor * width + 1)
    padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
    return F.interpolate(padded, size, mode="bilinear", align_corners=True)[..., :-1, :-1]


def bisenet_v2_weights() -> Path:
    """The network's tensors as safetensors, converted from its TensorFlow.js model.

    Raises:
        WeightsMissing: it is not in the cache.
        WeightsCorrupt: it is something else.
    """
    return converted("bisenet_v2", ".safetensors", _convert)


def _convert(folder: Path, path: Path) -> None:
    mend = weights_entry("bisenet_v2").mend
    try:
        tensors = from_tensorflow(read_tfjs(folder, mend))
    except (KeyError, ValueError) as error:
        raise WeightsCorrupt(f"{folder} are not the weights of BiSeNet V2", hint=mend) from error
    save_file(tensors, path)


def from_tensorflow(
    arrays: Mapping[str, NDArray[np.float32]],
) -> dict[str, NDArray[np.float32]]:
    """Tensors of `BisenetV2` from those of its TensorFlow version.

    Kernels (H, W, I, O) become (O, I, H, W); those of one channel each (H, W, I, M) become
    (I * M, 1, H, W), in the same order of outputs.

    Raises:
        KeyError: one is missing.
    """
    tensors = {}
    for ours, (theirs, kind) in _names().items():
        if kind == "plain":
            kernel = arrays[f"BiseNetV2/{theirs}/W"]
        else:
            kernel = arrays[f"BiseNetV2/{theirs}_weights"]
            tensors[f"{ours}.bias"] = arrays[f"BiseNetV2/{theirs}_bn_offset"]
        if kind == "by channel":
            height, width, inputs, each = kernel.shape
            kernel = kernel.transpose(2, 3, 0, 1).reshape(inputs * each, 1, height, width)
        else:
            kernel = kernel.transpose(3, 2, 0, 1)
        tensors[f"{ours}.weight"] = np.ascontiguousarray(kernel)
    norm = "BiseNetV2/semantic_branch/stage_5/ce_block_3_repeat_1/context_embedding_block/bn"
    tensors["context.scale"] = arrays[f"{norm}/FusedBatchNormV3/Scaled"]
    tensors["context.offset"] = arrays[f"{norm}/FusedBatchNormV3/Offset"]
    return tensors


def _names() -> dict[str, tuple[str, str]]:
    """Our module -> theirs, and how its kernel is kept."""
    conv, channel = "conv/Conv2D", "depthwise_conv_output"
    names: dict[str, tuple[str, str]] = {}

    def add(ours: str, theirs: str, kind: str = "folded") -> None:
        end = {"folded": f"/{conv}", "by channel": f"/{channel}", "plain": ""}[kind]
        names[ours] = f"{theirs}{end}", kind

    blocks = [
        (1, 1, 1),
        (1, 2, 1),
        (2, 1, 1),
        (2, 2, 1),
        (2, 2, 2),
        (3, 1, 1),
        (3, 2, 1),
        (3, 2, 2),
    ]
    for index, (stage, block, repeat) in enumerate(blocks):
        theirs = f"detail_branch/stage_{stage}/conv_block_{block}_repeat_{repeat}/3x3_conv"
        add(f"detail.{index}", theirs)
    stem = "semantic_branch/stage_1/se_block_1_repeat_1/stem_block"
    add("stem.first", f"{stem}/conv_block_1")
    add("stem.narrow", f"{stem}/downsample_branch_left/1x1_conv_block")
    add("stem.down", f"{stem}/downsample_branch_left/3x3_conv_block")
    add("stem.fuse", f"{stem}/final_conv_block")
    stages = [
        (3, 1, 1),
        (3, 2, 1),
        (4, 1, 1),
        (4, 2, 1),
        (5, 1, 1),
        (5, 2, 1),
        (5, 2, 2),
        (5, 2, 3),
    ]
    for index, (stage, block, repeat) in enumerate(stages):
        halves = block == 1
        root = f"semantic_branch/stage_{stage}/ge_block_{block}_repeat_{repeat}"
        root += f"/gather_expansion_block/stride_equal_{'two' if halves else 'one'}_module"
        ours = f"stages.{index}"
        add(f"{ours}.gather", f"{root}/3x3_conv_block")
        expand = "depthwise_conv_block_1" if halves else "depthwise_conv_block"
        add(f"{ours}.expand", f"{root}/{expand}", "by channel")
        add(f"{ours}.project", f"{root}/1x1_conv_block")
        if halves:
            add(f"{ours}.deepen", f"{root}/depthwise_conv_block_2", "by channel")
            add(f"{ours}.shortcut.0", f"{root}/input_project_dw_conv_block", "by channel")
            add(f"{ours}.shortcut.1", f"{root}/input_project_1x1_conv_block")
    context = "semantic_branch/stage_5/ce_block_3_repeat_1/context_embedding_block"
    add("context.embed", f"{context}/conv_block_1")
    add("context.fuse", f"{context}/final_conv_block", "plain")
    meet = "aggregation_branch/guided_aggregation_block"
    for ours, theirs in (("detail", "detail_branch"), ("meaning", "semantic_branch")):
        add(f"aggregation.{ours}_keep.0", f"{meet}/{theirs}/3x3_dw_conv_block", "by channel")
        add(f"aggregation.{ours}_keep.1", f"{meet}/{theirs}/1x1_conv_block", "plain")
    add("aggregation.detail_down", f"{meet}/detail_branch/3x3_conv_block")
    add("aggregation.meaning_up", f"{meet}/semantic_branch/3x3_conv_block")
    add("aggregation.fuse", f"{meet}/aggregation_features/aggregation_feature_output")
    add("head.0", "logits/3x3_conv_block")
    add("head.1", "logits/1x1_conv_block", "plain")
    return names
