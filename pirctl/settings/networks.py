"""Settings of the networks: sizes and what else they are built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pirctl.settings.check import at_least


@dataclass(frozen=True, kw_only=True)
class SpeechSettings:
    """Sound to one feature vector per video frame."""

    encoder: Literal["wav2vec2", "whisper", "mel"] = "wav2vec2"
    """`wav2vec2`: a Hugging Face wav2vec 2.0 model; `whisper`: the first blocks of Whisper's
    encoder; `mel`: log-mel bands, needs no download."""
    model: str = "facebook/wav2vec2-large-960h"
    """Hub id, or a local folder, of the wav2vec 2.0 model."""
    revision: str = ""
    """Git revision of the hub model; empty: as models/weights.yaml pins it, else `main`."""
    whisper_model: str = "whisper_tiny_en"
    """Whisper model: a name in models/weights.yaml, a hub id, or a local folder."""
    whisper_layer: int = 2
    """Block of Whisper's encoder whose output is the feature; 1 is the first."""
    whisper_width: int = 128
    """Width of the features that are made of Whisper's."""
    mel_bands: int = 40
    """Mel bands per window of the `mel` encoder."""
    mel_context_frames: int = 8
    """Video frames on either side that the `mel` encoder's convolutions see."""
    mel_width: int = 128
    """Width of the `mel` encoder's convolutions and of its features."""
    heads: int = 1
    """Trained heads of `mel` and `whisper`, each with a decoder of its own: they learn the same
    from different starts, and what they say is averaged. The paper: 1."""
    wav2vec_context_frames: int = 64
    """Video frames beside a window that the wav2vec 2.0 transformer also hears; the paper: 0. With
    less than 64, the reach of its positional convolution, the seams between windows show."""

    def __post_init__(self) -> None:
        at_least(self, 1, "mel_bands", "mel_width", "whisper_layer", "whisper_width", "heads")
        at_least(self, 0, "mel_context_frames", "wav2vec_context_frames")
        if self.heads > 1 and self.encoder == "wav2vec2":
            raise ValueError(f"heads is {self.heads}, encoder wav2vec2 has one")


