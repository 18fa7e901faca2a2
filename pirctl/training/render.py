"""The render stage: the masked frame and the implicit face to the frame.

The implicit face is frozen. Every step renders it anew under slightly shifted intrinsics, so that
the renderer learns to trust what I_F shows and not exactly where.

The losses are computed on the composite, the prediction inside the mask and the frame outside:
outside, the pixels of the result are the original's anyway, so all capacity goes inside. With
`train.render_window` below 1 only a square around the mask is computed, at a place drawn anew every
step; the renderer has no normalisation over the frame, so its weights serve whole frames too.

Source: Huang et al. 2023 (PIR), section 3.3, eqs. 1 and 4 to 6.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from pirctl.device import ASSUMED_BYTES, physical_bytes
from pirctl.face.camera import jitter_intrinsics, scale_intrinsics
from pirctl.networks.discriminator import MultiscaleDiscriminator
from pirctl.networks.face import FaceNetwork
from pirctl.networks.perceptual import PerceptualLoss
from pirctl.networks.pictures import hide
from pirctl.networks.renderer import Renderer
from pirctl.settings import Settings
from pirctl.training.face import preview_numbers
from pirctl.training.footage import Footage
from pirctl.training.losses import (
    Adversarial,
    feature_matching,
    mouth_weight,
    photometric,
)
from pirctl.training.precision import autocast
from pirctl.training.preview import grid
from pirctl.training.trainer import Phase, adam

LOGGER = logging.getLogger(__name__)

JITTER_SIZE_PX = 512
"""Side of the crop in whose pixels `train.jitter_px` is given."""

# A few times what is usual: what stays below it is left alone.
_CLIP = 1.0
_PLANES_SHARE = 0.25
_PLANES_CHUNK = 8


class RenderTrainer:
    """Trains `Renderer` against `MultiscaleDiscriminator`.

    Args:
        footage: frames with the map "mask", and "mouth" when the mouth is emphasised.
        settings: the resolved settings.
        face: the trained face network; it is only used, never changed.
        perceptual: the VGG16 loss on the footage's device, or None without that term.
    """

    stage = "render"
    exported = ("renderer",)

    def __init__(
        self,
        footage: Footage,
        settings: Settings,
        face: FaceNetwork,
        perceptual: PerceptualLoss | None,
    ) -> None:
        self.footage = footage
        self.settings = settings
        self.face = face.to(footage.device).eval().requires_grad_(False)
        self.perceptual = perceptual
        self.samples = len(footage.usable)
        self.planes = _Planes(self.face, footage, settings)
        self.windows = Windows(footage, settings)
        torch.manual_seed(settings.train.seed)
        self.renderer = _renderer(settings, self.windows.side_px).to(footage.device)
        self.whole = _renderer(settings, footage.size_px).to(footage.device)
        self.networks: dict[str, nn.Module] = {"renderer": self.renderer}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "renderer": adam(self.renderer, settings, self.stage)
        }
        self.discriminator: MultiscaleDiscriminator | None = None
        if settings.loss.adversarial or settings.loss.feature_matching:
            self.discriminator = MultiscaleDiscriminator(settings.discriminator).to(footage.device)
            self.adversarial = Adversarial()
            self.networks["discriminator"] = self.discriminator
            self.optimisers["discriminator"] = adam(
                self.discriminator, settings, self.stage, settings.discriminator.lr_multiplier
            )

    def phases(self, positions: Tensor, step: int, steps: int) -> Iterator[Phase]:
        """The renderer's update, then the discriminator's, on the frames at `positions`."""
        footage, loss = self.footage, self.settings.loss
        numbers = footage.usable[positions]
        corners = self.windows.draw(numbers)
        truth = self.windows.cut(footage.pictures(numbers), corners)
        mask = self.windows.cut(footage.map("mask", numbers), corners)
        K = self.windows.intrinsics(self._jittered(len(numbers)), corners)
        image = self._paint(self.renderer, numbers, truth, mask, K)
        terms: dict[str, Tensor] = {}
        if loss.photometric:
            weight = None
            if loss.mouth_emphasis > 1:
                mouth = self.windows.cut(footage.map("mouth", numbers), corners)
                weight = mouth_weight(mouth, loss.mouth_emphasis)
            terms["photometric"] = loss.photometric * photometric(image, truth, weight)
        if self.perceptual is not None and self.perceptual.is_due(step):
            with autocast(self.settings.train, footage.device):
                terms["perceptual"] = loss.perceptual * self.perceptual(image, truth, mask)
        if self.discriminator is None or step < loss.adversary_from * steps:
            yield Phase(optimiser="renderer", terms=terms, clip=_CLIP)
            return
        # The real frames' features serve both updates: the discriminator does not change between.
        self.discriminator.requires_grad_(True)
        with autocast(self.settings.train, footage.device):
            real = self.discriminator(truth)
            self.discriminator.requires_grad_(False)
            fake = self.discriminator(image)
        if loss.feature_matching:
            terms["feature matching"] = loss.feature_matching * feature_matching(fake, real)
        if loss.adversarial:
            terms["adversarial"] = loss.adversarial * self.adversarial(fake, real=True)
        yield Phase(optimiser="renderer", terms=terms, clip=_CLIP)

        self.discriminator.requires_grad_(True)
        with autocast(self.settings.train, footage.device):
            fake = self.discriminator(image.detach())
        verdict = self.adversarial(real, real=True) + self.adversarial(fake, real=False)
        yield Phase(optimiser="discriminator", terms={"discriminator": 0.5 * verdict})

    def changes_at(self, steps: int) -> int:
        """The first step with the discriminators."""
        if self.discriminator is None:
            return 0
        return math.ceil(self.settings.loss.adversary_from * steps)

    def settle(self, spare_bytes: int) -> None:
        """Keep the footage on the device if it fits."""
        self.footage.settle(spare_bytes)

    @torch.no_grad()
    def preview(self, averaged: Mapping[str, nn.Module]) -> np.ndarray:
        """Rows: the frame, what the renderer sees, and its result; columns: training frames."""
        numbers = preview_numbers(self.footage.usable)
        truth, mask = self.footage.pictures(numbers), self.footage.map("mask", numbers)
        self.whole.load_state_dict(averaged["renderer"].state_dict())
        K = self.footage.K.expand(len(numbers), 3, 3)
        image = self._paint(self.whole, numbers, truth, mask, K)
        return grid([list(truth), list(hide(truth, mask)), list(image)])

    def _paint(
        self, renderer: Renderer, numbers: Tensor, truth: Tensor, mask: Tensor, K: Tensor
    ) -> Tensor:
        """The composite (B, 3, H, W), float32, of whole frames or of windows.

        K: (B, 3, 3) as if what is painted, whole or window, had the side of the crop.
        """
        footage = self.footage
        chosen = numbers.to(footage.device)
        z_id, z_exp = footage.z_id.expand(len(chosen), -1), footage.z_exp[chosen]
        with torch.no_grad(), autocast(self.settings.train, footage.device):
            feature = self.face.feature_image(
                z_id,
                z_exp,
                footage.R[chosen],
                footage.t[chosen],
                K,
                renderer.feature_size,
                planes=self.planes.of(numbers),
            )
        with autocast(self.settings.train, footage.device):
            prediction = renderer(hide(truth, mask), feature)
        return torch.lerp(truth, prediction.float(), mask)

    def _jittered(self, batch: int) -> Tensor:
        """Intrinsics (B, 3, 3), each sample with its own draw."""
        size = self.footage.size_px
        bound = self.settings.train.jitter_px * size / JITTER_SIZE_PX
        draws = (2 * torch.rand(batch, 3) - 1) * bound  # On the CPU: the same on every device.
        return jitter_intrinsics(self.footage.K, draws.to(self.footage.device), size)


class Windows:
    """Squares around the masks, aligned to the texels of I_F.

    Args:
        footage: frames with the map "mask".
        settings: the resolved settings.
    """

    def __init__(self, footage: Footage, settings: Settings) -> None:
        size = footage.size_px
        self.size_px = size
        self.cell_px = size // settings.renderer.feature_size
        self._boxes = mask_boxes(footage.maps["mask"], footage.usable)
        extents = (self._boxes[:, 2:] - self._boxes[:, :2])[footage.usable]
        # One cell of surroundings on either side, and up to one lost to the alignment.
        least = int(extents.max()) + 3 * self.cell_px
        wanted = max(least, round(settings.train.render_window * size))
        self.side_px = min(size, math.ceil(wanted / self.cell_px) * self.cell_px)
        """Side of a window in pixels, a multiple of the texel of I_F."""

    def draw(self, numbers: Tensor) -> Tensor:
        """Upper left corners (B, 2) int64 (x, y) of windows around the masks of some frames."""
        room = self.size_px - self.side_px
        boxes = self._boxes[numbers]
        low = (boxes[:, 2:] + self.cell_px - self.side_px).clamp(0, room)
        high = torch.maximum((boxes[:, :2] - self.cell_px).clamp(0, room), low)
        first = (low + self.cell_px - 1) // self.cell_px
        choices = (high // self.cell_px - first).clamp(min=0) + 1
        drawn = first + (torch.rand(len(numbers), 2) * choices).long()
        return (drawn * self.cell_px).clamp(max=room)

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


def _renderer(settings: Settings, size_px: int) -> Renderer:
    """A renderer for pictures of another side; the weights are the same at every size."""
    cell = settings.media.size_px // settings.renderer.feature_size
    chosen = replace(settings.renderer, feature_size=size_px // cell)
    return Renderer(chosen, settings.face.feature_channels, size_px)


class _Planes:
    """The planes of every frame, kept when there is room: the face is frozen, the camera is not.

    They are made in chunks of neighbouring frames, so that a frame's planes are the same to the
    bit whichever frames are asked for first, in a resumed run too.
    """

    def __init__(self, face: FaceNetwork, footage: Footage, settings: Settings) -> None:
        self._face, self._footage, self._train = face, footage, settings.train
        chosen = settings.face
        shape = (3, chosen.plane_channels, chosen.plane_size, chosen.plane_size)
        frames = len(footage.z_exp)
        room = (
            torch.cuda.mem_get_info(footage.device)[0]
            if footage.device.type == "cuda"
            else physical_bytes() or ASSUMED_BYTES
        )
        self._store: Tensor | None = None
        self._known = torch.zeros(frames, dtype=torch.bool)
        if 2 * frames * math.prod(shape) < _PLANES_SHARE * room:
            self._store = torch.empty((frames, *shape), dtype=torch.bfloat16, device=footage.device)
        else:
            LOGGER.info(
                "planes of %d frames do not fit in memory, they are computed anew at every step",
                frames,
            )

    @torch.no_grad()
    def of(self, numbers: Tensor) -> Tensor:
        """Planes (B, 3, C, P, P) of some frames, float32."""
        if self._store is None:
            return self._make(numbers)
        new = (numbers[~self._known[numbers]] // _PLANES_CHUNK).tolist()
        for chunk in sorted(set(new)):
            first, end = chunk * _PLANES_CHUNK, min((chunk + 1) * _PLANES_CHUNK, len(self._known))
            self._store[first:end] = self._make(torch.arange(first, end))
            self._known[first:end] = True
        return self._store[numbers.to(self._store.device)].float()

    def _make(self, numbers: Tensor) -> Tensor:
        chosen = numbers.to(self._footage.device)
        z_id = self._footage.z_id.expand(len(chosen), -1)
        with autocast(self._train, self._footage.device):
            return self._face.planes(z_id, self._footage.z_exp[chosen])
