"""wav2vec 2.0 at the rate of the video, by way of Hugging Face transformers.

The convolutional stack hears 50 times a second; its output is interpolated to one row per video
frame *before* the feature projection, so the transformer runs at the video's rate.
Source: Fan et al. 2022 (FaceFormer), section 3.1; Huang et al. 2023 (PIR), section 3.2.

Both families work. Sound is normalised over the whole file, as the models' feature extractor does.
Models with a group norm in the first convolution normalise each channel over time: over the whole
file too. They hear silence beyond its ends. Models with layer norms take an attention mask, and
the transformer hears nothing there.

Long sound is heard in overlapping chunks. The convolutions' rows are those of the file in one
piece to 1e-5 of their spread. The transformer attends to everything that it is given, so the
features of a window with 64 frames of context on either side are close to those of the file in
one piece, not equal: to 5 % of their spread (root mean square of a frame) on random weights of
four layers, to 10 % of eight. 64 frames is how far the positional convolution reaches; with 25 it
is 30 to 60 % where windows meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pirctl.compat import import_torchvision
from pirctl.errors import SettingsError
from pirctl.settings import SpeechSettings
from pirctl.speech.encoder import FloatArray, SpeechEncoder, samples_per_frame
from pirctl.speech.level import Loudness, measure
from pirctl.speech.pretrained import HubModel
from pirctl.tensors import check_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARGIN_FRAMES = 5
_NORMALISE_EPSILON = 1e-7  # The feature extractor's.


class Wav2VecEncoder(SpeechEncoder):
    """Sound to the hidden size of a wav2vec 2.0 model per frame.

    The convolutional stack is frozen; the projection and the transformer train. SpecAugment is off
    unless `spec_augment` is set, because it draws from numpy's global generator.

    Args:
        model: a transformers `Wav2Vec2Model`.
        normalise: bring the sound to zero mean and unit variance.
        masked: hide what is outside the file from the transformer; else it hears silence. Both
            are what the model's feature extractor says.
        settings: the context.
        frame_rate: video frames per second.
        sample_rate_hz: sample rate of the sound.
    """

    def __init__(
        self,
        model: Any,
        normalise: bool,
        masked: bool,
        settings: SpeechSettings,
        frame_rate: int,
        sample_rate_hz: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.normalise = normalise
        self.masked = masked
        self.spec_augment = False
        self.frame_samples = samples_per_frame(sample_rate_hz, frame_rate)
        self.feature_width = model.config.hidden_size
        self.input_width = model.config.conv_dim[-1]
        self.context_frames = settings.wav2vec_context_frames
        self.block_frames = 250
        field = _receptive_field(model.config)
        # The first feature of a block is centred half a receptive field after its start; moving
        # the block by the difference centres the features on their frames.
        self._shift_samples = max(0, (self.frame_samples - field) // 2)
        self.margin_samples = _MARGIN_FRAMES * self.frame_samples + self._shift_samples
        assert field <= 2 * _MARGIN_FRAMES * self.frame_samples
        model.config.layerdrop = 0.0  # A skipped layer would be drawn per window of one batch.
        model.feature_extractor.requires_grad_(False)
        if getattr(model, "masked_spec_embed", None) is not None:
            model.masked_spec_embed.requires_grad_(False)

    @classmethod
    def from_architecture(
        cls,
        architecture: Mapping[str, object],
        settings: SpeechSettings,
        frame_rate: int,
        sample_rate_hz: int,
    ) -> Wav2VecEncoder:
        """Make the network without its weights, from what `architecture` gave."""
        import_torchvision()
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        config = Wav2Vec2Config.from_dict(dict(architecture["config"]))  # type: ignore[call-overload]
        model = Wav2Vec2Model(config)
        normalise, masked = bool(architecture["normalise"]), bool(architecture.get("masked"))
        return cls(model, normalise, masked, settings, frame_rate, sample_rate_hz)

    def architecture(self) -> dict[str, object]:
        """The model's configuration and what its feature extractor says."""
        return {
            "config": self.model.config.to_diff_dict(),
            "normalise": self.normalise,
            "masked": self.masked,
        }

    def train(self, mode: bool = True) -> Wav2VecEncoder:
        """Training mode for everything but the frozen convolutions."""
        super().train(mode)
        self.model.feature_extractor.eval()
        return self

    def measure(self, pieces: Iterable[FloatArray]) -> Loudness:
        """With the statistics that the group norm needs, of the first convolution's windows."""
        config = self.model.config
        windows = None
        if config.feat_extract_norm == "group":
            windows = (config.conv_kernel[0], config.conv_stride[0])
        return measure(
            pieces, self.frame_samples, windows=windows, least_samples=_receptive_field(config)
        )

    def level(self, loudness: Loudness) -> tuple[float, float]:
        """Zero mean and unit variance over the whole file, if the model wants that."""
        if not self.normalise:
            return super().level(loudness)
        return loudness.mean, float((loudness.variance + _NORMALISE_EPSILON) ** -0.5)

    def block_inputs(self, sound: FloatArray, loudness: Loudness) -> Tensor:
        """Convolutional features at the frames' centres: (n, conv width)."""
        frames = (len(sound) - 2 * self.margin_samples) // self.frame_samples
        length = (frames + 2 * _MARGIN_FRAMES) * self.frame_samples
        start = 2 * self._shift_samples
        samples = torch.from_numpy(sound[start : start + length]).to(self.device())
        with torch.no_grad():
            heard = self._convolved(samples[None], loudness)  # (1, C, n)
        step = self.frame_samples / math.prod(self.model.config.conv_stride)
        centres = (torch.arange(frames) + _MARGIN_FRAMES) * step
        return interpolate(heard, centres.to(heard.device))[0].T.float()

    def _convolved(self, samples: Tensor, loudness: Loudness) -> Tensor:
        """Samples (1, S) to what the convolutional stack hears (1, C, n)."""
        hidden = samples[:, None]
        for layer in self.model.feature_extractor.conv_layers:
            norm = getattr(layer, "layer_norm", None)
            if not isinstance(norm, nn.GroupNorm):
                hidden = layer(hidden)
                continue
            # Its own call would take the mean and variance of this block: of a pause, say, that
            # it would blow up to the loudness of speech.
            mean, variance = self._channels(layer.conv, loudness)
            hidden = functional.batch_norm(
                layer.conv(hidden), mean, variance, norm.weight, norm.bias, eps=norm.eps
            )
            hidden = layer.activation(hidden)
        return hidden

    def _channels(self, convolution: nn.Conv1d, loudness: Loudness) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of what a convolution makes of the whole file.

        It is linear, so they follow from those of the samples under its window.
        """
        assert loudness.windows is not None
        offset, factor = self.level(loudness)
        weight = convolution.weight[:, 0].detach().double().cpu().numpy()
        mean = weight @ (factor * (loudness.windows.mean - offset))
        if convolution.bias is not None:
            mean = mean + convolution.bias.detach().double().cpu().numpy()
        variance = ((weight @ loudness.windows.covariance) * weight).sum(1) * factor**2
        pair = torch.from_numpy(np.stack([mean, variance.clip(min=0)]))
        mean_of_channels, variance_of_channels = pair.to(convolution.weight)
        return mean_of_channels, variance_of_channels

    def _rows(
        self, pieces: Iterable[FloatArray], frames: int, loudness: Loudness
    ) -> Iterator[Tensor]:
        first = -self.context_frames
        for rows in super()._rows(pieces, frames, loudness):
            if self.masked:
                frame = torch.arange(first, first + len(rows), device=rows.device)
                # A row of zeros stands for nothing heard; no convolution makes one.
                rows[(frame < 0) | (frame >= frames)] = 0
            first += len(rows)
            yield rows

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows (B, T + 2 context, conv width) to features (B, T, F)."""
        check_shape("inputs", inputs, None, None, self.input_width)
        mask = inputs.ne(0).any(-1) if self.masked else None
        projected, _ = self.model.feature_projection(inputs)
        if self.spec_augment:
            projected = self.model._mask_hidden_states(projected)
        hidden: Tensor = self.model.encoder(projected, attention_mask=mask).last_hidden_state
        return hidden[:, self.context_frames : hidden.shape[1] - self.context_frames]


