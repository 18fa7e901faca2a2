"""The bank: which frames are in it, and what is refused when it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pirctl.errors import CheckpointError
from pirctl.perform.bank import Bank, choose_frames, read_bank, sharpness_of, write_bank
from tests.hostile import write_hostile

FRAMES = 40


def _bank() -> Bank:
    rng = np.random.default_rng(0)
    return Bank(
        numbers=np.array([0, 7, 39]),
        pictures=rng.integers(0, 256, (3, 24, 24, 3), dtype=np.uint8),
        corners=rng.uniform(0, 40, (3, 2)).astype(np.float32),
        scale=4 / 3,
    )


def test_what_is_rare_is_in_the_bank_and_every_frame_is_near_one_of_it() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.1, (300, 6)).astype(np.float32)
    features[100:150, 0] += 2  # A second pose, and a smile in one frame alone.
    features[217] = [0, 0, 3, 0, 0, 0]
    rows = choose_frames(features, np.ones(300, np.float32), 20)
    assert len(set(rows.tolist())) == 20
    np.testing.assert_array_equal(rows, np.sort(rows))
    assert 217 in rows
    assert ((rows >= 100) & (rows < 150)).any()

    def farthest(chosen: np.ndarray) -> float:
        apart = np.linalg.norm(features[:, None] - features[chosen], axis=-1)
        return float(apart.min(1).max())

    others = [farthest(rng.choice(300, 20, replace=False)) for _ in range(50)]
    assert farthest(rows) < min(others)


def test_blurred_frames_are_left_out_though_they_are_rare() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.1, (100, 4)).astype(np.float32)
    sharpness = np.ones(100, np.float32)
    blurred = [5, 50, 95]
    features[blurred] += 5
    sharpness[blurred] = 0.1
    assert not set(blurred) & set(choose_frames(features, sharpness, 30).tolist())


def test_of_few_frames_all_that_differ_are_taken() -> None:
    features = np.float32([[0], [1], [1], [2]])
    rows = choose_frames(features, np.float32([1, 0.1, 1, 1]), 10)
    assert sorted(features[rows, 0].tolist()) == [0, 1, 2]


def test_sharpness_is_lost_by_blur() -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert sharpness_of(np.full_like(picture, 90)) == 0
    assert sharpness_of(cv2.GaussianBlur(picture, (0, 0), 1.5)) < 0.2 * sharpness_of(picture)


def test_a_bank_is_read_as_it_was_written(tmp_path: Path) -> None:
    bank = _bank()
    write_bank(bank, tmp_path / "bank.safetensors")
    read = read_bank(tmp_path / "bank.safetensors", "bob", FRAMES)
    np.testing.assert_array_equal(read.numbers, bank.numbers)
    np.testing.assert_array_equal(read.pictures, bank.pictures)
    np.testing.assert_array_equal(read.corners, bank.corners)
    assert read.scale == bank.scale
    assert [path.name for path in tmp_path.iterdir()] == ["bank.safetensors"]


def _refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_bank(path, "bob", FRAMES)
    assert str(caught.value.hint) == "pirctl train --stage render --target bob --restart"


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": np.array([0, 7])},
        {"numbers": np.array([0, 7, FRAMES])},
        {"numbers": np.array([-1, 7, 8])},
        {"numbers": np.float32([0, 7, 8])},
        {"numbers": np.zeros(0, np.int64)},
        {"numbers": np.array(3)},
        {"pictures": np.zeros((3, 24, 24, 4), np.uint8)},
        {"pictures": np.zeros((3, 24, 20, 3), np.uint8)},
        {"pictures": np.zeros((3, 0, 0, 3), np.uint8)},
        {"pictures": np.zeros((3, 24), np.uint8)},
        {"pictures": np.zeros((3, 24, 24, 3), np.float32)},
        {"corners": np.zeros((3, 3), np.float32)},
        {"corners": np.full((3, 2), np.nan, np.float32)},
        {"corners": np.zeros((3, 2), np.int64)},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"scale": 0.5},
    ],
    ids=lambda change: "-".join(f"{key}{np.shape(value)}" for key, value in change.items()),
)
def test_a_bank_whose_parts_do_not_fit_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "bank.safetensors"
    write_bank(replace(_bank(), **change), path)
    _refused(path)


def test_a_damaged_or_hostile_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    _refused(path)
    write_bank(_bank(), path)
    path.write_bytes(path.read_bytes()[:-100])
    _refused(path)
    parts = {"pictures": _bank().pictures, "corners": _bank().corners}
    save_file(parts, path, metadata={"scale": "1"})
    _refused(path)
    parts["numbers"] = _bank().numbers
    for metadata in (None, {"scale": "one"}, {"size": "1"}):
        save_file(parts, path, metadata=metadata)
        _refused(path)
    for hostile in write_hostile(tmp_path):
        _refused(hostile)
    assert not (tmp_path / "was-run").exists()
