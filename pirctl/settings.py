"""Every number a person can change, with its default, unit and range; presets override them.

A network takes its own dataclass; nobody receives the whole tree. The defaults are the paper's
(PIR, Huang et al. 2023) where the paper gives a number, so the preset `paper` is almost empty.
Order of precedence: default here < preset YAML < `--set section.key=value` < explicit flag.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


def _at_least(owner: object, minimum: float, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if value < minimum:
            raise ValueError(f"{name} is {value}, it must be at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """Pictures and sound as the networks see them."""

    frame_rate: int = 25
    """Frames per second of the training data and of the output."""
    sample_rate_hz: int = 16000
    """Sample rate of the networks' sound, mono."""
    size_px: int = 512
    """Side of the square crop around the face, in pixels."""
    crop_margin: float = 2.1
    """Side of the crop as a multiple of the face's height (brow to chin) over the clip."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "frame_rate", "crop_margin")
        _at_least(self, 8000, "sample_rate_hz")
        if self.size_px < 64 or self.size_px % 16:
            raise ValueError(f"size_px is {self.size_px}, it must be a multiple of 16, 64 or more")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Fitting the face model to tracked landmarks."""

    identity_frames: int = 200
    """Frames, evenly spread over the clip, that determine identity and focal length."""
    identity_weight: float = 1.0
    """Weight of the prior on identity coefficients (in standard deviations)."""
    expression_weight: float = 1.0
    """Weight of the prior on expression coefficients."""
    smoothness: float = 1.0
    """Weight of the temporal smoothness of pose and expression; 0 fits every frame alone."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "identity_frames")
        _at_least(self, 0, "identity_weight", "expression_weight", "smoothness")


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """Which pixels the renderer repaints."""

    region: Literal["lower", "face"] = "lower"
    """`lower`: nose tip to chin, keeps the original eyes and brows; `face`: the whole face."""
    margin: float = 0.06
    """Widening of the mask on every side, as a fraction of the face's height."""
    chin_margin: float = 0.16
    """Extra room below the chin for a dropped jaw, as a fraction of the face's height."""
    feather: float = 0.03
    """Width of the soft inner edge when compositing, as a fraction of the face's height."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "margin", "chin_margin", "feather")


@dataclass(frozen=True, kw_only=True)
class SpeechSettings:
    """Sound to one feature vector per video frame."""

    encoder: Literal["wav2vec2", "mel"] = "wav2vec2"
    """`wav2vec2`: a Hugging Face wav2vec 2.0 model; `mel`: log-mel bands, needs no download."""
    model: str = "facebook/wav2vec2-large-960h"
    """Hub id, or a local folder, of the wav2vec 2.0 model."""
    revision: str = ""
    """Git revision of the hub model; empty: as models/weights.yaml pins it, else `main`."""
    mel_bands: int = 40
    """Mel bands per window of the `mel` encoder."""
    mel_context_frames: int = 8
    """Video frames on either side that the `mel` encoder's convolutions see."""
    mel_width: int = 128
    """Width of the `mel` encoder's convolutions and of its features."""
    wav2vec_context_frames: int = 64
    """Video frames beside a window that the wav2vec 2.0 transformer also hears; the paper: 0. With
    less than 64, the reach of its positional convolution, the seams between windows show."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "mel_bands", "mel_width")
        _at_least(self, 0, "mel_context_frames", "wav2vec_context_frames")


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

    def __post_init__(self) -> None:
        _at_least(self, 1, "width", "heads", "feedforward", "layers", "period_frames")
        _at_least(self, 1, "window_frames")
        _at_least(self, 0, "teacher_forced", "teacher_noise")
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

    def __post_init__(self) -> None:
        _at_least(self, 1, "style_width", "mapping_layers", "channel_base", "channel_max")
        _at_least(self, 1, "plane_channels", "hidden_width", "upsampler_channels")
        _at_least(self, 3, "feature_channels")
        _at_least(self, 4, "feature_size", "coarse_samples")
        _at_least(self, 0, "fine_samples")
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

    def __post_init__(self) -> None:
        _at_least(self, 1, "coarse_channels", "fine_channels")
        _at_least(self, 0, "coarse_blocks", "fine_blocks")
        _at_least(self, 4, "feature_size")
        _at_least(self, 1, "fine_kernel")
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
        _at_least(self, 1, "scales", "channels", "layers")
        if not 0 < self.lr_multiplier <= 1:
            raise ValueError(f"lr_multiplier is {self.lr_multiplier}, it must be in (0, 1]")


Vgg16Layer = Literal[
    "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3",
    "relu4_1", "relu4_2", "relu4_3", "relu5_1", "relu5_2", "relu5_3",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Weights of the losses; the paper's are all 1. A weight of 0 leaves the term out."""

    photometric: float = 1.0
    """Weight of the squared pixel error."""
    perceptual: float = 1.0
    """Weight of the VGG16 feature error; needs the VGG16 weights unless 0."""
    perceptual_layers: tuple[Vgg16Layer, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    """VGG16 layers compared, Johnson et al.'s four; after the ReLU, `relu1_1` to `relu5_3`."""
    feature_matching: float = 1.0
    """Weight of the discriminator feature error (renderer stage)."""
    adversarial: float = 1.0
    """Weight of the adversarial term (renderer stage)."""
    adversary_from: float = 0.0
    """Share of the render stage, from its start, that is trained without the discriminators."""
    small_picture: float = 1.0
    """Weight of the squared error of the small picture in I_F, its first three channels (face
    stage); the renderer starts from that picture. Ours, the paper: 0."""
    mouth_emphasis: float = 1.0
    """Factor on the photometric error inside the mouth region; 1 is the paper's plain mean."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "photometric", "perceptual", "feature_matching", "adversarial")
        _at_least(self, 0, "small_picture", "adversary_from")
        _at_least(self, 1, "mouth_emphasis")
        if not self.perceptual_layers:
            raise ValueError("perceptual_layers is empty; perceptual=0 leaves the term out")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """How long and how fast one stage trains."""

    epochs: int = 50
    """Passes over the training part of the clip."""
    batch_size: int = 8
    """Samples (frames, or windows of the audio stage) per step."""
    learning_rate: float = 2e-4
    """Adam's learning rate."""
    learning_rate_end: float = 0.1
    """Fraction of the learning rate that is left at the end (cosine decay)."""
    beta1: float = 0.9
    """Adam's first momentum."""
    beta2: float = 0.99
    """Adam's second momentum."""
    ema_half_life_steps: float = 500.0
    """Half-life of the averaged weights, in steps; the pipeline uses these weights."""
    min_steps: int = 0
    """Steps at least, however short the clip; 0: no floor. `--set` of the epochs lifts it."""
    max_steps: int = 0
    """Stop after this many steps however many epochs are left; 0: no limit."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size")
        _at_least(self, 0, "learning_rate", "learning_rate_end", "min_steps", "max_steps")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"betas are {self.beta1}, {self.beta2}, they must be in [0, 1)")
        if self.ema_half_life_steps <= 0:
            raise ValueError("ema_half_life_steps must be positive")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What the three stages share, and the stages."""

    seed: int = 0
    """Seed of every random draw in training."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Arithmetic of convolutions and matrix products; weights stay float32."""
    holdout_s: float = 25.0
    """Seconds at the end of the clip that never enter training."""
    jitter_px: float = 3.0
    """Bound s of the camera jitter of the render stage, in pixels of a 512 crop (eq. 1)."""
    render_window: float = 1.0
    """Side of the square around the mask that the render stage learns on, as a share of the crop.

    1: the whole frame, as in the paper. Less is faster; the mask always fits."""
    preview_every: int = 250
    """Steps between previews."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    audio: StageSettings = field(default_factory=lambda: StageSettings(epochs=120, batch_size=1))
    """Speech to expression."""
    face: StageSettings = field(default_factory=StageSettings)
    """The implicit face."""
    render: StageSettings = field(default_factory=lambda: StageSettings(beta1=0.5, beta2=0.999))
    """The renderer and its discriminators."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "seed", "holdout_s", "jitter_px")
        _at_least(self, 1, "preview_every", "checkpoint_every")
        if not 0 < self.render_window <= 1:
            raise ValueError(f"render_window is {self.render_window}, it must be in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole tree; `config.load` is the one place that makes it."""

    media: MediaSettings = field(default_factory=MediaSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    mask: MaskSettings = field(default_factory=MaskSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    audio2exp: Audio2ExpSettings = field(default_factory=Audio2ExpSettings)
    face: FaceSettings = field(default_factory=FaceSettings)
    renderer: RendererSettings = field(default_factory=RendererSettings)
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


STAGES = ("audio", "face", "render")
"""The stages of training, in the order in which they are trained."""

DEFAULT_PRESET = "auto"
"""The preset of a command line that names none; `config.choose_preset` says which one it means."""
