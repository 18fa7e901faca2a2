from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pirctl.networks.layers import Blur, EqualLinear, ModulatedConv, upsample
from pirctl.networks.triplane import Mapping, TriplaneGenerator
from pirctl.settings import FaceSettings
from tests.networks.tiny import FACE


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_paper_size_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        assert count(Mapping(144, FaceSettings())) == 1_912_832
        assert count(Mapping(144, FaceSettings(mapping_layers=2))) == 336_896
        blocks = TriplaneGenerator(FaceSettings(), 80, 64).blocks
    expected = [2_942_561, *4 * [5_556_834], 2_319_970, 717_666]
    assert [count(block) for block in blocks] == expected
    assert count(blocks) == 28_207_533


def test_planes_have_their_shape_and_repeat_exactly() -> None:
    generator = TriplaneGenerator(FACE, 6, 5)
    z_id, z_exp = torch.randn(2, 6), torch.rand(2, 5)
    with torch.no_grad():
        first, second = generator(z_id, z_exp), generator(z_id, z_exp)
    assert first.shape == (2, 3, 8, 32, 32)
    assert torch.equal(first, second)
    assert 0.05 < first.std() < 5


def test_the_strength_of_an_expression_reaches_the_planes() -> None:
    generator = TriplaneGenerator(FACE, 6, 5)
    z_id, z_exp = torch.zeros(1, 6), torch.rand(1, 5)
    with torch.no_grad():
        weak, strong = generator(z_id, 0.2 * z_exp), generator(z_id, z_exp)
    assert (weak - strong).abs().mean() > 0.02


def test_each_sample_has_its_own_style() -> None:
    generator = TriplaneGenerator(FACE, 6, 5)
    z_id, z_exp = torch.randn(3, 6), torch.rand(3, 5)
    together = generator(z_id, z_exp)
    for i in range(3):
        alone = generator(z_id[i : i + 1], z_exp[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_mapping_standardises_with_the_statistics_it_was_given() -> None:
    mapping = Mapping(4, FACE)
    mean, deviation = torch.tensor([1.0, 2, 3, 4]), torch.tensor([0.5, 1, 2, 4])
    raw = torch.randn(2, 4)
    expected = mapping(raw[:, :2], raw[:, 2:])
    mapping.set_statistics(mean, deviation)
    scaled = raw * deviation + mean
    torch.testing.assert_close(mapping(scaled[:, :2], scaled[:, 2:]), expected)
    assert {"mean", "deviation"} <= set(mapping.state_dict())


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [True, False])
def test_modulated_convolution_equals_convolving_with_modulated_weights(
    demodulate: bool, up: bool
) -> None:
    layer = ModulatedConv(5, 6, 3, 7, up=up, demodulate=demodulate)
    nn.init.normal_(layer.bias)
    x, latent = torch.randn(2, 5, 8, 8), torch.randn(2, 7)
    pictures = []
    for i in range(2):
        style = latent[i] @ layer.affine.weight.T / math.sqrt(7) + layer.affine.bias
        weight = layer.weight * style[None, :, None, None]
        if demodulate:
            weight = weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()
        else:
            weight = weight / math.sqrt(5 * 9)
        if up:
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
            taps = torch.outer(taps, taps) / 16
            y = F.conv_transpose2d(x[i : i + 1], weight.transpose(0, 1), stride=2)
            y = F.conv2d(y, taps.expand(6, 1, 4, 4), padding=1, groups=6)
        else:
            y = F.conv2d(x[i : i + 1], weight, padding=1)
        y = y + layer.bias[:, None, None]
        pictures.append(F.leaky_relu(y, 0.2) * math.sqrt(2) if demodulate else y)
    expected = torch.cat(pictures)
    assert layer(x, latent).shape == (2, 6, 16, 16) if up else (2, 6, 8, 8)
    torch.testing.assert_close(layer(x, latent), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("noise", [0, 16])
def test_the_short_cut_for_one_sample_changes_nothing(up: bool, noise: int) -> None:
    layer = ModulatedConv(3, 4, 3, 7, up=up, noise_size=noise)
    nn.init.normal_(layer.bias)
    if layer.noise_strength is not None:
        nn.init.constant_(layer.noise_strength, 0.5)
    x, latent = torch.randn(1, 3, 8 if up else 16, 8 if up else 16), torch.randn(1, 7)
    trained = layer(x, latent)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, latent), trained, atol=1e-5, rtol=1e-4)
        layer.freeze(torch.float32)
        torch.testing.assert_close(layer(x, latent), trained, atol=1e-5, rtol=1e-4)


def test_noise_is_silent_at_first() -> None:
    with_noise, without = ModulatedConv(3, 4, 3, 7, noise_size=8), ModulatedConv(3, 4, 3, 7)
    without.load_state_dict(with_noise.state_dict(), strict=False)
    x, latent = torch.randn(2, 3, 8, 8), torch.randn(2, 7)
    torch.testing.assert_close(with_noise(x, latent), without(x, latent))


def test_upsampling_is_the_filter_1331_away_from_the_border() -> None:
    image = torch.randn(1, 2, 6, 6)
    spread = torch.zeros(1, 2, 12, 12)
    spread[:, :, ::2, ::2] = image
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    taps = (torch.outer(taps, taps) / 16).expand(2, 1, 4, 4)
    filtered = F.conv2d(F.pad(spread, (2, 1, 2, 1)), taps, groups=2)
    torch.testing.assert_close(upsample(image)[..., 1:-1, 1:-1], filtered[..., 1:-1, 1:-1])


def test_blur_keeps_a_constant() -> None:
    ones = F.conv_transpose2d(torch.ones(1, 1, 6, 6), torch.ones(1, 1, 2, 2), stride=2)
    blurred = Blur(1)(F.pad(ones, (0, 1, 0, 1), mode="replicate"))
    torch.testing.assert_close(blurred[..., 2:-2, 2:-2], torch.full((1, 1, 8, 8), 4.0))


def test_learning_rate_multiplier_changes_the_gradient_not_the_output() -> None:
    x = torch.randn(64, 32)
    slow, fast = EqualLinear(32, 64, lr_multiplier=0.01), EqualLinear(32, 64)
    slow.weight.data = fast.weight.data / 0.01
    torch.testing.assert_close(slow(x), fast(x), atol=1e-4, rtol=1e-4)
    for layer in (slow, fast):
        layer(x).sum().backward()
    assert slow.weight.grad is not None
    assert fast.weight.grad is not None
    torch.testing.assert_close(slow.weight.grad, 0.01 * fast.weight.grad, atol=1e-4, rtol=1e-3)
