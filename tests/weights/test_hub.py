from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from huggingface_hub import constants

from pirctl.errors import PirctlError, WeightsCorrupt, WeightsError
from pirctl.progress import Progress
from pirctl.weights import catalog, hub, transfer
from pirctl.weights.entry import WeightsState
from pirctl.weights.pull import pull
from tests.weights.server import CONTENT, Site, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HALF = len(CONTENT) // 2
MODEL = ("owner/model", COMMIT)


@dataclass
class Hub:
    """A hub on the loopback with one model, and what it was asked.

    Attributes:
        files: content by name.
        sent: what is sent in place of the content of a file.
        cut_after: bytes after which connections for weights are cut, one entry per connection.
        status: of every answer, in place of the true one.
        asked: method, file and Range of each request for a file.
    """

    port: int = 0
    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "config.json": b'{"hidden_size": 1024}',
            "preprocessor_config.json": b"{}",
            "model.safetensors": CONTENT,
            "pytorch_model.bin": CONTENT[::-1],
            "README.md": b"nobody needs this",
        }
    )
    sent: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    status: int | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pieces(self) -> list[str | None]:
        """The ranges of weights that were asked for."""
        return [span for method, name, span in self.asked if (method, name) == ("GET", WEIGHTS)]


WEIGHTS = "model.safetensors"


def is_large(name: str) -> bool:
    return name in {WEIGHTS, "pytorch_model.bin"}


def digest(name: str, content: bytes) -> str:
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def handler(model: Hub) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.close_connection = True
            path = self.path.partition("?")[0]
            if model.status is not None:
                return self.give(model.status, b"no")
            if path == f"/api/models/owner/model/tree/{COMMIT}":
                return self.give(200, json.dumps(listing(model)).encode())
            name = path.removeprefix(f"/owner/model/resolve/{COMMIT}/")
            if name not in model.files:
                return self.give(404, b"", {"X-Error-Code": "EntryNotFound"})
            span = self.headers.get("Range")
            model.asked.append((self.command, name, span))
            body = model.sent.get(name, model.files[name])
            asked = re.fullmatch(r"bytes=(\d+)-", span or "")
            start = int(asked[1]) if asked else 0
            tag = digest(name, model.files[name])
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
            if asked:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            cut = model.cut_after.pop(0) if is_large(name) and self.cuts() else None
            return self.give(206 if asked else 200, body[start:], headers, cut)

        def cuts(self) -> bool:
            return self.command == "GET" and bool(model.cut_after)

        def give(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str] | None = None,
            cut: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:cut])
            if cut is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def listing(model: Hub) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, content in model.files.items():
        row: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
        row["oid"] = digest("small", content)
        if is_large(name):
            row["lfs"] = {"oid": digest(name, content), "size": len(content), "pointerSize": 130}
        rows.append(row)
    return rows


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "PIRCTL_MIRROR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(transfer, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("PIRCTL_OFFLINE", "")
    model = Hub()
    with serving(handler(model)) as model.port:
        yield model


def fetch(model: Hub, **options: object) -> Path:
    return hub.fetch(*MODEL, endpoint=model.address, **options)  # type: ignore[arg-type]


