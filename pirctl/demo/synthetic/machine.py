"""Functions of the renderer as machine code."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile to machine code that releases the interpreter's lock; cached on disk.

    Numba's cache looks at a function's own file only, and would miss a change to what the function
    calls in another one. It files by qualified name, so that name carries the digest of all files.
    """
    function.__qualname__ += f"_{sources_digest(Path(__file__).parent)}"
    # Inlined: records of arrays are a hundred arguments to a call, a third of the time.
    compile_ = numba.njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
    result: _Function = compile_(function)
    return result


@functools.cache
def sources_digest(folder: Path) -> str:
    """Digest (8 hex digits) of the modules in a folder that hold compiled functions."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        content = path.read_bytes()
        if b"@compiled" in content:
            digest.update(content)
    return digest.hexdigest()[:8]
