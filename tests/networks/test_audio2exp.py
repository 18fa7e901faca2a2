"""The decoder against torch's own decoder layer, streaming against the whole, and learning."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from pirctl.networks.audio2exp import Audio2Exp, lag_bias, periodic_positions
from pirctl.settings import Audio2ExpSettings

TINY = Audio2ExpSettings(width=16, heads=4, feedforward=24, window_frames=64, period_frames=5)


def make_network(settings: Audio2ExpSettings = TINY) -> Audio2Exp:
    """A network that has something to say: the head's weights are not zero."""
    torch.manual_seed(1)
    network = Audio2Exp(settings, feature_width=6, identity_width=3, expression_width=4)
    nn.init.normal_(network.head.weight, std=0.3)
    network.set_statistics(torch.tensor([0.1, 0.2, 0.0, -0.1]), torch.tensor([0.5, 0.2, 0.3, 0.1]))
    return network.eval()


def make_input(frames: int, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    shapes = (batch, frames, 6), (batch, 3), (batch, frames, 4)
    features, z_id, truth = (torch.randn(shape) for shape in shapes)
    return features, z_id, truth


def slow_mask(frames: int, heads: int, period: int, window: int) -> Tensor:
    """(H, T, T), element by element."""
    mask = torch.full((heads, frames, frames), -torch.inf)
    for head in range(heads):
        slope = 2 ** (-8 * (head + 1) / heads)
        for i in range(frames):
            for j in range(max(0, i - window + 1), i + 1):
                mask[head, i, j] = -slope * ((i - j) // period)
    return mask


def slow_decode(network: Audio2Exp, hidden: Tensor, features: Tensor) -> Tensor:
    """torch's decoder with both masks, over a whole prefix; the head's standardised output."""
    settings, (batch, frames, _) = network.settings, hidden.shape
    index = torch.arange(frames) % settings.period_frames
    mask = slow_mask(frames, settings.heads, settings.period_frames, settings.window_frames)
    mask = mask.repeat(batch, 1, 1)
    alignment = ~torch.eye(frames, dtype=torch.bool)
    memory = network.audio_projection(features[:, :frames])
    hidden = hidden + network.positions[index]
    for layer in network.layers:
        hidden = layer(hidden, memory, tgt_mask=mask, memory_mask=alignment)
    return network.head(hidden)


def slow_rollout(network: Audio2Exp, features: Tensor, z_id: Tensor) -> Tensor:
    """Run the whole prefix again for every frame."""
    style = network.style(z_id)[:, None]
    hidden = style
    for _ in range(features.shape[1]):
        made = slow_decode(network, hidden, features)
        hidden = torch.cat([style, network.motion_encoder(made) + style], dim=1)
    return network.expression_mean + network.expression_scale * made


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("window", [64, 7])
def test_the_rollout_and_its_gradients_equal_the_slow_decoder(layers: int, window: int) -> None:
    settings = Audio2ExpSettings(
        width=16, heads=4, feedforward=24, layers=layers, window_frames=window, period_frames=5
    )
    network = make_network(settings)
    features, z_id, truth = make_input(12)
    # The slow decoder's window is per layer too, so it agrees for any number of layers.
    results = []
    for rollout in (network(features, z_id), slow_rollout(network, features, z_id)):
        network.zero_grad()
        network.loss(rollout, truth).backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in network.named_parameters()
            if weight.grad is not None
        }
        results.append((rollout.detach(), gradients))
    (fast, fast_gradients), (slow, slow_gradients) = results
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    for name, gradient in fast_gradients.items():
        # The product that feeds the alignment attention leaves out the dead query and key rows.
        torch.testing.assert_close(gradient, slow_gradients[name], rtol=1e-4, atol=1e-5)


def test_teacher_forcing_with_its_own_predictions_is_the_rollout() -> None:
    network = make_network()
    features, z_id, _ = make_input(30)
    made = network(features, z_id)
    torch.testing.assert_close(
        network.teacher_forced(features, z_id, made), made, rtol=1e-5, atol=1e-5
    )


def test_teacher_forcing_sees_no_present_and_no_future() -> None:
    network = make_network()
    features, z_id, truth = make_input(20)
    changed = truth.clone()
    changed[:, 10:] += 1.0
    one = network.teacher_forced(features, z_id, truth)
    other = network.teacher_forced(features, z_id, changed)
    assert torch.equal(one[:, :11], other[:, :11])
    assert not torch.equal(one[:, 11], other[:, 11])


@pytest.mark.parametrize("chunks", [[1] * 90, [90], [3, 50, 37]])
def test_streaming_equals_the_whole_beyond_the_window(chunks: list[int]) -> None:
    network = make_network()
    features, z_id, _ = make_input(90)
    state = network.start(z_id)
    made = [network.advance(chunk, state) for chunk in features.split(chunks, 1)]
    streamed = torch.cat(made, 1)
    torch.testing.assert_close(streamed, network(features, z_id), rtol=1e-5, atol=1e-5)


def test_single_steps_equal_the_whole() -> None:
    network = make_network()
    features, z_id, _ = make_input(10)
    state = network.start(z_id)
    stepped = torch.stack([network.step(feature, state) for feature in features.unbind(1)], 1)
    torch.testing.assert_close(stepped, network(features, z_id), rtol=1e-5, atol=1e-5)


def test_cache_and_cost_stay_constant_over_a_thousand_frames() -> None:
    network = make_network()
    features, z_id, _ = make_input(1000, batch=1)
    state = network.start(z_id)
    seconds = []
    with torch.inference_mode():
        for chunk in features.split(100, 1):
            start = time.perf_counter()
            for feature in chunk.unbind(1):
                assert torch.isfinite(network.step(feature, state)).all()
            seconds.append(time.perf_counter() - start)
            assert state.keys[0] is not None
            assert state.keys[0].shape[2] <= TINY.window_frames - 1
    # Without the bound the last hundred frames would attend to ten times as much.
    assert min(seconds[-3:]) < 3 * min(seconds[1:4])


def test_attention_reaches_exactly_the_window() -> None:
    bias = make_network().attention_bias(70)
    assert torch.isfinite(bias[0, 69, 69 - 63])
    assert torch.isinf(bias[0, 69, 69 - 64])
    assert torch.isinf(bias[0, 3, 4])


def test_the_bias_has_the_known_values() -> None:
    bias = lag_bias(heads=4, period_frames=25, window_frames=100)
    assert bias[:, 25].tolist() == [-0.25, -0.0625, -0.015625, -0.00390625]
    assert bias[0, 24] == 0
    assert bias[0, 49] == -0.25
    assert bias[0, 50] == -0.5
    assert all(later <= earlier for earlier, later in pairwise(bias[0].tolist()))


def test_positions_are_sines_and_cosines_of_the_frame() -> None:
    table = periodic_positions(25, 8)
    assert table.shape == (25, 8)
    torch.testing.assert_close(table[3, 0], torch.tensor(3.0).sin())
    torch.testing.assert_close(table[3, 1], torch.tensor(3.0).cos())
    torch.testing.assert_close(table[3, 2], torch.tensor(3.0 / 10000 ** (2 / 8)).sin())


def test_paper_sizes_have_the_known_parameter_counts() -> None:
    with torch.device("meta"):
        network = Audio2Exp(Audio2ExpSettings(), 1024, 80, 64)

    def count(module: nn.Module) -> int:
        return sum(weight.numel() for weight in module.parameters())

    assert count(network.layers) == 12_600_320
    assert count(network.audio_projection) == 1_049_600
    assert count(network.motion_encoder) == 66_560
    assert count(network.head) == 65_600
    assert count(network.style) == 81_920


def test_an_untrained_network_says_the_mean() -> None:
    network = Audio2Exp(TINY, 6, 3, 4)
    mean = torch.tensor([0.4, 0.3, 0.2, 0.1])
    network.set_statistics(mean, torch.ones(4))
    features, z_id, _ = make_input(5)
    torch.testing.assert_close(network(features, z_id), mean.expand(2, 5, 4))


def test_statistics_do_not_blow_up_axes_that_hardly_move() -> None:
    network = Audio2Exp(TINY, 6, 3, 4)
    network.set_statistics(torch.zeros(4), torch.tensor([1.0, 0.5, 0.001, 0.0]))
    torch.testing.assert_close(network.expression_scale, torch.tensor([1.0, 0.5, 0.1, 0.1]))
    network.set_statistics(torch.zeros(4), torch.zeros(4))
    assert torch.equal(network.expression_scale, torch.ones(4))


def test_statistics_travel_with_the_weights() -> None:
    network, other = make_network(), Audio2Exp(TINY, 6, 3, 4).eval()
    other.load_state_dict(network.state_dict())
    features, z_id, _ = make_input(5)
    assert torch.equal(network(features, z_id), other(features, z_id))


def test_features_of_another_width_are_refused_by_name() -> None:
    network = make_network()
    with pytest.raises(ValueError, match="features"):
        network(torch.zeros(1, 5, 7), torch.zeros(1, 3))


@pytest.mark.parametrize("forced", [False, True])
def test_it_learns_a_batch_by_heart(forced: bool) -> None:
    torch.manual_seed(3)
    settings = Audio2ExpSettings(width=32, heads=4, feedforward=64, dropout=0.0)
    network = Audio2Exp(settings, 6, 3, 4)
    features, z_id, _ = make_input(8)
    truth = torch.stack([(features[..., k] * 2).tanh() * 0.3 for k in range(4)], -1)
    network.set_statistics(truth.mean((0, 1)), truth.std((0, 1)))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(120):
        optimiser.zero_grad()
        made = (
            network.teacher_forced(features, z_id, truth, noise=0.3)
            if forced
            else network(features, z_id)
        )
        network.loss(made, truth).backward()
        optimiser.step()
    # Always judged by its own rollout; the mean alone would score 1.
    with torch.no_grad():
        assert float(network.loss(network(features, z_id), truth)) < 0.1
