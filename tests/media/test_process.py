from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pirctl.errors import ProgramMissing
from pirctl.media import process
from pirctl.media.process import ffmpeg_program, running
from pirctl.media.reader import read_frames
from tests.media.clips import counting_clip

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes in /proc")


def children() -> set[int]:
    """Process ids of our own children, dead but unreaped ones included."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == os.getpid():
                found.add(int(entry.name))
    return found


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    return counting_clip(tmp_path / "a.mp4", "-vf", "loop=1:25", size="320x240")


def test_no_process_is_left_after_the_end(long_clip: Path) -> None:
    before = children()
    assert len(list(read_frames(long_clip, frames=40))) == 40
    assert children() == before


def test_no_process_is_left_after_an_early_close(long_clip: Path) -> None:
    before = children()
    frames = read_frames(long_clip)
    next(frames)
    assert len(children() - before) == 1
    frames.close()
    assert children() == before


def test_no_process_is_left_when_a_reader_is_dropped(long_clip: Path) -> None:
    before = children()
    for _ in read_frames(long_clip):
        break
    assert children() == before


def test_no_process_starts_before_the_first_frame_is_wanted(long_clip: Path) -> None:
    before = children()
    read_frames(long_clip)
    assert children() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_process_is_left_after_an_exception(error: type[BaseException]) -> None:
    before = children()
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    started = time.monotonic()
    with pytest.raises(error), running(sleeper, read=True, write=True):
        raise error
    assert children() == before
    assert time.monotonic() - started < 10


def test_a_chatty_process_neither_blocks_nor_loses_its_last_words() -> None:
    chatter = "import sys; [print('line', i, file=sys.stderr) for i in range(50000)]; sys.exit(3)"
    with running([sys.executable, "-c", chatter]) as process:
        assert process.finish() == 3
        assert process.said().splitlines()[-1] == "line 49999"
        assert len(process.said().splitlines()) <= 20


def test_an_interrupt_of_the_terminal_does_not_reach_the_program() -> None:
    code = "import os; print(os.getpgid(0) == os.getpid())"
    with running([sys.executable, "-c", code], read=True) as process:
        assert process.output.read() == b"True\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit set from outside")
def test_a_program_that_asks_for_too_much_memory_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_MEMORY_BYTES", 512 << 20)
    code = "import sys; sys.stdin.read(); a = bytearray(%d << 20)"
    for megabytes, status in ((100, 0), (600, 1)):
        with running([sys.executable, "-c", code % megabytes], write=True) as program:
            assert program.finish() == status
    assert "MemoryError" in program.said()


def test_a_missing_program_is_said_in_words() -> None:
    with pytest.raises(ProgramMissing, match="could not be started"), running(["/no/such/ffmpeg"]):
        pass


def test_the_bundled_ffmpeg_runs() -> None:
    subprocess.run([ffmpeg_program(), "-version"], check=True, capture_output=True)
