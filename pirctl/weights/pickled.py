"""Pickled arrays from elsewhere, read without running any of their code, not even numpy's."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import WeightsCorrupt


def read_pickled_arrays(path: Path, mend: str) -> dict[str, NDArray[np.float32]]:
    """Read nested dicts of float32 arrays.

    A pickle is a program; this one may name three things of numpy and nothing else, and each of
    them is replaced by a plain record. The arrays are then made from the records' bytes.

    Args:
        path: the file.
        mend: the command that replaces it.

    Returns:
        "outer/inner" -> array. Writable copies, in C order.

    Raises:
        WeightsCorrupt: it is not that.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file).load()
        arrays: dict[str, NDArray[np.float32]] = {}
        _flatten(content, "", arrays, depth=0)
    # A file that was tampered with raises whatever its opcodes lead to.
    except Exception as error:
        raise WeightsCorrupt(f"{path} is no file of arrays alone ({error})", hint=mend) from error
    return arrays


class _Dtype:
    """What the pickle says about the type of an array's elements."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code
        self.order: object = None

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Array:
    """What the pickle says about an array."""

    state: Any = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> NDArray[np.float32]:
        """The array itself."""
        _, shape, dtype, is_fortran, content = self.state
        if not isinstance(dtype, _Dtype) or (dtype.code, dtype.order) != ("f4", "<"):
            raise ValueError("an array that is not of little-endian float32")
        if not isinstance(content, bytes) or len(content) != 4 * math.prod(shape):
            raise ValueError("an array whose bytes do not fit its shape")
        values = np.frombuffer(content, "<f4").reshape(shape, order="F" if is_fortran else "C")
        return np.array(values, np.float32, order="C")


def _no_instance(*_: object) -> NoReturn:
    raise ValueError("an array type that is called")


_KNOWN = {
    **dict.fromkeys(
        (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")),
        _Array,
    ),
    ("numpy", "dtype"): _Dtype,
    # Only an argument of `_reconstruct`.
    ("numpy", "ndarray"): _no_instance,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]


def _flatten(
    content: object, prefix: str, arrays: dict[str, NDArray[np.float32]], depth: int
) -> None:
    if not isinstance(content, dict) or depth > 8:  # A dict may hold itself.
        raise ValueError("something else than dicts of arrays")
    for name, value in content.items():
        if not isinstance(name, str):
            raise ValueError("a name that is no text")
        if isinstance(value, _Array):
            arrays[f"{prefix}{name}"] = value.array()
        else:
            _flatten(value, f"{prefix}{name}/", arrays, depth + 1)
