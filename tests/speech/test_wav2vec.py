"""wav2vec 2.0 of both families, as tiny random models saved to and loaded from disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pirctl.compat import import_torchvision
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsMissing
from pirctl.settings import SpeechSettings
from pirctl.speech import build_encoder
from pirctl.speech.wav2vec import Wav2VecEncoder, interpolate
from pirctl.weights import hub
from pirctl.weights.catalog import hub_revision
from tests.hostile import write_hostile

FAMILIES = ("group", "layer")


def save_model(
    folder: Path, family: str, *, sampling_rate: int = 16000, width: int = 16, layers: int = 2
) -> Path:
    """Save a tiny random model of the `family`, with its feature extractor."""
    import_torchvision()
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=128,  # As in every published model: it reaches 64 frames.
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=family,
        conv_bias=family == "layer",
        do_stable_layer_norm=family == "layer",
    )
    model = Wav2Vec2Model(config)
    for name, weight in model.named_parameters():
        if "feature_extractor" in name and "layer_norm" in name:
            torch.nn.init.normal_(weight, 1.0 if name.endswith("weight") else 0.0, 0.2)
    model.save_pretrained(folder)
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


def speech(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise that is loud and quiet by turns, off zero, with a long pause: no two blocks alike."""
    time = np.arange(int(seconds * 16000)) / 16000
    loudness = (0.2 + np.sin(2 * np.pi * time / 1.7) ** 2) * np.where(time % 6 > 4, 1e-3, 1.0)
    return (0.02 + loudness * noise(seconds)).astype(np.float32)


LENGTHS = (0, 1, 9, 399, 400, 401, 639, 640, 641, 16000, 117920)


