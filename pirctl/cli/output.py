"""What a command prints: results on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import asdict, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

# Control characters, marks that turn the direction of writing, halves of characters: what stands
# for a byte of a file name that is not UTF-8.
_UNPRINTABLE = {"Cc", "Cf", "Cs"}


def print_json(result: Any) -> None:
    """Print a result as indented JSON on stdout.

    Args:
        result: plain values, or dataclasses, paths, fractions and numpy numbers inside them.
    """
    text = json.dumps(_plain(result), indent=2, ensure_ascii=False)
    print("".join(x if x == "\n" or _is_printable(x) else json.dumps(x)[1:-1] for x in text))


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
    print(printable(str(text)))


def print_message(text: object) -> None:
    """Print a line for the person who watches, on stderr."""
    print(printable(str(text)), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    r"""`text` without what steers a terminal or cannot be encoded: as escapes, \x1b for example.

    Names come from files of others, and what they hold shall be seen, not obeyed.
    """
    return "".join(
        char if char in "\n\t" or _is_printable(char) else _escape(char) for char in text
    )


def _is_printable(char: str) -> bool:
    return unicodedata.category(char) not in _UNPRINTABLE


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
