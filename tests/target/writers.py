"""A process that writes to a target for as long as a test wants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pirctl.target import Target

_HOLD = """
import sys
from pathlib import Path
from pirctl.target import Target
from pirctl.target.lock import lock_target
with lock_target(Target(Path(sys.argv[1])), "train"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other_writer(target: Target) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is written to, or killed."""
    command = [sys.executable, "-c", _HOLD, str(target.folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
