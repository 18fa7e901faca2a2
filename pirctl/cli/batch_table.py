"""How far the jobs of a batch are, on stderr: a table in a terminal, lines in a log file."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pirctl.cli.output import printable

if TYPE_CHECKING:
    from rich.table import Table

    from pirctl.batch.batch import Progressing, State

_LINE_EVERY_S = 30.0
_DRAWN_PER_S = 4.0
_ORDER: tuple[State, ...] = ("running", "failed", "waiting", "stopped", "done", "skipped")
_STYLES = {"running": "bold", "done": "green", "skipped": "green", "failed": "red"}


@contextmanager
def show_jobs(quiet: bool = False) -> Iterator[Callable[[Sequence[Progressing]], None]]:
    """Give a callable that draws the jobs.

    Args:
        quiet: draw nothing.
    """
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live(console=console, refresh_per_second=_DRAWN_PER_S) as live:
            yield lambda tasks: live.update(jobs_table(tasks, rows=max(4, console.height - 6)))
    else:
        yield JobLines(sys.stderr)


def jobs_table(tasks: Sequence[Progressing], rows: int) -> Table:
    """At most so many jobs, those that matter now first, and how many there are of each state."""
    from rich.table import Table
    from rich.text import Text

    shown = sorted(tasks, key=lambda task: _ORDER.index(task.state))[:rows]
    counts = Counter(task.state for task in tasks)
    table = Table(title=", ".join(f"{counts[one]} {one}" for one in _ORDER if counts[one]))
    for head in ("row", "video", "state", "tries"):
        table.add_column(head, no_wrap=True)
    table.add_column("", ratio=1, no_wrap=True)
    for task in sorted(shown, key=lambda task: task.number):
        style = _STYLES.get(task.state, "dim")
        cells = (str(task.job.line), task.job.video.name, task.state, str(task.tries or ""))
        table.add_row(*(Text(printable(cell), style=style) for cell in (*cells, task.note)))
    return table


class JobLines:
    """A line when a job changes its state, and one now and then while it runs."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._seen: dict[int, tuple[str, int]] = {}
        self._printed_s: dict[int, float] = {}

    def __call__(self, tasks: Sequence[Progressing]) -> None:
        """Take the jobs as they are; print what is new."""
        now_s = self._clock()
        for task in tasks:
            is_new = self._seen.get(task.number, ("waiting", 0)) != (task.state, task.tries)
            since_s = now_s - self._printed_s.get(task.number, now_s)
            if not is_new and (task.state != "running" or since_s < _LINE_EVERY_S):
                continue
            self._seen[task.number] = (task.state, task.tries)
            self._printed_s[task.number] = now_s
            self._print(task, len(tasks))

    def _print(self, task: Progressing, total: int) -> None:
        state = "again" if task.state == "waiting" else task.state
        text = f"{task.number}/{total} {task.job.video.name}: {state}"
        if task.state == "done":
            text += f" in {task.seconds:.0f} s"
        if task.note:
            text += f": {task.note}"
        print(printable(text), file=self._stream, flush=True)
