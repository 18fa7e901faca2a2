"""Where jobs run: what every place offers, and processes of this machine as one.

A job is a `pirctl dub` of its own: what it prints is its report, what it tells goes to a log.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pirctl.device import cpu_count

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Order:
    """One try of a job.

    Attributes:
        arguments: what follows `pirctl`.
        report: file for what it prints.
        log: file for what it tells.
    """

    arguments: tuple[str, ...]
    report: Path
    log: Path


class Running(Protocol):
    """A job at work."""

    def poll(self) -> int | None:
        """Exit status; below 0 if the process was killed; None: it runs still."""

    def stop(self) -> None:
        """Ask it to end; what it has finished stays."""

    def kill(self) -> None:
        """End it at once."""


class Place(Protocol):
    """Where jobs run.

    Attributes:
        parallel: jobs at a time.
    """

    parallel: int

    def start(self, order: Order) -> Running:
        """Start a job."""

    def close(self) -> None:
        """Give back what the place holds."""


class Here:
    """Processes of this machine.

    Args:
        parallel: jobs at a time; they share the cores, and take turns in the GPUs.
        gpus: names of the GPUs for CUDA_VISIBLE_DEVICES; empty: each job sees what there is.
        program: the command that takes a command line of pirctl; None: this very pirctl.
    """

    def __init__(
        self, parallel: int = 1, gpus: Sequence[str] = (), program: Sequence[str] | None = None
    ) -> None:
        self.parallel = parallel
        self._gpus = tuple(gpus)
        self._program = tuple(program) if program else _own_program()
        self._running: dict[int, _Process] = {}

    def start(self, order: Order) -> Running:
        """Start a process in a place that is free."""
        slot = next(n for n in range(self.parallel) if n not in self._busy())
        process = _Process([*self._program, *order.arguments], order, self._environment(slot))
        self._running[slot] = process
        return process

    def close(self) -> None:
        """Nothing is held."""

    def _busy(self) -> set[int]:
        return {slot for slot, one in self._running.items() if one.poll() is None}

    def _environment(self, slot: int) -> Mapping[str, str]:
        environment = dict(os.environ)
        if self.parallel > 1:
            share = max(1, cpu_count() // self.parallel)
            for name in _THREADS:
                own = environment.get(name, "")
                environment[name] = str(min(share, int(own)) if own.isdigit() else share)
        if len(self._gpus) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return environment


class _Process:
    def __init__(
        self, command: Sequence[str], order: Order, environment: Mapping[str, str]
    ) -> None:
        # In a session of its own: Ctrl-C is for the batch, which then stops its jobs once.
        with order.report.open("wb") as report, order.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=report, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _own_program() -> tuple[str, ...]:
    program = (
        "import sys; from pirctl.batch.places import end_with; end_with({}); "
        "from pirctl.cli import main; sys.exit(main())"
    )
    return sys.executable, "-c", program.format(os.getpid())


def end_with(parent: int) -> None:
    """Let this process be stopped when its parent ends, however that ends; on Linux only.

    Else jobs of a batch that was killed would go on beside those of the next one.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # It ended before the line above.
        os.kill(os.getpid(), signal.SIGTERM)
