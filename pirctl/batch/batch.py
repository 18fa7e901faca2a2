"""Running the jobs of a table to their ends, and a report of what became of each.

Jobs of one target run one after another, for one writes to a target at a time. One that failed
for want of memory, or was killed, is tried again, and goes on from what it had finished; a mistake
in a job is not. What an earlier run made of the same is not made again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pirctl.batch.jobs import Job
from pirctl.batch.ledger import Ledger
from pirctl.batch.places import Order, Place, Running
from pirctl.batch.report import write_report
from pirctl.errors import SettingsError
from pirctl.files import check_writable, disk_errors

State = Literal["waiting", "running", "done", "skipped", "failed", "stopped"]

_POLL_S = 0.2
_STOP_S = 30.0  # Training writes a checkpoint on its way out.
_TAIL_BYTES = 4096
_KILLED = {137, 143}  # 128 + SIGKILL and SIGTERM, as shells and our own main tell them.
_PASSES = re.compile(
    r"memory is too small|out of memory|cannot allocate memory|\bMemoryError\b", re.IGNORECASE
)


@dataclass(kw_only=True)
class Progressing:
    """One job and how far it is.

    Attributes:
        number: of the job, from 1.
        job: what is to be done.
        log: where it tells what it does.
        state: of the job.
        tries: times it was started.
        note: its last line, or what is wrong.
        hint: what to do about that.
        seconds: it ran for, all tries together.
        report: of `pirctl dub`, when it is done.
    """

    number: int
    job: Job
    log: Path
    state: State = "waiting"
    tries: int = 0
    note: str = ""
    hint: str = ""
    seconds: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done for it."""
        return self.state not in {"waiting", "running"}

    def row(self) -> dict[str, Any]:
        """The job as the report has it."""
        failed = self.state == "failed"
        return {
            "row": self.job.line,
            "state": self.state,
            "video": str(self.job.video),
            "output": str(self.job.output),
            "tries": self.tries,
            "seconds": round(self.seconds, 1),
            "error": self.note if failed else "",
            "hint": self.hint if failed else "",
            "log": str(self.log) if self.tries else "",
            "report": self.report,
        }


OnChange = Callable[[Sequence[Progressing]], None]


def run_batch(
    jobs: Sequence[Job],
    place: Place,
    folder: Path,
    *,
    retries: int = 1,
    force: bool = False,
    on_change: OnChange = lambda _: None,
) -> list[Progressing]:
    """Run all jobs; none of them stops the others.

    Args:
        jobs: of the table.
        place: where they run; it is closed.
        folder: for `report.csv`, `report.json`, the logs, and what is remembered of results.
        retries: more tries of a job that failed for what may pass.
        force: make everything anew.
        on_change: is told several times a second how far all are.

    Returns:
        What became of each, in the order of the table; the report says the same.

    Raises:
        SettingsError: results stand there that are not of this batch; nothing is started.
        KeyboardInterrupt: Ctrl-C; the jobs have been stopped, and the report is written.
    """
    ledger = Ledger(folder / "made.json")
    tasks = [_task(job, number, folder) for number, job in enumerate(jobs, start=1)]
    for task in tasks:
        if not (force or task.job.force) and ledger.is_made(task.job.output, task.job.digest):
            task.state, task.note = "skipped", "made already"
    _check_outputs([task for task in tasks if not task.is_over], ledger, force)
    with disk_errors(folder):
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    run = _Run(tasks, place, folder, ledger, retries)
    with ExitStack() as ending:  # Each of these, also when Ctrl-C comes again in the one before.
        ending.callback(lambda: write_report(folder, [task.row() for task in tasks]))
        ending.callback(place.close)
        ending.callback(lambda: on_change(tasks))
        ending.callback(run.stop)
        run.to_the_end(on_change)
    return tasks


def _task(job: Job, number: int, folder: Path) -> Progressing:
    stem = re.sub(r"[^\w.-]", "_", job.video.stem)[:60]
    log = folder / "logs" / f"{number:03d}_{stem}.log"
    return Progressing(number=number, job=job, log=log)


def _check_outputs(tasks: Sequence[Progressing], ledger: Ledger, force: bool) -> None:
    foreign = []
    for task in tasks:
        job = task.job
        if job.output.exists() and not (force or job.force or ledger.is_ours(job.output)):
            foreign.append(f"\n  - row {job.line}: {job.output}")
        check_writable(job.output)
    if foreign:
        raise SettingsError(
            f"{len(foreign)} results exist already, and this batch has not made them:"
            + "".join(foreign),
            hint="name other outputs in the table, or add --force to replace them",
        )


