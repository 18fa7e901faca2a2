"""Arrays of numbers from MATLAB files of unknown origin: names and shapes first, then content.

Only plain numeric arrays are read; cells, structures, objects and functions are refused unread.
Nothing in such a file can run code: scipy's reader makes arrays, never Python objects of a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pirctl.errors import WeightsCorrupt

_NUMERIC = {
    "double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "logical",
}  # fmt: skip


HDF5 = b"\x89HDF\r\n\x1a\n"
"""How HDF5 begins, and a MATLAB file of version 7.3 that other programs wrote."""


def variable_names(path: Path) -> tuple[str, ...]:
    """Names of the variables in a file.

    Raises:
        WeightsCorrupt: not a MATLAB file of version 4 to 7.
    """
    return tuple(_variables(path))


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, npt.NDArray[Any]]:
    """Numeric arrays of known shapes; other variables in the file are left alone.

    Args:
        path: a MATLAB file of version 4 to 7.
        shapes: (rows, columns) by name. An array that lies the other way round is turned.

    Raises:
        WeightsCorrupt: damaged, a variable is missing, has another shape, or is no plain array.
    """
    from scipy.io import loadmat

    variables = _variables(path)
    problems = []
    for name, shape in shapes.items():
        if name not in variables:
            problems.append(f"{name} is missing")
            continue
        found, kind = variables[name]
        if kind not in _NUMERIC:
            problems.append(f"{name} is of class {kind}, not numbers")
        elif found not in (shape, shape[::-1]):
            problems.append(f"{name} is {_size(found)}, expected {_size(shape)}")
    if problems:
        raise WeightsCorrupt(
            f"{path}: {'; '.join(problems)}", hint="check that it is whole, and the right file"
        )
    try:
        content = loadmat(path, variable_names=list(shapes))
        arrays = {name: np.asarray(content[name]) for name in shapes}
    except Exception as error:  # Damaged content raises many kinds, zlib's among them.
        raise _damaged(path, error) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":  # Complex numbers have a numeric class too.
            raise WeightsCorrupt(f"{path}: {name} has values of type {array.dtype}")
        if array.shape != shapes[name]:
            arrays[name] = array.T
    return arrays


def read_index(path: Path, name: str, array: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Indices from 0, of the same shape, from MATLAB's, which count from 1.

    Args:
        path: the file, for the message.
        name: the variable, for the message.
        array: whole numbers of any type, 1 to `count`.
        count: how many things there are to point at.

    Raises:
        WeightsCorrupt: a number is not whole, or points at nothing.
    """
    # Compared as they are: turned into whole numbers, infinities would look like indices.
    whole = (array >= 1) & (array <= count) & (array == np.floor(array))
    if not whole.all():
        raise WeightsCorrupt(f"{path}: {name} must be whole numbers from 1 to {count}")
    index: npt.NDArray[np.int64] = np.ascontiguousarray(array).astype(np.int64) - 1
    return index


def _variables(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and class by name, without reading the content."""
    from scipy.io import whosmat

    try:
        with path.open("rb") as file:
            if file.read(len(HDF5)) == HDF5:
                raise NotImplementedError  # As whosmat does where MATLAB wrote it.
        return {name: (tuple(shape), kind) for name, shape, kind in whosmat(path)}
    except NotImplementedError as error:  # Version 7.3 is HDF5.
        raise WeightsCorrupt(
            f"{path} is a MATLAB file of version 7.3, which is not read here",
            hint="save it in MATLAB with -v7, or in Python with scipy.io.savemat",
        ) from error
    except Exception as error:  # A damaged file raises many kinds, zlib's among them.
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsCorrupt:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return WeightsCorrupt(
        f"{path} cannot be read as a MATLAB file: {reason}", hint="copy or fetch it again"
    )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
