"""How work reports how far it is and how long it took. Only the command line draws."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report.

    Attributes:
        step: what is being done, in a few words ("tracking"); a new step starts a new bar.
        done: units finished so far.
        total: units in all, or None while unknown.
        unit: what is counted, in the plural ("frames", "steps").
        note: a short remark shown after the bar ("loss 0.012").
        left_s: seconds until it is done, where the work knows better than its mean speed tells.
    """

    step: str
    done: int
    total: int | None
    unit: str = "frames"
    note: str = ""
    left_s: float | None = None


OnProgress = Callable[[Progress], None]


def ignore_progress(report: Progress) -> None:
    """Swallow a report: the default where nobody watches."""


class Stopwatch:
    """Seconds spent per part of a job, as seen from the thread that asks."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - start

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per part, in the order in which the parts first ended."""
        return dict(self._seconds)


def byte_text(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def name_ranges(numbers: Sequence[int], *, most: int | None = None) -> str:
    """Runs of consecutive numbers for people: 3, 4, 5, 9 as "3-5, 9"; only the first `most`."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:most]]
    return ", ".join(shown + (["..."] if len(runs) > len(shown) else []))
