"""Progress on stderr: bars in a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pirctl.progress import OnProgress, Progress, byte_text, ignore_progress

if TYPE_CHECKING:
    from rich.progress import Task

_LINE_EVERY_S = 5.0
_BARS_PER_S = 10.0


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[OnProgress]:
    """Give a callable that draws the reports it gets; the bars go when the block ends.

    Args:
        quiet: draw nothing.
    """
    if quiet:
        yield ignore_progress
    elif sys.stderr.isatty():
        with _bars() as on_progress:
            yield on_progress
    else:
        lines = Lines(sys.stderr)
        yield lines
        lines.finish()


@contextmanager
def _bars() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second, over the last reports."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if not speed else f"{_amount(speed, task.fields['unit'])}/s")

    class Done(ProgressColumn):
        """Units so far, of how many."""

        def render(self, task: Task) -> Text:
            total = None if task.total is None else int(task.total)
            return Text(_amount_of(int(task.completed), total, task.fields["unit"]))

    class Left(TimeRemainingColumn):
        """Time left: what the work says, else by the speed of the last reports."""

        max_refresh = 0.0

        def render(self, task: Task) -> Text:
            left_s = task.fields["left_s"]
            return super().render(task) if left_s is None else Text(_clock_text(left_s))

    bars = Bars(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Done(),
        Rate(),
        TimeElapsedColumn(),
        Left(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        refresh_per_second=_BARS_PER_S,
    )
    tasks: dict[str, int] = {}

    def draw(report: Progress) -> None:
        if report.step not in tasks:
            # What was there before is no speed: a download may be resumed in its middle.
            tasks[report.step] = bars.add_task(
                report.step,
                completed=report.done,
                total=None,
                unit=report.unit,
                note="",
                left_s=None,
            )
        bars.update(
            tasks[report.step],  # type: ignore[arg-type]
            completed=report.done,
            total=report.total,
            unit=report.unit,
            note=report.note,
            left_s=report.left_s,
        )

    with bars:
        yield draw


class Lines:
    """Reports as text lines: the first and last of a step, and one each few seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._last: Progress | None = None
        self._started_s = 0.0
        self._started_done = 0
        self._printed_s = 0.0
        self._printed: Progress | None = None

    def __call__(self, report: Progress) -> None:
        """Take a report; print it when it is due."""
        now_s = self._clock()
        if self._last is None or report.step != self._last.step:
            self.finish()
            self._started_s, self._started_done = now_s, report.done
            self._print(report, now_s)
        elif report.done == report.total or now_s - self._printed_s >= _LINE_EVERY_S:
            self._print(report, now_s)
        self._last = report

    def finish(self) -> None:
        """Print the last report of the step, unless it was printed."""
        if self._last is not None and self._last != self._printed:
            self._print(self._last, self._clock())

    def _print(self, report: Progress, now_s: float) -> None:
        if report == self._printed:
            return
        self._printed, self._printed_s = report, now_s
        done, elapsed_s = report.done - self._started_done, now_s - self._started_s
        parts = []
        if report.done or report.total is not None:
            parts.append(_amount_of(report.done, report.total, report.unit))
        if done > 0 and elapsed_s > 0:
            rate = done / elapsed_s
            parts.append(f"{_amount(rate, report.unit)}/s")
            parts.append(f"{_clock_text(elapsed_s)} elapsed")
            if report.left_s is None and report.total is not None and report.total > report.done:
                parts.append(f"{_clock_text((report.total - report.done) / rate)} left")
        if report.left_s:
            parts.append(f"{_clock_text(report.left_s)} left")
        if report.note:
            parts.append(report.note)
        text = f"{report.step}: {', '.join(parts)}" if parts else report.step
        print(text, file=self._stream, flush=True)


def _amount(count: float, unit: str) -> str:
    return byte_text(count) if unit == "bytes" else f"{count:.1f} {unit}"


def _amount_of(done: int, total: int | None, unit: str) -> str:
    if unit == "bytes" and total is None:
        return byte_text(done)
    if unit == "bytes":
        number, _, scale = byte_text(total or 0).partition(" ")
        return f"{done / (1e6 if scale == 'MB' else 1e3):.1f}/{number} {scale}"
    return f"{done} {unit}" if total is None else f"{done}/{total} {unit}"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
