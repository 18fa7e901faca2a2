"""One writer per target, over real processes: waiting, refusing, and what a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from pirctl.errors import TargetError
from pirctl.files import atomic_folder
from pirctl.progress import Progress
from pirctl.target import Target
from pirctl.target.lock import lock_path, lock_target, lock_targets
from tests.target.writers import let_go, other_writer


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "targets" / "anna")


def test_a_second_process_is_refused_and_told_by_whom(target: Target) -> None:
    with (
        other_writer(target) as process,
        pytest.raises(TargetError) as caught,
        lock_target(target, "preprocess"),
    ):
        pytest.fail("two processes write to one target")
    said = f"target 'anna' is being written by pirctl train (process {process.pid}, since "
    assert caught.value.message.startswith(said)
    assert caught.value.hint == f"try again when that has ended, or stop it: kill {process.pid}"


def test_one_that_waits_says_for_whom_and_goes_on(target: Target) -> None:
    reports: list[Progress] = []
    with other_writer(target) as process:

        def see(report: Progress) -> None:
            reports.append(report)
            let_go(process)

        with lock_target(target, "dub", wait=True, on_progress=see):
            assert process.wait(timeout=30) == 0
    assert f"waiting for target 'anna': pirctl train (process {process.pid}," in reports[0].step


def test_a_killed_process_leaves_no_lock(target: Target) -> None:
    with other_writer(target) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        with lock_target(target, "preprocess"):
            note = json.loads(lock_path(target).with_suffix(".json").read_text())
    # What the killed one noted is not told of the next one.
    assert (note["process"], note["command"]) == (os.getpid(), "preprocess")


def test_a_target_that_is_replaced_or_removed_stays_locked(target: Target) -> None:
    target.folder.mkdir(parents=True)
    with other_writer(target):
        with atomic_folder(target.folder) as folder:
            (folder / "new").touch()
        with pytest.raises(TargetError), lock_target(target, "train"):
            pass
        shutil.rmtree(target.folder)
        with pytest.raises(TargetError), lock_target(target, "train"):
            pass


def test_two_names_of_one_folder_have_one_lock(target: Target, tmp_path: Path) -> None:
    target.folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(target.folder)
    linked = Target(tmp_path / "link")
    with other_writer(target), pytest.raises(TargetError), lock_target(linked, "train"):
        pass


def test_who_holds_a_target_holds_it_again_but_another_thread_does_not(target: Target) -> None:
    refused: list[TargetError] = []

    def try_it() -> None:
        try:
            with lock_target(target, "train"):
                pass
        except TargetError as error:
            refused.append(error)

    def elsewhere() -> int:
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        return len(refused)

    with lock_target(target, "dub"):
        with lock_target(target, "train"):
            assert elsewhere() == 1
        assert elsewhere() == 2  # The inner block has not let go.
    assert elsewhere() == 2


def test_a_refusal_within_several_lets_go_of_those_that_were_held(target: Target) -> None:
    other = Target(target.folder.with_name("bert"))
    with pytest.raises(RuntimeError), lock_targets([target, other, target], "dub"):
        raise RuntimeError
    for one in (target, other):
        with other_writer(one):
            pass


def test_targets_of_one_workspace_do_not_hinder_eachother_writer(target: Target) -> None:
    with other_writer(target), lock_target(Target(target.folder.with_name("bert")), "train"):
        pass


def test_where_nothing_may_be_written_nothing_is_locked(target: Target) -> None:
    # A file in the place of the folder of locks, as a disk that refuses: root may write anywhere.
    target.folder.mkdir(parents=True)
    lock_path(target).parent.touch()
    with lock_target(target, "preprocess"):
        assert not lock_path(target).exists()
