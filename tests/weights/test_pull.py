from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pirctl.errors import PirctlError, SettingsError, WeightsCorrupt, WeightsError
from pirctl.progress import Progress
from pirctl.weights import transfer
from pirctl.weights.entry import WeightsEntry, cache_folder
from pirctl.weights.pull import pull
from tests.weights.server import CONTENT, Site, site

HALF = len(CONTENT) // 2


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "PIRCTL_MIRROR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(transfer, "_PAUSES_S", (0.0, 0.0))
    with site() as served:
        yield served


def files() -> list[str]:
    """What is in the folder of model files, unfinished bytes included, locks left out."""
    folder = cache_folder() / "weights"
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def stop_halfway(served: Site, entry: WeightsEntry) -> None:
    """Leave the first half of the file behind, as a killed pull does."""

    def stop(report: Progress) -> None:
        if report.done >= HALF:
            raise KeyboardInterrupt

    served.cut_after = [HALF]
    with pytest.raises(KeyboardInterrupt):
        pull(entry, on_progress=stop)
    assert files() == [".partial/toy.bin.json", ".partial/toy.bin.part"]
    served.cut_after = []
    served.asked.clear()


def test_a_pulled_file_is_checked_and_nothing_else_stays(served: Site) -> None:
    reports: list[Progress] = []
    path = pull(served.entry(), on_progress=reports.append)
    assert path == served.entry().path
    assert path.read_bytes() == CONTENT
    assert files() == ["toy.bin", "verified.json"]
    fetched = [report for report in reports if report.step == "fetching toy"]
    assert (fetched[0].done, fetched[-1].done) == (0, len(CONTENT))
    assert {report.total for report in fetched} == {len(CONTENT)}
    assert {report.unit for report in fetched} == {"bytes"}
    assert reports[-1].step == "checking toy"


def test_what_is_here_is_not_fetched_again_unless_forced(served: Site) -> None:
    pull(served.entry())
    pull(served.entry())
    assert len(served.asked) == 1
    pull(served.entry(), force=True)
    assert len(served.asked) == 2


def test_a_broken_pull_goes_on_where_it_stopped(served: Site) -> None:
    stop_halfway(served, served.entry())
    reports: list[Progress] = []
    assert pull(served.entry(), on_progress=reports.append).read_bytes() == CONTENT
    (asked,) = served.asked
    assert asked["Range"] == f"bytes={reports[0].done}-"
    assert reports[0].done >= HALF
    assert asked["If-Range"] == '"v1"'


def test_connections_that_are_cut_are_taken_up_in_the_same_pull(served: Site) -> None:
    served.cut_after = [100_000, 0, 300_000, 1]
    assert pull(served.entry()).read_bytes() == CONTENT
    assert [asked.get("Range") for asked in served.asked] == [
        None, "bytes=100000-", "bytes=100000-", "bytes=400000-", "bytes=400001-",
    ]  # fmt: skip


def test_a_server_that_gives_nothing_more_ends_the_pull_and_keeps_what_came(served: Site) -> None:
    served.cut_after = [HALF, *[0] * 50]
    with pytest.raises(WeightsError, match=f"after {HALF} of {len(CONTENT)} bytes") as caught:
        pull(served.entry())
    assert "goes on from there" in str(caught.value.hint)
    served.cut_after = []
    served.asked.clear()
    assert pull(served.entry()).read_bytes() == CONTENT
    assert served.asked[0]["Range"] == f"bytes={HALF}-"


def test_a_server_that_ignores_ranges_is_read_from_the_start(served: Site) -> None:
    served.ranges = False
    served.cut_after = [HALF]
    assert pull(served.entry()).read_bytes() == CONTENT
    assert len(served.asked) == 2


def test_a_server_that_ignores_ranges_and_always_cuts_does_not_go_on_for_ever(served: Site) -> None:
    served.ranges = False
    served.cut_after = [HALF] * 50
    with pytest.raises(WeightsError, match="cut"):
        pull(served.entry())
    assert len(served.asked) < 10


