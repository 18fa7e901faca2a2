"""Another process that computes without a pause, as every real machine has one now and then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUSY = "print(flush=True)\nwhile True: pass"


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep one core busy from another process for the length of the block."""
    command = [sys.executable, "-S", "-c", _BUSY]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # It has started, and computes from here on.
            yield
        finally:
            process.kill()
