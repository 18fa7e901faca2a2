from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from pirctl.errors import PirctlError
from pirctl.files import atomic_file, atomic_folder, check_writable, file_hash
from pirctl.progress import Progress


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_file_takes_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "new" / "a.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path / "new"
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.mp4").exists()
    assert left_in(tmp_path / "new") == ["a.mp4"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    goal = tmp_path / "a.txt"
    goal.write_text("old")

    def fail_in_the_middle() -> None:
        with atomic_file(goal) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail_in_the_middle()
    assert left_in(tmp_path) == ["a.txt"]
    assert goal.read_text() == "old"


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    goal = tmp_path / "stage"
    for name in ("first", "second"):
        with atomic_folder(goal) as temporary:
            (temporary / name).write_text("x")
    assert left_in(tmp_path) == ["stage"]
    assert left_in(goal) == ["second"]


def test_a_failed_folder_keeps_the_old_one(tmp_path: Path) -> None:
    goal = tmp_path / "stage"
    with atomic_folder(goal) as temporary:
        (temporary / "first").write_text("x")
    with pytest.raises(FileNotFoundError), atomic_folder(goal) as temporary:
        (temporary / "second" / "file").write_text("x")
    assert left_in(tmp_path) == ["stage"]
    assert left_in(goal) == ["first"]


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(PirctlError, match="no space left"), atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert left_in(tmp_path) == []


def test_an_unrelated_os_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        (tmp_path / "missing").read_text()


def test_a_file_in_the_place_of_a_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PirctlError, match="is not a folder"):
        check_writable(tmp_path / "file" / "out.mp4")
    with pytest.raises(PirctlError, match="is not a folder"), atomic_file(tmp_path / "file" / "a"):
        pass


def test_an_existing_output_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    check_writable(tmp_path / "a")
    with pytest.raises(PirctlError, match="exists already") as caught:
        check_writable(tmp_path / "a", force=False)
    assert "--force" in str(caught.value.hint)


def test_too_little_room_is_found_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "deep" / "er" / "a", needed_bytes=1)
    with pytest.raises(PirctlError, match="MB free"):
        check_writable(tmp_path / "a", needed_bytes=10**18)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said_in_words(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(PirctlError, match="permission"):
        check_writable(locked / "a")


def test_the_hash_is_of_the_whole_file_and_progress_ends_at_its_size(tmp_path: Path) -> None:
    path, reports = tmp_path / "a.bin", list[Progress]()
    path.write_bytes(bytes(3 << 20) + b"end")
    found = file_hash(path, "checking a", reports.append)
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {(report.step, report.total) for report in reports} == {("checking a", (3 << 20) + 3)}
    assert [report.done >> 20 for report in reports] == [1, 2, 3, 3]
