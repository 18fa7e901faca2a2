from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pirctl.settings import TrainSettings
from pirctl.training import precision

CPU = torch.device("cpu")


def product() -> torch.dtype:
    return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("wanted", "has", "expected"),
    [
        ("bfloat16", True, torch.bfloat16),
        ("bfloat16", False, torch.float32),
        ("float32", True, torch.float32),
    ],
)
def test_bfloat16_is_used_where_it_is_wanted_and_there(
    wanted: str, has: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: has)
    settings = replace(TrainSettings(), precision=wanted)
    with precision.autocast(settings, CPU):
        assert product() == expected
    assert product() == torch.float32


def test_weights_keep_float32_and_get_gradients_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: True)
    layer = torch.nn.Linear(2, 1)
    with precision.autocast(replace(TrainSettings(), precision="bfloat16"), CPU):
        made = layer(torch.ones(1, 2))
    made.float().sum().backward()
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32
