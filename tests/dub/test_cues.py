"""Cues from tables and subtitles: what is read, and what is said about a bad one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pirctl.dub.cues import Cue, read_cues
from pirctl.errors import SettingsError


def _read(tmp_path: Path, text: str, name: str = "cues.csv", encoding: str = "utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_cues(path)


def test_a_table_says_who_speaks_when_and_what_is_heard(tmp_path: Path) -> None:
    text = "start,end,face,sound\n5, 7.25, 2, ben.wav\n0:01.5,0:00:04,1,anna.wav\n"
    assert _read(tmp_path, text) == (
        Cue(start_s=Fraction(3, 2), end_s=Fraction(4), face=1, sound=tmp_path / "anna.wav", line=3),
        Cue(start_s=Fraction(5), end_s=Fraction(29, 4), face=2, sound=tmp_path / "ben.wav", line=2),
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_of_a_spreadsheet_is_read_as_it_comes(tmp_path: Path, encoding: str) -> None:
    text = 'Start;End;Face;Sound\r\n1,5;"2,75";;\r\n\r\n'
    cue = _read(tmp_path, text, encoding=encoding)[0]
    assert (cue.start_s, cue.end_s, cue.face, cue.sound) == (
        Fraction(3, 2),
        Fraction(11, 4),
        None,
        None,
    )


def test_only_the_columns_that_are_there_are_read(tmp_path: Path) -> None:
    cue = _read(tmp_path, "start,sound,target\n2,a.wav,anna\n")[0]
    assert (cue.start_s, cue.end_s, cue.face, cue.target) == (2, None, None, "anna")


SRT = """1
00:00:01,000 --> 00:00:03,500
Good evening.

2
01:00:04,250 --> 01:00:05,000 X1:10
12 --> nonsense
"""


def test_the_times_of_subtitles_are_read(tmp_path: Path) -> None:
    cues = _read(tmp_path, SRT, "film.srt")
    assert [(cue.start_s, cue.end_s) for cue in cues] == [
        (1, Fraction(7, 2)),
        (Fraction(14417, 4), 3605),
    ]
    web = _read(tmp_path, "WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "film.vtt")
    assert [(cue.start_s, cue.end_s, cue.sound) for cue in web] == [(1, 2, None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no cue"),
        ("start,end\n", "has no cue"),
        ("begin,end\n1,2\n", "'begin' is not a header"),
        ("end,start\n1,2\n", "'end,start' is not a header"),
        ("start,end\nsoon,2\n", "row 2: 'soon' is no time"),
        ("start,end\n-1,2\n", "row 2: '-1' is no time"),
        ("start,end\n3,2\n", "line 2: it ends at 2 s and begins at 3 s"),
        ("start,end\n3,\n", "row 2: neither an end nor a sound"),
        ("start,end,face\n1,2,0\n", "row 2: face '0' is no number"),
        ("start,end,face\n1,2,anna\n", "row 2: face 'anna' is no number"),
        ("start,end,face,sound\n1,3,1,a.wav\n2,4,1,b.wav\n", "line 3: it begins before the one"),
        ("start,end,face,target\n1,2,1,anna\n3,4,1,ben\n", "two targets, anna and ben"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        _read(tmp_path, text)
    assert caught.value.hint


def test_two_faces_may_speak_at_once(tmp_path: Path) -> None:
    assert len(_read(tmp_path, "start,end,face,sound\n1,3,1,a.wav\n2,4,2,b.wav\n")) == 2


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.csv: no such file of cues"):
        read_cues(tmp_path / "none.csv")
