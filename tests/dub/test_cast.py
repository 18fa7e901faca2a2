"""Who is dubbed: the face that is asked for, the one a target was made of, else the speaker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.cast import Casting, Member, find_persons
from pirctl.dub.own_times import look_through
from pirctl.errors import SettingsError
from pirctl.face.people import Person
from pirctl.files import file_hash
from pirctl.media import probe, read_frames, read_timeline
from pirctl.prepare import people
from pirctl.prepare.options import TrackerOptions
from pirctl.target import Target
from tests.face.crowds import ANNA, BEN, CrowdDetector, RedRecogniser, film, frame


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "choose_recogniser", lambda: (RedRecogniser(), "red"))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ben is large and in the middle; Anna is there for longer."""
    both = [frame((ANNA, 5, 50), (BEN, 130, 70))] * 33
    return film(tmp_path / "a.mkv", [*both, *[frame((ANNA, 130, 60), ground=1)] * 42])


def casting(workspace: Path) -> Casting:
    return Casting(workspace=workspace, tracker=TrackerOptions(detector=CrowdDetector()))


def persons(video: Path, *members: Member) -> list[Person | None]:
    info, where = probe(video), casting(video.parent)
    found = find_persons(members, info, file_hash(video), where)
    return [member.person for member in found]


class Made(Target):
    """A target that stands, made of a face."""

    def __init__(self, folder: Path, face: int | None) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.about_path.write_text("stands")
        self.face = face

    @property
    def about(self):
        return self


def test_the_face_of_a_number_is_meant_and_without_one_the_speaker(video: Path) -> None:
    new = Target(video.parent / "new")
    asked = [Member(target=new, face=face, is_own_source=True) for face in (2, 1, None)]
    ben, anna, speaker = persons(video, *asked)
    assert ben is not None
    assert anna is not None
    assert (ben.number, anna.number) == (2, 1)
    assert speaker == anna  # Nobody is heard, and she is there for longer.


def test_a_target_that_was_made_of_a_face_keeps_to_it(video: Path) -> None:
    """Else the same command would paint somebody else when it goes on after a stop."""
    made = Made(video.parent / "made", face=2)
    (person,) = persons(video, Member(target=made, face=None, is_own_source=True))
    assert person is not None
    assert person.number == 2


def test_a_target_that_was_made_of_whoever_is_there_needs_no_look(video: Path) -> None:
    made = Made(video.parent / "made", face=None)
    where = casting(video.parent)
    member = Member(target=made, face=None, is_own_source=True)
    assert find_persons([member], probe(video), "0", where) == [member]
    assert where.tracker.detector is not None
    assert where.tracker.detector.seen == 0  # type: ignore[attr-defined]


def test_nobody_is_chosen_where_there_is_one(tmp_path: Path) -> None:
    alone = film(tmp_path / "b.mkv", [frame((ANNA, 100, 50))] * 50)
    new = Member(target=Target(tmp_path / "new"), face=None, is_own_source=True)
    assert persons(alone, new) == [None]


def test_a_number_that_nobody_has_is_told(video: Path) -> None:
    third = Member(target=Target(video.parent / "new"), face=3, is_own_source=True)
    with pytest.raises(SettingsError, match="no face 3 in the video, it shows 2"):
        persons(video, third)


def middles(video: Path, person: Person | None) -> Iterator[float]:
    info = probe(video)
    landmarks, cuts = look_through(
        info, read_frames(info), CrowdDetector(), read_timeline(info), person
    )
    assert cuts == [33]
    for points, valid in zip(landmarks.points, landmarks.valid, strict=True):
        yield float(points[[2, 3], 0].mean()) if valid else np.nan


def test_at_the_videos_own_times_the_chosen_one_is_followed_over_the_cut_and_no_other(
    video: Path,
) -> None:
    new = Target(video.parent / "new")
    both = [Member(target=new, face=face, is_own_source=True) for face in (1, 2)]
    anna, ben = persons(video, *both)
    np.testing.assert_allclose(list(middles(video, anna)), [35] * 33 + [160] * 42, atol=0.6)
    np.testing.assert_allclose(list(middles(video, ben)), [160] * 33 + [np.nan] * 42, atol=0.6)
