"""The face stage: coefficients and camera to the picture of the head.

Source: Huang et al. 2023 (PIR), section 3.2 and eq. 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pirctl.networks.face import FaceNetwork
from pirctl.networks.perceptual import PerceptualLoss
from pirctl.networks.pictures import hide
from pirctl.settings import Settings
from pirctl.training.footage import Footage
from pirctl.training.losses import mouth_weight, photometric, shrink
from pirctl.training.precision import autocast
from pirctl.training.preview import grid
from pirctl.training.statistics import coefficient_statistics
from pirctl.training.trainer import Phase, adam

PREVIEW_FRAMES = 4
# Ten times what is usual after the first steps. One outlier can empty the volume for good: it has
# no gradient then.
_CLIP = 1.0


class FaceTrainer:
    """Trains `FaceNetwork` on the head of every frame.

    The photometric term compares inside the head mask only; the perceptual term compares with the
    truth on a background of -1, which is what empty space renders to. Ours: so does a term on the
    small picture in I_F, which gives the volume its outline and its colours without the detour
    through the upsampler.

    Args:
        footage: frames with the map "head", and "mouth" when the mouth is emphasised.
        settings: the resolved settings.
        perceptual: the VGG16 loss on the footage's device, or None without that term.
    """

    stage = "face"
    exported = ("face",)

    def __init__(
        self, footage: Footage, settings: Settings, perceptual: PerceptualLoss | None
    ) -> None:
        self.footage = footage
        self.settings = settings
        self.perceptual = perceptual
        self.samples = len(footage.usable)
        torch.manual_seed(settings.train.seed)
        self.face = FaceNetwork(
            settings.face, len(footage.z_id), footage.z_exp.shape[1], footage.size_px
        ).to(footage.device)
        usable = footage.z_exp[footage.usable.to(footage.device)]
        self.face.set_statistics(*coefficient_statistics(usable))
        self.networks: Mapping[str, nn.Module] = {"face": self.face}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "face": adam(self.face, settings, self.stage)
        }

    def phases(self, positions: Tensor, step: int, steps: int) -> Iterator[Phase]:
        """One update on the frames at `positions` of the usable ones."""
        footage, loss = self.footage, self.settings.loss
        numbers = footage.usable[positions]
        with autocast(self.settings.train, footage.device):
            feature, image = self.face(*_inputs(footage, numbers))
        side = image.shape[-1]
        truth = shrink(footage.pictures(numbers), side)
        head = shrink(footage.map("head", numbers), side)
        weight = torch.ones_like(head)
        if loss.mouth_emphasis > 1:
            mouth = shrink(footage.map("mouth", numbers), side)
            weight = mouth_weight(mouth, loss.mouth_emphasis)
        terms = {}
        if loss.photometric:
            term = photometric(image, truth, head * weight)
            terms["photometric"] = loss.photometric * term
        if loss.small_picture:
            term = photometric(
                feature[:, :3],
                shrink(hide(truth, 1 - head), feature.shape[-1]),
                shrink(weight, feature.shape[-1]),
            )
            terms["small picture"] = loss.small_picture * term
        if self.perceptual is not None and self.perceptual.is_due(step):
            with autocast(self.settings.train, footage.device):
                term = self.perceptual(image, hide(truth, 1 - head))
            terms["perceptual"] = loss.perceptual * term
        yield Phase(optimiser="face", terms=terms, clip=_CLIP)

    def changes_at(self, steps: int) -> int:
        """All steps are alike."""
        return 0

    def settle(self, spare_bytes: int) -> None:
        """Keep the footage on the device if it fits."""
        self.footage.settle(spare_bytes)

    @torch.no_grad()
    def preview(self, averaged: Mapping[str, nn.Module]) -> np.ndarray:
        """Rows: the frame's head, and I_face; columns: frames across the training part."""
        numbers = preview_numbers(self.footage.usable)
        with autocast(self.settings.train, self.footage.device):
            _, image = averaged["face"](*_inputs(self.footage, numbers))
        head = self.footage.map("head", numbers)
        truth = shrink(hide(self.footage.pictures(numbers), 1 - head), image.shape[-1])
        return grid([list(truth), list(image)])


def _inputs(footage: Footage, numbers: Tensor) -> tuple[Tensor, ...]:
    """(z_id, z_exp, R, t, K) of some frames."""
    numbers = numbers.to(footage.device)
    z_id = footage.z_id.expand(len(numbers), -1)
    return z_id, footage.z_exp[numbers], footage.R[numbers], footage.t[numbers], footage.K


def preview_numbers(usable: Tensor) -> Tensor:
    """A few of the usable frames, evenly spread over them."""
    places = torch.linspace(0, len(usable) - 1, min(PREVIEW_FRAMES, len(usable)))
    return usable[places.round().long()]