@dataclass(frozen=True)
class _AtWork:
    task: Progressing
    process: Running
    began_s: float


class _Run:
    def __init__(
        self,
        tasks: Sequence[Progressing],
        place: Place,
        folder: Path,
        ledger: Ledger,
        retries: int,
    ) -> None:
        self._tasks = tasks
        self._place = place
        self._folder = folder
        self._ledger = ledger
        self._retries = retries
        self._at_work: dict[int, _AtWork] = {}

    def to_the_end(self, on_change: OnChange) -> None:
        """Start what can be started, look at what runs, until all is over."""
        while not all(task.is_over for task in self._tasks):
            self._start_more()
            for work in list(self._at_work.values()):
                self._look_at(work)
            on_change(self._tasks)
            if self._at_work:
                time.sleep(_POLL_S)

    def stop(self) -> None:
        """End what runs, and what waits is not begun."""
        running = list(self._at_work.values())
        for work in running:
            work.process.stop()
        deadline = time.monotonic() + _STOP_S
        try:
            while time.monotonic() < deadline and any(w.process.poll() is None for w in running):
                time.sleep(_POLL_S)
        finally:  # Also at a second Ctrl-C.
            for work in running:
                if work.process.poll() is None:
                    work.process.kill()
                work.task.seconds += time.monotonic() - work.began_s
            for task in self._tasks:
                if not task.is_over:
                    task.state, task.note = "stopped", ""

    def _start_more(self) -> None:
        # Those that failed before come last.
        for task in sorted(self._tasks, key=lambda one: one.tries):
            if len(self._at_work) >= self._place.parallel:
                return
            written = {work.task.job.target for work in self._at_work.values()}
            if task.state == "waiting" and task.job.target not in written:
                self._start(task)

    def _start(self, task: Progressing) -> None:
        job = task.job
        arguments = ["dub", "--json", f"--output={job.output}"]
        if job.output.exists():
            arguments.append("--force")
        with disk_errors(self._folder):
            if not task.tries:
                task.log.unlink(missing_ok=True)
            self._ledger.begin(job.output, job.digest)
            order = Order(
                arguments=(*arguments, *job.arguments), log=task.log, report=_report_path(task)
            )
            process = self._place.start(order)
        task.state, task.note, task.hint = "running", "", ""
        task.tries += 1
        self._at_work[task.number] = _AtWork(task, process, time.monotonic())

    def _look_at(self, work: _AtWork) -> None:
        task, status = work.task, work.process.poll()
        lines = _tail(task.log)
        if status is None:
            task.note = lines[-1] if lines else ""
            return
        del self._at_work[task.number]
        task.seconds += time.monotonic() - work.began_s
        if status == 0:
            with disk_errors(self._folder):
                self._ledger.finish(task.job.output)
            task.state, task.note = "done", ""
            task.report = json.loads(_report_path(task).read_text(encoding="utf-8"))
        else:
            task.note, task.hint = _what_is_wrong(status, lines)
            again = task.tries <= self._retries and _may_pass(status, lines)
            task.state = "waiting" if again else "failed"
        _report_path(task).unlink(missing_ok=True)


def _report_path(task: Progressing) -> Path:
    return task.log.with_suffix(".json")


def _tail(log: Path) -> list[str]:
    """The last lines of a log; empty while there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def _what_is_wrong(status: int, lines: Sequence[str]) -> tuple[str, str]:
    """The error and the hint of a job that failed."""
    errors = [n for n, line in enumerate(lines) if line.startswith("error: ")]
    if status == 1 and errors:
        said = lines[errors[-1] :]
        hints = [n for n, line in enumerate(said) if line.startswith("hint: ")]
        # A message may have a line for each of several problems.
        message = " ".join(line.strip() for line in said[: hints[0] if hints else None])
        return message[len("error: ") :], said[hints[0]][len("hint: ") :] if hints else ""
    if status < 0 or status in _KILLED:
        return f"it was killed (signal {-status if status < 0 else status - 128})", ""
    return (lines[-1] if lines else f"exit status {status}"), "read its log"


def _may_pass(status: int, lines: Sequence[str]) -> bool:
    """Whether another try may do better."""
    return status < 0 or status in _KILLED or any(_PASSES.search(line) for line in lines[-8:])
