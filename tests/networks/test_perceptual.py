from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pirctl.compat import import_torchvision
from pirctl.config import load
from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.networks import perceptual
from pirctl.networks.features import VGG16
from pirctl.networks.perceptual import (
    PerceptualLoss,
    build_perceptual,
    cut_around,
    draw_square,
    find_vgg16,
    torchvision_places,
)
from pirctl.settings import LossSettings, Vgg16Layer
from pirctl.weights.catalog import weights_entry

JOHNSON = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG16 state dict with random weights, torchvision's names, and a stub classifier."""
    generator = torch.Generator().manual_seed(0)
    state = {"classifier.0.bias": torch.zeros(3)}
    for index, layer in zip(torchvision_places(), VGG16, strict=True):
        scale = (2 / (9 * layer.inputs)) ** 0.5
        weight = torch.randn(layer.outputs, layer.inputs, 3, 3, generator=generator) * scale
        state[f"features.{index}.weight"] = weight
        state[f"features.{index}.bias"] = torch.zeros(layer.outputs)
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
    assert get_args(Vgg16Layer) == tuple(layer.name for layer in VGG16) == tuple(PLACES)
    assert LossSettings().perceptual_layers == JOHNSON


def test_the_layers_of_the_settings_are_those_that_training_compares(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "find_vgg16", lambda: weights)
    chosen = [
        "loss.perceptual=1", "loss.perceptual_layers=[relu1_1, relu2_1]",
        "loss.perceptual_every=4", "loss.perceptual_size_px=64",
    ]  # fmt: skip
    loss = build_perceptual(load("tiny", chosen).loss, torch.device("cpu"))
    assert loss is not None
    assert [feature.shape[1] for feature in loss.extract(torch.zeros(1, 3, 16, 16))] == [64, 128]
    assert [step for step in range(9) if loss.is_due(step)] == [0, 4, 8]
    assert loss.size_px == 64
    without = load("tiny", ["loss.perceptual=0"]).loss
    assert build_perceptual(without, torch.device("cpu")) is None


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
    assert set(shallow.state_dict()) == {
        f"features.convolutions.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")
    }


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


def test_the_trunk_of_lpips_is_read_as_well(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    trunk = {
        f"trunk.convolutions.{i}.{kind}": state[f"features.{place}.{kind}"]
        for i, place in enumerate(torchvision_places())
        for kind in ("weight", "bias")
    }
    path = tmp_path / "lpips.safetensors"
    save_file(trunk, path)
    loss, expected = PerceptualLoss(path, JOHNSON), PerceptualLoss(weights, JOHNSON)
    image = torch.rand(1, 3, 16, 16)
    found = zip(loss.extract(image), expected.extract(image), strict=True)
    assert all(torch.equal(a, b) for a, b in found)
    del trunk["trunk.convolutions.0.bias"]
    save_file(trunk, path)
    with pytest.raises(WeightsCorrupt, match="VGG16") as caught:
        PerceptualLoss(path, JOHNSON)
    assert caught.value.hint == "pirctl models pull lpips_vgg16 --force"


def test_torchvision_s_file_is_taken_where_it_is_and_else_the_small_one() -> None:
    with pytest.raises(WeightsMissing) as caught:
        find_vgg16()
    assert "pirctl models pull lpips_vgg16" in str(caught.value.hint)
    path = weights_entry("vgg16").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut off")
    with pytest.raises(WeightsCorrupt, match=r"vgg16-397923af\.pth"):
        find_vgg16()


def test_every_so_manieth_step_counts_so_many_times(weights: Path) -> None:
    first, second = torch.rand(2, 1, 3, 16, 16) * 2 - 1
    each = PerceptualLoss(weights, ["relu1_2"])
    fourth = PerceptualLoss(weights, ["relu1_2"], every=4)
    assert float(fourth(first, second)) == pytest.approx(4 * float(each(first, second)))


def test_with_a_size_only_the_surroundings_of_the_mask_are_compared(weights: Path) -> None:
    loss = PerceptualLoss(weights, ["relu1_2"], size_px=20)
    prediction = (torch.rand(2, 3, 64, 48) * 2 - 1).requires_grad_()
    mask = torch.zeros(2, 1, 64, 48)
    mask[0, :, 30:60, 10:30] = mask[1, :, 5:35, 20:40] = 1
    for _ in range(60):  # Squares of 20 pixels, which come to lie everywhere.
        loss(prediction, torch.zeros(2, 3, 64, 48), mask).backward()
    touched = prediction.grad.abs().sum(1) > 0
    # Every masked pixel, nothing far from it.
    assert touched[0, 30:60, 10:30].all()
    assert not touched[0, :20].any()
    assert touched[1, 5:35, 20:40].all()
    assert not touched[1, 45:].any()


def test_the_same_square_is_cut_around_every_mask() -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    images = torch.stack([y, x]).expand(3, 2, 40, 50)
    mask = torch.zeros(3, 1, 40, 50)
    mask[0, :, 10:20, 10:18] = mask[1, :, 0:4, 46:50] = mask[2, :, 36:, :5] = 0.5
    parts = cut_around(images, mask)
    assert parts.shape == (3, 2, 12, 12)
    corners = [(int(part[0, 0, 0]), int(part[1, 0, 0])) for part in parts]
    assert corners == [(9, 8), (0, 38), (28, 0)]
    assert torch.equal(cut_around(images, torch.zeros(3, 1, 40, 50)), images)


def test_squares_are_drawn_all_over_and_cut_as_they_are() -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    images = torch.stack([y, x]).expand(3, 2, 40, 50)
    corners = set()
    for _ in range(200):
        square = draw_square(images, 38)
        assert square.shape == (3, 2, 38, 38)
        top, left = int(square[0, 0, 0, 0]), int(square[0, 1, 0, 0])
        assert torch.equal(square, images[..., top : top + 38, left : left + 38])
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(3))
    assert {left for _, left in corners} == set(range(13))
    assert draw_square(images, 99).shape == (3, 2, 40, 40)


def test_a_step_without_any_term_is_no_setting() -> None:
    with pytest.raises(ValueError, match="perceptual_every"):
        LossSettings(perceptual_every=2, photometric=0)