def test_a_model_comes_with_its_settings_and_one_file_of_weights(
    model: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    reports: list[Progress] = []
    assert hub.find(*MODEL) is None
    folder = fetch(model, on_progress=reports.append)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    assert (folder / WEIGHTS).read_bytes() == CONTENT
    assert hub.find(*MODEL) == folder
    fetched = [report for report in reports if report.step == "fetching owner/model"]
    assert (fetched[0].done, fetched[-1].done, fetched[-1].total) == (0, len(CONTENT), len(CONTENT))
    assert capfd.readouterr() == ("", "")
    before = len(model.asked)
    assert fetch(model) == folder
    assert len(model.asked) == before


def test_the_hubs_own_cache_is_read_and_never_written(model: Hub, tmp_path: Path) -> None:
    theirs = tmp_path / "hub"
    folder = fetch(model)
    assert hub.hub_folder() in folder.parents
    assert not theirs.exists()
    hub.hub_folder().rename(theirs)  # As `hf download` would have left it.
    found = hub.find(*MODEL)
    assert found == fetch(model)
    assert found is not None
    assert theirs in found.parents
    before = sorted((path, path.lstat().st_mtime_ns) for path in theirs.rglob("*"))
    hub.check_once(found, "again")
    assert hub.hub_folder() in fetch(model, force=True).parents
    assert sorted((path, path.lstat().st_mtime_ns) for path in theirs.rglob("*")) == before


def test_nothing_is_fetched_that_nobody_named_when_that_is_forbidden(
    model: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIRCTL_OFFLINE", "1")
    with pytest.raises(WeightsError, match="PIRCTL_OFFLINE forbids it"):
        fetch(model)
    assert not model.asked
    assert (fetch(model, is_asked=True) / WEIGHTS).read_bytes() == CONTENT


def test_a_model_without_safetensors_comes_as_it_is(model: Hub) -> None:
    del model.files[WEIGHTS]
    assert (fetch(model) / "pytorch_model.bin").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(
    ("missing", "message"),
    [((WEIGHTS, "pytorch_model.bin"), "has neither"), (("config.json",), "has no config.json")],
)
def test_a_model_that_is_not_complete_is_said(
    model: Hub, missing: tuple[str, ...], message: str
) -> None:
    for name in missing:
        del model.files[name]
    with pytest.raises(WeightsError, match=message):
        fetch(model)
    assert hub.find(*MODEL) is None


def test_a_connection_that_is_cut_is_taken_up_again(model: Hub) -> None:
    model.cut_after = [100_000, 0, 300_000]
    assert (fetch(model) / WEIGHTS).read_bytes() == CONTENT
    assert model.pieces() == [None, "bytes=100000-", "bytes=100000-", "bytes=400000-"]


def test_a_stopped_pull_goes_on_where_it_stopped(model: Hub) -> None:
    def stop(report: Progress) -> None:
        if report.done >= HALF:
            raise KeyboardInterrupt

    model.cut_after = [HALF]
    with pytest.raises(KeyboardInterrupt):
        fetch(model, on_progress=stop)
    assert hub.find(*MODEL) is None
    model.cut_after, model.asked = [], []
    reports: list[Progress] = []
    assert (fetch(model, on_progress=reports.append) / WEIGHTS).read_bytes() == CONTENT
    assert reports[0].done >= HALF
    assert model.pieces() == [f"bytes={reports[0].done}-"]


def test_a_connection_that_always_breaks_is_a_sentence(model: Hub) -> None:
    model.cut_after = [0] * 50
    with pytest.raises(WeightsError, match="the connection was cut") as caught:
        fetch(model)
    assert "--set speech.model=FOLDER" in str(caught.value.hint)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_other_bytes_than_the_hub_has_are_no_model(model: Hub, name: str) -> None:
    """The client itself would take them: it compares sizes only."""
    model.sent[name] = model.files[name][::-1]
    with pytest.raises(WeightsCorrupt, match="another"):
        fetch(model)
    assert hub.find(*MODEL) is None
    model.sent.clear()
    assert (fetch(model) / name).read_bytes() == model.files[name]


def test_force_brings_back_what_was_damaged(model: Hub) -> None:
    folder = fetch(model)
    for name in (WEIGHTS, "config.json"):
        (folder / name).resolve().write_bytes(model.files[name][:-1])
    with pytest.raises(WeightsCorrupt, match="is not the file that the hub has") as caught:
        hub.check(folder, "again")
    assert caught.value.hint == "again"
    with pytest.raises(WeightsCorrupt) as caught:
        hub.check_once(folder, "again")
    assert caught.value.hint == "again"
    assert fetch(model, force=True) == folder
    hub.check(folder, "again")


def test_weights_that_arrived_right_are_not_read_again(
    model: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(model)
    monkeypatch.setattr(hub, "file_hash", lambda *_: pytest.fail("reads them"))
    hub.check_once(folder, "again")


def test_two_pulls_at_once_fetch_the_weights_once(model: Hub) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(fetch, model) for _ in range(2)]
        folders = [one.result(timeout=20) for one in both]
    assert (folders[0] / WEIGHTS).read_bytes() == CONTENT
    assert model.pieces() == [None]


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "the server answers 404"), (200, "it does not answer like the hub")],
)
def test_what_is_no_hub_is_a_sentence(model: Hub, status: int, message: str) -> None:
    model.status = status
    with pytest.raises(WeightsError, match=f"could not be fetched from {model.address}: {message}"):
        fetch(model)


def test_no_network_is_said_at_once(
    model: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import time

    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits"))
    with pytest.raises(WeightsError, match=r"from http://127\.0\.0\.1:1: Connection refused$"):
        hub.fetch(*MODEL, endpoint="http://127.0.0.1:1")
    assert not caplog.records


def test_an_offline_hub_is_a_sentence_and_what_is_here_is_found(
    model: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids it") as caught:
        fetch(model)
    assert "--set speech.model=FOLDER" in str(caught.value.hint)
    assert not model.asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = fetch(model)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(model) == folder


def test_a_cache_that_cannot_be_written_is_told_where_else_it_may_be(
    model: Hub,
) -> None:
    hub.hub_folder().write_text("a file")
    with pytest.raises(PirctlError, match="not a folder") as caught:
        fetch(model)
    assert "PIRCTL_HOME=FOLDER" in str(caught.value.hint)
    assert not model.asked


def test_a_hub_model_is_pulled_from_a_mirror_and_checked_like_a_file(model: Hub) -> None:
    entry = Site().entry(
        obtain="hub", file=None, url=None, bytes=None, sha256=None,
        repository="owner/model", revision=COMMIT,
    )  # fmt: skip
    folder = pull(entry, mirror=f"{model.address}/")
    assert folder == hub.find(*MODEL)
    assert catalog.state_of(entry) == WeightsState.HERE
    # As the hub's own client leaves it, when a line was bad.
    (folder / WEIGHTS).resolve().write_bytes(CONTENT[::-1])
    assert catalog.state_of(entry) == WeightsState.WRONG
    with pytest.raises(WeightsCorrupt) as caught:
        pull(entry)
    assert caught.value.hint == "pirctl models pull toy --force"
    pull(entry, force=True, mirror=model.address)
    assert catalog.state_of(entry) == WeightsState.HERE


def test_a_token_stays_with_the_hub(model: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for the hub's address alone, not for the one where it sends its large files from."""
    import urllib.request

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    requests: list[urllib.request.Request] = []
    real = urllib.request.OpenerDirector.open

    def record(
        self: urllib.request.OpenerDirector, request: object, *rest: object, **options: object
    ) -> object:
        assert isinstance(request, urllib.request.Request)
        requests.append(request)
        return real(self, request, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", record)
    fetch(model)
    (request,) = requests
    assert request.unredirected_hdrs["Authorization"] == "Bearer hf_secret"
    assert "Authorization" not in request.headers
