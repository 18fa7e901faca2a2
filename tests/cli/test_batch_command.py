"""`pirctl batch`: a table of real dubbings, what is skipped, what fails, and Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pirctl.cli.batch_table import JobLines, jobs_table
from pirctl.media import write_sound
from pirctl.target.folder import Target
from tests.batch.test_batch import played_tasks
from tests.cli.conftest import Command

_PIRCTL = (sys.executable, "-c", "import sys; from pirctl.cli import main; sys.exit(main())")


@pytest.fixture
def table(trained: Target, workspace: Path, speech: Path, tmp_path: Path) -> Path:
    """Two jobs of one target, with the film beside the table."""
    shutil.copy(trained.about.source, tmp_path / "film.mkv")
    path = tmp_path / "jobs.csv"
    path.write_text(
        "video,audio,target,output,pauses\n"
        "film.mkv,speech.wav,anna,made/one.mkv,closed\n"
        "film.mkv,speech.wav,anna,made/two.mp4,\n"
    )
    return path


def _report(table: Path) -> list[dict[str, str]]:
    path = table.with_name("jobs_report") / "report.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_rows_are_dubbed_and_a_second_run_skips_them(
    pirctl: Command, table: Path, tmp_path: Path
) -> None:
    outcome = pirctl("batch", "jobs.csv", "--parallel", "2")
    assert (outcome.status, outcome.out) == (0, "jobs_report/report.csv\n"), outcome.err
    assert "1/2 film.mkv: running" in outcome.err
    assert "2 done" in outcome.err
    assert all((tmp_path / "made" / name).is_file() for name in ("one.mkv", "two.mp4"))
    one, two = _report(table)
    assert (one["state"], two["state"], one["frames"]) == ("done", "done", "60")
    assert int(one["painted_frames"]) > 0
    again = pirctl("batch", "jobs.csv", "--json", "--quiet")
    assert (again.status, again.err) == (0, "")
    assert json.loads(again.out)["states"] == {"skipped": 2}


def test_a_job_that_fails_is_told_and_the_rest_is_made(
    pirctl: Command, table: Path, tmp_path: Path
) -> None:
    table.write_text(
        "video,audio,target,output\n"
        "film.mkv,speech.wav,carla,made/carla.mkv\n"
        "film.mkv,speech.wav,anna,made/anna.mkv\n"
    )
    # Nobody of that name is trained, and the film has no sound to train her with.
    outcome = pirctl("batch", "jobs.csv", "--retries", "3")
    assert outcome.status == 1
    assert "1 failed, 1 done" in outcome.err
    assert "row 2, film.mkv: " in outcome.err
    row, _ = _report(table)
    assert (row["state"], row["tries"]) == ("failed", "1")
    assert row["error"]
    assert "error: " in Path(row["log"]).read_text()
    assert not (tmp_path / "made" / "carla.mkv").exists()


def test_a_mistake_in_the_table_is_told_before_anything_starts(
    pirctl: Command, table: Path, tmp_path: Path
) -> None:
    with table.open("a") as file:
        file.write("gone.mkv,speech.wav,anna,,\n")
    outcome = pirctl("batch", "jobs.csv")
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: jobs.csv: row 4: " in outcome.err
    assert "gone.mkv does not exist" in outcome.err
    assert not (tmp_path / "jobs_report").exists()
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_ctrl_c_stops_the_job_and_the_same_command_goes_on(
    table: Path, tmp_path: Path, workspace: Path
) -> None:
    # Long enough to be stopped while it paints.
    rng = np.random.default_rng(0)
    write_sound(tmp_path / "speech.wav", rng.uniform(-0.4, 0.4, 48000).astype(np.float32), 16000)
    command = [*_PIRCTL, "batch", "jobs.csv"]
    log = tmp_path / "jobs_report" / "logs" / "001_film.log"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while b"painting" not in _content(log) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert [row["state"] for row in _report(table)] == ["stopped", "stopped"]
    assert "stopped" in log.read_text()  # The job itself says so: it was not killed.
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert [row["state"] for row in _report(table)] == ["done", "done"]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def test_without_ray_the_extra_is_named(
    pirctl: Command, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = pirctl("batch", "jobs.csv", "--ray", "auto")
    assert outcome.status == 1
    assert "error: --ray needs Ray, which is not installed" in outcome.err
    assert "hint: pip install 'pirctl[cluster]'" in outcome.err


def test_lines_tell_each_change_once_and_what_runs_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 0.0
    lines = JobLines(sys.stderr, clock=lambda: now_s)
    tasks = played_tasks(tmp_path, 2)
    tasks[0].state, tasks[0].note, tasks[0].tries = "running", "painting: 1/7", 1
    for now_s in (0.0, 1.0, 31.0):  # noqa: B007 (the clock above reads it)
        lines(tasks)
    tasks[0].state, tasks[0].note, tasks[0].seconds = "done", "", 12.0
    tasks[1].state, tasks[1].note = "failed", "no \x1b[2J face"
    lines(tasks)
    lines(tasks)
    assert capsys.readouterr().err.splitlines() == [
        "1/2 1.mp4: running: painting: 1/7",
        "1/2 1.mp4: running: painting: 1/7",
        "1/2 1.mp4: done in 12 s",
        "2/2 2.mp4: failed: no \\x1b[2J face",
    ]


def test_the_table_shows_what_matters_when_not_all_fit(tmp_path: Path) -> None:
    tasks = played_tasks(tmp_path, 9)
    for task in tasks[:6]:
        task.state = "done"
    tasks[4].state, tasks[7].state = "failed", "running"
    table = jobs_table(tasks, rows=3)
    states = [str(cell) for cell in table.columns[2].cells]
    assert states == ["failed", "waiting", "running"]
    assert table.title == "1 running, 1 failed, 2 waiting, 5 done"
