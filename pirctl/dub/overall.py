"""How long all of a dubbing will still take: every report of a part, with what comes after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from pirctl.progress import OnProgress, Progress

_KNOWN_AFTER_S = 2.0  # Earlier a rate says little.


class Overall:
    """Passes reports on, each with the time left for the whole.

    A phase that comes later counts as long as it was expected to take; the present one as long as
    its own reports tell, and at least what is left of the expectation while they tell nothing.

    Args:
        on_progress: is given the reports.
        expected_s: seconds that each phase is expected to take, in their order.
        clock: seconds from anywhere.
    """

    def __init__(
        self,
        on_progress: OnProgress,
        expected_s: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_progress = on_progress
        self._expected_s = dict(expected_s)
        self._clock = clock
        self._phase = ""
        self._began_s = clock()
        self._step = ""
        self._step_began: tuple[float, int] = (0.0, 0)

    def expect(self, phase: str, seconds: float) -> None:
        """Correct what a phase is expected to take."""
        self._expected_s[phase] = seconds

    def begin(self, phase: str) -> None:
        """A phase begins; those before it are over."""
        names = list(self._expected_s)
        for name in names[: names.index(phase)]:
            del self._expected_s[name]
        self._phase, self._began_s, self._step = phase, self._clock(), ""

    def __call__(self, report: Progress) -> None:
        """Pass a report on."""
        now_s = self._clock()
        if report.step != self._step:
            self._step, self._step_began = report.step, (now_s, report.done)
        left_s = self.left_s(report, now_s)
        note = f"{_clock_text(left_s)} left for all"
        self._on_progress(replace(report, note=f"{report.note}, {note}" if report.note else note))

    def left_s(self, report: Progress, now_s: float) -> float:
        """Seconds left for the whole when this report comes."""
        later_s = sum(s for name, s in self._expected_s.items() if name != self._phase)
        expected_s = self._expected_s.get(self._phase, 0.0)
        waited_s = max(0.0, expected_s - (now_s - self._began_s))
        own_s = report.left_s if report.left_s is not None else self._by_rate(report, now_s)
        return later_s + (waited_s if own_s is None else own_s)

    def _by_rate(self, report: Progress, now_s: float) -> float | None:
        began_s, before = self._step_began
        done, passed_s = report.done - before, now_s - began_s
        if report.total is None or done <= 0 or passed_s < _KNOWN_AFTER_S:
            return None
        return passed_s / done * max(0, report.total - report.done)


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
