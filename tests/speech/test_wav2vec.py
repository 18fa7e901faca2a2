"""wav2vec 2.0 of both families, as tiny random models saved to and loaded from disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from pirctl import hub
from pirctl.catalog import hub_revision
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsMissing
from pirctl.face.compat import import_torchvision
from pirctl.settings import SpeechSettings
from pirctl.speech import build_encoder
from pirctl.speech.level import measure
from pirctl.speech.wav2vec import Wav2VecEncoder, interpolate
from tests.hostile import write_hostile

FAMILIES = ("group", "layer")


def save_model(folder: Path, family: str, *, sampling_rate: int = 16000) -> Path:
    """Save a tiny random model of the `family`, with its feature extractor."""
    import_torchvision()
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=family,
        conv_bias=family == "layer",
        do_stable_layer_norm=family == "layer",
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        sampling_rate=sampling_rate, do_normalize=True, return_attention_mask=family == "layer"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_model(tmp_path / "model", request.param)


def load(folder: Path, context: int = 4) -> Wav2VecEncoder:
    settings = SpeechSettings(encoder="wav2vec2", model=str(folder), wav2vec_context_frames=context)
    encoder = build_encoder(settings, 25, 16000)
    assert isinstance(encoder, Wav2VecEncoder)
    return encoder.eval()


def noise(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    generator = np.random.default_rng(0)
    return (0.1 * generator.standard_normal(int(seconds * 16000))).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 100, 16000, 17321])
def test_any_number_of_samples_gives_exactly_the_frames_asked_for(
    folder: Path, samples: int
) -> None:
    encoder = load(folder)
    for frames in (1, 25):
        inputs = encoder.prepare(noise(2)[:samples], frames)
        assert inputs.shape == (frames + 8, 8)
        features = encoder(inputs[None])
        assert features.shape == (1, frames, encoder.feature_width)
        assert torch.isfinite(features).all()


def test_features_equal_the_models_own_where_every_second_one_is_a_frame(folder: Path) -> None:
    import_torchvision()
    from transformers import Wav2Vec2FeatureExtractor

    encoder = load(folder, context=0)
    sound = noise(2)
    margin = encoder.margin_samples
    around = np.concatenate([np.zeros(margin), sound, np.zeros(margin)]).astype(np.float32)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(str(folder))
    values = extractor(around, sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        # 240 samples: feature 0 is then centred 120 samples later than the first whole frame's
        # start would have it, in the middle of its frame. Frames begin five frames in.
        heard = encoder.model.feature_extractor(values[:, 240:])
        frames = interpolate(heard[:, :, : 2 * 60 - 1], 60)[:, :, 5:55]
        expected = encoder.model.encoder(
            encoder.model.feature_projection(frames.transpose(1, 2))[0]
        ).last_hidden_state
        features = encoder(encoder.block_inputs(around)[None])
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_a_click_is_heard_in_its_frame(folder: Path) -> None:
    encoder = load(folder, context=0)
    encoder.normalise = False  # It would let the click change the level of everything.
    quiet = noise(1 + 2 * encoder.margin_samples / 16000)
    for frame in (5, 12):
        sound = quiet.copy()
        start = encoder.margin_samples + frame * 640
        sound[start + 310 : start + 330] += 0.5
        change = (encoder.block_inputs(sound) - encoder.block_inputs(quiet)).abs()
        # A group norm lets a click change every frame a little, so the median is the yardstick.
        strength = (change - change.median(0).values).abs().sum(1)
        assert int(strength.argmax()) == frame


def test_interpolation_puts_first_on_first_and_last_on_last() -> None:
    features = torch.arange(9.0)[None, None]
    assert interpolate(features, 5)[0, 0].tolist() == [0, 2, 4, 6, 8]
    assert interpolate(features, 17)[0, 0, :3].tolist() == [0, 0.5, 1]
    assert torch.equal(
        interpolate(features, 7),
        functional.interpolate(features, 7, mode="linear", align_corners=True),
    )


def test_streaming_in_pieces_equals_the_whole(folder: Path) -> None:
    encoder = load(folder)
    encoder.block_frames = 30
    sound, frames = noise(3), 75
    inputs = encoder.prepare(sound, frames)
    windows = [inputs[None, a : min(a + 20, frames) + 8] for a in range(0, frames, 20)]
    with torch.no_grad():
        whole = torch.cat([encoder(window) for window in windows], 1)
    pieces = [sound[i : i + 1001] for i in range(0, len(sound), 1001)]
    streamed = torch.cat(list(encoder.stream(pieces, frames, measure([sound], 640).gain, 20)), 1)
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-5)


def test_only_the_convolutions_are_frozen(folder: Path) -> None:
    encoder = load(folder).train()
    assert not encoder.model.feature_extractor.training
    assert encoder.model.encoder.training
    encoder(encoder.prepare(noise(1), 25)[None]).sum().backward()
    frozen = {name for name, weight in encoder.named_parameters() if not weight.requires_grad}
    assert frozen
    assert all(".feature_extractor." in name or "masked_spec" in name for name in frozen)
    assert all(weight.grad is not None for weight in encoder.parameters() if weight.requires_grad)


def test_nothing_is_masked_unless_asked_for(folder: Path) -> None:
    encoder = load(folder)
    inputs = encoder.prepare(noise(2), 50)[None]
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    encoder.train()
    encoder.model.encoder.config.attention_dropout = 0.0
    for layer in encoder.model.encoder.layers:
        layer.attention.dropout = 0.0
    assert torch.equal(encoder(inputs), encoder(inputs))
    encoder.spec_augment = True
    assert not torch.equal(encoder(inputs), encoder(inputs))


def test_an_architecture_rebuilds_the_network_for_a_checkpoint(folder: Path) -> None:
    encoder = load(folder)
    architecture = json.loads(json.dumps(encoder.architecture()))
    settings = SpeechSettings(
        encoder="wav2vec2", model="nowhere/to-be-found", wav2vec_context_frames=4
    )
    other = build_encoder(settings, 25, 16000, architecture).eval()
    other.load_state_dict(encoder.state_dict())
    inputs = encoder.prepare(noise(1), 25)
    assert torch.equal(other.prepare(noise(1), 25), inputs)
    assert torch.equal(other(inputs[None]), encoder(inputs[None]))


def test_a_model_that_is_nowhere_says_how_to_fetch_it() -> None:
    with pytest.raises(WeightsMissing, match="nowhere/to-be-found") as caught:
        build_encoder(SpeechSettings(model="nowhere/to-be-found"), 25, 16000)
    assert "--set speech.model=FOLDER" in str(caught.value.hint)
    assert "hf download nowhere/to-be-found" in str(caught.value.hint)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such folder"):
        build_encoder(SpeechSettings(model=str(tmp_path / "absent")), 25, 16000)


def test_an_empty_folder_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"speech\.model"):
        build_encoder(SpeechSettings(model=str(tmp_path)), 25, 16000)


def as_on_the_hub(folder: Path) -> Path:
    """Turn a saved model into what the hub has of most: a pickle, by the names of older days."""
    from safetensors.torch import load_file

    state = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        state["wav2vec2." + name.replace("parametrizations.weight.original1", "weight_v")] = tensor
    state["lm_head.weight"] = torch.zeros(3, 16)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    return folder


def test_a_model_as_it_is_on_the_hub_gives_the_same_features(folder: Path) -> None:
    before = load(folder)
    inputs = before.prepare(noise(1), 25)
    after = load(as_on_the_hub(folder))
    assert torch.equal(after.prepare(noise(1), 25), inputs)
    assert torch.equal(after(inputs[None]), before(inputs[None]))


def test_a_model_that_lacks_weights_is_not_filled_up_with_noise(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsCorrupt, match="of them are missing, such as"):
        load(folder)


def test_a_model_with_code_in_it_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    for weights in write_hostile(tmp_path):
        shutil.copy(weights, folder / "pytorch_model.bin")
        with pytest.raises(WeightsCorrupt, match="cannot be read"):
            load(folder)
    assert not (tmp_path / "was-run").exists()


def test_a_hub_model_is_asked_for_at_its_pinned_revision(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def fetch(repository: str, revision: str) -> Path:
        asked.append((repository, revision))
        return folder

    monkeypatch.setattr(hub, "fetch", fetch)
    name = "facebook/wav2vec2-xls-r-300m"
    build_encoder(SpeechSettings(model=name), 25, 16000)
    build_encoder(SpeechSettings(model=name, revision="v2"), 25, 16000)
    build_encoder(SpeechSettings(model="somebody/else"), 25, 16000)
    assert asked == [(name, hub_revision(name)), (name, "v2"), ("somebody/else", "main")]


def test_a_truncated_weights_file_is_called_corrupt(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "group")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsCorrupt, match="cannot be read"):
        load(folder)


def test_a_model_for_another_sample_rate_is_refused(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "group", sampling_rate=8000)
    with pytest.raises(SettingsError, match="8000 Hz"):
        load(folder)
