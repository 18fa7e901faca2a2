"""Several people in a video: faces become stretches within shots, and stretches become people.

A face that is seen at nearly the same place from one look to the next is one stretch; stretches of
one person are found by how the face looks (`recognise`). Places and sizes are pixels of the video,
x right, y down; times are seconds after the file's start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.face.search import FaceDetector, FloatArray, Frame

_REACH = 0.7
"""How far a face may move between two looks, in its own size."""
_GROWTH = 1.6
_GAP_S = 1.0
"""A face that is not seen for longer begins a new stretch."""
_SHORTEST_S = 0.5
"""People who are seen for a shorter time are no people of the video."""
_SAME_PLACE = 0.5
_SAME_SIZE = 1.25
_WINDOW = 2.2
"""Side of the window searched around a known face, in face sizes."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One face at one moment.

    Attributes:
        time_s: when.
        place: (3,) centre x, centre y and size of the face, pixels.
        mouth: opening of the lips in distances of the eyes.
        turned: how far from the front, 0 to 1.
        portrait: JPEG of the head, for whoever recognises it; empty: not kept.
        points: (5, 2) right eye, left eye, tip of the nose, right and left corner of the mouth (the
            person's own sides), pixels of the portrait.
    """

    time_s: float
    place: FloatArray
    mouth: float = 0.0
    turned: float = 0.0
    portrait: bytes = b""
    points: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One face over time, within one shot.

    Attributes:
        first_s: from when it is there.
        last_s: until when.
        sightings: by time.
    """

    first_s: float
    last_s: float
    sightings: tuple[Sighting, ...]

    @property
    def length_s(self) -> float:
        """How long it is there."""
        return self.last_s - self.first_s

    @property
    def place(self) -> FloatArray:
        """(3,) where it is in the median."""
        return np.asarray(np.median([s.place for s in self.sightings], axis=0), np.float32)

    def at(self, time_s: float) -> FloatArray:
        """(3,) where it is at a moment, interpolated."""
        times = [sighting.time_s for sighting in self.sightings]
        places = np.stack([sighting.place for sighting in self.sightings])
        return np.array([np.interp(time_s, times, column) for column in places.T], np.float32)

    def best(self, count: int) -> list[Sighting]:
        """The sightings that show most of the face: large, from the front; by time."""
        shown = [sighting for sighting in self.sightings if sighting.portrait]
        ranked = sorted(shown, key=lambda s: float(s.place[2]) * (1 - s.turned), reverse=True)
        return sorted(ranked[:count], key=lambda s: s.time_s)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person of a video.

    Attributes:
        number: from 1, by time on the screen.
        stretches: by time.
        spoken: how much the mouth moves while a voice is heard; only compared.
    """

    number: int
    stretches: tuple[Stretch, ...]
    spoken: float = 0.0

    @property
    def seconds(self) -> float:
        """Time on the screen."""
        return sum(stretch.length_s for stretch in self.stretches)

    def at(self, time_s: float) -> FloatArray | None:
        """(3,) where the person is at a moment; None: not on the screen."""
        starts = [stretch.first_s for stretch in self.stretches]
        index = bisect_right(starts, time_s) - 1
        if index < 0 or time_s >= self.stretches[index].last_s:
            return None
        return self.stretches[index].at(time_s)

    def to_mapping(self) -> dict[str, Any]:
        """Where the person is when, as plain values for JSON; without portraits."""
        return {
            "spoken": self.spoken,
            "stretches": [
                {
                    "first_s": stretch.first_s,
                    "last_s": stretch.last_s,
                    "sightings": [
                        [round(s.time_s, 4), *(round(float(x), 2) for x in s.place),
                         round(s.mouth, 4)]
                        for s in stretch.sightings
                    ],
                }
                for stretch in self.stretches
            ],
        }  # fmt: skip

    @staticmethod
    def from_mapping(content: dict[str, Any], number: int) -> Person:
        """What `to_mapping` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        return Person(
            number=number,
            spoken=float(content["spoken"]),
            stretches=tuple(_stretch(one) for one in content["stretches"]),
        )

    def setups(self) -> list[Person]:
        """The person in each place of the picture, the longest first.

        A camera that was moved shows the same person elsewhere, and one crop does not hold both.
        """
        groups: list[list[Stretch]] = []
        for stretch in sorted(self.stretches, key=lambda one: -one.length_s):
            for group in groups:
                if _alike(group[0].place, stretch.place):
                    group.append(stretch)
                    break
            else:
                groups.append([stretch])
        groups.sort(key=lambda group: -sum(one.length_s for one in group))
        ordered = [tuple(sorted(group, key=lambda one: one.first_s)) for group in groups]
        return [replace(self, stretches=group) for group in ordered]


def _stretch(content: dict[str, Any]) -> Stretch:
    sightings = tuple(
        Sighting(time_s=float(t), place=np.array([x, y, size], np.float32), mouth=float(mouth))
        for t, x, y, size, mouth in content["sightings"]
    )
    return Stretch(
        first_s=float(content["first_s"]), last_s=float(content["last_s"]), sightings=sightings
    )


def _alike(one: FloatArray, other: FloatArray) -> bool:
    size = max(float(one[2]), float(other[2]))
    near = float(np.hypot(*(one[:2] - other[:2]))) < _SAME_PLACE * size
    return near and size < _SAME_SIZE * min(float(one[2]), float(other[2]))


def stretches_of(
    looks: Sequence[tuple[float, Sequence[Sighting]]], cuts_s: Sequence[float], end_s: float
) -> list[Stretch]:
    """Faces followed from look to look, never over a cut.

    Args:
        looks: when, and which faces were seen; by rising time.
        cuts_s: when the later shots begin.
        end_s: of the video.
    """
    step = float(np.median(np.diff([time for time, _ in looks]))) if len(looks) > 1 else end_s
    edges = [0.0, *cuts_s, end_s]
    found: list[Stretch] = []
    for shot, group in groupby(looks, key=lambda look: bisect_right(cuts_s, look[0])):
        first, last = edges[shot], edges[shot + 1]
        for chain in _chains(list(group)):
            # It was there since after the look before, and will be until the next, or to the cut.
            begin, stop = max(first, chain[0].time_s - step), min(last, chain[-1].time_s + step)
            found.append(Stretch(first_s=begin, last_s=stop, sightings=tuple(chain)))
    return found


def _chains(looks: Sequence[tuple[float, Sequence[Sighting]]]) -> list[list[Sighting]]:
    from scipy.optimize import linear_sum_assignment

    done: list[list[Sighting]] = []
    going: list[list[Sighting]] = []
    for time_s, faces in looks:
        done += [chain for chain in going if time_s - chain[-1].time_s > _GAP_S]
        going = [chain for chain in going if time_s - chain[-1].time_s <= _GAP_S]
        taken: set[int] = set()
        if going and faces:
            costs = np.array([[_cost(chain[-1], face) for face in faces] for chain in going])
            for row, column in zip(*linear_sum_assignment(np.minimum(costs, 1e3)), strict=True):
                if costs[row, column] < 1:
                    going[row].append(faces[column])
                    taken.add(int(column))
        going += [[face] for index, face in enumerate(faces) if index not in taken]
    return done + going


def _cost(known: Sighting, seen: Sighting) -> float:
    """Below 1 where both may be one face."""
    size = float(known.place[2])
    moved = float(np.hypot(*(known.place[:2] - seen.place[:2]))) / (_REACH * size)
    grown = abs(float(np.log(seen.place[2] / size))) / float(np.log(_GROWTH))
    return max(moved, grown)


def gather(
    stretches: Sequence[Stretch], alike: NDArray[np.float64], threshold: float
) -> list[Person]:
    """Stretches into people: the most alike are joined first, while they are alike enough.

    Args:
        stretches: of the whole video.
        alike: (N, N) how alike two of them look.
        threshold: the least mean likeness of two groups of one person.

    Returns:
        People by time on the screen, without those who are hardly there unless all are.
    """
    groups = [[index] for index in range(len(stretches))]
    together = np.array([[_overlap(a, b) for b in stretches] for a in stretches], bool)
    together = together.reshape(len(stretches), len(stretches))
    while len(groups) > 1:
        best, pair = threshold, None
        for i, one in enumerate(groups):
            for j in range(i):
                block = np.ix_(one, groups[j])
                # Who is seen beside somebody is somebody else.
                if not together[block].any() and alike[block].mean() >= best:
                    best, pair = float(alike[block].mean()), (i, j)
        if pair is None:
            break
        groups[pair[1]] += groups.pop(pair[0])
    people = [
        Person(number=0, stretches=tuple(sorted((stretches[i] for i in g), key=_begin)))
        for g in groups
    ]
    people.sort(key=lambda person: (-person.seconds, person.stretches[0].first_s))
    seen = [person for person in people if person.seconds >= _SHORTEST_S] or people
    return [replace(person, number=number) for number, person in enumerate(seen, start=1)]


def _begin(stretch: Stretch) -> float:
    return stretch.first_s


def _overlap(one: Stretch, other: Stretch) -> bool:
    if one is other:
        return False
    return min(one.last_s, other.last_s) - max(one.first_s, other.first_s) > 1e-6


def with_speech(people: Sequence[Person], voice: NDArray[np.float32], rate: float) -> list[Person]:
    """People with how much each mouth moves while somebody is heard.

    Args:
        people: of a video.
        voice: (T,) in [0, 1], whether somebody speaks.
        rate: of `voice`, per second.
    """
    found = []
    for person in people:
        spoken = 0.0
        for stretch in person.stretches:
            mouths = np.array([sighting.mouth for sighting in stretch.sightings])
            times = np.array([sighting.time_s for sighting in stretch.sightings])
            if len(mouths) < 2:
                continue
            middle = (times[1:] + times[:-1]) / 2
            heard = np.minimum((middle * rate).astype(int), len(voice) - 1)
            spoken += float((np.abs(np.diff(mouths)) * voice[heard]).sum())
        found.append(replace(person, spoken=spoken))
    return found


def speaker_of(people: Sequence[Person]) -> Person:
    """Who speaks: whose mouth moves most while a voice is heard; else who is there longest."""
    return max(people, key=lambda person: (person.spoken, person.seconds))


@dataclass(frozen=True)
class PersonFollower:
    """Finds one of several people in the frames of a video, at their known places.

    Args:
        detector: finds faces in a picture.
        person: where the person is when.
        scale: pixels of the frames per pixel of the video.
    """

    detector: FaceDetector
    person: Person
    scale: float = 1.0

    def find(self, frame: Frame, time_s: float) -> FloatArray | None:
        """Points (L, 2) of the person in a frame (H, W, 3), pixels of the frame, or None."""
        place = self.person.at(time_s)
        if place is None:
            return None
        x, y, size = (float(value) for value in place * self.scale)
        half = _WINDOW / 2 * size
        left, top = max(0, round(x - half)), max(0, round(y - half))
        part = frame[top : max(0, round(y + half)), left : max(0, round(x + half))]
        if not part.size:
            return None
        faces = self.detector.detect_all([part])[0]
        middles = [(face.min(0) + face.max(0)) / 2 + (left, top) for face in faces]
        away = [float(np.hypot(*(middle - (x, y)))) for middle in middles]
        if not away or min(away) > _REACH * size:
            return None
        return faces[int(np.argmin(away))] + np.array([left, top], np.float32)


def follow_person(
    frames: Iterable[Frame], times_s: Iterable[float], follower: PersonFollower
) -> Iterator[tuple[Frame, FloatArray | None]]:
    """Every frame with the points of the person in it, or None."""
    for frame, time_s in zip(frames, times_s, strict=False):
        yield frame, follower.find(frame, time_s)
