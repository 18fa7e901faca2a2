"""Settings of training: the losses, each stage, and what the stages share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pirctl.settings.check import at_least

STAGES = ("audio", "face", "render")
"""The stages of training, in the order in which they are trained."""

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
    perceptual_if_there: bool = False
    """Whether training goes without the VGG16 term, and says so, where its weights are not in the
    cache; otherwise it stops."""
    perceptual_every: int = 1
    """Steps from one with the VGG16 term to the next; the term then counts that many times."""
    perceptual_size_px: int = 0
    """Side of the square, drawn anew at every step, that is compared by VGG16; in the render stage
    it lies around the mask. 0: whole pictures."""
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
    needless_pixels: float = 0.02
    """Weight of new pixels where a reference shows what is wanted (render stage with
    references)."""
    mouth_emphasis: float = 1.0
    """Factor on the photometric error inside the mouth region; 1 is the paper's plain mean."""

    def __post_init__(self) -> None:
        at_least(self, 0, "photometric", "perceptual", "feature_matching", "adversarial")
        at_least(self, 0, "small_picture", "adversary_from", "needless_pixels")
        at_least(self, 0, "perceptual_size_px")
        at_least(self, 1, "mouth_emphasis", "perceptual_every")
        if not self.perceptual_layers:
            raise ValueError("perceptual_layers is empty; perceptual=0 leaves the term out")
        if self.perceptual_every > 1 and not self.photometric:
            raise ValueError(
                "perceptual_every above 1 leaves steps without any term: photometric=0"
            )


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
        at_least(self, 1, "epochs", "batch_size")
        at_least(self, 0, "learning_rate", "learning_rate_end", "min_steps", "max_steps")
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
        at_least(self, 0, "seed", "holdout_s", "jitter_px")
        at_least(self, 1, "preview_every", "checkpoint_every")
        if not 0 < self.render_window <= 1:
            raise ValueError(f"render_window is {self.render_window}, it must be in (0, 1]")
