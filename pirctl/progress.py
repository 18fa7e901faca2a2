"""How long work reports how far it is. The libraries call; only the command line draws."""

from __future__ import annotations

from collections.abc import Callable
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
