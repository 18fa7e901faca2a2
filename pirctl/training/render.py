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

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pirctl.face.camera import jitter_intrinsics
from pirctl.networks.blend import Blender, assemble
from pirctl.networks.discriminator import MultiscaleDiscriminator
from pirctl.networks.face import FaceNetwork
from pirctl.networks.perceptual import PerceptualLoss
from pirctl.networks.pictures import hide
from pirctl.networks.renderer import Renderer, cell_of
from pirctl.perform.references import Appearance
from pirctl.perform.windows import Windows, mask_boxes
from pirctl.settings import Settings
from pirctl.training.face import preview_numbers
from pirctl.training.footage import Footage
from pirctl.training.losses import (
    Adversarial,
    feature_matching,
    mouth_weight,
    needless_pixels,
    photometric,
)
from pirctl.training.planes import Planes
from pirctl.training.precision import autocast
from pirctl.training.preview import grid
from pirctl.training.references import ReferenceDraw
from pirctl.training.trainer import Phase, adam

JITTER_SIZE_PX = 512
"""Side of the crop in whose pixels `train.jitter_px` is given."""

# A few times what is usual: what stays below it is left alone.
_CLIP = 1.0


class RenderTrainer:
    """Trains `Renderer`, or `Blender` where there are references, against the discriminators.

    Args:
        footage: frames with the map "mask", and "mouth" when the mouth is emphasised.
        settings: the resolved settings.
        face: the trained face network; it is only used, never changed.
        perceptual: the VGG16 loss on the footage's device, or None without that term.
        appearance: the frames that the renderer is shown beside I_F, or None without.
    """

    stage = "render"
    exported = ("renderer",)

    def __init__(
        self,
        footage: Footage,
        settings: Settings,
        face: FaceNetwork,
        perceptual: PerceptualLoss | None,
        appearance: Appearance | None = None,
    ) -> None:
        self.footage = footage
        self.settings = settings
        self.face = face.to(footage.device).eval().requires_grad_(False)
        self.perceptual = perceptual
        self.samples = len(footage.usable)
        self.planes = Planes(self.face, footage, settings)
        self.windows = mask_windows(footage, settings)
        torch.manual_seed(settings.train.seed)
        chosen, channels = settings.renderer, settings.face.feature_channels
        self.references: ReferenceDraw | None = None
        self.renderer: Renderer | Blender
        if appearance is None:
            self.renderer = Renderer(chosen, channels, footage.size_px)
        else:
            self.references = ReferenceDraw(appearance, footage, chosen.references)
            self.renderer = Blender(chosen, channels, footage.size_px)
        self.renderer.to(footage.device)
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
        K = self._jittered(len(numbers))
        image, more = self._paint(self.renderer, numbers, truth, mask, corners, K)
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
        terms |= more
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
        corners = self.windows.draw(numbers)
        truth, mask = (
            self.windows.cut(images, corners)
            for images in (self.footage.pictures(numbers), self.footage.map("mask", numbers))
        )
        K = self.footage.K.expand(len(numbers), 3, 3)
        network = averaged["renderer"]
        image, _ = self._paint(network, numbers, truth, mask, corners, K)
        return grid([list(truth), list(hide(truth, mask)), list(image)])

    def _paint(
        self,
        network: nn.Module,
        numbers: Tensor,
        truth: Tensor,
        mask: Tensor,
        corners: Tensor,
        K: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The composite (B, 3, S, S), float32, of windows of frames, and losses of its making.

        K: (B, 3, 3) in pixels of the crop.
        """
        footage, side = self.footage, self.windows.side_px
        chosen = numbers.to(footage.device)
        with torch.no_grad(), autocast(self.settings.train, footage.device):
            feature = self.face.feature_image(
                footage.z_id.expand(len(chosen), -1),
                footage.z_exp[chosen],
                footage.R[chosen],
                footage.t[chosen],
                self.windows.intrinsics(K, corners),
                side // self.windows.cell_px,
                planes=self.planes.of(numbers),
            )
        hidden = hide(truth, mask)
        if self.references is None:
            with autocast(self.settings.train, footage.device):
                prediction = network(hidden, feature)
            return torch.lerp(truth, prediction.float(), mask), {}
        shown = self.references.draw(numbers, corners, side)
        with autocast(self.settings.train, footage.device):
            decisions = network(hidden, mask, feature, shown)
        image = torch.lerp(truth, assemble(decisions, shown), mask)
        weight = self.settings.loss.needless_pixels
        return image, {"needless pixels": weight * needless_pixels(decisions, shown, mask)}

    def _jittered(self, batch: int) -> Tensor:
        """Intrinsics (B, 3, 3), each sample with its own draw."""
        size = self.footage.size_px
        bound = self.settings.train.jitter_px * size / JITTER_SIZE_PX
        draws = (2 * torch.rand(batch, 3) - 1) * bound  # On the CPU: the same on every device.
        return jitter_intrinsics(self.footage.K, draws.to(self.footage.device), size)


def mask_windows(footage: Footage, settings: Settings) -> Windows:
    """The squares around the masks that the render stage learns on."""
    size = footage.size_px
    return Windows(
        mask_boxes(footage.maps["mask"], footage.usable),
        size,
        cell_of(settings.renderer, size),
        round(settings.train.render_window * size),
    )
