"""Whisper's weights: OpenAI's own file, converted once, or a model of the Hugging Face hub."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pirctl.errors import WeightsCorrupt
from pirctl.settings import SpeechSettings
from pirctl.speech.pretrained import HubModel
from pirctl.speech.whisper import WhisperEncoder, bare_encoder
from pirctl.weights.catalog import weights_entries
from pirctl.weights.converted import converted

_DIMENSIONS = {
    "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads",
    "n_audio_layer": "encoder_layers",
    "n_audio_ctx": "max_source_positions",
    "n_mels": "num_mel_bins",
}
# OpenAI's names to transformers', in this order.
_NAMES = (
    (r"^encoder\.", ""),
    (r"^blocks\.", "layers."),
    (r"\.attn\.query\.", ".self_attn.q_proj."),
    (r"\.attn\.key\.", ".self_attn.k_proj."),
    (r"\.attn\.value\.", ".self_attn.v_proj."),
    (r"\.attn\.out\.", ".self_attn.out_proj."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"^ln_post\.", "layer_norm."),
    (r"^positional_embedding$", "embed_positions.weight"),
)


def load_whisper(settings: SpeechSettings, frame_rate: int, sample_rate_hz: int) -> WhisperEncoder:
    """Make the encoder with pre-trained weights.

    Raises:
        WeightsMissing: they are not there; the hint says how to get them.
        WeightsCorrupt: a file that cannot be read.
        SettingsError: another sample rate than Whisper's, or no such block.
    """
    if settings.whisper_model in weights_entries():
        copy = converted(settings.whisper_model, ".safetensors", convert)
        model = read_converted(copy, settings.whisper_model)
    else:
        source = HubModel(
            setting="speech.whisper_model",
            name=settings.whisper_model,
            revision="",
            family="Whisper",
        )
        model = source.load(_load)
    encoder = WhisperEncoder(model, settings, frame_rate, sample_rate_hz)
    encoder.learn_places()
    return encoder


def _load(folder: Path) -> tuple[Any, list[str]]:
    """The encoder of a transformers folder, and the names of weights that it lacks."""
    from transformers import WhisperModel

    model, found = WhisperModel.from_pretrained(
        folder,
        local_files_only=True,
        weights_only=True,
        output_loading_info=True,
        dtype=torch.float32,
    )
    encoder = model.get_encoder()
    return encoder, [name for name in found["missing_keys"] if "encoder." in name]


def read_converted(path: Path, name: str) -> Any:
    """The encoder that `convert` wrote.

    Args:
        path: the file.
        name: of the entry in models/weights.yaml, for messages.

    Raises:
        WeightsCorrupt: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            sizes = json.loads(file.metadata()["sizes"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = bare_encoder(sizes)
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsCorrupt(
            f"{path} is damaged: {_first_line(error)}",
            hint=f"pirctl models pull {name} --force",
        ) from error
    return model


def convert(source: Path, output: Path) -> None:
    """Write the encoder of an OpenAI Whisper file as safetensors, with transformers' names.

    Args:
        source: such as tiny.en.pt; read without running anything in it.
        output: holds float32 weights, and the sizes as its metadata.

    Raises:
        WeightsCorrupt: it is no such file.
    """
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
        sizes = {ours: int(content["dims"][name]) for name, ours in _DIMENSIONS.items()}
        state: dict[str, Tensor] = content["model_state_dict"]
        weights = {
            _renamed(name): tensor.float().contiguous()
            for name, tensor in state.items()
            if name.startswith("encoder.")
        }
        sizes["encoder_ffn_dim"] = len(weights["layers.0.fc1.weight"])
    except (
        OSError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise WeightsCorrupt(
            f"{source} is no Whisper model of OpenAI's: {_first_line(error)}",
            hint="fetch it again, whole",
        ) from error
    save_file(weights, output, metadata={"sizes": json.dumps(sizes)})


def _renamed(name: str) -> str:
    for pattern, ours in _NAMES:
        name = re.sub(pattern, ours, name)
    return name


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
