"""Everyone in a video: looked for once, at the video's own times, and kept."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import FaceNotFound, SettingsError
from pirctl.face.stretches import Stretch
from pirctl.files import file_hash
from pirctl.media import probe
from pirctl.prepare import people
from pirctl.prepare.options import TrackerOptions
from pirctl.prepare.people import Cast, choose_recogniser, find_people, find_several
from tests.face.crowds import (
    ANNA,
    BEN,
    CLEO,
    CrowdDetector,
    RedRecogniser,
    colour_of,
    film,
    frame,
)


@pytest.fixture(autouse=True)
def _red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "choose_recogniser", lambda: (RedRecogniser(), "red"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Stretch]:
    """The stretches that were put together to people, with their pictures."""
    kept: list[Stretch] = []

    def gather(stretches, alike, threshold):
        kept[:] = stretches
        return people_gather(stretches, alike, threshold)

    people_gather = people.gather
    monkeypatch.setattr(people, "gather", gather)
    return kept


def find(video: Path, workspace: Path, detector: CrowdDetector | None = None) -> Cast:
    tracker = TrackerOptions(detector=detector or CrowdDetector())
    return find_people(probe(video), file_hash(video), tracker, workspace)


def two_shots(path: Path, *options: object) -> Path:
    """33 frames of Anna, then 50 of Ben at the same place: no multiple of the step of looks."""
    anna, ben = frame((ANNA, 100, 50)), frame((BEN, 104, 50), ground=1)
    return film(path, [anna] * 33 + [ben] * 50, *options)


def test_people_are_numbered_by_their_time_and_known_to_the_very_frame(tmp_path: Path) -> None:
    cast = find(two_shots(tmp_path / "a.mkv"), tmp_path)
    ben, anna = cast.people
    assert (ben.seconds, anna.seconds) == pytest.approx((2.0, 1.32), abs=0.002)
    for number in range(83):
        there = [person for person in cast.people if person.at(number / 25) is not None]
        assert there == [ben if number >= 33 else anna], number
    place = ben.at(2.0)
    assert place is not None
    assert place == pytest.approx([134, 80, 60], abs=0.01)


def test_no_look_at_a_cut_takes_one_person_for_another(tmp_path: Path, seen: list[Stretch]) -> None:
    find(two_shots(tmp_path / "a.mkv"), tmp_path)
    assert [(colour_of(one), len(one.sightings)) for one in seen] == [(ANNA, 7), (BEN, 10)]
    assert {tuple(s.place[:1]) for s in seen[0].sightings} == {(130.0,)}


def test_pictures_that_begin_late_are_found_at_their_own_times(tmp_path: Path) -> None:
    tone = ["-f", "lavfi", "-i", "sine=300:d=4", "-filter:v", "setpts=PTS+0.6/TB"]
    video = two_shots(tmp_path / "a.mkv", *tone)
    assert probe(video).start_s == pytest.approx(0.6, abs=0.002)
    ben, anna = find(video, tmp_path).people
    assert anna.stretches[0].last_s == pytest.approx(0.6 + 33 / 25, abs=0.002)
    assert ben.at(0.6 + 33 / 25 + 0.01) is not None


def test_people_who_cross_keep_their_numbers(tmp_path: Path) -> None:
    # Anna walks to the right before Ben, who walks to the left, and Ben comes alone once more.
    frames = [frame((BEN, 220 - n, 60), (ANNA, 20 + n, 50)) for n in range(201)]
    frames += [frame((BEN, 20, 60), ground=1)] * 60
    ben, anna = find(film(tmp_path / "a.mkv", frames), tmp_path).people
    for person, first_x, last_x in ((anna, 50, 250), (ben, 250, 50)):
        begin, end = person.at(0.5), person.at(7.5)
        assert begin is not None
        assert end is not None
        assert abs(begin[0] - first_x) < 20
        assert abs(end[0] - last_x) < 20


def test_people_are_known_again_over_cuts(tmp_path: Path) -> None:
    shots = [(ANNA, 25), (BEN, 40), (CLEO, 30), (ANNA, 20), (BEN, 25)]
    frames = [
        frame((who, 100, 50), ground=number % 2)
        for number, (who, length) in enumerate(shots)
        for _ in range(length)
    ]
    cast = find(film(tmp_path / "a.mkv", frames), tmp_path)
    assert [person.seconds for person in cast.people] == pytest.approx([2.6, 1.8, 1.2], abs=0.002)
    assert [len(person.stretches) for person in cast.people] == [2, 2, 1]


def test_the_one_whose_lips_move_while_a_voice_is_heard_is_the_speaker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_voice", lambda _: np.ones(75, np.float32))
    # Ben's mouth is open and still; Anna comes later, and talks.
    still = [frame((BEN, 200, 50), opening=0.2)] * 20
    talk = [
        frame((BEN, 200, 50), (ANNA, 20, 50), opening=0.05 + 0.1 * (n // 5 % 2)) for n in range(55)
    ]
    for picture in talk:
        picture[50:110, 200:260, 1] = 200
    cast = find(film(tmp_path / "a.mkv", still + talk), tmp_path)
    assert [round(person.seconds) for person in cast.people] == [3, 2]
    assert cast.speaker.number == 2


def test_what_was_found_is_taken_over_and_found_anew_where_it_is_damaged(tmp_path: Path) -> None:
    video = two_shots(tmp_path / "a.mkv")
    first = find(video, tmp_path / "w")
    detector = CrowdDetector()
    again = find(video, tmp_path / "w", detector)
    assert detector.seen == 0
    assert [p.to_mapping() for p in again.people] == [p.to_mapping() for p in first.people]
    (kept,) = (tmp_path / "w" / ".people").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    assert len(find(video, tmp_path / "w", detector).people) == 2
    assert detector.seen > 0


def test_a_number_that_nobody_has_is_told_with_those_there_are(tmp_path: Path) -> None:
    cast = find(two_shots(tmp_path / "a.mkv"), tmp_path)
    assert cast.person(2) is cast.people[1]
    for number in (0, 3):
        with pytest.raises(SettingsError, match=f"no face {number} in the video, it shows 2"):
            cast.person(number)


def test_a_video_without_a_face_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mkv", [frame()] * 10)
    with pytest.raises(FaceNotFound, match="no face found in any of 2 pictures"):
        find(video, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_points_of_a_file_leave_nobody_to_choose(tmp_path: Path) -> None:
    video = two_shots(tmp_path / "a.mkv")
    tracker = TrackerOptions(landmarks=tmp_path / "points.npz")
    with pytest.raises(SettingsError, match="--landmarks has the points of one face"):
        find_people(probe(video), "0", tracker, tmp_path)


def test_without_the_model_colours_tell_people_apart_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(people, "choose_recogniser", choose_recogniser)
    video = two_shots(tmp_path / "a.mkv")
    for _ in range(2):  # What is known is not said again.
        cast = find(video, tmp_path)
    assert (cast.told_by, len(cast.people)) == ("colours", 2)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
               and "colours" in record.getMessage()]  # fmt: skip
    assert "pirctl models pull sface" in line


def several(video: Path, workspace: Path, detector: CrowdDetector) -> Cast | None:
    tracker = TrackerOptions(detector=detector)
    return find_several(probe(video), file_hash(video), tracker, workspace)


@pytest.mark.parametrize("others", ["nobody", "one beside", "one after a cut"])
def test_that_there_is_only_one_is_seen_at_a_glance_in_a_long_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setattr(people, "_WORTH_A_GLANCE_S", 10.0)
    frames = [frame((ANNA, 100, 50))] * 500
    if others == "one beside":
        frames[100:300] = [frame((ANNA, 100, 50), (BEN, 220, 50))] * 200
    if others == "one after a cut":
        frames[100:300] = [frame((BEN, 100, 50), ground=1)] * 200
    video = film(tmp_path / "a.mkv", frames)
    detector = CrowdDetector()
    cast = several(video, tmp_path / "w", detector)
    if others == "nobody":
        assert cast is None
        assert not (tmp_path / "w").exists()
    else:
        assert cast is not None
        assert [round(person.seconds) for person in cast.people] in ([20, 8], [12, 8])


def test_of_one_person_in_a_short_video_none_is_to_be_chosen(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mkv", [frame((ANNA, 100, 50))] * 50)
    assert several(video, tmp_path, CrowdDetector()) is None
