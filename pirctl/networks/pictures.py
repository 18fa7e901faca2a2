"""Pixels for the networks: bytes to [-1, 1] and back, and the region that is not shown."""

from __future__ import annotations

from torch import Tensor


def to_network(frames: Tensor) -> Tensor:
    """Turn uint8 frames (..., H, W, 3) into float32 (..., 3, H, W) in [-1, 1], channels last."""
    return frames.movedim(-1, -3).float().div_(127.5).sub_(1)


def to_levels(images: Tensor) -> Tensor:
    """Turn images (..., 3, H, W) in [-1, 1] into float32 (..., H, W, 3) in [0, 255], not rounded.

    Values outside the range are clipped.
    """
    return images.float().clamp(-1, 1).add(1).mul(127.5).movedim(-3, -1)


def to_bytes(images: Tensor) -> Tensor:
    """Turn images (..., 3, H, W) in [-1, 1] into uint8 (..., H, W, 3), clipped and rounded."""
    return to_levels(images).round().byte()


def hide(images: Tensor, mask: Tensor) -> Tensor:
    """Put -1 where the mask is 1, image (1 - m) - m; for the renderer that is I_M.

    Empty space renders to -1, so -1 is also what the implicit face shows where there is no head.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1].
    """
    return images * (1 - mask) - mask
