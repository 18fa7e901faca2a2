"""Models of TensorFlow.js: their tensors come back, and nothing outside their folder is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pirctl.errors import WeightsCorrupt
from pirctl.weights.tfjs import read_tfjs

MEND = "pirctl models pull thing --force"
FIRST = np.arange(12, dtype="<f4").reshape(2, 3, 2)
SECOND = np.array([7], "<i4")
THIRD = np.array(0.5, "<f4")


def write(folder: Path, **changes: Any) -> Path:
    """A model of three tensors whose bytes are cut in the middle of the first."""
    content = FIRST.tobytes() + SECOND.tobytes() + THIRD.tobytes()
    weights = [
        {"name": "a/first", "shape": [2, 3, 2], "dtype": "float32"},
        {"name": "a/second", "shape": [1], "dtype": "int32"},
        {"name": "third", "shape": [], "dtype": "float32"},
    ]
    group = {"paths": ["one.bin", "two.bin"], "weights": weights}
    (folder / "one.bin").write_bytes(content[:10])
    (folder / "two.bin").write_bytes(content[10:])
    for name, value in changes.items():
        if name in {"name", "shape", "dtype", "quantization"}:
            weights[0][name] = value
        else:
            group[name] = value
    (folder / "model.json").write_text(json.dumps({"weightsManifest": [group]}))
    return folder


def test_tensors_are_cut_out_of_the_joined_shards(tmp_path: Path) -> None:
    tensors = read_tfjs(write(tmp_path), MEND)
    assert set(tensors) == {"a/first", "third"}
    np.testing.assert_array_equal(tensors["a/first"], FIRST)
    assert tensors["third"] == 0.5
    tensors["a/first"][0] = 1  # Its own memory.


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"paths": ["../one.bin", "two.bin"]}, "no plain name"),
        ({"paths": ["/etc/passwd"]}, "no plain name"),
        ({"paths": [3]}, "no plain name"),
        ({"paths": ["one.bin", "three.bin"]}, "three.bin"),
        ({"paths": ["one.bin"]}, "too short"),
        ({"paths": ["one.bin", "two.bin", "one.bin"]}, "too long"),
        ({"shape": [2, 3, 1 << 40]}, "too short"),
        ({"shape": [-2, -3, 2]}, "no plain shape"),
        ({"shape": ["2", 3, 2]}, "no plain shape"),
        ({"dtype": "string"}, "plain float32"),
        ({"quantization": {"scale": 1}}, "plain float32"),
        ({"weights": None}, "NoneType"),
    ],
)
def test_what_is_wrong_or_hostile_is_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsCorrupt, match=reason) as caught:
        read_tfjs(write(tmp_path, **changes), MEND)
    assert caught.value.hint == MEND


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"weightsManifest": 3}', "[" * 100_000])
def test_a_list_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(WeightsCorrupt, match=r"no model of TensorFlow\.js"):
        read_tfjs(tmp_path, MEND)


def test_a_shard_that_is_a_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "two.bin").rename(tmp_path / "elsewhere")
    (tmp_path / "two.bin").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsCorrupt, match="lies elsewhere"):
        read_tfjs(tmp_path, MEND)
