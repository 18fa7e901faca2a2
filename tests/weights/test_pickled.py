"""Pickles of arrays: ours are read as they are, everything else is refused and nothing runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import WeightsCorrupt
from pirctl.weights.pickled import read_pickled_arrays

MEND = "pirctl models pull thing --force"


def write(path: Path, content: object, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4])
def test_nested_arrays_come_back_under_joined_names(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    fortran = np.asfortranarray(rng.normal(size=(5, 6)).astype(np.float32))
    path = write(tmp_path / "a", {"net": {"Conv": {"kernel": kernel}}, "f": fortran}, protocol)
    arrays = read_pickled_arrays(path, MEND)
    assert set(arrays) == {"net/Conv/kernel", "f"}
    np.testing.assert_array_equal(arrays["net/Conv/kernel"], kernel)
    np.testing.assert_array_equal(arrays["f"], fortran)
    arrays["f"][0, 0] = 7  # Its own memory.


class Runs:
    """Leaves a file where it is unpickled by anything that runs what a pickle says."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    path = write(tmp_path / "a", {"net": Runs(trace)})
    with pytest.raises(WeightsCorrupt, match=r"asks for posix.mkdir|asks for os") as caught:
        read_pickled_arrays(path, MEND)
    assert caught.value.hint == MEND
    assert not trace.exists()


LOOP: dict[str, object] = {}
LOOP["again"] = LOOP


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros(3, np.float32), "else than dicts"),
        ({"a": [1, 2]}, "else than dicts"),
        ({"a": np.zeros(3, np.float64)}, "little-endian float32"),
        ({"a": np.zeros(3, ">f4")}, "little-endian float32"),
        ({"a": np.array([{}], object)}, "little-endian float32"),
        ({3: np.zeros(3, np.float32)}, "no text"),
        (LOOP, "else than dicts"),
        ({"a": np.ndarray}, "else than dicts"),
        ({"a": np.float32(1)}, "asks for numpy"),
    ],
)
def test_what_is_not_dicts_of_float32_arrays_is_refused(
    content: object, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsCorrupt, match=reason):
        read_pickled_arrays(write(tmp_path / "a", content), MEND)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        pickle.dumps({"a": np.zeros(300, np.float32)}, protocol=3)[:-200],
        # An array's state that lies about its shape.
        pickle.dumps({"a": np.zeros(3, np.float32)}, protocol=3).replace(
            b"K\x03\x85", b"K\x30\x85"
        ),
        # The array type called with a size, as if to fill the memory.
        b"\x80\x03cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",
        # A place in the memo that would need 32 GB of table.
        b"\x80\x03}r\xff\xff\xff\x7f.",
    ],
)
def test_broken_and_hostile_bytes_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt):
        read_pickled_arrays(path, MEND)
