"""Log-mel bands and a small convolutional network: the speech encoder that needs no download."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from pirctl.errors import SettingsError
from pirctl.settings import SpeechSettings
from pirctl.speech.blocks import Head
from pirctl.speech.encoder import FloatArray, SpeechEncoder, samples_per_frame
from pirctl.speech.level import Loudness
from pirctl.tensors import check_shape

COLUMNS = 4
"""Spectra per video frame: 10 ms apart at 25 frames per second."""

# log10 of mel energies of speech at the reference loudness: mean and spread over eight recordings
# in five languages, rounded. The floor lies about 40 dB under a typical band of speech.
_FLOOR, _MEAN, _SPREAD = 1e-4, -3.0, 1.1
_DROPOUT = 0.1


class MelEncoder(SpeechEncoder):
    """Sound to `mel_width` features per frame and head.

    The convolutions have no padding: they use up exactly `mel_context_frames` on either side. In
    training mode the loudness, the colour and the noise of the recording are varied, because a few
    minutes of one recording would otherwise be learnt by heart.

    Args:
        settings: bands, width and context.
        frame_rate: video frames per second.
        sample_rate_hz: sample rate of the sound.
    """

    def __init__(self, settings: SpeechSettings, frame_rate: int, sample_rate_hz: int) -> None:
        super().__init__()
        self.frame_samples = samples_per_frame(sample_rate_hz, frame_rate)
        if self.frame_samples % (2 * COLUMNS):
            raise SettingsError(
                f"media.frame_rate {frame_rate} gives {self.frame_samples} samples per frame, "
                f"the mel encoder needs a multiple of {2 * COLUMNS}",
                hint="use 25 frames per second and 16000 Hz, as the presets do",
            )
        self.sample_rate_hz = sample_rate_hz
        self.bands = settings.mel_bands
        self.window_samples = sample_rate_hz // 40
        self.transform_samples = 2 ** math.ceil(math.log2(self.window_samples))
        self.feature_width = settings.heads * settings.mel_width
        self.input_width = COLUMNS * self.bands
        self.context_frames = settings.mel_context_frames
        # The first spectrum of a frame is centred half a hop after the frame's start.
        self.margin_samples = (self.transform_samples - self.frame_samples // COLUMNS) // 2
        self.block_frames = 250
        self.heads = nn.ModuleList(
            Head(self.input_width, settings.mel_width, self.context_frames, dropout=_DROPOUT)
            for _ in range(settings.heads)
        )

    def block_inputs(self, sound: FloatArray, loudness: Loudness) -> Tensor:
        """Log-mel columns, COLUMNS per row: (n, COLUMNS * bands), about zero mean, unit spread."""
        import librosa

        energy: FloatArray = librosa.feature.melspectrogram(
            y=sound,
            sr=self.sample_rate_hz,
            n_fft=self.transform_samples,
            win_length=self.window_samples,
            hop_length=self.frame_samples // COLUMNS,
            center=False,
            n_mels=self.bands,
            fmin=60.0,
            fmax=0.475 * self.sample_rate_hz,
        )
        columns = (np.log10(energy + _FLOOR) - _MEAN) / _SPREAD
        rows = columns.T.reshape(-1, self.input_width)
        return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows (B, T + 2 context, COLUMNS * bands) to features (B, T, F)."""
        check_shape("inputs", inputs, None, None, self.input_width)
        return torch.cat(
            [head(self._varied(inputs) if self.training else inputs) for head in self.heads], dim=-1
        )

    def architecture(self) -> dict[str, object]:
        """Nothing beyond the settings."""
        return {}

    def _varied(self, inputs: Tensor) -> Tensor:
        """Another loudness, another microphone, more noise: one draw per window."""
        batch = len(inputs)
        band = torch.arange(self.bands, device=inputs.device) / self.bands
        wave = torch.stack([torch.cos(math.pi * order * band) for order in range(4)])
        colour = 0.2 * torch.randn(batch, 4, device=inputs.device) @ wave  # (B, bands)
        noise = 0.2 * torch.randn_like(inputs)
        return inputs + colour.repeat(1, COLUMNS)[:, None] + noise
