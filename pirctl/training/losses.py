"""The terms of the picture losses; every image is (B, 3, H, W) in [-1, 1].

All terms are means over elements, so that a weight of 1 means the same at every size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pirctl.compat import basicsr_gan_loss
from pirctl.networks.blend import Decisions, References
from pirctl.tensors import check_shape


def photometric(prediction: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared pixel error, weighted.

    Args:
        prediction: (B, 3, H, W).
        truth: (B, 3, H, W).
        weight: (B, 1, H, W), or None for 1 everywhere. Not normalised: zeros lower the mean.

    Source: Huang et al. 2023 (PIR), the first terms of eqs. 3 and 6.
    """
    check_shape("prediction", prediction, *truth.shape)
    error = (prediction.float() - truth.float()).square()
    return error.mean() if weight is None else (error * weight).mean()


def mouth_weight(mouth: Tensor, emphasis: float) -> Tensor:
    """Weight map that counts the mouth `emphasis` times.

    Args:
        mouth: (B, 1, H, W) in [0, 1], 1 inside the lips.
        emphasis: factor inside, 1 or more.
    """
    return 1 + (emphasis - 1) * mouth


def needless_pixels(decisions: Decisions, references: References, mask: Tensor) -> Tensor:
    """How much is painted anew where a reference shows what is wanted, mean over the mask.

    Without it the renderer paints what it has learnt by heart of the training frames, teeth before
    all, and of frames that it has not seen that is a blur.

    Args:
        decisions: of the renderer.
        references: what it was shown.
        mask: (B, 1, H, W) in [0, 1].
    """
    new = decisions.trust.softmax(dim=1)[:, -1:]
    shown = (references.confidence * references.weight[..., None, None]).amax(1, keepdim=True)
    return (new * shown * mask).sum() / mask.sum().clamp(min=1)


def shrink(images: Tensor, size: int) -> Tensor:
    """Images (B, C, H, H) at side `size`, at most H, by averaging."""
    return images if images.shape[-1] == size else functional.adaptive_avg_pool2d(images, size)


def feature_matching(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean absolute difference of each discriminator layer, summed over layers and scales.

    Args:
        fake: per scale the layers' outputs for the prediction, the logits last.
        real: the same for the truth; no gradient flows there.

    Source: Wang et al. 2018 (pix2pixHD), eq. 4, with N_i the number of elements of layer i.
    """
    terms = [
        functional.l1_loss(one.float(), other.detach().float())
        for fake_layers, real_layers in zip(fake, real, strict=True)
        for one, other in zip(fake_layers[:-1], real_layers[:-1], strict=True)
    ]
    return torch.stack(terms).sum()


class Adversarial:
    """Cross entropy of the discriminators' logits with one verdict, summed over scales.

    For the discriminator, call it with the truth of what came in; for the generator, call it on
    the prediction with `real=True` (the non-saturating form of the logarithmic loss of eq. 6).

    Source: Huang et al. 2023 (PIR), eq. 6; Goodfellow et al. 2014, section 3.
    """

    def __init__(self) -> None:
        # Imported here: basicsr takes seconds, and only the render stage has an adversary.
        self._verdict = basicsr_gan_loss()("vanilla")

    def __call__(self, scales: Sequence[Sequence[Tensor]], *, real: bool) -> Tensor:
        """Loss of the last entry of every scale, (B, 1, h, w) raw logits."""
        terms = [self._verdict(layers[-1].float(), real, is_disc=True) for layers in scales]
        return torch.stack(terms).sum()
