from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pirctl.config import load
from pirctl.settings import StageSettings
from pirctl.training.schedule import (
    average_decay,
    batch_positions,
    learning_rate,
    step_seed,
    steps_per_epoch,
    total_steps,
)


def test_an_epoch_shows_every_sample_once() -> None:
    seen = torch.cat([batch_positions(step, 12, 4, seed=1) for step in range(3)])
    assert sorted(seen.tolist()) == list(range(12))


def test_epochs_have_orders_of_their_own() -> None:
    first = torch.cat([batch_positions(step, 12, 4, seed=1) for step in range(3)])
    second = torch.cat([batch_positions(step, 12, 4, seed=1) for step in range(3, 6)])
    assert first.tolist() != second.tolist()


def test_batches_depend_on_nothing_but_step_and_seed() -> None:
    late = batch_positions(7, 12, 4, seed=5)
    torch.manual_seed(99)
    assert torch.equal(batch_positions(7, 12, 4, seed=5), late)
    assert not torch.equal(batch_positions(7, 12, 4, seed=6), late)


def test_fewer_samples_than_a_batch_still_make_a_step() -> None:
    assert steps_per_epoch(3, 8) == 1
    assert sorted(batch_positions(2, 3, 8, seed=0).tolist()) == [0, 1, 2]


def test_steps_are_capped_by_max_steps() -> None:
    settings = StageSettings(epochs=3, batch_size=2)
    assert total_steps(settings, 10) == 15
    assert total_steps(StageSettings(epochs=3, batch_size=2, max_steps=4), 10) == 4


def test_a_short_clip_gets_more_epochs_up_to_the_floor() -> None:
    settings = StageSettings(epochs=4, batch_size=2, min_steps=30)
    assert total_steps(settings, 10) == 30
    assert total_steps(settings, 100) == 200
    assert total_steps(replace(settings, max_steps=7), 10) == 7
    seen = torch.cat([batch_positions(step, 10, 2, seed=0) for step in range(25, 30)])
    assert sorted(seen.tolist()) == list(range(10))


def test_four_seconds_at_tiny_are_trained_as_long_as_fifteen() -> None:
    train = load("tiny").train
    second = 25
    assert total_steps(train.face, 4 * second) == 700
    assert total_steps(train.render, 4 * second) == 1200
    # The clips that tiny was tuned with, 15 s and 32 s of training, are not changed.
    for seconds in (15, 32):
        for stage in (train.audio, train.face, train.render):
            samples = seconds * second
            assert total_steps(stage, samples) == total_steps(replace(stage, min_steps=0), samples)


def test_the_paper_has_no_floor() -> None:
    train = load("paper").train
    assert [stage.min_steps for stage in (train.audio, train.face, train.render)] == [0, 0, 0]


def test_the_learning_rate_rises_at_once_and_falls_to_its_end() -> None:
    settings = StageSettings(learning_rate=1.0, learning_rate_end=0.1)
    rates = [learning_rate(settings, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[:5] == sorted(rates[:5])
    assert rates[4] > 0.99
    assert rates[100] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert learning_rate(settings, 0, 1) == pytest.approx(1.0)


def test_the_average_forgets_the_start_and_then_settles() -> None:
    assert average_decay(100, 0) == pytest.approx(0.1)
    assert average_decay(100, 10**6) == pytest.approx(0.5 ** (1 / 100))


def test_seeds_of_steps_differ() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(-5, 50)}
    assert len(seeds) == 20 * 55
    assert all(0 <= seed < 2**63 for seed in seeds)