@dataclass(frozen=True, kw_only=True)
class Audio2ExpSettings:
    """The biased causal transformer decoder: features to expression coefficients."""

    width: int = 1024
    """Model width d."""
    heads: int = 4
    """Attention heads; must divide the width."""
    feedforward: int = 2048
    """Width of the feed-forward layer."""
    layers: int = 1
    """Decoder layers."""
    period_frames: int = 25
    """Period p of the positional encoding and of the temporal bias."""
    window_frames: int = 100
    """Frames k per training window, and the attention window at inference."""
    dropout: float = 0.1
    """Dropout in training."""
    teacher_forced: float = 0.0
    """Share of the training, from its start, that is fed the true previous frame; the paper: 0."""
    teacher_noise: float = 0.5
    """Noise on the true previous frame while it is fed, in standard deviations of each axis."""

    speed_change: float = 0.0
    """Share by which the footage is also heard slower and faster, sound and face alike: 0.1 makes
    three takes of one. The paper: 0, none."""
    trust_below_s: float = 0.0
    """Footage shorter than this, in seconds, is learnt twice, first to measure how far what is
    predicted can be trusted; it is shrunk towards the mean by that. The paper: 0, never."""

    def __post_init__(self) -> None:
        at_least(self, 0, "speed_change", "trust_below_s")
        if self.speed_change > 0.5:
            raise ValueError(f"speed_change is {self.speed_change}, it must be at most 0.5")
        at_least(self, 1, "width", "heads", "feedforward", "layers", "period_frames")
        at_least(self, 1, "window_frames")
        at_least(self, 0, "teacher_forced", "teacher_noise")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, it must be in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """Identity and expression to tri-planes, and their volume rendering."""

    style_width: int = 512
    """Width of the latent that conditions the generator."""
    mapping_layers: int = 8
    """Fully connected layers of the mapping network."""
    mapping_lr_multiplier: float = 0.01
    """Learning rate of the mapping network relative to the rest of the generator."""
    channel_base: int = 32768
    """StyleGAN2 channels at resolution r: min(channel_max, channel_base / r)."""
    channel_max: int = 512
    """Most channels at any resolution of the generator."""
    plane_size: int = 256
    """Side of a plane in texels, a power of two."""
    plane_channels: int = 32
    """Channels of a plane; the generator puts out three times as many."""
    hidden_width: int = 64
    """Hidden width of the small decoder of a sample's feature."""
    feature_channels: int = 32
    """Channels of the rendered feature image I_F."""
    feature_size: int = 64
    """Side of the rendered feature image I_F in the face stage, in pixels."""
    coarse_samples: int = 48
    """Samples per ray in the first pass."""
    fine_samples: int = 48
    """Samples per ray in the importance pass."""
    box_side_dm: float = 3.6
    """Side of the cube around the head that the planes cover, in decimetres (model units)."""
    upsampler_channels: int = 128
    """Channels of the first block of the upsampler I_F -> I_face; halved at each doubling."""
    picture_size: int = 0
    """Side of I_face in pixels, `feature_size` doubled once or more; 0: that of the crop, the
    paper's. It is for training only, and most of what that costs."""

    def __post_init__(self) -> None:
        at_least(self, 1, "style_width", "mapping_layers", "channel_base", "channel_max")
        at_least(self, 1, "plane_channels", "hidden_width", "upsampler_channels")
        at_least(self, 3, "feature_channels")
        at_least(self, 4, "feature_size", "coarse_samples")
        at_least(self, 0, "fine_samples", "picture_size")
        if not 0 < self.mapping_lr_multiplier <= 1:
            raise ValueError(
                f"mapping_lr_multiplier is {self.mapping_lr_multiplier}, it must be in (0, 1]"
            )
        if self.plane_size < 8 or self.plane_size & (self.plane_size - 1):
            raise ValueError(f"plane_size is {self.plane_size}, it must be a power of two, >= 8")
        if self.box_side_dm <= 0:
            raise ValueError(f"box_side_dm is {self.box_side_dm}, it must be positive")


@dataclass(frozen=True, kw_only=True)
class RendererSettings:
    """The coarse-to-fine inpainting network."""

    coarse_channels: int = 64
    """Channels of the first convolution of the half-resolution branch."""
    fine_channels: int = 32
    """Channels of the first convolution of the full-resolution branch."""
    fine_kernel: int = 7
    """Side of the first and the last kernel of the full-resolution branch, odd."""
    coarse_blocks: int = 4
    """Residual blocks of the half-resolution branch, after the concatenation with I_F."""
    fine_blocks: int = 3
    """Residual blocks of the full-resolution branch, after the merge."""
    feature_size: int = 32
    """Side of I_F where it enters the renderer (main text 4.2; 64 elsewhere), in pixels."""
    references: int = 0
    """Frames of the person's own that are warped onto the wanted face and shown to the renderer
    beside I_F; the paper: 0."""
    bank_frames: int = 96
    """Frames at most from which the references are chosen; they are kept with the stage."""
    most_channels: int = 128
    """Most channels at any level of the renderer with references."""

    def __post_init__(self) -> None:
        at_least(self, 1, "coarse_channels", "fine_channels", "most_channels", "bank_frames")
        at_least(self, 0, "references")
        at_least(self, 0, "coarse_blocks", "fine_blocks")
        at_least(self, 4, "feature_size")
        at_least(self, 1, "fine_kernel")
        if self.fine_kernel % 2 == 0:
            raise ValueError(f"fine_kernel is {self.fine_kernel}, it must be odd")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings:
    """The multi-scale patch discriminators."""

    scales: int = 3
    """Discriminators, each on half the resolution of the one before."""
    channels: int = 64
    """Channels of the first layer."""
    layers: int = 3
    """Strided layers."""
    lr_multiplier: float = 1.0
    """Learning rate relative to the renderer's."""

    def __post_init__(self) -> None:
        at_least(self, 1, "scales", "channels", "layers")
        if not 0 < self.lr_multiplier <= 1:
            raise ValueError(f"lr_multiplier is {self.lr_multiplier}, it must be in (0, 1]")
