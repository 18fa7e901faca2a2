"""The second tracker: RetinaFace finds the faces, AWING puts 98 WFLW points on each.

Both networks are facexlib's; what is before and after them is here, batched, because facexlib's
own needs `np.float` (gone since numpy 1.24), torchvision's compiled NMS, and files that it
downloads by itself. Points are in pixels of the picture, centre of pixel 0 at 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pirctl.compat import facexlib_awing, facexlib_retinaface
from pirctl.face.foreign_weights import load_weights

FloatArray = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]

LONGEST_SIDE_PX = 640
"""Larger pictures are looked at in this size; a face of 16 pixels in it is still seen."""
CONFIDENCE = 0.8
"""Score above which a box is a face, facexlib's own choice."""
OVERLAP = 0.4
"""Boxes that share more than this part of their union show the same face."""

_WAY_OUT = "--tracker mediapipe, or give points with --landmarks FILE"
_MEAN_BGR = (104.0, 117.0, 123.0)
# Source: Deng et al. 2020 (RetinaFace), as trained for ResNet-50: stride and anchor sizes of the
# three levels in pixels, and the variances that box centres and sizes are coded with.
_LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
_VARIANCES = (0.1, 0.2)
_MOST_BOXES = 400
_ALIGNED_PX = 256
_SMALLEST_FACE_PX = 8
_GPU_BATCH = 16


class FacexlibDetector:
    """Finds faces with RetinaFace on ResNet-50 and their points with AWING.

    Args:
        detection: `detection_Resnet50_Final.pth`.
        alignment: `alignment_WFLW_4HG.pth`.
        device: where to run; on a GPU in half precision and many pictures at once.
        precision: of the networks; None is float16 on a GPU and float32 on a CPU.

    Raises:
        WeightsMissing: a file is not there.
        WeightsCorrupt: a file holds something else.
    """

    name = "facexlib"
    points = 98

    def __init__(
        self,
        detection: Path,
        alignment: Path,
        device: str | torch.device = "cpu",
        *,
        precision: torch.dtype | None = None,
    ) -> None:
        self._device = torch.device(device)
        on_gpu = self._device.type == "cuda"
        self.batch = _GPU_BATCH if on_gpu else 1
        self._precision = precision or (torch.float16 if on_gpu else torch.float32)
        self._faces, self._points = facexlib_retinaface(), facexlib_awing()
        load_weights(
            self._faces, detection,
            what="RetinaFace", name="retinaface_resnet50", way_out=_WAY_OUT,
        )  # fmt: skip
        load_weights(
            self._points, alignment, what="AWING", name="awing", way_out=_WAY_OUT, key="state_dict"
        )
        for network in (self._faces, self._points):
            network.eval().requires_grad_(False).to(self._device)

    @torch.inference_mode()
    def detect_all(self, images: Sequence[Frame]) -> list[list[FloatArray]]:
        """Points (98, 2) of the faces in each picture (H, W, 3) uint8 RGB, in its pixels."""
        if not images:
            return []
        found: list[list[FloatArray]] = [[] for _ in images]
        owners, boxes = [], []
        for number, (image, each) in enumerate(zip(images, self.boxes(images), strict=True)):
            for box in whole_pixels(each, image.shape[1], image.shape[0]):
                owners.append(number)
                boxes.append(box)
        for first in range(0, len(boxes), _GPU_BATCH):
            part = slice(first, first + _GPU_BATCH)
            faces = [
                images[owner][top:bottom, left:right]
                for owner, (left, top, right, bottom) in zip(owners[part], boxes[part], strict=True)
            ]
            corners = np.array(boxes[part], np.float32)[:, None, :2]
            for owner, points in zip(owners[part], self.align(faces) + corners, strict=True):
                found[owner].append(points)
        return found

    @torch.inference_mode()
    def boxes(self, images: Sequence[Frame]) -> list[FloatArray]:
        """Boxes (N, 4) of the faces in each picture: left, top, right, bottom; surest first."""
        found: dict[int, FloatArray] = {}
        for size in {image.shape for image in images}:
            chosen = [index for index, image in enumerate(images) if image.shape == size]
            same = self._boxes_of_one_size([images[index] for index in chosen])
            found.update(zip(chosen, same, strict=True))
        return [found[index] for index in range(len(images))]

    def _boxes_of_one_size(self, images: Sequence[Frame]) -> list[FloatArray]:
        pictures, scale = _fitted(images)
        batch = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).flip(1).float()
        batch = batch - torch.tensor(_MEAN_BGR, device=self._device)[:, None, None]
        coded, scores, _ = self._run(self._faces, batch)
        height, width = pictures.shape[1:3]
        found = decode_boxes(coded.float(), anchors(width, height).to(self._device)).cpu().numpy()
        sure = scores[..., 1].float().cpu().numpy()
        return [one / scale for one in map(_distinct, found, sure)]

    @torch.inference_mode()
    def align(self, faces: Sequence[Frame]) -> FloatArray:
        """Points (B, 98, 2) of faces (H, W, 3), each cut out close around, in its pixels."""
        import cv2

        size = (_ALIGNED_PX, _ALIGNED_PX)
        same = np.stack([cv2.resize(face, size, interpolation=cv2.INTER_LINEAR) for face in faces])
        batch = torch.from_numpy(same).to(self._device).permute(0, 3, 1, 2).float() / 255
        heat = self._run(self._points, batch)[0][-1][:, : self.points]
        places = peaks(heat.float()).cpu().numpy() / heat.shape[-1]
        sides = np.array([(face.shape[1], face.shape[0]) for face in faces], np.float32)
        points: FloatArray = (places * sides[:, None]).astype(np.float32)
        return points

    def close(self) -> None:
        """Nothing is held but memory."""

    def _run(self, network: torch.nn.Module, batch: Tensor) -> Any:
        # Not `half()`: AWING makes its coordinate channels in float32.
        lower = self._precision != torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=lower):
            return network(batch)


