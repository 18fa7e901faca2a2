"""What `bench` times: networks of the sizes in the settings, with random weights and input."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from pirctl.face.camera import FLIP, intrinsics
from pirctl.networks.blend import Blender, References, assemble
from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.networks.face import FaceNetwork
from pirctl.networks.inference import Precision, prepare_inference
from pirctl.networks.renderer import Renderer
from pirctl.settings import Settings, SpeechSettings
from pirctl.speech.build import build_encoder
from pirctl.speech.encoder import SpeechEncoder

IDENTITY_WIDTH, EXPRESSION_WIDTH = 80, 64
"""The paper's face model; the width hardly matters for speed."""


class PictureNetworks:
    """The picture networks with random weights, and what goes into each."""

    def __init__(
        self, settings: Settings, device: torch.device, precision: Precision, batch: int
    ) -> None:
        size = settings.media.size_px
        face = FaceNetwork(settings.face, IDENTITY_WIDTH, EXPRESSION_WIDTH, size)
        chosen, channels = settings.renderer, settings.face.feature_channels
        renderer: Renderer | Blender
        if chosen.references:
            renderer = Blender(chosen, channels, size)
            # A mouth takes about half of the crop, and only that goes through the networks.
            window = size // 2
        else:
            renderer, window = Renderer(chosen, channels, size), size
        self.face = prepare_inference(face, device, precision)
        self.renderer = prepare_inference(renderer, device, precision)
        self.size = window // renderer.cell_px
        self.z_id = torch.zeros(batch, IDENTITY_WIDTH, device=device)
        self.z_exp = torch.rand(batch, EXPRESSION_WIDTH, device=device)
        # A frontal face 12 dm away, as large as the crop.
        self.R = FLIP.to(device).expand(batch, 3, 3)
        self.t = torch.tensor([0.0, 0.0, 12.0], device=device).expand(batch, 3)
        self.K = intrinsics(3.6 * size, size).to(device)
        self.masked = torch.rand(batch, 3, window, window, device=device) * 2 - 1
        self.references = _references(batch, chosen.references, window, device)
        self.planes = self.make_planes()
        self.feature = self.make_feature()

    def make_planes(self) -> Tensor:
        """Identity and expression to tri-planes."""
        return self.face.planes(self.z_id, self.z_exp)

    def make_feature(self, planes: Tensor | None = None) -> Tensor:
        """Planes, those of the start if None, to I_F."""
        return self.face.feature_image(
            self.z_id,
            self.z_exp,
            self.R,
            self.t,
            self.K,
            self.size,
            planes=self.planes if planes is None else planes,
        )

    def make_frame(self, feature: Tensor | None = None) -> Tensor:
        """I_F, that of the start if None, and the masked frame to the frame."""
        feature = self.feature if feature is None else feature
        if isinstance(self.renderer, Renderer):
            return cast(Tensor, self.renderer(self.masked, feature))
        shown = self.references
        decisions = self.renderer(self.masked, shown.mouth[:, None], feature, shown)
        return assemble(decisions, shown, "bicubic")

    def make_all(self) -> Tensor:
        """All three in one go."""
        return self.make_frame(self.make_feature(self.make_planes()))


def _references(batch: int, count: int, side: int, device: torch.device) -> References:
    """Random pictures, each looked at where it is."""
    places = torch.arange(side, device=device) + 0.5
    source = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
    return References(
        pictures=torch.rand(batch, count, 3, side, side, device=device) * 2 - 1,
        source=source.expand(batch, count, side, side, 2),
        confidence=torch.rand(batch, count, side, side, device=device),
        weight=torch.rand(batch, count, device=device),
        mouth=torch.rand(batch, side, side, device=device),
    )


def speech_networks(
    settings: Settings, device: torch.device
) -> tuple[SpeechEncoder, Audio2ExpEnsemble]:
    """The speech encoder and the expression decoder with random weights."""
    media = settings.media
    encoder = build_encoder(
        settings.speech, media.frame_rate, media.sample_rate_hz, _architecture(settings.speech)
    )
    decoder = Audio2ExpEnsemble(
        settings.audio2exp,
        settings.speech,
        encoder.feature_width,
        IDENTITY_WIDTH,
        EXPRESSION_WIDTH,
    )
    encoder.eval().to(device)
    decoder.eval().to(device)
    return encoder, decoder


def _architecture(speech: SpeechSettings) -> dict[str, object] | None:
    """The published sizes of a pre-trained model, so that its weights are not needed."""
    if speech.encoder == "mel":
        return None
    if speech.encoder == "whisper":  # tiny, as far as it is used
        return {
            "config": {
                "d_model": 384,
                "encoder_attention_heads": 6,
                "encoder_ffn_dim": 1536,
                "encoder_layers": speech.whisper_layer,
                "max_source_positions": 1500,
                "num_mel_bins": 80,
            }
        }
    config: dict[str, object] = {}
    if "base" not in speech.model:
        config = {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        }
    return {"config": config, "normalise": True, "masked": False}
