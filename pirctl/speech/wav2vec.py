"""wav2vec 2.0 at the rate of the video, by way of Hugging Face transformers.

The convolutional stack hears 50 times a second; its output is interpolated to one row per video
frame *before* the feature projection, so the transformer runs at the video's rate.
Source: Fan et al. 2022 (FaceFormer), section 3.1; Huang et al. 2023 (PIR), section 3.2.

Both families work. Models with a group norm in the first convolution normalise each channel over
time, models with layer norms each moment over channels. Nothing is ever padded here (a block has
its exact length and what lies outside the file is heard as silence), so neither family needs
an attention mask, which the group-norm family could not take.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from pirctl import hub
from pirctl.catalog import hub_revision
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.face.compat import import_torchvision
from pirctl.settings import SpeechSettings
from pirctl.speech.encoder import FloatArray, SpeechEncoder, samples_per_frame
from pirctl.tensors import check_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARGIN_FRAMES = 5
_NORMALISE_EPSILON = 1e-7


class Wav2VecEncoder(SpeechEncoder):
    """Sound to the hidden size of a wav2vec 2.0 model per frame.

    The convolutional stack is frozen; the projection and the transformer train. SpecAugment is off
    unless `spec_augment` is set, because it draws from numpy's global generator.

    Args:
        model: a transformers `Wav2Vec2Model`.
        normalise: bring each block to zero mean and unit variance, as the model's feature
            extractor says.
        settings: the context.
        frame_rate: video frames per second.
        sample_rate_hz: sample rate of the sound.
    """

    def __init__(
        self,
        model: Any,
        normalise: bool,
        settings: SpeechSettings,
        frame_rate: int,
        sample_rate_hz: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.normalise = normalise
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
        normalise = bool(architecture["normalise"])
        return cls(model, normalise, settings, frame_rate, sample_rate_hz)

    def architecture(self) -> dict[str, object]:
        """The model's configuration and whether its sound is normalised."""
        return {"config": self.model.config.to_diff_dict(), "normalise": self.normalise}

    def train(self, mode: bool = True) -> Wav2VecEncoder:
        """Training mode for everything but the frozen convolutions."""
        super().train(mode)
        self.model.feature_extractor.eval()
        return self

    def block_inputs(self, sound: FloatArray) -> Tensor:
        """Convolutional features at the frames' centres: (n, conv width)."""
        frames = (len(sound) - 2 * self.margin_samples) // self.frame_samples
        samples = torch.from_numpy(sound)
        if self.normalise:
            spread = (samples.var(correction=0) + _NORMALISE_EPSILON).sqrt()
            samples = (samples - samples.mean()) / spread
        length = (frames + 2 * _MARGIN_FRAMES) * self.frame_samples
        start = 2 * self._shift_samples
        samples = samples[start : start + length].to(self.device())
        with torch.no_grad():
            heard = self.model.feature_extractor(samples[None])  # (1, C, n)
            rows = interpolate(heard, frames + 2 * _MARGIN_FRAMES)[0].T
        return rows[_MARGIN_FRAMES : _MARGIN_FRAMES + frames].float()

    def forward(self, inputs: Tensor) -> Tensor:
        """Rows (B, T + 2 context, conv width) to features (B, T, F)."""
        check_shape("inputs", inputs, None, None, self.input_width)
        projected, _ = self.model.feature_projection(inputs)
        if self.spec_augment:
            projected = self.model._mask_hidden_states(projected)
        hidden: Tensor = self.model.encoder(projected).last_hidden_state
        return hidden[:, self.context_frames : hidden.shape[1] - self.context_frames]


def interpolate(features: Tensor, frames: int) -> Tensor:
    """Features (B, C, n) to (B, C, frames): linear in time, first on first and last on last."""
    return functional.interpolate(features, size=frames, mode="linear", align_corners=True)


def load_wav2vec(settings: SpeechSettings, frame_rate: int, sample_rate_hz: int) -> Wav2VecEncoder:
    """Load pre-trained weights from a local folder, the Hugging Face cache or the hub.

    Raises:
        WeightsMissing: not in the folder, not in the cache, and the hub cannot be reached.
        WeightsCorrupt: a file that transformers cannot read.
        SettingsError: the model is for another sample rate.
    """
    import_torchvision()
    from safetensors import SafetensorError

    try:
        folder = _folder(settings)
        with _quiet_transformers():
            extractor, model, missing = _load(folder)
    except WeightsMissing:
        raise
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise _damaged(settings, str(error).strip().split("\n")[0]) from error
    except (OSError, ValueError, WeightsError) as error:
        raise WeightsMissing(
            f"speech.model {settings.model} is neither a folder with a wav2vec 2.0 model nor in "
            "the Hugging Face cache, and it could not be fetched",
            hint=f"run `hf download {settings.model}` where there is a network, name a local "
            "folder with --set speech.model=FOLDER, or use --set speech.encoder=mel",
        ) from error
    if missing:
        raise _damaged(settings, f"{len(missing)} of them are missing, such as {missing[0]}")
    if extractor.sampling_rate != sample_rate_hz:
        raise SettingsError(
            f"speech.model {settings.model} wants {extractor.sampling_rate} Hz, "
            f"media.sample_rate_hz is {sample_rate_hz}",
            hint=f"--set media.sample_rate_hz={extractor.sampling_rate}",
        )
    normalise = bool(extractor.do_normalize)
    return Wav2VecEncoder(model, normalise, settings, frame_rate, sample_rate_hz)


def _damaged(settings: SpeechSettings, problem: str) -> WeightsCorrupt:
    return WeightsCorrupt(
        f"speech.model {settings.model}: its weights cannot be read: {problem}",
        hint="fetch them again, whole",
    )


def _load(folder: Path) -> tuple[Any, Any, list[str]]:
    """Feature extractor and model of a folder, and the names of weights that it lacks."""
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    # Safetensors where there are any; some models of the hub are pickles, read without their code.
    model, found = Wav2Vec2Model.from_pretrained(
        folder, local_files_only=True, weights_only=True, output_loading_info=True
    )
    # Models that were never trained with masks lack the vector that masking puts in.
    return extractor, model, sorted(set(found["missing_keys"]) - {"masked_spec_embed"})


def _folder(settings: SpeechSettings) -> Path:
    """The folder of the model: local, or in the hub's cache, after fetching it if need be."""
    folder = Path(settings.model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or settings.model.startswith((".", "~")):
        raise WeightsMissing(
            f"speech.model {settings.model}: there is no such folder",
            hint="name a folder with config.json, preprocessor_config.json and model.safetensors",
        )
    return hub.fetch(settings.model, settings.revision or hub_revision(settings.model))


def _receptive_field(config: Any) -> int:
    """Samples that one output of the convolutional stack hears."""
    stride, field = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return field


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and notes about unused heads off the terminal."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