def interpolate(features: Tensor, positions: Tensor) -> Tensor:
    """Features (B, C, n) between whose columns the positions (T,) lie, linearly: (B, C, T)."""
    before = positions.long().clamp(max=features.shape[-1] - 1)
    after = (before + 1).clamp(max=features.shape[-1] - 1)
    share = (positions - before).to(features)
    return torch.lerp(features[..., before], features[..., after], share)


def load_wav2vec(settings: SpeechSettings, frame_rate: int, sample_rate_hz: int) -> Wav2VecEncoder:
    """Load pre-trained weights from a local folder, the Hugging Face cache or the hub.

    Raises:
        WeightsMissing: not in the folder, not in the cache, and the hub cannot be reached.
        WeightsCorrupt: a file that transformers cannot read.
        SettingsError: the model is for another sample rate.
    """
    source = HubModel(
        setting="speech.model",
        name=settings.model,
        revision=settings.revision,
        family="wav2vec 2.0",
    )
    extractor, model = source.load(_load)
    if extractor.sampling_rate != sample_rate_hz:
        raise SettingsError(
            f"speech.model {settings.model} wants {extractor.sampling_rate} Hz, "
            f"media.sample_rate_hz is {sample_rate_hz}",
            hint=f"--set media.sample_rate_hz={extractor.sampling_rate}",
        )
    normalise, masked = bool(extractor.do_normalize), bool(extractor.return_attention_mask)
    return Wav2VecEncoder(model, normalise, masked, settings, frame_rate, sample_rate_hz)


def _load(folder: Path) -> tuple[tuple[Any, Any], list[str]]:
    """Feature extractor and model of a folder, and the names of weights that it lacks."""
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    # Safetensors where there are any; some models of the hub are pickles, read without their code.
    model, found = Wav2Vec2Model.from_pretrained(
        folder,
        local_files_only=True,
        weights_only=True,
        output_loading_info=True,
        dtype=torch.float32,  # Else that of the file, which may be half.
    )
    # Models that were never trained with masks lack the vector that masking puts in.
    return (extractor, model), sorted(set(found["missing_keys"]) - {"masked_spec_embed"})


def _receptive_field(config: Any) -> int:
    """Samples that one output of the convolutional stack hears."""
    stride, field = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return field
