"""Small sizes and cameras that the tests of the picture networks share."""

from __future__ import annotations

import torch
from torch import Tensor

from pirctl.networks.face import FaceNetwork
from pirctl.networks.renderer import Renderer
from pirctl.settings import FaceSettings, RendererSettings

SIZE_PX = 64
FACE = FaceSettings(
    style_width=32,
    mapping_layers=2,
    mapping_lr_multiplier=0.1,
    channel_base=512,
    channel_max=32,
    plane_size=32,
    plane_channels=8,
    hidden_width=16,
    feature_channels=8,
    feature_size=16,
    coarse_samples=8,
    fine_samples=8,
    upsampler_channels=16,
)
RENDERER = RendererSettings(
    coarse_channels=8, fine_channels=8, coarse_blocks=1, fine_blocks=1, feature_size=16
)


def make_face() -> FaceNetwork:
    return FaceNetwork(FACE, 6, 5, SIZE_PX)


def make_renderer() -> Renderer:
    return Renderer(RENDERER, FACE.feature_channels, SIZE_PX)


def make_inputs(batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """z_id, z_exp, R, t, K of a frontal face that fills the picture."""
    z_id = torch.randn(1, 6).expand(batch, -1)
    z_exp = torch.rand(batch, 5)
    R = torch.diag(torch.tensor([1.0, -1.0, -1.0])).expand(batch, 3, 3)
    t = torch.tensor([0.0, 0.0, 12.0]).expand(batch, 3)
    K = torch.tensor([[230.0, 0.0, 32.0], [0.0, 230.0, 32.0], [0.0, 0.0, 1.0]])
    return z_id, z_exp, R, t, K


def make_pictures(batch: int) -> Tensor:
    """Smooth pictures (B, 3, 64, 64) in [-1, 1] with a bright mouth of differing height."""
    axis = torch.linspace(-1, 1, SIZE_PX)
    y, x = axis[:, None], axis[None]
    pictures = []
    for i in range(batch):
        height = 0.06 + 0.25 * i / max(1, batch - 1)
        mouth = ((((y - 0.4) / height) ** 2 + (x / 0.35) ** 2) < 1).float()
        skin = torch.stack([0.5 - 0.3 * x**2 + 0 * y, 0.2 - 0.2 * y**2 + 0 * x, 0 * x * y - 0.1])
        pictures.append(skin * (1 - mouth) + mouth * torch.tensor([0.9, -0.8, -0.7])[:, None, None])
    return torch.stack(pictures)


def psnr(first: Tensor, second: Tensor) -> float:
    """Decibels between pictures in [-1, 1]."""
    return float(-10 * torch.log10((first.float() - second.float()).square().mean() / 4))
