"""Tables of curves: what spreadsheets make of them, mistakes, and the way there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.curves import read_curves, write_curves
from pirctl.errors import PirctlError, SettingsError


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "curves.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_values_lie_on_straight_lines_and_are_held_at_the_ends(tmp_path: Path) -> None:
    curves = read_curves(table(tmp_path, "time,jawOpen,mouthPucker\n1,0,0.5\n2,1,0.5\n4,0,0.7\n"))
    times = np.array([0, 1, 1.25, 2, 3, 4, 9])
    np.testing.assert_allclose(curves.at("jawOpen", times), [0, 0, 0.25, 1, 0.5, 0, 0])
    np.testing.assert_allclose(curves.at("mouthPucker", times), [0.5] * 4 + [0.6, 0.7, 0.7])


@pytest.mark.parametrize(
    "content",
    [
        "time,jawOpen,mouthPucker\n0,0.5,1\n1,0.25,0\n",
        "\ufefftime,jawOpen,mouthPucker\r\n0,0.5,1\r\n1,0.25,0\r\n",
        "time;jawOpen;mouthPucker\n0;0,5;1\n1;0,25;0\n",
        "sep=;\ntime;jawOpen;mouthPucker\n0;0,5;1\n1;0,25;0\n",
        "time\tjawOpen\tmouthPucker\n0\t0.5\t1\n1\t0.25\t0\n",
        ' Time (s) , jawOpen , mouthPucker ,\n 0 , .5 , 1 ,\n\n"1","0,25","0"\n,,,\n',
        "time,jawOpen,mouthPucker\n0,0.5,1\n1,2.5e-1,0\n".encode("utf-16"),
    ],
    ids=["plain", "mark", "semicolons", "sep", "tabs", "spaces", "utf-16"],
)
def test_what_spreadsheets_write_is_understood(content: str | bytes, tmp_path: Path) -> None:
    curves = read_curves(table(tmp_path, content))
    assert list(curves.knots) == ["jawOpen", "mouthPucker"]
    for name, values in (("jawOpen", [0.5, 0.25]), ("mouthPucker", [1, 0])):
        np.testing.assert_array_equal(curves.knots[name], [[0, 1], values])


def test_an_empty_cell_is_no_value(tmp_path: Path) -> None:
    curves = read_curves(table(tmp_path, "time,jawOpen,mouthPucker\n0,0,1\n1,,0\n2,1\n"))
    assert curves.at("jawOpen", np.array([1.0])) == 0.5
    assert curves.at("mouthPucker", np.array([2.0])) == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "has no row"),
        ("\n\n", "has no row"),
        ("jawOpen,time\n0,1\n", "the first column is 'jawOpen', it must be the time"),
        ("time\n0\n", "no column names an axis"),
        ("time,jawOpen,jawOpen\n0,1,1\n", "two columns are called 'jawOpen'"),
        ("time,jawOpen\n", "column 'jawOpen' has no value"),
        ("time,jawOpen\n0,\n", "column 'jawOpen' has no value"),
        ("time,jawOpen\n0,wide\n", "row 2, column 'jawOpen': 'wide' is not a number"),
        ("time,jawOpen\n0,nan\n", "row 2, column 'jawOpen': 'nan' is not a number"),
        ("time,jawOpen\n0,1\n\n0:30,1\n", "row 4, column 'time': '0:30' is not a number"),
        ("time,jawOpen\n1,1\n1,2\n", "row 3: time 1 does not come after 1"),
        ("time,jawOpen\n,2\n", "row 2: no time"),
        ("time,jawOpen\n0,1,2\n", "row 2: a value in a column that has no name"),
        ("time,jawOpen\n0,0,5\n", "row 2: a value in a column that has no name"),
        (b"PK\x03\x04\xff\xfe\x00", "is not a text file"),
    ],
)
def test_mistakes_are_named_with_row_and_column(content, error: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"curves\.csv") as caught:
        read_curves(table(tmp_path, content))
    assert error in caught.value.message


@pytest.mark.parametrize("frame_rate", [25, 30])
def test_what_is_written_reads_back_to_the_bit(frame_rate: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shown = rng.normal(0, 1, (500, 3)).astype(np.float32) ** 7
    shown[:4, 0] = [0, -0.0, np.float32(1e-40), np.nextafter(np.float32(1), np.float32(2))]
    names = ("jawOpen", "mouthPucker", "eyeBlinkLeft")
    path = tmp_path / "made" / "out.csv"
    with write_curves(path, names, frame_rate) as append:
        for start in range(0, 500, 7):
            append(shown[start : start + 7])
    curves = read_curves(path)
    times = np.arange(500) / frame_rate
    for axis, name in enumerate(names):
        again = curves.at(name, times).astype(np.float32)
        np.testing.assert_array_equal(again.view(np.uint32), shown[:, axis].view(np.uint32))


class _Broken:
    def tolist(self) -> list[list[float]]:
        raise ValueError("broken")


def test_a_table_that_fails_or_would_replace_another_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with pytest.raises(ValueError, match="broken"), write_curves(path, ("a",), 25) as append:
        append(_Broken())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    path.write_text("mine")
    with pytest.raises(PirctlError, match="exists already"), write_curves(path, ("a",), 25):
        pass
    assert path.read_text() == "mine"
