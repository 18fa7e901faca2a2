"""Whisper's encoder as a tiny random model: exact frames and time, one grid of windows, weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pirctl.compat import import_torchvision
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsMissing
from pirctl.files import file_hash
from pirctl.settings import SpeechSettings
from pirctl.speech import build_encoder, whisper_weights
from pirctl.speech.whisper import HOP_STEPS, STEP_SAMPLES, WhisperEncoder, bare_encoder
from pirctl.weights import catalog
from pirctl.weights.catalog import weights_entry
from tests.hostile import write_hostile

SIZES = {
    "d_model": 16,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "encoder_layers": 3,
    "max_source_positions": 1500,
    "num_mel_bins": 80,
}
SETTINGS = SpeechSettings(encoder="whisper", whisper_width=12)
OFFICIAL = {
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "self_attn_layer_norm": "attn_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "final_layer_norm": "mlp_ln",
}


def random_model() -> Any:
    """With weights so large that sound counts, and positions so small that it counts more."""
    torch.manual_seed(0)
    model = bare_encoder(SIZES).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight") and weight.ndim > 1:
                weight.mul_(0.02 if "positions" in name else 8)
    return model


def make(frame_rate: int = 25, layer: int = 2) -> WhisperEncoder:
    settings = SpeechSettings(encoder="whisper", whisper_width=12, whisper_layer=layer)
    return WhisperEncoder(random_model(), settings, frame_rate, 16000).eval()


def noise(seconds: float) -> np.ndarray:
    """Noise that is loud and quiet by turns."""
    generator = np.random.default_rng(0)
    time = np.arange(round(seconds * 16000)) / 16000
    loud = 0.02 + 0.1 * np.sin(2 * np.pi * time / 1.7) ** 2
    return (loud * generator.standard_normal(len(time))).astype(np.float32)


def write_official(path: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """A file as OpenAI writes them, float16; the encoder's weights by transformers' names."""
    model = random_model()
    state = {}
    for name, weight in model.state_dict().items():
        for ours, theirs in OFFICIAL.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
        name = name.replace("layers.", "blocks.").replace(
            "embed_positions.weight", "positional_embedding"
        )
        name = (
            "ln_post." + name.removeprefix("layer_norm.") if name.startswith("layer_norm") else name
        )
        state[f"encoder.{name}"] = weight.half()
    state["decoder.ln.weight"] = torch.ones(16)
    sizes = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 16, "n_audio_head": 2}
    sizes["n_audio_layer"] = 3
    torch.save({"dims": sizes, "model_state_dict": state} | changes, path)
    return {name: weight.half().float() for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("samples", [0, 1, 399, 640, 641, 16000, 117920])
def test_any_number_of_samples_gives_exactly_the_frames_asked_for(samples: int) -> None:
    encoder = make()
    frames = max(1, -(-samples // 640))
    inputs = encoder.prepare(noise(8)[:samples], frames)
    assert inputs.shape == (frames + 8, 32)
    assert encoder(inputs[None]).shape == (1, frames, 12)
    assert encoder.prepare(noise(8)[:samples], frames + 7).shape == (frames + 15, 32)


@pytest.mark.parametrize("frame_rate", [20, 32, 40, 50])
def test_other_frame_rates_hear_the_same_sound_at_the_same_time(frame_rate: int) -> None:
    frames = 4 * frame_rate
    time = np.arange(4 * 16000) / 16000
    sound = (0.1 * np.sin(2 * np.pi * (900 * time + 60 * np.sin(9 * time)))).astype(np.float32)
    rows = make(frame_rate).prepare(sound, frames)
    assert rows.shape == (frames + 8, 32)
    rows = rows[4:-4].reshape(2 * frames, 16).numpy()
    features = make().prepare(sound, 100)[4:-4].reshape(200, 16).numpy()  # 20 ms apart
    at = (np.arange(2 * frames) + 0.5) * 100 / frames - 0.5
    expected = np.stack([np.interp(at, np.arange(200), column) for column in features.T], 1)
    apart = np.sqrt(((rows - expected) ** 2).sum(1).mean())
    late = np.sqrt(((rows[4:] - expected[:-4]) ** 2).sum(1).mean())
    # The context is longer, so that the windows lie elsewhere.
    assert apart < 0.7 * np.sqrt(features.var(0).sum())
    assert apart < 0.7 * late


def test_a_window_of_the_file_is_what_the_models_own_encoder_makes_of_it() -> None:
    """30 s in a window of 30 s: the call of transformers, but for the spectrum's edges."""
    import_torchvision()
    from transformers import WhisperFeatureExtractor

    encoder = make(layer=3)
    full = random_model()
    full.layer_norm = torch.nn.Identity()
    sound = noise(30)
    extractor = WhisperFeatureExtractor()
    theirs = extractor(sound, sampling_rate=16000, return_tensors="pt").input_features
    # Ours is cut off at a fixed level, theirs under its own loudest moment; both far below this.
    padded = np.pad(sound, (200, 200))
    ours = encoder._spectrum(padded[: 2999 * 160 + 400])
    torch.testing.assert_close(ours[:, 2:-2], theirs[0, :, 2:-2], rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        expected = full(theirs).last_hidden_state
        torch.testing.assert_close(encoder._hear(theirs), expected, rtol=1e-4, atol=1e-4)


def test_shorter_windows_take_the_positions_that_they_fill() -> None:
    encoder = make()
    spectrum = torch.randn(1, 80, 60)
    heard = encoder._hear(spectrum)
    assert heard.shape == (1, 30, 16)
    with torch.no_grad():
        encoder.model.embed_positions.weight[30:] += 100
    torch.testing.assert_close(encoder._hear(spectrum), heard)


def test_rows_do_not_depend_on_how_a_file_is_cut_into_blocks() -> None:
    encoder = make()
    sound = noise(27.3)
    frames = 683
    encoder.block_frames = 1000
    whole = encoder.prepare(sound, frames)
    for blocks in (50, 250):
        encoder.block_frames = blocks
        torch.testing.assert_close(encoder.prepare(sound, frames), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("piece_samples", [333, 16000])
def test_streaming_in_pieces_equals_the_whole(piece_samples: int) -> None:
    encoder = make()
    sound = noise(23)
    frames = 575
    whole = encoder(encoder.prepare(sound, frames)[None])
    pieces = [sound[i : i + piece_samples] for i in range(0, len(sound), piece_samples)]
    loudness = encoder.measure([sound])
    streamed = list(encoder.stream(pieces, frames, loudness, 60))
    torch.testing.assert_close(torch.cat(streamed, 1), whole, rtol=1e-4, atol=1e-4)


def test_no_seam_is_larger_than_a_step_elsewhere() -> None:
    """The windows fade into each other: where they meet, rows change as they do in between."""
    encoder = make()
    rows = encoder.prepare(noise(30), 750)
    steps = (rows[1:] - rows[:-1]).square().sum(1).sqrt().numpy()
    hop = HOP_STEPS // 2
    meeting = steps[hop - 1 :: hop]
    between = np.delete(steps, np.arange(hop - 1, len(steps), hop))
    assert meeting.mean() < 1.25 * between.mean()
    assert meeting.max() <= between.max()


def test_what_a_position_does_is_taken_off() -> None:
    encoder = make()
    with torch.no_grad():
        encoder.model.embed_positions.weight.mul_(50)
    sound = noise(8)
    loudness = encoder.measure([sound])

    def apart() -> float:
        """Between the rows of the sound and those of the same, half a window's hop later."""
        late = np.concatenate([np.zeros(25 * 640, np.float32), sound])
        first = torch.cat(list(encoder._rows([sound], 200, loudness)))
        second = torch.cat(list(encoder._rows([late], 225, loudness)))[25:]
        spread = first[50:150].std(0).square().sum().sqrt()
        return float((first - second)[50:150].square().sum(1).mean().sqrt() / spread)

    before = apart()
    encoder.learn_places()
    assert apart() < 0.6 * before


def test_rows_hear_no_further_than_a_window() -> None:
    encoder = make()
    sound = noise(12)
    changed = sound.copy()
    changed[: 2 * 16000] *= -0.7
    rows, other = (
        torch.cat(list(encoder._rows([piece], 300, encoder.measure([sound]))))
        for piece in (sound, changed)
    )
    reach = 2 * HOP_STEPS * STEP_SAMPLES // 640
    torch.testing.assert_close(rows[50 + reach + 5 :], other[50 + reach + 5 :], rtol=0, atol=1e-5)
    assert (rows[:50] - other[:50]).abs().max() > 1e-2


def test_a_quieter_recording_gives_nearly_the_same_rows() -> None:
    encoder = make()
    loud, quiet = encoder.prepare(noise(4), 100), encoder.prepare(0.1 * noise(4), 100)
    torch.testing.assert_close(loud, quiet, rtol=1e-2, atol=1e-2)


def test_whisper_is_frozen_and_the_head_trains() -> None:
    encoder = make().train()
    assert not encoder.model.training
    trained = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert trained
    assert not any(name.startswith("model.") for name in trained)
    inputs = encoder.prepare(noise(2), 50)[None]
    assert not torch.equal(encoder(inputs), encoder(inputs))
    encoder.eval()
    assert torch.equal(encoder(inputs), encoder(inputs))


def test_it_adapts_to_the_rows_of_the_training_part() -> None:
    encoder = make()
    rows = 3 + 5 * torch.randn(500, 32)
    rows[:, 7] = 2.0  # A channel that never changes is not blown up.
    encoder.adapt(rows)
    seen = (rows - encoder.mean) / encoder.deviation
    torch.testing.assert_close(seen.mean(0), torch.zeros(32), rtol=0, atol=1e-4)
    assert float(seen.std(0)[:7].mean()) == pytest.approx(1, abs=0.01)
    assert encoder.deviation[7] > 0.1


def test_it_is_made_again_from_its_architecture_and_its_weights() -> None:
    encoder = make()
    encoder.adapt(torch.randn(100, 32))
    architecture = json.loads(json.dumps(encoder.architecture()))
    again = build_encoder(SETTINGS, 25, 16000, architecture)
    again.load_state_dict(encoder.state_dict())
    again.eval()
    sound = noise(3)
    first, second = encoder.prepare(sound, 75), again.prepare(sound, 75)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(encoder(first[None]), again(second[None]))


def test_the_official_file_is_converted_and_read_back(tmp_path: Path) -> None:
    path, converted = tmp_path / "tiny.en.pt", tmp_path / "converted.safetensors"
    expected = write_official(path)
    whisper_weights.convert(path, converted)
    loaded = whisper_weights.read_converted(converted, "whisper_tiny_en")
    for name, weight in loaded.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
    with safe_open(converted, "pt") as file:
        assert not [name for name in file.keys() if "decoder" in name]  # noqa: SIM118


def test_the_encoder_comes_from_the_cache_and_is_converted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = weights_entry("whisper_tiny_en").path
    path.parent.mkdir(parents=True)
    expected = write_official(path)
    size, digest = path.stat().st_size, file_hash(path)
    small = replace(weights_entry("whisper_tiny_en"), packages=(), bytes=size, sha256=digest)
    monkeypatch.setattr(catalog, "weights_entries", lambda: {"whisper_tiny_en": small})
    settings = SpeechSettings(encoder="whisper")
    encoder = build_encoder(settings, 25, 16000)
    assert isinstance(encoder, WhisperEncoder)
    for name, weight in encoder.model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
    monkeypatch.setattr(whisper_weights, "convert", lambda *_: pytest.fail("converts again"))
    build_encoder(settings, 25, 16000)


def test_a_damaged_copy_is_named_with_what_to_do(tmp_path: Path) -> None:
    path, converted = tmp_path / "tiny.en.pt", tmp_path / "converted.safetensors"
    write_official(path)
    whisper_weights.convert(path, converted)
    converted.write_bytes(converted.read_bytes()[:1000])
    with pytest.raises(WeightsCorrupt, match="damaged") as caught:
        whisper_weights.read_converted(converted, "whisper_tiny_en")
    assert caught.value.hint == "pirctl models pull whisper_tiny_en --force"


@pytest.mark.parametrize("content", ["nothing", "list", "no dims"])
def test_another_file_is_refused_and_leaves_no_copy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tiny.en.pt"
    if content == "nothing":
        path.write_bytes(b"")
    elif content == "list":
        torch.save([1, 2], path)
    else:
        write_official(path, dims={})
    with pytest.raises(WeightsCorrupt, match=r"tiny\.en\.pt"):
        whisper_weights.convert(path, tmp_path / "converted.safetensors")
    assert list(tmp_path.iterdir()) == [path]


def test_code_in_the_file_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "tiny.en.pt"
    for hostile in write_hostile(tmp_path):
        hostile.replace(path)
        with pytest.raises(WeightsCorrupt):
            whisper_weights.convert(path, tmp_path / "converted.safetensors")
    assert not (tmp_path / "was-run").exists()


def test_a_folder_of_transformers_loads(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "model")
    settings = SpeechSettings(encoder="whisper", whisper_model=str(folder))
    encoder = build_encoder(settings, 25, 16000)
    assert isinstance(encoder, WhisperEncoder)
    assert len(encoder.model.layers) == 2
    assert encoder.prepare(noise(1), 25).shape == (33, 32)


def save_folder(folder: Path) -> Path:
    import_torchvision()
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    sizes = SIZES | {
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 8,
        "vocab_size": 20,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 3,
    }
    WhisperModel(WhisperConfig(**sizes)).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def test_a_folder_that_is_not_there_says_which_setting(tmp_path: Path) -> None:
    settings = SpeechSettings(encoder="whisper", whisper_model=str(tmp_path / "none"))
    with pytest.raises(WeightsMissing, match=r"speech\.whisper_model"):
        build_encoder(settings, 25, 16000)


def test_a_block_that_the_model_lacks_is_named() -> None:
    with pytest.raises(SettingsError, match=r"whisper_layer is 4, .* has 3 blocks"):
        make(layer=4)


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(SettingsError, match="16000 Hz"):
        WhisperEncoder(random_model(), SETTINGS, 25, 48000)
