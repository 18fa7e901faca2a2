"""Tables as spreadsheets write them, and text as editors write it, for people's own small files.

Taken as they come: a byte order mark, spaces, quotes, semicolons or tabs for commas, empty rows.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pirctl.errors import SettingsError

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: Path, what: str) -> str:
    """The text of a file.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a mark.
        what: it holds, for the error.

    Raises:
        SettingsError: missing, may not be read, or no text.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such file of {what}", hint="check the name")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is not a text file in UTF-8", hint="save it as CSV (UTF-8)"
        ) from error


def read_rows(path: Path, what: str, hint: str) -> list[tuple[int, list[str]]]:
    """The rows with something in them, each with its number in the file, cells stripped.

    Args:
        path: the file.
        what: it holds, for the error.
        hint: what such a file looks like.

    Raises:
        SettingsError: as `read_text`, or no table.
    """
    text = read_text(path, what)
    lines = io.StringIO(text, newline="")
    first = text.lstrip().partition("\n")[0].strip()
    if first.lower().startswith("sep=") and len(first) == 5:
        delimiter = first[-1]  # A hint that Excel reads and writes.
    else:
        delimiter = max(",;\t", key=first.count)
    rows = []
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and "".join(stripped).lower() != "sep=":
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise SettingsError(f"{path}, row {reader.line_num}: {error}", hint=hint) from error
    return rows
