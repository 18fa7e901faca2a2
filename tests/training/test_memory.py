"""What a GPU has left for the footage, on cards and clips as they are."""

from __future__ import annotations

import pytest
import torch

from pirctl.training.memory import CudaMemory, memory_of, spare_bytes
from tests.training.card import Card

GIB = 1 << 30


def _measured(free: int, taken: int) -> Card:
    card = Card(free, taken)
    card.start()
    return card


@pytest.mark.parametrize(("minutes", "fits"), [(2, True), (5.5, False)])
def test_on_a_card_of_16_gb_long_footage_stays_in_memory_and_the_step_fits(
    minutes: float, fits: bool
) -> None:
    free, step = 15 * GIB, round(8.5 * GIB)  # At batch 8 of the face stage, as measured.
    spare = spare_bytes(_measured(free, step), [])
    footage = round(minutes * 60 * 25 * 512 * 512 * 5)
    assert (footage <= spare) == fits
    assert spare + step < free


def test_steps_that_take_all_leave_nothing() -> None:
    assert spare_bytes(_measured(8 * GIB, 8 * GIB), []) == 0


def test_states_that_the_optimiser_has_already_are_not_set_aside_again() -> None:
    weight = torch.nn.Parameter(torch.zeros(10))
    optimiser = torch.optim.Adam([weight])
    assert spare_bytes(_measured(1000, 0), [optimiser]) == 1000 - 80
    weight.grad = torch.ones(10)
    optimiser.step()
    assert spare_bytes(_measured(1000, 0), [optimiser]) == 1000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card_is_measured_as_its_allocator_takes_it() -> None:
    memory = CudaMemory(torch.device("cuda"))
    kept = torch.zeros(64 << 20, dtype=torch.uint8, device="cuda")
    free = memory.free_bytes()
    memory.start()
    taken = torch.zeros(256 << 20, dtype=torch.uint8, device="cuda")
    del taken
    assert 256 << 20 <= memory.taken_bytes() < 320 << 20
    assert abs(memory.free_bytes() - free) < 32 << 20
    assert len(kept) == 64 << 20


def test_a_cpu_has_no_memory_of_its_own() -> None:
    assert memory_of(torch.device("cpu")) is None
    assert memory_of(torch.device("cuda")) is not None
