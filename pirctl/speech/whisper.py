"""Whisper's encoder at the rate of the video: its first blocks, frozen, and a small trained head.

Whisper hears a log-mel spectrum and gives 50 features a second. A video frame gets two of them,
at a quarter and three quarters of its time, side by side: at 25 frames per second they are the
features themselves, at other rates they are interpolated. What the later blocks hear is words; the
lips are in the first ones, so the output of block `whisper_layer` is taken, before any final norm.
Source: Radford et al. 2023 (Whisper), section 2.2.

Whisper was trained on windows of 30 s with absolute positions, which its first blocks pass on: the
same speech at another position gives features of `tiny.en` that differ by 1.3 of their spread after
block 1, 0.7 after block 2 and 0.5 after block 3. So sound of any length is heard in windows of 4 s,
one every 2 s, with the positions 0 to 199. What a position does to noise in the colour and the
rhythm of speech, on average, is taken off, which leaves 0.14, 0.28 and 0.34. Each window fades into
the next one over the 2 s that they share (the weights are squared sines, which add up to 1). The
windows lie on one grid from the first row on, so the rows do not depend on how a file is cut into
blocks or pieces, no seam is to be seen, and every position is heard again every 2 s in training.
The spectrum is cut off 8 decades under a fixed level, not under the loudest moment of a window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pirctl.errors import SettingsError
from pirctl.settings import SpeechSettings
from pirctl.speech.blocks import Head
from pirctl.speech.encoder import FloatArray, SpeechEncoder, samples_per_frame
from pirctl.speech.level import REFERENCE_DB, Loudness
from pirctl.speech.wav2vec import interpolate
from pirctl.tensors import check_shape

SAMPLE_RATE_HZ = 16000
STEP_SAMPLES = 320
"""Between two features: 20 ms."""
HOP_STEPS = 100
"""From one window to the next, in features: 2 s, half a window."""
BLOCK_SECONDS = 10  # A whole number of hops: the windows lie as in the file in one piece.

_COLUMN_SAMPLES = 160
_TRANSFORM_SAMPLES = 400
_LOUDEST = 1.5
"""log10 of the loudest mel energy in speech at the reference level; Whisper cuts 8 under it."""
_CONTEXT_FRAMES = 4
_DROPOUT = 0.2
_NOISE = 0.2


class WhisperEncoder(SpeechEncoder):
    """Sound to `whisper_width` features per frame and head.

    Everything of Whisper's is frozen and done once, in `block_inputs`. What trains is the head, or
    several: a linear layer and two residual convolutions of five frames, which use up four frames
    on either side. In training mode, noise and dropout keep it from learning a few minutes by
    heart.

    Args:
        model: transformers' Whisper encoder; blocks after the chosen one are dropped.
        settings: the block and the width.
        frame_rate: video frames per second.
        sample_rate_hz: sample rate of the sound; Whisper hears 16000 Hz.

    Raises:
        SettingsError: another sample rate, or no such block.
    """

    places: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, model: Any, settings: SpeechSettings, frame_rate: int, sample_rate_hz: int
    ) -> None:
        super().__init__()
        if sample_rate_hz != SAMPLE_RATE_HZ:
            raise SettingsError(
                f"speech.encoder whisper hears {SAMPLE_RATE_HZ} Hz, "
                f"media.sample_rate_hz is {sample_rate_hz}",
                hint=f"--set media.sample_rate_hz={SAMPLE_RATE_HZ}",
            )
        if settings.whisper_layer > len(model.layers):
            raise SettingsError(
                f"speech.whisper_layer is {settings.whisper_layer}, "
                f"{settings.whisper_model} has {len(model.layers)} blocks",
                hint="--set speech.whisper_layer=2",
            )
        self.frame_samples = samples_per_frame(sample_rate_hz, frame_rate)
        self.block_frames = BLOCK_SECONDS * frame_rate
        self.margin_samples = 2 * (HOP_STEPS + 1) * STEP_SAMPLES
        self.context_frames = _CONTEXT_FRAMES
        self.feature_width = settings.heads * settings.whisper_width
        self.input_width = 2 * model.config.d_model
        model.layers = model.layers[: settings.whisper_layer]
        model.config.encoder_layers = settings.whisper_layer
        model.layer_norm = nn.Identity()  # Of the last block's output, which is not used.
        self.model = model.float().eval().requires_grad_(False)
        self.register_buffer("places", torch.zeros(2 * HOP_STEPS, model.config.d_model))
        self.register_buffer("mean", torch.zeros(self.input_width))
        self.register_buffer("deviation", torch.ones(self.input_width))
        self.heads = nn.ModuleList(
            Head(self.input_width, settings.whisper_width, _CONTEXT_FRAMES, dropout=_DROPOUT)
            for _ in range(settings.heads)
        )

    @classmethod
    def from_architecture(
        cls,
        architecture: Mapping[str, object],
        settings: SpeechSettings,
        frame_rate: int,
        sample_rate_hz: int,
    ) -> WhisperEncoder:
        """Make the network without its weights, from what `architecture` gave."""
        model = bare_encoder(dict(architecture["config"]))  # type: ignore[call-overload]
        return cls(model, settings, frame_rate, sample_rate_hz)

    def architecture(self) -> dict[str, object]:
        """The sizes of Whisper's encoder, as far as it is kept."""
        config = self.model.config
        return {"config": {name: getattr(config, name) for name in SIZES}}

    def train(self, mode: bool = True) -> WhisperEncoder:
        """Training mode for the head alone."""
        super().train(mode)
        self.model.eval()
        return self

    def learn_places(self) -> None:
        """Find out what a position in a window does to the features; once, with the weights."""
        spectrum = self._spectrum(_babble()).to(self.device())
        windows = spectrum.unfold(1, 4 * HOP_STEPS, HOP_STEPS).transpose(0, 1)
        with torch.no_grad():
            heard = torch.stack([self._hear(window[None])[0] for window in windows])
        self.places.copy_(heard.mean(0))

    def adapt(self, inputs: Tensor) -> None:
        """Standardise by the mean and the spread of the training part's rows."""
        self.mean.copy_(inputs.mean(0))
        # What never changes must not be blown up where it does later.
        spread = inputs.std(0, correction=0)
        self.deviation.copy_(spread.clamp(min=0.1 * float(spread.mean()) or 1.0))

    def block_inputs(self, sound: FloatArray, loudness: Loudness) -> Tensor:
        """Two features of Whisper's per frame: (n, 2 d)."""
        frames = (len(sound) - 2 * self.margin_samples) // self.frame_samples
        # In features from the first one, which lies a quarter of a frame after the block's start.
        step = self.frame_samples / (2 * STEP_SAMPLES)
        positions = step * torch.arange(2 * frames, dtype=torch.float64)
        windows = math.ceil((math.ceil(step * (2 * frames - 1)) + 1) / HOP_STEPS) + 1
        start = self.margin_samples + self.frame_samples // 4
        start -= HOP_STEPS * STEP_SAMPLES + _TRANSFORM_SAMPLES // 2
        columns = 2 * HOP_STEPS * (windows + 1)
        length = (columns - 1) * _COLUMN_SAMPLES + _TRANSFORM_SAMPLES
        spectrum = self._spectrum(sound[start : start + length])
        with torch.no_grad():
            heard = self._hear_windows(spectrum.to(self.device()))
        pairs = interpolate(heard.T[None], positions.to(heard.device))
        return pairs[0].T.reshape(frames, self.input_width)

    def _hear_windows(self, spectrum: Tensor) -> Tensor:
        """Columns (M, 2 H (k + 1)) to the features (H (k - 1), d) that two of k windows share."""
        windows = spectrum.unfold(1, 4 * HOP_STEPS, 2 * HOP_STEPS).transpose(0, 1)
        heard = self._hear(windows) - self.places  # (k, 2 H, d)
        phase = math.pi * (torch.arange(HOP_STEPS, device=heard.device) + 0.5) / (2 * HOP_STEPS)
        coming = phase.sin().square()[:, None]  # 1 in the middle of a window, 0 at its ends.
        mixed: Tensor = coming * heard[1:, :HOP_STEPS] + (1 - coming) * heard[:-1, HOP_STEPS:]
        return mixed.flatten(0, 1)

    def _spectrum(self, samples: FloatArray) -> Tensor:
        """Whisper's scaled log-mel columns (M, n), 10 ms apart, none of them padded."""
        import librosa

        energy = librosa.feature.melspectrogram(
            y=samples,
            sr=SAMPLE_RATE_HZ,
            n_fft=_TRANSFORM_SAMPLES,
            hop_length=_COLUMN_SAMPLES,
            center=False,
            n_mels=self.model.config.num_mel_bins,
        )
        columns = np.log10(np.maximum(energy, 10.0 ** (_LOUDEST - 8)))
        return torch.from_numpy(((columns + 4) / 4).astype(np.float32))

    def _hear(self, spectrum: Tensor) -> Tensor:
        """Columns (B, M, 2 n) to the chosen block's output (B, n, d).

        The model's own call wants 30 s; this is its arithmetic for any number of features.
        """
        hidden: Tensor = functional.gelu(self.model.conv1(spectrum))
        hidden = functional.gelu(self.model.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.model.embed_positions.weight[: hidden.shape[1]]
        for layer in self.model.layers:
            hidden = layer(hidden, None)
        return hidden

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows (B, T + 2 context, 2 d) to features (B, T, F)."""
        check_shape("inputs", inputs, None, None, self.input_width)
        inputs = (inputs - self.mean) / self.deviation
        return torch.cat([head(self._disturbed(inputs)) for head in self.heads], dim=-1)

    def _disturbed(self, inputs: Tensor) -> Tensor:
        """In training, every head hears noise of its own."""
        return inputs + _NOISE * torch.randn_like(inputs) if self.training else inputs


SIZES = (
    "d_model",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "encoder_layers",
    "max_source_positions",
    "num_mel_bins",
)
"""What the shape of Whisper's encoder depends on, by transformers' names."""


def bare_encoder(sizes: Mapping[str, object]) -> Any:
    """Whisper's encoder as transformers has it, of these sizes, with random weights."""
    from pirctl.compat import import_torchvision

    import_torchvision()
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Bare

    # The decoder is never made; its sizes must only be possible.
    return Bare(WhisperConfig(**{name: sizes[name] for name in SIZES}))


def _babble() -> FloatArray:
    """Half a minute of noise in the colour and the rhythm of speech, at the reference level."""
    generator = np.random.default_rng(0)
    count = 30 * SAMPLE_RATE_HZ
    frequency_hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(generator.standard_normal(count)) / np.maximum(frequency_hz, 80) ** 0.9
    syllable = np.sin(2 * np.pi * 2 * np.arange(count) / SAMPLE_RATE_HZ) ** 2  # Four a second.
    noise = np.fft.irfft(spectrum, count) * (0.05 + syllable)
    level = 10 ** (REFERENCE_DB / 20)
    return np.asarray(level * noise / noise.std(), np.float32)