@pytest.mark.parametrize("samples", LENGTHS)
def test_any_number_of_samples_gives_exactly_the_frames_of_the_sound(
    folder: Path, samples: int
) -> None:
    encoder = load(folder)
    sound = noise(8)[:samples]
    frames = max(1, -(-samples // 640))
    inputs = encoder.prepare(sound, frames)
    assert inputs.shape == (frames + 8, 8)
    streamed = torch.cat(list(encoder.stream([sound], frames, encoder.measure([sound]), 100)), 1)
    assert streamed.shape == (1, frames, encoder.feature_width)
    assert torch.isfinite(streamed).all()
    assert inputs.abs().max() < 1e3
    assert encoder.prepare(sound, frames + 7).shape == (frames + 15, 8)


def rows_of_transformers(folder: Path, sound: np.ndarray, frames: int) -> tuple[Any, torch.Tensor]:
    """The model as transformers loads it, and its rows of the file in one piece, (1, T, C).

    The convolutions start 120 samples late, after the first one's norm, which every 320 samples
    puts every second row in the middle of a frame.
    """
    import_torchvision()
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor = Wav2Vec2FeatureExtractor.from_pretrained(str(folder))
    values = extractor(sound, sampling_rate=16000, return_tensors="pt").input_values
    model = Wav2Vec2Model.from_pretrained(folder).eval()
    first, *others = model.feature_extractor.conv_layers
    with torch.no_grad():
        heard = first(values[:, None])[:, :, 24:]
        for layer in others:
            heard = layer(heard)
    return model, heard[:, :, : 2 * frames : 2].transpose(1, 2)


def test_rows_are_those_of_transformers_for_the_file_in_one_piece(folder: Path) -> None:
    encoder = load(folder)
    encoder.block_frames = 60
    sound, frames = speech(14), 350
    _, expected = rows_of_transformers(folder, sound, frames)
    rows = encoder.prepare(sound, frames)[4:-4]
    # The group norm's variance is of every window here, there of all but the last few.
    torch.testing.assert_close(rows[None], expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


def test_a_masked_model_gives_transformers_own_features_of_the_file(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "layer")
    encoder = load(folder, context=64)
    sound, frames = speech(4), 100
    model, rows = rows_of_transformers(folder, sound, frames)
    with torch.no_grad():
        expected = model.encoder(model.feature_projection(rows)[0]).last_hidden_state
        features = encoder(encoder.prepare(sound, frames)[None])
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_an_unmasked_model_hears_silence_beyond_the_file(tmp_path: Path) -> None:
    encoder = load(save_model(tmp_path / "model", "group"))
    assert not encoder.masked
    sound = speech(2)
    sound -= sound.mean()
    around = np.concatenate([np.zeros(4 * 640), sound, np.zeros(4 * 640)]).astype(np.float32)
    loudness = encoder.measure([sound])
    wide = torch.cat(list(encoder._rows([around], 58, loudness)))[4:-4]
    torch.testing.assert_close(encoder.prepare(sound, 50), wide, rtol=1e-4, atol=1e-4)


def test_what_is_outside_the_file_does_not_reach_a_masked_model(tmp_path: Path) -> None:
    encoder = load(save_model(tmp_path / "model", "layer"))
    assert encoder.masked
    inputs = encoder.prepare(speech(2), 50)
    outside = inputs.eq(0).all(-1)
    assert outside.tolist() == [True] * 4 + [False] * 50 + [True] * 4
    with torch.no_grad():
        together = encoder(torch.stack([inputs[:30], inputs[-30:]]))
        alone = [encoder(part[None]) for part in (inputs[:30], inputs[-30:])]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_blocks_agree_with_the_file_in_one_piece(folder: Path) -> None:
    encoder = load(folder)
    sound, frames = speech(13), 325
    whole = encoder.prepare(sound, frames)
    encoder.block_frames = 30
    blocks = encoder.prepare(sound, frames)
    assert (blocks - whole).abs().max() < 1e-5 * whole.std()


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_agree_with_the_file_in_one_piece_to_a_twentieth(
    tmp_path: Path, family: str
) -> None:
    folder = save_model(tmp_path / "model", family, width=64, layers=4)
    settings = SpeechSettings(encoder="wav2vec2", model=str(folder))
    encoder = build_encoder(settings, 25, 16000).eval()
    sound, frames = speech(14), 350
    with torch.no_grad():
        whole = encoder(encoder.prepare(sound, frames)[None])[0]
    pieces = [sound[i : i + 5000] for i in range(0, len(sound), 5000)]
    stream = encoder.stream(pieces, frames, encoder.measure(pieces), 100)
    chunked = torch.cat(list(stream), 1)[0]
    spread = (whole - whole.mean(0)).square().mean().sqrt()
    error = (chunked - whole).square().mean(1).sqrt() / spread
    assert error.max() < 0.05


def test_a_click_is_heard_in_its_frame(folder: Path) -> None:
    encoder = load(folder, context=0)
    encoder.normalise = False  # It would let the click change the level of everything.
    quiet = noise(1 + 2 * encoder.margin_samples / 16000)
    for frame in (5, 12):
        sound = quiet.copy()
        start = encoder.margin_samples + frame * 640
        sound[start + 310 : start + 330] += 0.5
        loudness = encoder.measure([quiet])
        change = encoder.block_inputs(sound, loudness) - encoder.block_inputs(quiet, loudness)
        strength = change.abs().sum(1)
        assert int(strength.argmax()) == frame
        assert (strength > 1e-6).sum() == 1


def test_interpolation_is_linear_and_holds_the_last_column() -> None:
    features = torch.arange(9.0)[None, None]
    positions = torch.tensor([0, 2, 2.5, 7.75, 8, 8.5])
    assert interpolate(features, positions)[0, 0].tolist() == [0, 2, 2.5, 7.75, 8, 8]


def test_a_rate_that_does_not_divide_the_features_is_interpolated(folder: Path) -> None:
    settings = SpeechSettings(encoder="wav2vec2", model=str(folder), wav2vec_context_frames=0)
    encoder = build_encoder(settings, 20, 16000)
    sound = speech(6)
    whole = encoder.prepare(sound, 120)
    encoder.block_frames = 18  # 45 features: the same 50 moments a second in every block.
    assert whole.shape == (120, 8)
    torch.testing.assert_close(encoder.prepare(sound, 120), whole, rtol=1e-4, atol=1e-5)


def test_streaming_in_pieces_equals_the_whole(folder: Path) -> None:
    encoder = load(folder)
    encoder.block_frames = 30
    sound, frames = noise(3), 75
    inputs = encoder.prepare(sound, frames)
    windows = [inputs[None, a : min(a + 20, frames) + 8] for a in range(0, frames, 20)]
    with torch.no_grad():
        whole = torch.cat([encoder(window) for window in windows], 1)
    pieces = [sound[i : i + 1001] for i in range(0, len(sound), 1001)]
    streamed = torch.cat(list(encoder.stream(pieces, frames, encoder.measure(pieces), 20)), 1)
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
    assert "hf download nowhere/to-be-found where" in str(caught.value.hint)
    assert "HF_HUB_OFFLINE" in caught.value.message


def test_a_listed_model_is_fetched_by_its_name() -> None:
    with pytest.raises(WeightsMissing) as caught:
        build_encoder(SpeechSettings(model="facebook/wav2vec2-base-960h"), 25, 16000)
    assert "pirctl models pull wav2vec2-base-960h where" in str(caught.value.hint)


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
    mirrors: list[str | None] = []

    def fetch(repository: str, revision: str, *, endpoint: str | None) -> Path:
        asked.append((repository, revision))
        mirrors.append(endpoint)
        return folder

    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.delenv("PIRCTL_MIRROR", raising=False)
    name = "facebook/wav2vec2-xls-r-300m"
    build_encoder(SpeechSettings(model=name), 25, 16000)
    build_encoder(SpeechSettings(model=name, revision="v2"), 25, 16000)
    monkeypatch.setenv("PIRCTL_MIRROR", "https://mirror.example/")
    build_encoder(SpeechSettings(model="somebody/else"), 25, 16000)
    assert mirrors == [None, None, "https://mirror.example"]
    assert asked == [(name, hub_revision(name)), (name, "v2"), ("somebody/else", "main")]


def test_a_model_in_the_hubs_cache_is_loaded_by_its_id(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = cache / "models--somebody--tiny-wav2vec2"
    shutil.copytree(folder, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    settings = SpeechSettings(model="somebody/tiny-wav2vec2", wav2vec_context_frames=4)
    by_id = build_encoder(settings, 25, 16000).eval()
    by_folder, sound = load(folder), noise(1)
    inputs = by_folder.prepare(sound, 25)
    assert torch.equal(by_id.prepare(sound, 25), inputs)
    assert torch.equal(by_id(inputs[None]), by_folder(inputs[None]))


def test_a_model_saved_in_half_precision_is_heard_in_full(folder: Path) -> None:
    import_torchvision()
    from transformers import Wav2Vec2Model

    Wav2Vec2Model.from_pretrained(folder).half().save_pretrained(folder)
    encoder = load(folder)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    architecture = json.loads(json.dumps(encoder.architecture()))
    other = build_encoder(SpeechSettings(wav2vec_context_frames=4), 25, 16000, architecture)
    assert {weight.dtype for weight in other.parameters()} == {torch.float32}
    assert torch.isfinite(encoder(encoder.prepare(noise(1), 25)[None])).all()


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
