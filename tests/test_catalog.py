from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pirctl import catalog
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.progress import Progress

CONTENT = bytes(range(256)) * 9000


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[catalog.WeightsEntry]:
    """An entry `toy` whose file a server in this process gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = self.path == "/toy.bin"
            self.send_response(200 if whole else 404)
            self.send_header("Content-Length", str(len(CONTENT) if whole else 0))
            self.end_headers()
            if whole:
                self.wfile.write(CONTENT)

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    entry = catalog.WeightsEntry(
        name="toy",
        used_for="tests",
        licence="none",
        licence_url="none",
        file="toy.bin",
        url=f"http://127.0.0.1:{server.server_port}/toy.bin",
        bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    offer(monkeypatch, entry)
    yield entry
    server.shutdown()
    server.server_close()
    thread.join()


def offer(monkeypatch: pytest.MonkeyPatch, entry: catalog.WeightsEntry) -> None:
    monkeypatch.setattr(catalog, "weights_entries", lambda: {entry.name: entry})


def test_a_missing_file_says_what_to_type_and_where_to_put_it() -> None:
    with pytest.raises(WeightsMissing, match=r"parsing_bisenet\.pth is needed for") as caught:
        catalog.find_weights("bisenet")
    assert "pirctl models pull bisenet" in str(caught.value.hint)
    assert str(catalog.cache_folder() / "weights") in caught.value.message


def test_a_missing_hub_model_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(WeightsMissing, match="facebook/wav2vec2-base-960h is needed") as caught:
        catalog.find_weights("wav2vec2-base-960h")
    assert caught.value.hint == "pirctl models pull wav2vec2-base-960h"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(WeightsError, match="no model file 'bisnet'") as caught:
        catalog.find_weights("bisnet")
    assert "did you mean bisenet" in str(caught.value.hint)


def test_a_file_the_user_names_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(b"own")
    assert catalog.find_weights("bisenet", tmp_path / "own.pth") == tmp_path / "own.pth"
    with pytest.raises(WeightsMissing, match="does not exist"):
        catalog.find_weights("bisenet", tmp_path / "none.pth")


def test_a_pulled_file_is_verified_and_found(served: catalog.WeightsEntry) -> None:
    reports: list[Progress] = []
    path = catalog.pull("toy", on_progress=reports.append)
    assert path.read_bytes() == CONTENT
    assert catalog.find_weights("toy") == path
    assert catalog.is_here(served)
    assert (reports[-1].done, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert sorted(file.name for file in path.parent.iterdir()) == ["toy.bin", "verified.json"]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"bytes": 5}])
def test_a_file_that_is_not_the_expected_one_never_gets_its_name(
    served: catalog.WeightsEntry, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    offer(monkeypatch, replace(served, **change))
    with pytest.raises(WeightsCorrupt):
        catalog.pull("toy")
    assert not served.path.exists()
    assert list(served.path.parent.iterdir()) == []


def test_an_address_that_does_not_answer_is_said_in_words(
    served: catalog.WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, replace(served, url=f"{served.url}.gone"))
    with pytest.raises(WeightsError, match="could not be fetched") as caught:
        catalog.pull("toy")
    assert str(served.path) in str(caught.value.hint)


def test_a_file_put_there_by_hand_is_verified_once(
    served: catalog.WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.path.parent.mkdir(parents=True)
    served.path.write_bytes(CONTENT)
    hashed: list[Path] = []
    real = catalog._hash
    monkeypatch.setattr(catalog, "_hash", lambda path: hashed.append(path) or real(path))
    assert catalog.find_weights("toy") == catalog.find_weights("toy")
    assert len(hashed) == 1
    served.path.write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsCorrupt, match="has the hash"):
        catalog.find_weights("toy")
    served.path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsCorrupt, match="bytes") as caught:
        catalog.find_weights("toy")
    assert "--force" in str(caught.value.hint)
    assert catalog.pull("toy", force=True).read_bytes() == CONTENT


def test_what_needs_a_signature_is_not_downloaded(
    served: catalog.WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, replace(served, obtain="manual", steps="fill in the form"))
    with pytest.raises(WeightsError, match="by hand") as caught:
        catalog.pull("toy")
    assert caught.value.hint == "fill in the form"


@pytest.mark.parametrize("name", sorted(catalog.weights_entries()))
def test_every_entry_has_a_licence_and_a_hash_or_a_reason(name: str) -> None:
    entry = catalog.weights_entry(name)
    assert entry.licence
    assert entry.licence_url.startswith("https://")
    assert entry.used_for
    match entry.obtain:
        case "manual":
            assert entry.steps
        case "hub":
            assert entry.repository
            assert entry.revision
            assert entry.unverified
        case _:
            assert entry.file
            assert (entry.url or "").startswith("https://")
            complete = entry.bytes is not None and len(entry.sha256 or "") == 64
            assert complete or entry.unverified
            assert entry.sha256, "a download without any hash is not trusted"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "here"))
    assert catalog.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("PIRCTL_HOME")
    assert "pirctl" in catalog.cache_folder().name


def test_the_bundled_face_model_is_found_and_others_are_listed() -> None:
    assert catalog.face_model_path("generic").is_file()
    with pytest.raises(SettingsError, match="no face model 'bfm'") as caught:
        catalog.face_model_path("bfm")
    assert "generic" in str(caught.value.hint)


@pytest.mark.shared
def test_the_real_landmarker_is_the_expected_file(shared: Path) -> None:
    entry = catalog.weights_entry("face_landmarker")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes((shared / "weights" / "face_landmarker.task").read_bytes())
    assert catalog.find_weights("face_landmarker") == entry.path
