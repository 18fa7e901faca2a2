"""Painting frames: the face in the given pose and expression, and the frame inpainted around it.

The painter knows networks, poses and masks; it knows no files and no sound. It draws no random
number, so the same input gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pirctl.networks.pictures import hide, to_bytes, to_network
from pirctl.perform.choice import Choice
from pirctl.perform.composite import Patch, composite
from pirctl.perform.poses import poses_of
from pirctl.target import Track

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
MaskOf = Callable[[int, FloatArray], FloatArray]
"""Frame number and (E,) expression to be shown -> (H, W) mask in [0, 1], 1 where the frame is
repainted, exactly 0 outside."""

VisibleIn = Callable[[int], FloatArray | None]
"""Frame number -> (H, W) in [0, 1], 0 where something is in front of the face; None: nothing is."""


def all_visible(number: int) -> None:
    """Nothing is in front in any frame."""


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
class Batch:
    """Frames to be painted.

    Attributes:
        numbers: B frame numbers of the target; they choose pose and mask.
        frames: (B, H, W, 3) uint8, those frames.
        z_exp: (B, E) expression to show.
        choices: the references of each; empty where the painter has none, or shall choose.
    """

    numbers: list[int]
    frames: ByteArray
    z_exp: FloatArray
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Painted:
    """Painted frames.

    Attributes:
        frames: (B, H, W, 3) uint8. Outside the masks, and in frames without a usable face, the
            bytes are the input's.
        masks: (B, H, W) in [0, 1], where they were repainted.
        patches: of each frame, where the painter knows more than the crop shows; else empty.
    """

    frames: ByteArray
    masks: FloatArray
    patches: tuple[Patch, ...] = ()


class Brush(Protocol):
    """How what is inside the mask is made."""

    def plan(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Decide over time what each frame of a stream needs."""
        ...

    def paint(
        self, batch: Batch, images: Tensor, masks: Tensor
    ) -> tuple[Tensor, tuple[Patch, ...]]:
        """Paint a batch.

        Args:
            batch: what is wanted.
            images: (B, 3, H, W) its frames in [-1, 1].
            masks: (B, H, W) in [0, 1].

        Returns:
            (B, 3, H, W) nominally in [-1, 1], of which what is inside the masks counts; and
            patches, or none.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """The paper's way: the renderer inpaints the masked frame around I_F.

    Attributes:
        track: the target's fitted face.
        face: the implicit face network, ready for use.
        renderer: the inpainting network, ready for use on the same device.
        feature_size: side of I_F in pixels.
    """

    track: Track
    face: Face
    renderer: Inpainter
    feature_size: int

    def plan(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Every frame stands alone."""
        return iter(batches)

    def paint(
        self, batch: Batch, images: Tensor, masks: Tensor
    ) -> tuple[Tensor, tuple[Patch, ...]]:
        """Paint a batch; see `Brush.paint`."""
        poses = poses_of(self.track, batch.numbers, images.device)
        z_exp = torch.from_numpy(batch.z_exp).to(images.device)
        feature = self.face.feature_image(
            poses.z_id, z_exp, poses.R, poses.t, poses.K, self.feature_size
        )
        return self.renderer(hide(images, masks.unsqueeze(1)), feature), ()


@dataclass(frozen=True, kw_only=True)
class Painter:
    """Repaints frames of one target.

    Attributes:
        track: the target's fitted face.
        face: the implicit face network, ready for use on `device`.
        brush: makes what is inside the mask.
        mask_of: the mask of a frame.
        device: where the networks are.
        visible: what of the face is seen; what is in front of it is not painted over.
    """

    track: Track
    face: Face
    brush: Brush
    mask_of: MaskOf
    device: torch.device
    visible: VisibleIn = all_visible

    def masks(self, numbers: Sequence[int], z_exp: FloatArray | None = None) -> FloatArray:
        """Masks (B, H, W) of some frames; empty for frames without a usable face.

        z_exp: (B, E) expression to be shown; the frames' own if None.
        """
        rows = list(numbers)
        shown = self.track.z_exp[rows] if z_exp is None else z_exp
        masks = np.stack([self.mask_of(*pair) for pair in zip(rows, shown, strict=True)])
        masks[~self.track.valid[rows]] = 0
        return masks

    @torch.inference_mode()
    def paint(self, batch: Batch) -> Painted:
        """Repaint a batch."""
        masks = self.masks(batch.numbers, batch.z_exp)
        pixels = self._upload(batch.frames)
        # The brush hides what is in front too: it has never seen anything but faces.
        images, patches = self.brush.paint(batch, to_network(pixels), self._upload(masks))
        for mask, number in zip(masks, batch.numbers, strict=True):
            if mask.any() and (visible := self.visible(number)) is not None:
                mask *= visible
        frames = _download(composite(pixels, images, self._upload(masks)))
        return Painted(frames=frames, masks=masks, patches=patches)

    @torch.inference_mode()
    def pictures(self, batch: Batch) -> Pictures:
        """Repaint a batch and keep the steps on the way."""
        painted = self.paint(batch)
        pixels, weights = self._upload(batch.frames), self._upload(painted.masks)
        poses = poses_of(self.track, batch.numbers, self.device)
        native = self.face.feature_image(
            poses.z_id, self._upload(batch.z_exp), poses.R, poses.t, poses.K, None
        )
        return Pictures(
            masked=_download(to_bytes(hide(to_network(pixels), weights.unsqueeze(1)))),
            face=_download(to_bytes(self.face.upsample(native))),
            painted=painted.frames,
        )

    def _upload(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _download(images: Tensor) -> ByteArray:
    return np.ascontiguousarray(images.cpu().numpy())
