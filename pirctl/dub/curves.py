"""Expression curves as a table that a person can edit: one row per moment, one column per axis.

    time,jawOpen,mouthSmileLeft
    0,0.1,0
    0.04,0.32,0.05

Times are seconds. Between two values of a column there is a straight line, before the first and
after the last it holds; an empty cell is no value. Reading takes what spreadsheets write
(`sheets`), decimal commas included.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.sheets import read_rows
from pirctl.errors import SettingsError
from pirctl.files import atomic_file, check_writable

FloatArray = NDArray[np.float32]
Knots = tuple[NDArray[np.float64], NDArray[np.float64]]

_FORMAT_HINT = "the first row names the columns, for example: time,jawOpen,mouthSmileLeft"


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Values of some axes over time.

    Attributes:
        path: the file, for messages.
        knots: name of each axis to its times in seconds, strictly rising, and its values.
    """

    path: Path
    knots: dict[str, Knots]

    def at(self, name: str, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (T,) of one axis at the times (T,) in seconds."""
        return np.interp(times_s, *self.knots[name])


def read_curves(path: Path) -> Curves:
    """Read a table of curves.

    Raises:
        SettingsError: missing, no text, or not such a table; says the row and the column.
    """
    rows = read_rows(path, "expression curves", _FORMAT_HINT)
    if not rows:
        raise SettingsError(f"{path} has no row", hint=_FORMAT_HINT)
    names = _header(path, rows[0][1])
    times: list[float] = []
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in names.values()}
    for line, cells in rows[1:]:
        time_s = _number(path, line, "time", cells[0])
        if time_s is None:
            raise SettingsError(f"{path}, row {line}: no time", hint=_FORMAT_HINT)
        if times and time_s <= times[-1]:
            raise SettingsError(
                f"{path}, row {line}: time {time_s:g} does not come after {times[-1]:g}",
                hint="sort the rows by time, each moment once",
            )
        if any(cell for index, cell in enumerate(cells) if index and index not in names):
            raise SettingsError(f"{path}, row {line}: a value in a column that has no name")
        times.append(time_s)
        for index, name in names.items():
            value = _number(path, line, name, cells[index]) if index < len(cells) else None
            if value is not None:
                values[name].append((time_s, value))
    for name, pairs in values.items():
        if not pairs:
            raise SettingsError(
                f"{path}: column {name!r} has no value", hint="fill it, or remove the column"
            )
    return Curves(path=path, knots={name: _knots(pairs) for name, pairs in values.items()})


@contextmanager
def write_curves(
    path: Path, names: Sequence[str], frame_rate: int, *, force: bool = False
) -> Iterator[Callable[[FloatArray], None]]:
    """Give a function that appends expressions (t, E), one row per frame.

    Reading the file gives the same float32 numbers again, to the bit. The file gets its name when
    the block succeeds.

    Raises:
        PirctlError: `path` exists and `force` is false, or it cannot be written.
    """
    check_writable(path, force=force)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("time", *names))
        done = 0

        def append(expressions: FloatArray) -> None:
            nonlocal done
            for row in expressions.tolist():
                # Nine digits tell every float32 from its neighbours.
                writer.writerow((repr(done / frame_rate), *(f"{value:.9g}" for value in row)))
                done += 1

        yield append


def _header(path: Path, cells: list[str]) -> dict[int, str]:
    """Name of every named column after the first, which must be the time."""
    if not cells[0].lower().startswith("time"):
        raise SettingsError(
            f"{path}: the first column is {cells[0]!r}, it must be the time in seconds",
            hint=_FORMAT_HINT,
        )
    names = {index: name for index, name in enumerate(cells) if index and name}
    if not names:
        raise SettingsError(f"{path}: no column names an axis", hint=_FORMAT_HINT)
    twice = [name for name in names.values() if list(names.values()).count(name) > 1]
    if twice:
        raise SettingsError(f"{path}: two columns are called {twice[0]!r}", hint="remove one")
    return names


def _number(path: Path, line: int, column: str, cell: str) -> float | None:
    if not cell:
        return None
    text = cell if "." in cell else cell.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(
            f"{path}, row {line}, column {column!r}: {cell!r} is not a number",
            hint="write 0.25, or 0,25 between semicolons",
        )
    return value


def _knots(pairs: Sequence[tuple[float, float]]) -> Knots:
    times, values = np.array(pairs, np.float64).T
    return times, values
