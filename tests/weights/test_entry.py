from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.files import file_hash
from pirctl.progress import Progress
from pirctl.weights import entry as weights
from pirctl.weights.entry import WeightsEntry, WeightsState
from pirctl.weights.own import import_file
from tests.weights.server import CONTENT, Site


@pytest.fixture
def entry() -> WeightsEntry:
    return Site().entry()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.bin"
    path.write_bytes(CONTENT)
    return path


def put(entry: WeightsEntry, content: bytes) -> Path:
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    entry.path.write_bytes(content)
    return entry.path


def test_a_file_of_the_user_is_copied_once_it_is_checked(entry: WeightsEntry, own: Path) -> None:
    reports: list[Progress] = []
    path = import_file(entry, own, reports.append)
    assert path.read_bytes() == own.read_bytes() == CONTENT
    assert path == entry.path
    assert {report.step for report in reports} == {"checking toy"}
    assert sorted(file.name for file in path.parent.iterdir()) == ["toy.bin", "verified.json"]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1], b""])
def test_another_file_is_refused_and_the_old_one_stays(
    entry: WeightsEntry, own: Path, content: bytes
) -> None:
    import_file(entry, own)
    own.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=r"own\.bin is not toy\.bin: it has"):
        import_file(entry, own)
    assert entry.path.read_bytes() == CONTENT
    assert len(list(entry.path.parent.iterdir())) == 2


def test_what_is_no_file_is_said(entry: WeightsEntry, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        import_file(entry, tmp_path / "none")
    with pytest.raises(WeightsError, match="is a folder"):
        import_file(entry, tmp_path)
    assert not entry.path.parent.exists()


def test_a_hub_model_cannot_be_one_file(own: Path) -> None:
    entry = Site().entry(obtain="hub", file=None, repository="a/b", revision="main")
    with pytest.raises(WeightsError, match="folder of the Hugging Face hub") as caught:
        import_file(entry, own)
    assert "--set speech.model=FOLDER" in str(caught.value.hint)


def test_an_entry_whose_hash_is_not_known_takes_any_file_of_its_size(own: Path) -> None:
    assert import_file(Site().entry(sha256=None), own).read_bytes() == CONTENT
    with pytest.raises(WeightsCorrupt):
        import_file(Site().entry(sha256=None, bytes=5), own)
    assert import_file(Site().entry(sha256=None, bytes=None), own).read_bytes() == CONTENT


def test_importing_the_file_of_the_cache_itself_keeps_it(entry: WeightsEntry, own: Path) -> None:
    import_file(entry, own)
    assert import_file(entry, entry.path).read_bytes() == CONTENT


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_said(entry: WeightsEntry, own: Path) -> None:
    own.chmod(0)
    with pytest.raises(WeightsError, match="cannot be read"):
        import_file(entry, own)


def test_a_full_disk_is_said(
    entry: WeightsEntry, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(own)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PirctlError, match="has 0 MB free"):
        import_file(entry, own)


def test_a_file_put_there_by_hand_is_hashed_once(
    entry: WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def count(path: Path, *rest: object) -> str:
        hashed.append(path)
        return file_hash(path)

    monkeypatch.setattr(weights, "file_hash", count)
    assert weights.state_of(entry) == WeightsState.MISSING
    path = put(entry, CONTENT)
    assert weights.state_of(entry) == weights.state_of(entry) == WeightsState.HERE
    assert len(hashed) == 1
    put(entry, CONTENT[::-1])
    assert weights.state_of(entry) == WeightsState.WRONG
    put(entry, CONTENT[:-1])
    with pytest.raises(WeightsCorrupt, match=f"has {len(CONTENT) - 1} bytes") as caught:
        weights.check_once(entry, path)
    assert caught.value.hint == "pirctl models pull toy --force"


def test_a_file_that_was_right_under_another_hash_is_checked_again(entry: WeightsEntry) -> None:
    path = put(entry, CONTENT)
    weights.check_once(entry, path)
    newer = Site().entry(sha256=hashlib.sha256(b"newer").hexdigest())
    with pytest.raises(WeightsCorrupt, match="the hash"):
        weights.check_once(newer, path)


@pytest.mark.parametrize("memory", ["", "[]", "{", "null"])
def test_a_damaged_memory_of_what_was_right_is_forgotten(entry: WeightsEntry, memory: str) -> None:
    path = put(entry, CONTENT)
    (path.parent / "verified.json").write_text(memory)
    weights.check_once(entry, path)
    assert "toy.bin" in (path.parent / "verified.json").read_text()


@pytest.mark.parametrize("file", ["../toy.bin", "/etc/toy", "a/b", ".hidden", "..", "a\\b"])
def test_an_entry_cannot_leave_the_cache(file: str) -> None:
    with pytest.raises(ValueError, match="no plain name"):
        Site().entry(file=file)
