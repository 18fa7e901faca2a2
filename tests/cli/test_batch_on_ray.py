"""A table on a real Ray cluster of this machine, with two workers, one of which is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pirctl.batch.batch import Progressing, run_batch
from pirctl.batch.jobs import read_jobs
from pirctl.cli.batch import table_options
from pirctl.dub.dub import default_output
from pirctl.errors import SettingsError
from pirctl.media import probe, read_planes, write_sound
from pirctl.target import Target
from tests.batch.short import main_in_short_segments
from tests.cli.conftest import Command

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="needs ray: pip install 'pirctl[cluster]'")
    # Workers import what they are handed.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    ray.shutdown()


@pytest.fixture
def table(trained: Target, workspace: Path, tmp_path: Path) -> Path:
    """One film for two targets that paint alike, so that both workers have something to do."""
    shutil.copytree(workspace / "anna", workspace / "carla")
    shutil.copy(trained.about.source, tmp_path / "film.mkv")
    rng = np.random.default_rng(0)
    write_sound(tmp_path / "speech.wav", rng.uniform(-0.4, 0.4, 48000).astype(np.float32), 16000)
    rows = (f"film.mkv,speech.wav,{name},{name}.mkv,closed,1" for name in ("anna", "carla"))
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join(["video,audio,target,output,pauses,batch_size", *rows]))
    return path


class _Killer:
    """Kills the worker that paints for `anna`, once, when some of its segments are finished."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.finished = 0
        self.at_once = 0

    def __call__(self, tasks: Sequence[Progressing]) -> None:
        working = list(self._workspace.glob(".locks/*.json"))
        self.at_once = max(self.at_once, len(working))
        segments = len(list(self._workspace.glob("anna/dub/*/segments/0*")))
        if segments and not self.finished:
            self.finished = segments
            worker = json.loads((self._workspace / ".locks" / "anna.json").read_text())["process"]
            assert worker != os.getpid()
            os.kill(worker, signal.SIGKILL)


def test_a_killed_worker_is_replaced_and_goes_on_from_the_finished_segments(
    table: Path, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pirctl.batch.cluster import LOCAL, Cluster

    monkeypatch.setattr("pirctl.batch.batch._POLL_S", 0.02)
    jobs = read_jobs(table, table_options(), default_output, {"workspace": str(workspace)})
    killer = _Killer(workspace)
    cluster = Cluster(LOCAL, main_in_short_segments, parallel=2)
    assert cluster.parallel == 2
    tasks = run_batch(jobs, cluster, tmp_path / "report", on_change=killer)
    assert [(task.state, task.tries) for task in tasks] == [("done", 2), ("done", 1)], tasks
    assert killer.at_once == 2
    reports = [task.report for task in tasks]
    assert reports[0]["reused_segments"] >= killer.finished > 0
    assert reports[1]["reused_segments"] == 0
    one, other = (
        np.stack([planes.rgb() for planes in read_planes(probe(tmp_path / name))])
        for name in ("anna.mkv", "carla.mkv")
    )
    np.testing.assert_array_equal(one, other)


def test_a_job_that_fails_on_the_cluster_says_why(
    pirctl: Command, table: Path, tmp_path: Path
) -> None:
    table.write_text("video,audio,target\nfilm.mkv,speech.wav,dora\n")
    outcome = pirctl("batch", "jobs.csv", "--ray", "auto", "--json")
    assert outcome.status == 1, outcome.err
    (job,) = json.loads(outcome.out)["jobs"]
    assert (job["state"], job["tries"]) == ("failed", 1)
    assert "face_landmarker.task is needed" in job["error"]
    assert job["hint"].startswith("pirctl models pull")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"])
def test_an_address_where_no_cluster_is_is_told_at_once(address: str) -> None:
    from pirctl.batch.cluster import Cluster

    with pytest.raises(SettingsError, match=f"no Ray cluster at {address}: "):
        Cluster(address, main_in_short_segments)
