"""What a step draws and how fast it learns: functions of the step's number alone.

Nothing here has a state, so that a run that was stopped and resumed takes the very steps of one
that was not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pirctl.settings import StageSettings

_EMA_WARM_UP_STEPS = 10
_WARM_UP_STEPS, _WARM_UP_SHARE = 50, 0.05


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Full batches in one pass; a rest smaller than a batch waits for another pass's order."""
    return max(1, samples // batch_size)


def total_steps(settings: StageSettings, samples: int) -> int:
    """Steps of the whole stage: its epochs, but `min_steps` at least and `max_steps` at most."""
    epochs = settings.epochs * steps_per_epoch(samples, settings.batch_size)
    steps = max(epochs, settings.min_steps)
    return min(steps, settings.max_steps) if settings.max_steps else steps


def batch_positions(step: int, samples: int, batch_size: int, seed: int) -> Tensor:
    """Which samples step number `step` (from 0) trains on.

    Every epoch goes through the samples once, in an order of its own.

    Returns:
        (min(batch_size, samples),) int64 in [0, samples).
    """
    per_epoch = steps_per_epoch(samples, batch_size)
    epoch, place = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(step_seed(seed, -1 - epoch))
    order = torch.randperm(samples, generator=generator)
    return order[place * batch_size : (place + 1) * batch_size]


def step_seed(seed: int, step: int) -> int:
    """A seed for the draws of one step; near steps get unrelated streams.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    mask = (1 << 64) - 1
    mixed = (seed * 0x9E3779B97F4A7C15 + (step + 1) * 0xD1B54A32D192ED03) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return (mixed ^ (mixed >> 31)) >> 1


def learning_rate(settings: StageSettings, step: int, steps: int) -> float:
    """Learning rate of step `step` (from 0) of `steps`: warm-up, then cosine decay to a fraction.

    The warm-up is the first twentieth of the steps, fifty at most. Without it Adam's first, full
    steps can empty the implicit face's volume, and an empty volume has no gradient to come back.
    """
    progress = min(1.0, step / max(1, steps))
    left = settings.learning_rate_end
    warm_up = min(1.0, (step + 1) / max(1.0, min(_WARM_UP_STEPS, _WARM_UP_SHARE * steps)))
    decay = left + (1 - left) * 0.5 * (1 + math.cos(math.pi * progress))
    return settings.learning_rate * warm_up * decay


def average_decay(half_life_steps: float, step: int) -> float:
    """How much of the running average stays at step `step` (from 0).

    At first the average is nearly the plain mean of the steps so far, so that it does not
    remember the random start.
    """
    settled: float = 0.5 ** (1 / half_life_steps)
    return min(settled, (1 + step) / (_EMA_WARM_UP_STEPS + step))