def test_a_file_that_changed_in_between_is_read_from_the_start(served: Site) -> None:
    """The other version is whole, and it is not the expected one: nothing is patched together."""
    stop_halfway(served, served.entry())
    served.tag, served.content = '"v2"', CONTENT[::-1]
    new = served.entry(sha256=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert pull(new).read_bytes() == CONTENT[::-1]
    assert len(served.asked) == 1


def test_pieces_of_two_versions_are_noticed_and_fetched_anew(served: Site) -> None:
    """Without a tag the server cannot say that the file changed; the hash can."""
    served.tag = None
    stop_halfway(served, served.entry())
    served.content = CONTENT[::-1]
    new = served.entry(sha256=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert pull(new).read_bytes() == CONTENT[::-1]
    assert [asked.get("Range") is None for asked in served.asked] == [False, True]


def test_a_part_that_is_already_whole_needs_no_byte_more(served: Site) -> None:
    """The server answers 416 to a range that begins at the end."""
    stop_halfway(served, served.entry())
    part = cache_folder() / "weights" / ".partial" / "toy.bin.part"
    part.write_bytes(CONTENT)
    assert pull(served.entry()).read_bytes() == CONTENT
    assert served.asked[0]["Range"] == f"bytes={len(CONTENT)}-"


def test_a_part_that_is_too_long_is_thrown_away(served: Site) -> None:
    stop_halfway(served, served.entry())
    part = cache_folder() / "weights" / ".partial" / "toy.bin.part"
    part.write_bytes(CONTENT + b"more")
    assert pull(served.entry()).read_bytes() == CONTENT
    assert len(served.asked) == 2


def test_a_part_from_another_address_is_not_gone_on_with(served: Site) -> None:
    served.paths = ("/files/toy.bin", "/other/toy.bin")
    stop_halfway(served, served.entry())
    pull(served.entry(url=f"{served.address}/other/toy.bin"))
    assert "Range" not in served.asked[0]


@pytest.mark.parametrize(
    ("content", "announced"),
    [
        (CONTENT[::-1], None),
        (CONTENT[:-1], None),
        (CONTENT + b"x", None),
        (CONTENT, str(len(CONTENT) - 5)),
        (CONTENT, str(len(CONTENT) + 5)),
        (CONTENT + b"x" * 5_000_000, ""),
        (b"<html>Please log in</html>", None),
        (b"", None),
    ],
    ids=["bytes", "short", "long", "says less", "says more", "endless", "login page", "nothing"],
)
def test_another_file_never_gets_the_name(
    served: Site, content: bytes, announced: str | None
) -> None:
    served.content, served.announced = content, announced
    with pytest.raises(WeightsCorrupt, match="gives another file") as caught:
        pull(served.entry())
    assert "pirctl models import toy FILE" in str(caught.value.hint)
    assert files() == []


def test_a_length_that_is_a_lie_is_a_cut_when_the_size_is_not_known(served: Site) -> None:
    served.announced, served.ranges = str(len(CONTENT) + 5), False
    with pytest.raises(WeightsError, match="cut"):
        pull(served.entry(bytes=None))
    served.announced = str(len(CONTENT) - 5)
    with pytest.raises(WeightsCorrupt, match="the hash"):
        pull(served.entry(bytes=None))
    assert not served.entry().path.exists()


def test_a_file_without_a_length_is_taken_whole(served: Site) -> None:
    served.announced = ""
    assert pull(served.entry()).read_bytes() == CONTENT
    assert pull(served.entry(bytes=None), force=True).read_bytes() == CONTENT


def test_a_wrong_file_does_not_take_the_place_of_the_right_one(served: Site) -> None:
    pull(served.entry())
    served.content = CONTENT[::-1]
    with pytest.raises(WeightsCorrupt):
        pull(served.entry(), force=True)
    assert served.entry().path.read_bytes() == CONTENT


def test_an_address_without_the_file_is_said_in_words(served: Site) -> None:
    served.paths = ()
    with pytest.raises(WeightsError, match="there is no toy at http") as caught:
        pull(served.entry())
    assert "--mirror" in str(caught.value.hint)
    assert len(served.asked) == 1


def test_a_server_that_redirects_in_circles_is_said_in_one_line(served: Site) -> None:
    served.redirects = "/files/toy.bin"
    with pytest.raises(WeightsError, match="the server answers 302") as caught:
        pull(served.entry())
    assert "\n" not in caught.value.message


def test_a_redirect_is_followed(served: Site) -> None:
    served.paths, served.redirects = ("/files/toy.bin", "/elsewhere"), "/elsewhere"
    served.cut_after = [HALF]
    assert pull(served.entry()).read_bytes() == CONTENT
    assert served.asked[-1]["Range"] == f"bytes={HALF}-"


def test_a_server_that_refuses_every_range_is_not_promised_to_go_on(served: Site) -> None:
    served.cut_after, served.refuses_ranges = [HALF] * 50, True
    with pytest.raises(WeightsError, match="a shorter file after 0 of") as caught:
        pull(served.entry())
    assert "the same command tries again" in str(caught.value.hint)


def test_a_forbidden_file_is_said_in_words(served: Site) -> None:
    served.statuses = [403]
    with pytest.raises(WeightsError, match="the server answers 403"):
        pull(served.entry())


def test_a_busy_server_is_asked_again(served: Site) -> None:
    served.statuses = [503, 429]
    assert pull(served.entry()).read_bytes() == CONTENT
    served.statuses = [500] * 50
    with pytest.raises(WeightsError, match="the server answers 500"):
        pull(served.entry(), force=True)


def test_no_network_is_a_sentence_with_a_way_out(served: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/toy.bin"
    with pytest.raises(WeightsError, match=f"no connection to 127.0.0.1:{port} for toy") as caught:
        pull(served.entry(url=url))
    assert "pirctl models import toy FILE" in str(caught.value.hint)


def test_a_network_that_goes_away_keeps_what_came(served: Site) -> None:
    stop_halfway(served, served.entry())
    served.statuses = [500] * 50
    with pytest.raises(WeightsError, match="answers 500"):
        pull(served.entry())
    assert ".partial/toy.bin.part" in files()


def test_proxies_of_the_environment_are_used(served: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", served.address)
    monkeypatch.setenv("no_proxy", "")
    url = "http://models.invalid/files/toy.bin"
    assert pull(served.entry(url=url)).read_bytes() == CONTENT
    assert served.asked[0]["path"] == url


def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(
        WeightsError, match=r"models\.invalid through the proxy 127\.0\.0\.1:1 for toy: Conn"
    ) as caught:
        pull(served.entry(url="http://models.invalid/files/toy.bin"))
    assert "secret" not in caught.value.message
    assert "Errno" not in caught.value.message


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.parametrize("where", ["/mirrored/files/toy.bin", "/mirrored/toy.bin"])
def test_a_mirror_takes_the_place_of_the_host(
    served: Site, monkeypatch: pytest.MonkeyPatch, how: str, where: str
) -> None:
    served.paths = (where,)
    mirror = f"{served.address}/mirrored/"
    if how == "environment":
        monkeypatch.setenv("PIRCTL_MIRROR", mirror)
    entry = served.entry(url="https://models.invalid/files/toy.bin")
    path = pull(entry, mirror=mirror if how == "option" else None)
    assert path.read_bytes() == CONTENT
    assert served.asked[-1]["path"] == where


@pytest.mark.parametrize(
    "mirror",
    [
        "mirror.example", "file:///etc", "https://", "https://host:abc", "https://a b",
        "https://user:secret@host", "https://[::1",
    ],
)  # fmt: skip
def test_a_mirror_that_is_no_address_is_refused(served: Site, mirror: str) -> None:
    with pytest.raises(SettingsError, match="the mirror") as caught:
        pull(served.entry(), mirror=mirror)
    assert "secret" not in caught.value.message


def test_what_needs_a_signature_is_not_downloaded(served: Site) -> None:
    with pytest.raises(WeightsError, match="cannot be downloaded") as caught:
        pull(served.entry(obtain="manual", url=None, steps="fill in the form"))
    assert caught.value.hint == "fill in the form"


def test_what_was_imported_by_hand_is_here(served: Site) -> None:
    entry = served.entry(obtain="manual", url=None, steps="fill in the form")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(CONTENT)
    assert pull(entry) == entry.path


def test_two_pulls_at_once_fetch_once(served: Site) -> None:
    served.waits_for = threading.Event()
    waiting: list[Progress] = []

    def watch(report: Progress) -> None:
        if report.step.startswith("waiting"):
            waiting.append(report)
            assert served.waits_for is not None
            served.waits_for.set()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(pull, served.entry(), on_progress=watch) for _ in range(2)]
        paths = [one.result(timeout=20) for one in both]
    assert paths[0].read_bytes() == CONTENT
    assert (len(served.asked), len(waiting)) == (1, 1)
    assert files() == ["toy.bin", "verified.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks are made otherwise there")
def test_a_disk_without_locks_is_no_hindrance(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert pull(served.entry()).read_bytes() == CONTENT


def pull_here(home: str, entry: WeightsEntry) -> None:
    os.environ["PIRCTL_HOME"] = home
    pull(entry)


def test_the_lock_of_a_killed_process_is_free(served: Site) -> None:
    served.waits_for = threading.Event()
    process = multiprocessing.get_context("spawn").Process(
        target=pull_here, args=(os.environ["PIRCTL_HOME"], served.entry())
    )
    process.start()
    while not served.asked:
        process.join(0.02)
    process.kill()
    process.join()
    served.waits_for.set()
    assert pull(served.entry()).read_bytes() == CONTENT


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_said_before_the_download(
    served: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o500)
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    with pytest.raises(PirctlError, match="no permission"):
        pull(served.entry())
    assert not served.asked


def test_a_cache_on_a_full_disk_is_told_where_else_it_may_be(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PirctlError, match="has 1 MB free") as caught:
        pull(served.entry())
    assert "PIRCTL_HOME=FOLDER" in str(caught.value.hint)


def test_a_cache_that_is_a_file_is_said_before_the_download(
    served: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    with pytest.raises(PirctlError, match="not a folder"):
        pull(served.entry())
    assert not served.asked