def _fitted(images: Sequence[Frame]) -> tuple[Frame, np.float32]:
    """Pictures of one size, no larger than `LONGEST_SIDE_PX`, and how much smaller they are."""
    import cv2

    height, width = images[0].shape[:2]
    scale = np.float32(min(1.0, LONGEST_SIDE_PX / max(height, width)))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(images), scale


@lru_cache(maxsize=16)
def anchors(width: int, height: int) -> Tensor:
    """The boxes that the network corrects: (A, 4) centre x, centre y, width, height in pixels."""

    def level(stride: int, sizes: tuple[int, ...]) -> Iterator[Tensor]:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        for size in sizes:
            side = torch.full((rows, columns), float(size))
            yield torch.stack([(x + 0.5) * stride, (y + 0.5) * stride, side, side], -1)

    # Sizes run fastest, then columns, rows and levels.
    parts = (torch.stack([*level(*each)], -2).reshape(-1, 4) for each in _LEVELS)
    return torch.cat([*parts])


def decode_boxes(coded: Tensor, priors: Tensor) -> Tensor:
    """Corners (B, A, 4) of the boxes that the network coded (B, A, 4) against anchors (A, 4).

    Source: Liu et al. 2016 (SSD), the inverse of eq. 2, with variances.
    """
    centre = priors[:, :2] + coded[..., :2] * _VARIANCES[0] * priors[:, 2:]
    half = priors[:, 2:] * torch.exp(coded[..., 2:] * _VARIANCES[1]) / 2
    return torch.cat([centre - half, centre + half], -1)


def _distinct(boxes: FloatArray, scores: FloatArray) -> FloatArray:
    """The boxes (N, 4) that show a face, one for each, surest first."""
    sure = np.flatnonzero(scores > CONFIDENCE)
    sure = sure[np.argsort(-scores[sure], kind="stable")][:_MOST_BOXES]
    return boxes[sure][suppress(boxes[sure])]


def suppress(boxes: FloatArray) -> npt.NDArray[np.int64]:
    """Indices of the boxes (N, 4) that no earlier kept box overlaps by more than `OVERLAP`."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    area = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), -1)
    same = shared > OVERLAP * np.maximum(area[:, None] + area[None] - shared, 1e-6)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not same[index, kept].any():
            kept.append(index)
    return np.array(kept, np.int64)


def whole_pixels(boxes: FloatArray, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The boxes (N, 4) as far as they are in the picture; those that hardly are, are left out."""
    low = np.floor(np.clip(boxes[:, :2], 0, (width, height))).astype(int)
    high = np.ceil(np.clip(boxes[:, 2:], 0, (width, height))).astype(int)
    large = (high - low).min(1, initial=np.iinfo(int).max) >= _SMALLEST_FACE_PX
    return [
        (int(x0), int(y0), int(x1), int(y1))
        for (x0, y0), (x1, y1) in zip(low[large], high[large], strict=True)
    ]


def peaks(heat: Tensor) -> Tensor:
    """Where heat maps (B, N, H, W) are hottest: (B, N, 2) in their pixels, a quarter precise.

    The peak's pixel, moved by a quarter towards its warmer neighbour in either direction.

    Source: Wang et al. 2019 (adaptive wing loss), as facexlib decodes it; but at the border of a
    map, where facexlib reads the neighbours of other rows and points, the peak stays.
    """
    height, width = heat.shape[-2:]
    flat = heat.flatten(2)
    index = flat.argmax(-1)
    x, y = index % width, index // width

    def towards(step: int, place: Tensor, length: int) -> Tensor:
        ahead = flat.gather(-1, (index + step).clamp(max=height * width - 1)[..., None])[..., 0]
        behind = flat.gather(-1, (index - step).clamp(min=0)[..., None])[..., 0]
        inside = (place > 0) & (place < length - 1)
        return place + 0.5 + 0.25 * torch.sign(ahead - behind) * inside

    return torch.stack([towards(1, x, width), towards(width, y, height)], -1)
