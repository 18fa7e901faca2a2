"""People told apart: stretches within shots, people over cuts, and one person followed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pirctl.face.follow_person import PersonFollower, follow_person
from pirctl.face.people import Person, gather, speaker_of, with_speech
from pirctl.face.stretches import Sighting, Stretch, stretches_of

STEP = 0.2


def seen(time_s: float, x: float, y: float = 100, size: float = 50, mouth: float = 0) -> Sighting:
    return Sighting(time_s=time_s, place=np.array([x, y, size], np.float32), mouth=mouth)


def looks(*paths, first: int = 0) -> list[tuple[float, list[Sighting]]]:
    """Looks at faces whose x is given look by look; NaN: not found."""
    found = []
    for number, xs in enumerate(zip(*paths, strict=True), start=first):
        time_s = number * STEP
        found.append((time_s, [seen(time_s, x) for x in xs if not np.isnan(x)]))
    return found


def middles(stretch: Stretch) -> list[float]:
    return [float(sighting.place[0]) for sighting in stretch.sightings]


def test_two_people_side_by_side_are_two_stretches_as_long_as_the_shot() -> None:
    found = stretches_of(looks([50] * 10, [200] * 10), [], 2.0)
    assert sorted(middles(one)[0] for one in found) == [50, 200]
    assert all((one.first_s, one.last_s) == (0, 2) for one in found)


def test_people_who_pass_each_other_keep_their_places_by_what_is_nearest() -> None:
    left, right = np.linspace(0, 200, 21), np.linspace(300, 320, 21)
    found = stretches_of(looks(left, right), [], 21 * STEP)
    assert len(found) == 2
    for stretch in found:
        assert max(abs(b - a) for a, b in pairwise(middles(stretch))) < 15


def test_a_cut_ends_every_stretch_although_the_place_is_the_same() -> None:
    found = stretches_of(looks([50] * 10), [1.1], 2.0)
    assert [(one.first_s, one.last_s) for one in found] == [(0, 1.1), (1.1, 2.0)]


def test_stretches_end_where_two_faces_touch_and_begin_anew_where_they_part() -> None:
    # One walks through the other, who stands: who is who is left to whoever recognises them.
    walking, standing = np.linspace(0, 200, 21), np.full(21, 100.0)
    found = stretches_of(looks(walking, standing), [], 21 * STEP)
    assert len(found) == 6
    for one in found:
        xs = middles(one)
        near = [abs(x - 100) < 45 for x in xs if x != 100]
        assert all(near) or not any(near)


def test_a_face_that_is_hidden_while_another_passes_ends_its_stretch() -> None:
    walking, behind = np.linspace(0, 200, 21), np.full(21, 100.0)
    behind[9:12] = np.nan
    found = stretches_of(looks(walking, behind), [], 21 * STEP)
    for one in found:
        assert not min(middles(one)) < 50 < 150 < max(middles(one))
    assert len(found) == 6


def test_a_face_that_jumps_may_be_one_person_all_the_same() -> None:
    found = stretches_of(looks([50.0] * 10 + [300.0] * 10), [], 4.0)
    assert [one.first_s for one in found] == pytest.approx([0, 1.9])
    assert [one.last_s for one in found] == pytest.approx([1.9, 4])
    assert [p.seconds for p in gather(found, np.ones((2, 2)), 0.5)] == pytest.approx([4])


@pytest.mark.parametrize(("gap", "stretches"), [(3, 1), (8, 2)])
def test_a_face_that_is_lost_for_a_moment_is_the_same_stretch(gap: int, stretches: int) -> None:
    path = [50.0] * 5 + [np.nan] * gap + [50.0] * 5
    assert len(stretches_of(looks(path), [], len(path) * STEP)) == stretches


def stretch(first_s: float, last_s: float, x: float = 0, size: float = 50) -> Stretch:
    times = np.arange(first_s + STEP / 2, last_s, STEP)
    sightings = tuple(seen(float(t), x, size=size) for t in times)
    return Stretch(first_s=first_s, last_s=last_s, sightings=sightings)


def test_stretches_that_look_alike_are_one_person_and_numbers_go_by_time() -> None:
    stretches = [stretch(0, 2), stretch(2, 6), stretch(6, 9), stretch(9, 10)]
    alike = np.full((4, 4), 0.1)
    for group in ([0, 2], [1], [3]):
        alike[np.ix_(group, group)] = 0.9
    people = gather(stretches, alike, 0.5)
    assert [(p.number, p.seconds) for p in people] == [(1, 5), (2, 4), (3, 1)]
    # The first of two equals comes first, whatever the order in which they are given.
    order = [3, 1, 0, 2]
    again = gather([stretches[i] for i in order], alike[np.ix_(order, order)], 0.5)
    assert [p.stretches for p in again] == [p.stretches for p in people]


def test_groups_are_joined_by_the_mean_over_all_their_pairs() -> None:
    stretches = [stretch(t, t + 1) for t in range(4)]
    alike = np.eye(4)
    # 0 and 1 are one; 2 is like 0 and not like 1: 0.4 in the mean; 3 is like all of them.
    for i, j, value in [(0, 1, 0.9), (0, 2, 0.7), (1, 2, 0.1), (0, 3, 0.6), (1, 3, 0.6), (2, 3, 0)]:
        alike[i, j] = alike[j, i] = value
    assert [p.seconds for p in gather(stretches, alike, 0.5)] == [3, 1]
    # All four: 0.7, 0.1 and 0 with each of three, a mean of 0.27.
    assert [p.seconds for p in gather(stretches, alike, 0.26)] == [4]
    assert [p.seconds for p in gather(stretches, alike, 0.28)] == [3, 1]


def test_near_a_cut_nobody_is_there_where_times_are_not_exact() -> None:
    person = Person(number=1, stretches=(stretch(1, 2),))
    assert [person.at(t) is not None for t in (0.98, 1.0, 1.99, 2.0)] == [False, True, True, False]
    near = [person.at(t, margin_s=0.05) is not None for t in (1.0, 1.06, 1.94, 1.98)]
    assert near == [False, True, True, False]


def test_who_is_seen_beside_somebody_is_somebody_else_however_alike() -> None:
    stretches = [stretch(0, 4), stretch(0, 4, x=200), stretch(4, 6)]
    alike = np.array([[1, 0.99, 0.8], [0.99, 1, 0.7], [0.8, 0.7, 1]])
    people = gather(stretches, alike, 0.5)
    assert [p.seconds for p in people] == [6, 4]


def test_a_face_of_a_moment_is_nobody_unless_there_is_nobody_else() -> None:
    brief, long = stretch(0, 0.4), stretch(1, 4)
    assert len(gather([brief, long], np.eye(2), 0.5)) == 1
    assert len(gather([brief], np.eye(1), 0.5)) == 1


def test_the_speaker_is_whose_mouth_moves_while_a_voice_is_heard() -> None:
    def person(number: int, busy: tuple[float, float]) -> Person:
        times = np.arange(0, 10, STEP)
        rng = np.random.default_rng(number)
        mouths = np.where((times >= busy[0]) & (times < busy[1]), rng.uniform(0, 0.5, 50), 0.02)
        sightings = tuple(seen(t, 50, mouth=float(m)) for t, m in zip(times, mouths, strict=True))
        return Person(
            number=number, stretches=(Stretch(first_s=0, last_s=10, sightings=sightings),)
        )

    # The second eats for nine seconds, and the first speaks for two.
    people = [person(1, (7, 9)), person(2, (0, 6.9))]
    voice = np.zeros(250, np.float32)
    voice[7 * 25 : 9 * 25] = 1
    assert speaker_of(with_speech(people, voice, 25)).number == 1
    assert speaker_of(people).number in (1, 2)


def test_another_camera_is_another_setup_and_a_cut_back_is_not() -> None:
    person = Person(
        number=1,
        stretches=(stretch(0, 3, x=0), stretch(3, 4, x=400, size=120), stretch(4, 6, x=6)),
    )
    wide, close = person.setups()
    assert (wide.seconds, close.seconds) == (5, 1)
    assert wide.at(1.0) is not None
    assert wide.at(3.5) is None
    assert close.at(3.5) is not None


def test_what_is_kept_of_a_person_is_read_back() -> None:
    person = Person(number=2, stretches=(stretch(0, 3), stretch(4, 6, x=200)), spoken=0.5)
    again = Person.from_mapping(person.to_mapping(), 2)
    assert again.to_mapping() == person.to_mapping()
    np.testing.assert_allclose(again.at(1.0), person.at(1.0))
    assert again.at(3.5) is None


class TwoFaces:
    """Sees every bright square of a picture as a face of two points."""

    name, points, batch = "two", 2, 1

    def detect_all(self, images):
        found = []
        for image in images:
            columns = np.flatnonzero((image[..., 0] > 0).any(0))
            groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
            rows = np.flatnonzero((image[..., 0] > 0).any(1))
            found.append(
                [np.array([[g[0], rows[0]], [g[-1] + 1, rows[-1] + 1]], np.float32)
                 for g in groups if len(g)]
            )  # fmt: skip
        return found

    def close(self) -> None:
        pass


def test_the_person_that_is_meant_is_followed_and_not_the_other() -> None:
    frames, times = [], np.arange(10) * 0.1
    for number in range(10):
        frame = np.zeros((120, 400, 3), np.uint8)
        frame[40:80, 60 + number : 100 + number] = 255
        frame[30:90, 200:260] = 255  # Larger, and more central.
        frames.append(frame)
    path = tuple(seen(t, 160 + 20 * t / 1.0, 120, 80) for t in (0.0, 0.4, 0.6))
    # Places are those of the video, twice as large as the frames; gone after 0.65 s.
    person = Person(number=1, stretches=(Stretch(first_s=0, last_s=0.65, sightings=path),))
    follower = PersonFollower(TwoFaces(), person, 0.5)
    found = [points for _, points in follow_person(frames, times, follower)]
    assert [points is not None for points in found] == [True] * 7 + [False] * 3
    for number, points in enumerate(found[:7]):
        np.testing.assert_array_equal(points[0], [60 + number, 40])
