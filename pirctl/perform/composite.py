"""Putting the painted region into the frame: inside the mask the network's, outside the film's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pirctl.media import Crop
from pirctl.networks.pictures import to_levels
from pirctl.tensors import check_shape


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A painted square at the resolution of the shot.

    Attributes:
        picture: (S, S, 3) uint8.
        x: of its left edge, in whole pixels of the source from the left edge of the crop.
        y: of its top edge, likewise.
    """

    picture: NDArray[np.uint8]
    x: int
    y: int


def composite(frames: Tensor, prediction: Tensor, masks: Tensor) -> Tensor:
    """Blend the prediction into the frames with a soft mask.

    Args:
        frames: (B, H, W, 3) uint8, RGB.
        prediction: (B, 3, H, W) in [-1, 1], RGB; values outside the range are clipped.
        masks: (B, H, W) in [0, 1]; 1 is painted, 0 keeps the frame's bytes exactly.

    Returns:
        (B, H, W, 3) uint8.
    """
    batch, height, width, _ = frames.shape
    check_shape("prediction", prediction, batch, 3, height, width)
    check_shape("masks", masks, batch, height, width)
    original = frames.float()
    weight = masks.float().unsqueeze(-1)
    blended = torch.lerp(original, to_levels(prediction), weight).round().to(torch.uint8)
    return torch.where(weight > 0, blended, frames)


def at_shot_size(
    crop: NDArray[np.uint8], side: int, patch: Patch | None = None
) -> NDArray[np.uint8]:
    """The painted crop (S, S, 3) at the resolution of the shot, (side, side, 3).

    Args:
        crop: the repainted crop of any size.
        side: of the crop's square in the shot.
        patch: what is painted at the shot's own resolution, in place of the enlarged crop.
    """
    import cv2

    method = cv2.INTER_AREA if side < crop.shape[0] else cv2.INTER_CUBIC
    enlarged = np.asarray(cv2.resize(crop, (side, side), interpolation=method), np.uint8)
    if patch is not None:
        across = enlarged[patch.y : patch.y + len(patch.picture), patch.x :]
        picture = patch.picture[: across.shape[0], : across.shape[1]]
        across[:, : picture.shape[1]] = picture
    return enlarged


def paste_into_shot(
    shot: NDArray[np.uint8],
    crop: NDArray[np.uint8],
    mask: NDArray[np.float32],
    box: Crop,
    patch: Patch | None = None,
) -> NDArray[np.uint8]:
    """Put the painted part of a crop back into the full shot at the shot's own resolution.

    Args:
        shot: (H, W, 3) uint8, the source frame.
        crop: (S, S, 3) uint8, the repainted crop of any size.
        mask: (S, S) in [0, 1], the mask of the crop.
        box: where the crop lies in the shot, in whole pixels; it may reach outside.
        patch: what is painted at the shot's own resolution, in place of the enlarged crop.

    Returns:
        (H, W, 3) uint8; equal to `shot` wherever the enlarged mask is 0.
    """
    import cv2

    left, top, side = int(box.x), int(box.y), int(box.side)
    height, width = shot.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + side), min(height, top + side)
    result = shot.copy()
    if x1 <= x0 or y1 <= y0:
        return result
    inside = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    painted = at_shot_size(crop, side, patch)[inside]
    weight = cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)[inside][..., None]
    original = shot[y0:y1, x0:x1]
    blended = np.rint(original + weight * (painted.astype(np.float32) - original))
    region = np.where(weight > 0, np.clip(blended, 0, 255).astype(np.uint8), original)
    result[y0:y1, x0:x1] = region
    return result
