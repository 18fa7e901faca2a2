"""The one place that chooses a speech encoder."""

from __future__ import annotations

from collections.abc import Mapping

from pirctl.settings import SpeechSettings
from pirctl.speech.encoder import SpeechEncoder
from pirctl.speech.mel import MelEncoder
from pirctl.speech.wav2vec import Wav2VecEncoder, load_wav2vec
from pirctl.speech.whisper import WhisperEncoder
from pirctl.speech.whisper_weights import load_whisper


def build_encoder(
    settings: SpeechSettings,
    frame_rate: int,
    sample_rate_hz: int,
    architecture: Mapping[str, object] | None = None,
) -> SpeechEncoder:
    """Make the encoder the settings name.

    Args:
        settings: which encoder, and its sizes.
        frame_rate: video frames per second.
        sample_rate_hz: sample rate of the sound.
        architecture: what `SpeechEncoder.architecture` gave when a checkpoint was written; the
            encoder is then made without its pre-trained weights, for the checkpoint to fill in.

    Raises:
        WeightsMissing: the pre-trained weights are neither a local folder nor in the cache.
        SettingsError: the rates do not fit the encoder.
    """
    match settings.encoder:
        case "mel":
            return MelEncoder(settings, frame_rate, sample_rate_hz)
        case "wav2vec2" if architecture:
            return Wav2VecEncoder.from_architecture(
                architecture, settings, frame_rate, sample_rate_hz
            )
        case "wav2vec2":
            return load_wav2vec(settings, frame_rate, sample_rate_hz)
        case "whisper" if architecture:
            return WhisperEncoder.from_architecture(
                architecture, settings, frame_rate, sample_rate_hz
            )
        case "whisper":
            return load_whisper(settings, frame_rate, sample_rate_hz)
