"""What a command prints: results on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any


def print_json(result: Any) -> None:
    """Print a result as indented JSON on stdout.

    Args:
        result: plain values, or dataclasses, paths, fractions and numpy numbers inside them.
    """
    print(json.dumps(_plain(result), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, float) and value != value:
        return None  # JSON knows no "not a number".
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value


def print_result(text: object) -> None:
    """Print a line of a result on stdout."""
    print(text)


def print_message(text: object) -> None:
    """Print a line for the person who watches, on stderr."""
    print(text, file=sys.stderr, flush=True)
