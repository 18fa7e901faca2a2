from __future__ import annotations

from torch import nn

from pirctl.settings import Settings, StageSettings, TrainSettings
from pirctl.training.trainer import adam


def test_the_optimiser_has_the_stage_s_numbers_and_leaves_frozen_weights_alone() -> None:
    stage = StageSettings(learning_rate=3e-3, beta1=0.1, beta2=0.2)
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    (group,) = adam(network, Settings(train=TrainSettings(face=stage)), "face", 0.5).param_groups
    assert [id(weight) for weight in group["params"]] == [id(w) for w in network[1].parameters()]
    assert (group["lr"], group["betas"], group["lr_multiplier"]) == (3e-3, (0.1, 0.2), 0.5)
