from __future__ import annotations

import pytest
import torch
from torch import nn

from pirctl.training.averages import Averages, flat_state, load_flat_state
from pirctl.training.schedule import average_decay


def layer(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def test_an_average_trails_its_network_as_the_schedule_says() -> None:
    network = layer(0.0)
    averages = Averages({"face": network}, half_life_steps=4)
    expected = 0.0
    for step in range(30):
        nn.init.constant_(network.weight, float(step))
        averages.update(step)
        decay = average_decay(4, step)
        expected = decay * expected + (1 - decay) * step
    assert float(averages.networks["face"].weight) == pytest.approx(expected, rel=1e-5)
    assert network.weight.item() == 29


def test_an_average_is_ready_for_use_and_is_not_trained() -> None:
    network = layer(1.0).train()
    (average,) = Averages({"face": network}, 4).networks.values()
    assert not average.training
    assert not average.weight.requires_grad
    assert network.weight.requires_grad


def test_frozen_weights_are_copied_once_and_stay() -> None:
    network = layer(1.0).requires_grad_(False)
    averages = Averages({"encoder": network}, 4)
    nn.init.constant_(network.weight, 5.0)
    averages.update(0)
    assert float(averages.networks["encoder"].weight) == 1.0


def test_a_state_carries_every_network_under_its_name() -> None:
    first = Averages({"encoder": layer(1.0), "decoder": layer(2.0)}, 4)
    state = first.state_dict()
    assert {name: float(value) for name, value in state.items()} == {
        "encoder.weight": 1.0,
        "decoder.weight": 2.0,
    }
    second = Averages({"encoder": layer(0.0), "decoder": layer(0.0)}, 4)
    second.load_state_dict(state)
    assert second.state_dict() == state


def test_a_state_that_lacks_a_weight_is_refused() -> None:
    state = flat_state({"face": layer(1.0)})
    with pytest.raises(RuntimeError, match="Missing key"):
        load_flat_state({"face": nn.Linear(1, 1, bias=True)}, state)
    # A name that begins alike is another network.
    with pytest.raises(RuntimeError, match="Missing key"):
        load_flat_state({"fac": layer(1.0)}, state)
    assert torch.equal(state["face.weight"], torch.ones(1, 1))
