"""Speech on the timeline of a video: one sound moved, cues of several faces, and mistakes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.cues import Cue
from pirctl.dub.script import write_script
from pirctl.errors import DecodeError, SettingsError
from pirctl.media import write_sound
from pirctl.media.soundtrack import Spoken

TEN = Fraction(10)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    write_sound(path, np.full(4 * 16000, 0.1, np.float32), 16000)
    return path


def test_one_sound_lies_where_the_offset_says(sound: Path) -> None:
    script = write_script(sound, Fraction(3, 2), (), None, TEN)
    assert [(line.starts_s, line.first_s, line.last_s) for line in script.lines] == [
        (Fraction(3, 2), Fraction(3, 2), Fraction(11, 2))
    ]
    assert script.heard == (Spoken(sound=sound, start=Fraction(3, 2)),)
    early = write_script(sound, Fraction(-1), (), None, TEN).lines[0]
    assert (early.starts_s, early.first_s, early.last_s) == (-1, 0, 3)


def test_cues_place_sounds_of_several_faces(sound: Path) -> None:
    cues = (
        Cue(start_s=Fraction(1), end_s=Fraction(3), face=1, sound=sound),
        Cue(start_s=Fraction(2), face=2, sound=sound, target="ben"),
    )
    script = write_script(None, Fraction(0), cues, None, TEN)
    assert [(line.face, line.first_s, line.last_s) for line in script.lines] == [
        (1, 1, 3),
        (2, 2, 6),
    ]
    assert script.faces == (1, 2)
    assert script.targets == {2: "ben"}
    assert script.heard == (
        Spoken(sound=sound, start=Fraction(1), end=Fraction(3)),
        Spoken(sound=sound, start=Fraction(2)),
    )


def test_cues_without_a_sound_say_when_the_one_sound_is_spoken(sound: Path) -> None:
    cues = (Cue(start_s=Fraction(1), end_s=Fraction(2)), Cue(start_s=Fraction(3), end_s=TEN))
    script = write_script(sound, Fraction(1, 2), cues, 7, TEN)
    assert [(line.starts_s, line.first_s, line.last_s, line.face) for line in script.lines] == [
        (Fraction(1, 2), 1, 2, 7),
        (Fraction(1, 2), 3, Fraction(9, 2), 7),
    ]
    assert script.heard == (Spoken(sound=sound, start=Fraction(1, 2)),)  # It is heard once.


def test_nothing_to_say_is_an_error(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neither --audio nor --cues"):
        write_script(None, Fraction(0), (), None, TEN)
    with pytest.raises(SettingsError, match=r"nothing is said within the video, which is 10\.0 s"):
        write_script(sound, Fraction(11), (), None, TEN)
    with pytest.raises(SettingsError, match="line 3 names no sound, and there is no --audio"):
        write_script(None, Fraction(0), (Cue(start_s=TEN, end_s=TEN + 1, line=3),), None, TEN)
    with pytest.raises(DecodeError, match=r"none\.wav does not exist"):
        write_script(tmp_path / "none.wav", Fraction(0), (), None, TEN)
