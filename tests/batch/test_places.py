"""Jobs as processes of this machine: what they get, how they end, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pirctl.batch.places import Here, Order, Running

_SHARE = (
    "import os, sys; print(os.environ['OMP_NUM_THREADS'], os.environ.get('CUDA_VISIBLE_DEVICES'))"
)
_SLEEP = "import time; print('begun', flush=True); time.sleep(60)"


def _order(tmp_path: Path, *arguments: str, name: str = "job") -> Order:
    return Order(
        arguments=arguments, report=tmp_path / f"{name}.json", log=tmp_path / f"{name}.log"
    )


def _end(running: Running) -> int:
    deadline = time.monotonic() + 60
    while (status := running.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert status is not None, "it does not end"
    return status


def _wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in (path.read_text() if path.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_report_and_the_log_are_kept_apart(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1]); print('told', file=sys.stderr); sys.exit(3)"
    place = Here(program=(sys.executable, "-c", program))
    order = _order(tmp_path, "said")
    assert _end(place.start(order)) == 3
    assert _end(place.start(order)) == 3
    assert (order.report.read_text(), order.log.read_text()) == ("said\n", "told\ntold\n")


def test_jobs_at_a_time_share_cores_and_take_turns_in_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.batch.places.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    place = Here(3, gpus=("0", "GPU-b"), program=(sys.executable, "-c", _SHARE))
    orders = [_order(tmp_path, name=str(number)) for number in range(3)]
    for running in [place.start(order) for order in orders]:
        assert _end(running) == 0
    assert [order.report.read_text() for order in orders] == ["2 0\n", "2 GPU-b\n", "2 0\n"]


def test_fewer_threads_of_the_users_own_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.batch.places.cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    order = _order(tmp_path)
    assert _end(Here(2, program=(sys.executable, "-c", _SHARE)).start(order)) == 0
    assert order.report.read_text() == "1 None\n"


def test_a_job_that_is_stopped_ends_by_sigterm(tmp_path: Path) -> None:
    order = _order(tmp_path)
    running = Here(program=(sys.executable, "-c", _SLEEP)).start(order)
    _wait_for(order.report, "begun")
    running.stop()
    assert _end(running) == -signal.SIGTERM


def test_the_program_is_this_pirctl(tmp_path: Path) -> None:
    order = _order(tmp_path, "dub", "--audio", "x.wav", "none.mp4")
    assert _end(Here().start(order)) == 1
    assert "error: none.mp4 does not exist" in order.log.read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system tells it on Linux")
def test_a_job_ends_with_a_batch_that_is_killed(tmp_path: Path) -> None:
    child = (
        "import os, sys; from pirctl.batch.places import end_with; end_with(int(sys.argv[1])); "
        "import time; print(os.getpid(), flush=True); time.sleep(60)"
    )
    batch = (
        "import subprocess, sys, os, time;"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())]); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", batch], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        # The pipe ends when the last who holds it does.
        assert process.stdout.read() == b""
    with pytest.raises(ProcessLookupError):
        _signal_until_gone(number)


def _signal_until_gone(number: int) -> None:
    for _ in range(500):
        os.kill(number, 0)
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":  # Ended, and nobody has asked how.
            raise ProcessLookupError
        time.sleep(0.02)
