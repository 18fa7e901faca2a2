"""What is remembered of results, over runs and over the end of a run at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pirctl.batch.ledger import Ledger


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def _again(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "made.json")


def test_a_result_is_made_only_of_what_it_was_made_of(tmp_path: Path, output: Path) -> None:
    ledger = _again(tmp_path)
    ledger.begin(output, "one")
    output.write_bytes(b"video")
    ledger.finish(output)
    assert _again(tmp_path).is_made(output, "one")
    assert not _again(tmp_path).is_made(output, "two")
    assert _again(tmp_path).is_ours(output)


def test_a_result_that_was_replaced_or_removed_is_not_ours(tmp_path: Path, output: Path) -> None:
    ledger = _again(tmp_path)
    ledger.begin(output, "one")
    output.write_bytes(b"video")
    ledger.finish(output)
    output.write_bytes(b"of somebody else")
    assert not ledger.is_ours(output)
    output.unlink()
    assert not ledger.is_made(output, "one")


def test_a_result_whose_end_was_not_seen_counts_if_it_is_new(tmp_path: Path, output: Path) -> None:
    output.write_bytes(b"old")
    _again(tmp_path).begin(output, "one")
    assert not _again(tmp_path).is_made(output, "one")
    temporary = output.with_name("new")
    temporary.write_bytes(b"new")
    temporary.replace(output)
    os.utime(output, ns=(1, 1))
    assert _again(tmp_path).is_made(output, "one")


def test_what_was_never_begun_is_not_ours(tmp_path: Path, output: Path) -> None:
    output.write_bytes(b"video")
    assert not _again(tmp_path).is_ours(output)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"out.mp4": 1}', '{"out.mp4": {}}'])
def test_a_ledger_that_cannot_be_read_is_empty(tmp_path: Path, output: Path, text: str) -> None:
    (tmp_path / "made.json").write_text(text)
    output.write_bytes(b"video")
    assert not _again(tmp_path).is_made(output, "one")


def test_the_folder_of_table_and_results_can_be_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    ledger = Ledger(old / "report" / "made.json")
    ledger.begin(old / "out.mp4", "one")
    (old / "out.mp4").write_bytes(b"video")
    ledger.finish(old / "out.mp4")
    old.rename(new)
    assert Ledger(new / "report" / "made.json").is_made(new / "out.mp4", "one")
