"""Running a table: order, retries, what is skipped, and the report; the jobs are played."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pirctl.batch.batch import Progressing, run_batch
from pirctl.batch.jobs import Job
from pirctl.batch.places import Order
from pirctl.errors import SettingsError

Ends = tuple[int, str]
"""Exit status, and what the log says last."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pirctl.batch.batch._POLL_S", 0.0)


@dataclass
class Played:
    """A job at work that ends at the third look."""

    order: Order
    ends: Ends
    output: Path
    looks: int = 0
    stopped: bool = False
    killed: bool = False

    def poll(self) -> int | None:
        self.looks += 1
        if self.stopped:
            return 143
        if self.looks < 3:
            return None
        status, text = self.ends
        self.order.log.write_text(text)
        if status == 0:
            self.output.write_text(f"made with {self.order.arguments}")
            self.order.report.write_text('{"frames": 7, "missed": [[1, 2]], "notes": ["a", "b"]}')
        return status

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        self.killed = True


@dataclass
class Stage:
    """A place where jobs are played: how the tries of each output end."""

    parallel: int = 2
    ends: dict[str, list[Ends]] = field(default_factory=dict)
    started: list[tuple[str, ...]] = field(default_factory=list)
    closed: bool = False
    played: list[Played] = field(default_factory=list)

    def start(self, order: Order) -> Played:
        self.started.append(order.arguments)
        order.report.write_text("")
        output = Path(next(a for a in order.arguments if a.startswith("--output=")).split("=")[1])
        ends = self.ends.get(output.name, [(0, "")])
        self.played.append(Played(order, ends.pop(0) if len(ends) > 1 else ends[0], output))
        return self.played[-1]

    def close(self) -> None:
        self.closed = True


Run = Callable[..., list[Progressing]]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [_job(tmp_path, number, f"t{number}") for number in (1, 2, 3)]


def _job(folder: Path, number: int, target: str, digest: str = "d") -> Job:
    return Job(
        line=number + 1, video=folder / f"{number}.mp4", output=folder / f"{number}_out.mp4",
        target=target, arguments=("--", "video"), force=False, digest=digest,
    )  # fmt: skip


def played_tasks(folder: Path, count: int) -> list[Progressing]:
    """Jobs that wait."""
    return [
        Progressing(number=n, job=_job(folder, n, f"t{n}"), log=folder / f"{n}.log")
        for n in range(1, count + 1)
    ]


def _states(tasks: Sequence[Progressing]) -> list[str]:
    return [task.state for task in tasks]


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "report" / "report.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, jobs: list[Job]) -> None:
    wrong = "painting: 1/7\nerror: no face,\n  - nor any\nhint: look at it\n"
    stage = Stage(ends={"2_out.mp4": [(1, wrong)]})
    tasks = run_batch(jobs, stage, tmp_path / "report", retries=5)
    assert _states(tasks) == ["done", "failed", "done"]
    assert (tasks[1].hint, tasks[1].tries) == ("look at it", 1)
    assert stage.closed
    one, two, _ = _rows(tmp_path)
    assert (one["state"], one["frames"], one["missed_stretches"]) == ("done", "7", "1")
    assert one["notes"] == "a; b"
    assert (two["row"], two["error"], two["hint"]) == ("3", "no face, - nor any", "look at it")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["states"] == {"done": 2, "failed": 1}
    assert report["jobs"][0]["report"]["frames"] == 7


@pytest.mark.parametrize(
    "end",
    [
        (-9, "painting"), (137, ""), (143, ""),
        (1, "error: the GPU's memory is too small for painting 16 frames at once"),
        (1, "Traceback\nRuntimeError: [enforce fail] Cannot allocate memory"),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(tmp_path: Path, jobs: list[Job], end: Ends) -> None:
    stage = Stage(ends={"1_out.mp4": [end, end, (0, "")]})
    assert _states(run_batch(jobs[:1], stage, tmp_path / "report", retries=2)) == ["done"]
    assert len(stage.started) == 3


def test_it_is_tried_no_oftener_than_asked(tmp_path: Path, jobs: list[Job]) -> None:
    stage = Stage(ends={"1_out.mp4": [(-9, "")]})
    (task,) = run_batch(jobs[:1], stage, tmp_path / "report", retries=2)
    assert (task.state, task.tries, task.note) == ("failed", 3, "it was killed (signal 9)")


def test_a_bug_is_not_tried_again_and_its_last_line_is_told(
    tmp_path: Path, jobs: list[Job]
) -> None:
    stage = Stage(ends={"1_out.mp4": [(1, "Traceback\nKeyError: 'x'\n")]})
    (task,) = run_batch(jobs[:1], stage, tmp_path / "report", retries=2)
    assert (task.tries, task.note, task.hint) == (1, "KeyError: 'x'", "read its log")


def test_what_is_made_is_skipped_and_what_changed_is_made_anew(
    tmp_path: Path, jobs: list[Job]
) -> None:
    run_batch(jobs, Stage(), tmp_path / "report")
    changed = [jobs[0], _job(tmp_path, 2, "t2", digest="other"), jobs[2]]
    stage = Stage()
    assert _states(run_batch(changed, stage, tmp_path / "report")) == ["skipped", "done", "skipped"]
    (arguments,) = stage.started
    assert "--force" in arguments  # It replaces what the batch itself had made.
    assert _states(run_batch(changed, Stage(), tmp_path / "report", force=True)) == ["done"] * 3


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path, jobs: list[Job]) -> None:
    jobs[1].output.write_text("mine")
    stage = Stage()
    with pytest.raises(SettingsError, match=r"row 3: .*2_out\.mp4") as caught:
        run_batch(jobs, stage, tmp_path / "report")
    assert "--force" in str(caught.value.hint)
    assert not stage.started


def test_jobs_of_one_target_run_one_after_another(tmp_path: Path) -> None:
    jobs = [_job(tmp_path, number, "anna" if number < 3 else "bert") for number in (1, 2, 3)]
    seen: set[frozenset[int]] = set()

    def see(tasks: Sequence[Progressing]) -> None:
        seen.add(frozenset(task.number for task in tasks if task.state == "running"))

    run_batch(jobs, Stage(parallel=3), tmp_path / "report", on_change=see)
    assert frozenset({1, 3}) in seen
    assert not any({1, 2} <= running for running in seen)


def test_ctrl_c_stops_what_runs_and_leaves_a_report(tmp_path: Path, jobs: list[Job]) -> None:
    looks = 0

    def interrupt(tasks: Sequence[Progressing]) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KeyboardInterrupt

    stage = Stage(parallel=1)
    with pytest.raises(KeyboardInterrupt):
        run_batch(jobs, stage, tmp_path / "report", on_change=interrupt)
    assert (len(stage.started), stage.closed) == (1, True)
    assert (stage.played[0].stopped, stage.played[0].killed) == (True, False)
    assert [row["state"] for row in _rows(tmp_path)] == ["stopped"] * 3
    assert _states(run_batch(jobs, Stage(), tmp_path / "report")) == ["done"] * 3


def test_a_second_ctrl_c_ends_at_once_what_does_not_stop_and_still_leaves_a_report(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    stage = Stage()
    monkeypatch.setattr(Played, "poll", lambda _: None)
    monkeypatch.setattr("pirctl.batch.batch.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_batch(jobs, stage, tmp_path / "report")
    assert [played.killed for played in stage.played] == [True, True]
    assert stage.closed
    assert [row["state"] for row in _rows(tmp_path)] == ["stopped"] * 3
