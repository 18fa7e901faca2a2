"""Squares around the masks: the part of the crop that a network needs to see.

All squares of a clip have one side, a multiple of the texel of I_F.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pirctl.face.camera import scale_intrinsics


class Windows:
    """Squares of one side, each around the mask of its frame.

    Args:
        boxes: (T, 4) int64 left, top, right, bottom of the masks in pixels of the crop; 0 for
            frames without one.
        size_px: side of the crop.
        cell_px: side of the texel of I_F in pixels.
        least_px: side at least, where the crop has it.
    """

    def __init__(self, boxes: Tensor, size_px: int, cell_px: int, least_px: int = 0) -> None:
        self.size_px = size_px
        self.cell_px = cell_px
        self._boxes = boxes
        # One cell of surroundings on either side, and up to one lost to the alignment.
        needed = int((boxes[:, 2:] - boxes[:, :2]).max()) + 3 * cell_px
        self.side_px = min(size_px, math.ceil(max(needed, least_px) / cell_px) * cell_px)
        """Side of a window in pixels."""

    def draw(self, numbers: Tensor) -> Tensor:
        """Upper left corners (B, 2) int64 (x, y) of windows drawn at random around some masks."""
        first, choices = self._places(self._boxes[numbers])
        drawn = first + (torch.rand(len(numbers), 2) * choices).long()
        return self._pixels(drawn)

    def middles(self, numbers: Tensor) -> Tensor:
        """Middles (B, 2) int64 (x, y) of the masks of some frames."""
        boxes = self._boxes[numbers]
        return (boxes[:, :2] + boxes[:, 2:]) // 2

    def around(self, boxes: Tensor) -> Tensor:
        """Corners (B, 2) of the windows that have the boxes (B, 4) most nearly in the middle."""
        first, choices = self._places(boxes)
        return self._pixels(first + (choices - 1) // 2)

    def _places(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The first cell where a window may begin, and how many there are, (B, 2) each."""
        room, cell = self.size_px - self.side_px, self.cell_px
        low = (boxes[:, 2:] + cell - self.side_px).clamp(0, room)
        high = torch.maximum((boxes[:, :2] - cell).clamp(0, room), low)
        first = (low + cell - 1) // cell
        return first, (high // cell - first).clamp(min=0) + 1

    def _pixels(self, cells: Tensor) -> Tensor:
        return (cells * self.cell_px).clamp(max=self.size_px - self.side_px)

    def cut(self, images: Tensor, corners: Tensor) -> Tensor:
        """The windows (B, C, side, side) of images (B, C, H, W)."""
        if self.side_px == self.size_px:
            return images
        side = self.side_px
        return torch.stack(
            [
                image[:, y : y + side, x : x + side]
                for image, (x, y) in zip(images, corners.tolist(), strict=True)
            ]
        )

    def intrinsics(self, K: Tensor, corners: Tensor) -> Tensor:
        """Intrinsics (B, 3, 3) that show the window as the whole crop."""
        shifted = K.clone()
        shifted[:, :2, 2] -= corners.to(K)
        return scale_intrinsics(shifted, self.size_px / self.side_px)


def mask_boxes(masks: Tensor, usable: Tensor) -> Tensor:
    """Bounding boxes (T, 4) int64 left, top, right, bottom of masks (T, H, W); 0 where unusable."""
    boxes = torch.zeros(len(masks), 4, dtype=torch.int64)
    for number in usable.tolist():
        inside = masks[number] > 0
        for axis in (0, 1):
            places = inside.any(dim=axis).nonzero().cpu()
            if len(places):
                boxes[number, axis] = places[0, 0]
                boxes[number, axis + 2] = places[-1, 0] + 1
    return boxes
