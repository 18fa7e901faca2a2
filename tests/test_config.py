from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pirctl import config
from pirctl.config import models_folder, preset_names
from pirctl.errors import SettingsError
from pirctl.settings import Settings

PRESETS = sorted((models_folder() / "presets").rglob("*.yaml"))


def problem(*overrides: str, preset: str | Path = "tiny") -> str:
    with pytest.raises(SettingsError) as caught:
        config.load(preset, overrides)
    return caught.value.message


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_shipped_preset_loads_and_survives_a_round_trip(path: Path) -> None:
    settings = config.load(path)
    assert isinstance(settings, Settings)
    mapping = config.to_mapping(settings)
    assert config.from_mapping(mapping) == settings
    assert config.from_mapping(yaml.safe_load(yaml.safe_dump(mapping))) == settings


def test_presets_are_found_by_name() -> None:
    assert {"paper", "fast", "tiny"} <= set(preset_names())
    assert len(preset_names()) == len(PRESETS)
    assert config.load("tiny") == config.load(models_folder() / "presets" / "tiny.yaml")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="no preset 'tinny'") as caught:
        config.load("tinny")
    assert "did you mean tiny" in str(caught.value.hint)
    with pytest.raises(SettingsError, match="does not exist"):
        config.load("none.yaml")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Pretend a CUDA GPU with so many bytes; 0: none."""
    import torch

    def pretend(size: float) -> None:
        properties = SimpleNamespace(name="Card", total_memory=int(size))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: size > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(size > 0))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    return pretend


@pytest.mark.parametrize(
    ("size", "preset", "why"),
    [
        (0, "laptop", "no CUDA GPU, paper is for one of 16 GB or more"),
        (8.2e9, "laptop", "Card has 8 GB, paper needs 16 GB"),
        (15.6e9, "paper", "Card has 16 GB"),  # What a card sold as 16 GB reports.
        (85e9, "paper", "Card has 85 GB"),
    ],
)
def test_auto_is_what_the_machine_can_train(
    card: Callable[[float], None], size: float, preset: str, why: str
) -> None:
    card(size)
    assert config.choose_preset() == (preset, why)
    assert preset in preset_names()


def test_auto_is_the_targets_preset_where_there_is_one_and_a_named_one_wins(
    card: Callable[[float], None],
) -> None:
    card(85e9)
    assert config.choose_preset(remembered="fast") == ("fast", "")
    assert config.choose_preset("own.yaml", remembered="fast") == ("own.yaml", "")
    assert config.choose_preset(device="cpu")[0] == "laptop"
    with pytest.raises(SettingsError, match="cuda:7"):
        config.choose_preset(device="cuda:7")


def test_a_gpu_that_does_not_answer_is_no_error(
    card: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def refuse(device: object) -> None:
        raise RuntimeError("CUDA error: all devices are busy")

    card(85e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", refuse)
    assert config.choose_preset() == ("laptop", "the CUDA GPU does not answer")


def test_overrides_win_over_the_preset_and_later_over_earlier() -> None:
    settings = config.load("tiny", ["train.face.epochs=3", "train.face.epochs=4", "mask.margin=1"])
    assert settings.train.face.epochs == 4
    assert settings.train.face.learning_rate == config.load("tiny").train.face.learning_rate
    assert settings.mask.margin == 1.0
    assert isinstance(settings.mask.margin, float)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.audio.learning_rate=1e-4", 1e-4),
        ("train.audio.learning_rate=5.0E-3", 5e-3),
        ("train.audio.learning_rate=.5", 0.5),
    ],
)
def test_numbers_are_read_as_people_write_them(override: str, value: float) -> None:
    assert config.load("tiny", [override]).train.audio.learning_rate == value


@pytest.mark.parametrize(
    ("section", "numbers"),
    [
        ("media", {"frame_rate": 25, "sample_rate_hz": 16000, "size_px": 512}),
        ("audio2exp", {"width": 1024, "heads": 4, "feedforward": 2048, "layers": 1}),
        ("audio2exp", {"period_frames": 25, "window_frames": 100}),
        ("face", {"style_width": 512, "plane_size": 256, "plane_channels": 32}),
        ("face", {"feature_channels": 32, "feature_size": 64}),
        ("renderer", {"coarse_blocks": 4, "fine_blocks": 3, "feature_size": 32}),
        ("discriminator", {"scales": 3}),
        ("loss", {"photometric": 1, "perceptual": 1, "feature_matching": 1, "adversarial": 1}),
        ("train", {"holdout_s": 25, "jitter_px": 3, "render_window": 1}),
    ],
)
def test_the_preset_paper_has_the_numbers_of_the_paper(
    section: str, numbers: dict[str, float]
) -> None:
    chosen = getattr(config.load("paper"), section)
    assert {name: getattr(chosen, name) for name in numbers} == numbers


def test_the_paper_trains_every_stage_as_long_and_with_the_momenta_that_the_paper_gives() -> None:
    train = config.load("paper").train
    assert [train.audio.epochs, train.face.epochs, train.render.epochs] == [120, 50, 50]
    assert (train.render.beta1, train.render.beta2) == (0.5, 0.999)


def test_a_stage_given_in_part_keeps_its_own_defaults_and_not_those_of_another(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.yaml").write_text("train: {audio: {learning_rate: 1}, render: {epochs: 2}}")
    train = config.load(tmp_path / "own.yaml", ["train.render.batch_size=4"]).train
    assert (train.audio.epochs, train.audio.batch_size) == (120, 1)
    assert (train.render.beta1, train.render.beta2) == (0.5, 0.999)
    assert (train.render.epochs, train.render.batch_size) == (2, 4)


def test_tiny_trains_with_the_momenta_it_was_tuned_with() -> None:
    train = config.load("tiny").train
    assert (train.audio.beta1, train.audio.beta2) == (0.9, 0.99)
    assert (train.face.beta1, train.face.beta2) == (0.5, 0.9)
    assert (train.render.beta1, train.render.beta2) == (0.9, 0.99)


def test_epochs_that_a_person_counts_lift_the_presets_floor() -> None:
    train = config.load("tiny", ["train.face.epochs=1"]).train
    assert (train.face.min_steps, train.render.min_steps) == (0, 1200)
    again = config.load("tiny", ["train.face.epochs=1", "train.face.min_steps=9"])
    assert again.train.face.min_steps == 9


def test_tuples_literals_and_texts_are_read() -> None:
    settings = config.load(
        "tiny",
        ["loss.perceptual_layers=[relu1_2, relu2_2]", "mask.region=face", "speech.model=org/on"],
    )
    assert settings.loss.perceptual_layers == ("relu1_2", "relu2_2")
    assert settings.mask.region == "face"
    assert settings.speech.model == "org/on"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("renderer.coarse_chanels=3", "renderer.coarse_chanels: unknown key, did you mean"),
        ("rendering.fine_blocks=3", "rendering: unknown key, did you mean `renderer`"),
        ("epochs=3", "did you mean `train.audio.epochs` or"),
        ("train.face.epochs=1.5", "train.face.epochs: expected a whole number, found 1.5"),
        ("train.face.epochs=true", "train.face.epochs: expected a whole number, found true"),
        ("train.face.epochs=", "train.face.epochs: expected a whole number, found nothing"),
        ("train.holdout_s=1:30", "train.holdout_s: expected a number, found the text '1:30'"),
        ("train.holdout_s=.nan", "train.holdout_s: expected a number"),
        ("train.holdout_s=.inf", "train.holdout_s: expected a number"),
        ("mask.margin=on", "mask.margin: expected a number, found the text 'on'"),
        ("speech.model=3", "speech.model: expected text, found 3"),
        ("mask.region=lowr", "expected one of lower, face, mouth (did you mean lower?)"),
        ("loss.perceptual_layers=relu1_2", "loss.perceptual_layers: expected a list"),
        ("loss.perceptual_layers=[1]", "loss.perceptual_layers[0]: expected one of relu1_1, "),
        ("loss.perceptual_layers=[relu1_2, relu3_4]", "loss.perceptual_layers[1]: expected one of"),
        ("loss.perceptual_layers=[]", "loss: perceptual_layers is empty"),
        ("train.face=3", "train.face: expected a section with keys, found 3"),
        ("train.face.epochs.x=3", "epochs is a value, not a section"),
        ("train.face.epochs", "expected section.key=value"),
        ("train..epochs=3", "expected section.key=value"),
        ("train.face.epochs=0", "train.face: epochs is 0, it must be at least 1"),
        ("media.size_px=100", "media: size_px is 100, it must be a multiple of 16"),
    ],
)
def test_each_kind_of_mistake_names_its_key(override: str, words: str) -> None:
    assert words in problem(override)


def test_all_problems_come_in_one_message() -> None:
    message = problem("a=1", "mask.margin=x", "train.face.epochs=0")
    assert "3 problems" in message
    assert message.count("\n") == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1\n- 2", "expected sections with keys"),
        ("mask: [", "cannot be read as YAML"),
        ("mask: {margin: 1}\nmask: {margin: 2}", "is given twice"),
        ("mask:", "mask: expected a section with keys, found nothing"),
        ("1: 2", "1: unknown key"),
        ("on: 2", "on: unknown key"),
        ("train: {audio: {epochs: 07}, 3: 4}", "train.3: unknown key"),
    ],
)
def test_a_file_that_is_no_preset_is_said_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    assert words in problem(preset=tmp_path / "own.yaml")


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("# nothing\n")
    assert config.load(tmp_path / "own.yaml") == Settings()


def test_every_setting_explains_itself() -> None:
    import inspect

    import pirctl.settings

    for kind in vars(pirctl.settings).values():
        if not is_dataclass(kind) or kind is Settings:
            continue
        source = inspect.getsource(kind)  # type: ignore[arg-type]
        for field in fields(kind):
            after = source.split(f"    {field.name}: ", 1)[1].split("\n    def ")[0]
            assert '"""' in after.split(": ")[0] + after[:400], f"{kind}.{field.name}"


def test_a_face_that_is_smaller_in_the_source_is_not_enlarged_where_asked() -> None:
    kept = replace(config.load("laptop").media, size_px=512, enlarge=False)
    assert [kept.size_of(side) for side in (90, 257, 380, 512, 1400)] == [256, 288, 384, 512, 512]
    assert replace(kept, enlarge=True).size_of(380) == 512


def test_settings_fit_a_target_that_kept_its_own_resolution() -> None:
    laptop = config.load("laptop")
    cell = laptop.media.size_px // laptop.renderer.feature_size
    fitted = config.at_size(laptop, 384)
    assert (fitted.media.size_px, fitted.renderer.feature_size) == (384, 384 // cell)
    assert config.at_size(laptop, 512) == laptop
    # A preset that enlarges has one size; another one is a mistake that training names.
    assert config.at_size(config.load("tiny"), 128) == config.load("tiny")
