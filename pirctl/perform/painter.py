"""Painting frames: the face in the given pose and expression, and the frame inpainted around it.

The painter knows networks, poses and masks; it knows no files and no sound. It draws no random
number, so the same input gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pirctl.networks.pictures import hide, to_bytes, to_network
from pirctl.perform.composite import composite
from pirctl.perform.poses import poses_of
from pirctl.target import Track

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
MaskOf = Callable[[int], FloatArray]
"""Frame number -> (H, W) mask in [0, 1], 1 where the frame is repainted, exactly 0 outside."""


class Face(Protocol):
    """What the painter needs of the implicit face; `networks.face.FaceNetwork` has it."""

    def feature_image(
        self, z_id: Tensor, z_exp: Tensor, R: Tensor, t: Tensor, K: Tensor, size: int | None = None
    ) -> Tensor:
        """Render I_F (B, C, size, size)."""
        ...

    def upsample(self, feature_image: Tensor) -> Tensor:
        """Enlarge I_F to I_face (B, 3, H, W) in [-1, 1]."""
        ...


class Inpainter(Protocol):
    """What the painter needs of the renderer; `networks.renderer.Renderer` has it."""

    def __call__(self, masked: Tensor, feature: Tensor) -> Tensor:
        """Repaint (B, 3, H, W) in [-1, 1] around I_F."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The steps of one batch, for contact sheets; each (B, H, W, 3) uint8.

    Attributes:
        masked: the frames as the renderer sees them.
        face: I_face, the implicit face alone.
        painted: the result.
    """

    masked: ByteArray
    face: ByteArray
    painted: ByteArray


@dataclass(frozen=True, kw_only=True)
class Painter:
    """Repaints frames of one target.

    Attributes:
        track: the target's fitted face.
        face: the implicit face network, ready for use on `device`.
        renderer: the inpainting network, ready for use on `device`.
        feature_size: side of I_F in pixels.
        mask_of: the mask of a frame.
        device: where the networks are.
    """

    track: Track
    face: Face
    renderer: Inpainter
    feature_size: int
    mask_of: MaskOf
    device: torch.device

    def masks(self, numbers: Sequence[int]) -> FloatArray:
        """Masks (B, H, W) of some frames; empty for frames without a usable face."""
        masks = np.stack([self.mask_of(number) for number in numbers])
        masks[~self.track.valid[list(numbers)]] = 0
        return masks

    @torch.inference_mode()
    def paint(
        self,
        numbers: Sequence[int],
        frames: ByteArray,
        z_exp: FloatArray,
        masks: FloatArray | None = None,
    ) -> ByteArray:
        """Repaint a batch.

        Args:
            numbers: B frame numbers of the target; they choose pose and mask.
            frames: (B, H, W, 3) uint8, those frames.
            z_exp: (B, E) expression to show.
            masks: (B, H, W), if the caller has them already.

        Returns:
            (B, H, W, 3) uint8. Outside the masks, and in frames without a usable face, the
            bytes are the input's.
        """
        masks = self.masks(numbers) if masks is None else masks
        pixels, weights = self._upload(frames), self._upload(masks)
        feature = self._feature(numbers, z_exp)
        painted = self.renderer(hide(to_network(pixels), weights.unsqueeze(1)), feature)
        return _download(composite(pixels, painted, weights))

    @torch.inference_mode()
    def pictures(self, numbers: Sequence[int], frames: ByteArray, z_exp: FloatArray) -> Pictures:
        """Repaint a batch and keep the steps on the way; arguments as for `paint`."""
        pixels, weights = self._upload(frames), self._upload(self.masks(numbers))
        masked = hide(to_network(pixels), weights.unsqueeze(1))
        feature = self._feature(numbers, z_exp)
        poses = poses_of(self.track, numbers, self.device)
        native = self.face.feature_image(
            poses.z_id, self._upload(z_exp), poses.R, poses.t, poses.K, None
        )
        face = self.face.upsample(native)
        painted = composite(pixels, self.renderer(masked, feature), weights)
        return Pictures(
            masked=_download(to_bytes(masked)),
            face=_download(to_bytes(face)),
            painted=_download(painted),
        )

    def _feature(self, numbers: Sequence[int], z_exp: FloatArray) -> Tensor:
        poses = poses_of(self.track, numbers, self.device)
        return self.face.feature_image(
            poses.z_id, self._upload(z_exp), poses.R, poses.t, poses.K, self.feature_size
        )

    def _upload(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _download(images: Tensor) -> ByteArray:
    return np.ascontiguousarray(images.cpu().numpy())
