"""Which reference to show when: near to what is wanted, and seldom another one.

Every change of the reference is a change of skin, light and focus that the eye may catch. So the
choice is the cheapest way through time, where a change has its price, and at a change one comes in
while the other goes out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

CHANGE_PRICE = 0.12
"""What a change costs, in the unit of the unlikeness (cm)."""
FADE_FRAMES = 2
"""Frames before and after a change in which both are shown."""
AHEAD_FRAMES = 24
"""Frames that must be known ahead before a choice is made for good."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """References of one frame.

    Attributes:
        rows: (K,) rows of the bank.
        weights: (K,) in [0, 1], with sum 1; one that is not shown has 0.
    """

    rows: IntArray
    weights: FloatArray


def cheapest_path(costs: FloatArray, price: float, first: int | None = None) -> IntArray:
    """The cheapest way through time.

    Args:
        costs: (T, N) of showing each reference at each time.
        price: of showing another one than before.
        first: what was shown before; None: anything may come first.

    Returns:
        (T,) rows in [0, N).

    Source: Viterbi 1967, with one price for every change.
    """
    length, count = costs.shape
    total = costs[0].astype(np.float64)
    if first is not None:
        total = total + price * (np.arange(count) != first)
    came_from = np.empty((length, count), np.int64)
    stay = np.arange(count)
    for t in range(1, length):
        best = int(np.argmin(total))
        changes = total[best] + price < total
        came_from[t] = np.where(changes, best, stay)
        total = np.where(changes, total[best] + price, total) + costs[t]
    path = np.empty(length, np.int64)
    path[-1] = int(np.argmin(total))
    for t in range(length - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path


class Chooser:
    """Chooses references for a stream of frames.

    Args:
        references: how many a frame gets, K.
        price: of a change.
    """

    def __init__(self, references: int, price: float = CHANGE_PRICE) -> None:
        self._references = references
        self._price = price
        self._costs: deque[FloatArray] = deque()
        self._past: deque[int] = deque(maxlen=FADE_FRAMES)
        self._slots = np.zeros(references, np.int64)

    def see(self, costs: FloatArray) -> None:
        """Take the costs (t, N) of the next frames."""
        self._costs.extend(costs)

    @property
    def waiting(self) -> int:
        """Frames seen and not yet chosen for."""
        return len(self._costs)

    def choose(self, count: int) -> list[Choice]:
        """Choose for the first `count` frames that wait; those after them are looked ahead at."""
        costs = np.stack(self._costs)
        path = cheapest_path(costs, self._price, self._past[-1] if self._past else None)
        shown = np.concatenate([np.array(self._past, np.int64), path])
        begin = len(self._past)
        choices = [self._at(shown, begin + k) for k in range(count)]
        for k in range(count):
            self._costs.popleft()
            self._past.append(int(path[k]))
        return choices

    def _at(self, shown: IntArray, place: int) -> Choice:
        """The references around one frame, weighed by how much of the time they are shown."""
        low, high = max(0, place - FADE_FRAMES), place + FADE_FRAMES + 1
        rows, counts = np.unique(shown[low:high], return_counts=True)
        order = np.argsort(-counts, kind="stable")[: self._references]
        return self._seated(rows[order], counts[order] / counts[order].sum())

    def _seated(self, rows: IntArray, weights: FloatArray) -> Choice:
        """The rows, each in the place where it was a frame before: the network knows places."""
        places, free = self._slots, list(range(self._references))
        value = np.zeros(self._references, np.float32)
        newcomers = []
        for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
            seats = [k for k in free if places[k] == row]
            if seats:
                value[seats[0]] = weight
                free.remove(seats[0])
            else:
                newcomers.append((row, weight))
        for row, weight in newcomers:
            k = free.pop(0)
            places[k], value[k] = row, weight
        return Choice(rows=places.copy(), weights=value)


def nearest(costs: FloatArray, references: int) -> list[Choice]:
    """For frames that do not follow each other: the nearest one alone, (T, N) costs."""
    weights = np.zeros(references, np.float32)
    weights[0] = 1
    rows = costs.argmin(axis=1, keepdims=True).repeat(references, axis=1)
    return [Choice(rows=row, weights=weights) for row in rows]
