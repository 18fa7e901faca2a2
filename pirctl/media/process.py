"""One running ffmpeg: started without a shell, always reaped, its last words kept.

Owns the program and its pipes. Knows nothing of pictures or sound; `video` and `sound` build the
command lines and translate failures into their own errors.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from pirctl.device import ASSUMED_BYTES, physical_bytes
from pirctl.errors import ProgramMissing

_STDERR_LINES = 20
# Linux lets an ordinary process ask for 1 MiB; the default of 64 KiB holds a twelfth of a frame.
_PIPE_BYTES = 1 << 20
# Writing 7680 x 4320 takes 3.3 GB on two cores, reading it 1.5 GB, 1.9 GB with the sixteen threads
# that are ffmpeg's most.
_MEMORY_BYTES = 8 << 30


@cache
def ffmpeg_program() -> str:
    """Path of the ffmpeg program.

    Raises:
        ProgramMissing: neither the bundled nor an installed ffmpeg was found.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ProgramMissing(
            "ffmpeg was not found", hint="pip install --force-reinstall imageio-ffmpeg"
        ) from error


def file_url(path: Path | str) -> str:
    """`path` as ffmpeg takes it literally: no option, no protocol, whatever the name contains."""
    return f"file:{path}"


def command_of(output: Any) -> list[str]:
    """Program and arguments that run an ffmpeg-python output, saying nothing but errors."""
    arguments = output.global_args("-hide_banner", "-nostdin", "-v", "error").compile(
        cmd=ffmpeg_program(), overwrite_output=True
    )
    return [str(argument) for argument in arguments]


class Running:
    """A started ffmpeg with its pipes; made by `running`, which also ends it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True, name="ffmpeg-stderr")
        self._listener.start()

    def _listen(self) -> None:
        # Left unread, a full stderr pipe would stop ffmpeg for good.
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            text = line.decode(errors="replace").rstrip()
            if text:
                self._said.append(text)

    @property
    def input(self) -> IO[bytes]:
        """The pipe into ffmpeg; only where it was asked for."""
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def output(self) -> BufferedReader:
        """The pipe out of ffmpeg; only where it was asked for."""
        assert isinstance(self._popen.stdout, BufferedReader)
        return self._popen.stdout

    def finish(self) -> int:
        """Close the pipes, wait for the end and return the exit status."""
        if self._popen.stdin is not None:
            # ffmpeg may have ended already; its status tells more than the broken pipe.
            with suppress(BrokenPipeError):
                self._popen.stdin.close()
        status = self._popen.wait()
        self._listener.join()
        return status

    def said(self) -> str:
        """The last lines of its stderr, empty when it had nothing to complain about."""
        return "\n".join(self._said)

    def end(self) -> None:
        """Kill it unless it has ended, reap it, and close what is open. Safe to call twice."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        self._listener.join()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _widen(pipe: IO[bytes] | None) -> None:
    if pipe is None or not sys.platform.startswith("linux"):
        return
    import fcntl

    # Refused where an administrator lowered the limit; then the pipe is merely small.
    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def memory_ceiling() -> int:
    """Bytes that one ffmpeg may have: half of what the machine has, 2 to 8 GiB."""
    half = (physical_bytes() or ASSUMED_BYTES) // 2
    return min(max(half, 2 << 30), _MEMORY_BYTES)


def _limit_memory(popen: subprocess.Popen[bytes]) -> None:
    """Let the program fail, not the machine, where a damaged file asks for too much."""
    if not sys.platform.startswith("linux"):
        return
    # Data, not address space: glibc reserves many times what it uses, per thread. From outside,
    # because code between fork and exec is not safe where other threads run.
    ceiling = memory_ceiling()
    with suppress(OSError):  # It may have ended, or the user's own limit is lower.
        resource.prlimit(popen.pid, resource.RLIMIT_DATA, (ceiling, ceiling))


@contextmanager
def running(
    arguments: Sequence[str], *, write: bool = False, read: bool = False
) -> Iterator[Running]:
    """Run a command for the length of the block; it never outlives it, nor grows without end.

    Args:
        arguments: program and arguments; no shell sees them.
        write: open a pipe into the program.
        read: open a pipe out of the program.

    Raises:
        ProgramMissing: the program cannot be started.
    """
    try:
        popen = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE if write else subprocess.DEVNULL,
            stdout=subprocess.PIPE if read else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C in the terminal shall reach us alone: on SIGINT ffmpeg would finish the file
            # as if it were complete.
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramMissing(
            f"{arguments[0]} could not be started: {error.strerror}",
            hint="pip install --force-reinstall imageio-ffmpeg",
        ) from error
    _limit_memory(popen)
    _widen(popen.stdin)
    _widen(popen.stdout)
    process = Running(popen)
    try:
        yield process
    finally:
        process.end()
