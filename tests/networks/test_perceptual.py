from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from pirctl.compat import import_torchvision
from pirctl.config import load
from pirctl.errors import WeightsCorrupt
from pirctl.networks.perceptual import PerceptualLoss, vgg16_layers
from pirctl.settings import LossSettings, Vgg16Layer
from pirctl.training import stages

JOHNSON = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG16 state dict with random weights, torchvision's names, and a stub classifier."""
    generator = torch.Generator().manual_seed(0)
    state = {"classifier.0.bias": torch.zeros(3)}
    for index, inputs, outputs in vgg16_layers().values():
        scale = (2 / (9 * inputs)) ** 0.5
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
        state[f"features.{index}.weight"] = weight
        state[f"features.{index}.bias"] = torch.zeros(outputs)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return path


def torchvisions(state: dict[str, torch.Tensor]) -> nn.Sequential:
    """Torchvision's own `features` of VGG16."""
    import_torchvision()
    from torchvision.models import vgg

    features: nn.Sequential = vgg.make_layers(vgg.cfgs["D"])
    wanted = {name[9:]: value for name, value in state.items() if name.startswith("features.")}
    features.load_state_dict(wanted)
    return features


# Where torchvision has them: after each ReLU.
PLACES = {
    "relu1_1": 1, "relu1_2": 3, "relu2_1": 6, "relu2_2": 8, "relu3_1": 11, "relu3_2": 13,
    "relu3_3": 15, "relu4_1": 18, "relu4_2": 20, "relu4_3": 22, "relu5_1": 25, "relu5_2": 27,
    "relu5_3": 29,
}  # fmt: skip


@pytest.mark.parametrize("layers", [JOHNSON, tuple(PLACES), ("relu5_3",)])
def test_features_are_those_of_torchvisions_layers(weights: Path, layers: tuple[str, ...]) -> None:
    loss = PerceptualLoss(weights, layers)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    x = ((image + 1) / 2 - mean) / deviation
    features = torchvisions(torch.load(weights, weights_only=True))
    expected = []
    with torch.no_grad():
        for index, layer in enumerate(features):
            x = layer(x)
            if index in [PLACES[name] for name in layers]:
                expected.append(x.clone())  # Pooling aside, torchvision works in place.
    found = loss.extract(image)
    assert [a.shape for a in found] == [a.shape for a in expected]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_the_settings_offer_the_layers_there_are_and_johnsons_by_default() -> None:
    assert get_args(Vgg16Layer) == tuple(vgg16_layers()) == tuple(PLACES)
    assert LossSettings().perceptual_layers == JOHNSON


def test_the_layers_of_the_settings_are_those_that_training_compares(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "find_weights", lambda name: weights)
    chosen = ["loss.perceptual=1", "loss.perceptual_layers=[relu1_1, relu2_1]"]
    job: Any = SimpleNamespace(settings=load("tiny", chosen), device="cpu")
    loss = stages._perceptual(job)
    assert loss is not None
    assert [feature.shape[1] for feature in loss.extract(torch.zeros(1, 3, 16, 16))] == [64, 128]
    job = SimpleNamespace(settings=load("tiny", ["loss.perceptual=0"]), device="cpu")
    assert stages._perceptual(job) is None


def test_loss_is_the_sum_of_mean_squared_differences(weights: Path) -> None:
    loss = PerceptualLoss(weights, ["relu2_2", "relu1_2"])
    first, second = torch.rand(2, 1, 3, 16, 16) * 2 - 1
    expected = sum(
        (a - b).square().mean()
        for a, b in zip(loss.extract(first), loss.extract(second), strict=True)
    )
    assert float(loss(first, second)) == pytest.approx(float(expected), rel=1e-4)
    assert float(loss(first, first)) == 0


def test_only_the_prediction_gets_a_gradient(weights: Path) -> None:
    loss = PerceptualLoss(weights, ["relu1_2"])
    prediction = torch.zeros(1, 3, 16, 16, requires_grad=True)
    truth = torch.ones(1, 3, 16, 16, requires_grad=True)
    loss(prediction, truth).backward()
    assert prediction.grad is not None
    assert prediction.grad.abs().max() > 0
    assert truth.grad is None
    assert not any(weight.requires_grad for weight in loss.parameters())


def test_only_the_layers_needed_are_read(weights: Path) -> None:
    shallow = PerceptualLoss(weights, ["relu1_2"])
    assert set(shallow.features) == {"0", "2"}


def test_a_file_that_is_not_vgg16_is_refused(tmp_path: Path) -> None:
    other, text = tmp_path / "other.pth", tmp_path / "text.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, other)
    text.write_text("not weights")
    for path in (other, text, tmp_path / "missing.pth"):
        with pytest.raises(WeightsCorrupt, match="VGG16") as caught:
            PerceptualLoss(path, ["relu1_2"])
        assert caught.value.hint


def test_an_unknown_layer_is_named(weights: Path) -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        PerceptualLoss(weights, ["relu9_9"])


def test_a_file_in_the_format_of_the_published_one_is_read(weights: Path, tmp_path: Path) -> None:
    """vgg16-397923af.pth is of 2017: its 3705 bytes beside the numbers leave no room for a zip."""
    old = tmp_path / "old.pth"
    state = torch.load(weights, weights_only=True)
    torch.save(state, old, _use_new_zipfile_serialization=False)
    loss, expected = PerceptualLoss(old, JOHNSON), PerceptualLoss(weights, JOHNSON)
    image = torch.rand(1, 3, 16, 16)
    found = zip(loss.extract(image), expected.extract(image), strict=True)
    assert all(torch.equal(a, b) for a, b in found)
