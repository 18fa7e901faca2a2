from __future__ import annotations

from pathlib import Path

import pytest

from pirctl.errors import WeightsMissing
from pirctl.weights import catalog
from pirctl.weights.converted import converted, drop_converted
from pirctl.weights.entry import WeightsEntry, cache_folder
from tests.weights.server import CONTENT, Site


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> WeightsEntry:
    """A model `toy` in the cache, and in the list."""
    entry = Site().entry()
    monkeypatch.setattr(catalog, "weights_entries", lambda: {"toy": entry})
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(CONTENT)
    return entry


def backwards(original: Path, to: Path) -> None:
    to.write_bytes(original.read_bytes()[::-1])


def forbidden(original: Path, to: Path) -> None:
    raise AssertionError("converted again")


def made() -> list[str]:
    folder = cache_folder() / "weights" / "converted"
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_converted_once(entry: WeightsEntry) -> None:
    path = converted("toy", ".safetensors", backwards)
    assert path.read_bytes() == CONTENT[::-1]
    assert converted("toy", ".safetensors", forbidden) == path
    assert (entry.sha256 or "")[:12] in path.name


def test_a_newer_way_to_convert_replaces_the_old_result(entry: WeightsEntry) -> None:
    other = converted("toy", ".npz", backwards)
    old = converted("toy", ".safetensors", backwards)
    new = converted("toy", ".safetensors", lambda _, to: to.write_bytes(b"2"), version=2)
    assert new != old
    assert new.read_bytes() == b"2"
    assert made() == sorted([other.name, new.name])


def test_a_conversion_that_fails_leaves_nothing(entry: WeightsEntry) -> None:
    def fail(original: Path, to: Path) -> None:
        to.write_bytes(b"half")
        raise ValueError("no such tensor")

    with pytest.raises(ValueError, match="no such tensor"):
        converted("toy", ".safetensors", fail)
    assert made() == []
    assert converted("toy", ".safetensors", backwards).read_bytes() == CONTENT[::-1]


def test_without_the_original_nothing_is_converted(entry: WeightsEntry) -> None:
    entry.path.unlink()
    with pytest.raises(WeightsMissing):
        converted("toy", ".safetensors", forbidden)


def test_what_is_fetched_again_is_converted_again(entry: WeightsEntry) -> None:
    path = converted("toy", ".safetensors", backwards)
    alike = path.with_name(path.name.replace("toy", "toy-large"))
    alike.write_bytes(b"of another model")
    drop_converted("toy")
    assert made() == [alike.name]
