"""Several people in a video: the stretches of all faces become people.

A face that is seen at nearly the same place from one look to the next is one stretch (`stretches`);
those of one person are found by how the face looks (`recognise`). Places and sizes are pixels of
the video, x right, y down; times are seconds after the file's start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.face.search import FloatArray
from pirctl.face.stretches import Sighting, Stretch

_SHORTEST_S = 0.5
"""People who are seen for a shorter time are no people of the video."""
_SAME_PLACE = 0.5
_SAME_SIZE = 1.25
_ROUNDING_S = 1e-6


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

    def at(self, time_s: float, *, margin_s: float = 0.0) -> FloatArray | None:
        """(3,) where the person is at a moment; None: not on the screen.

        Args:
            time_s: when.
            margin_s: how long before and after it the stretch has to last, too.
        """
        starts = [stretch.first_s for stretch in self.stretches]
        # Times of frames and of cuts are the same ones, but for rounding.
        index = bisect_right(starts, time_s - margin_s + _ROUNDING_S) - 1
        if index < 0 or time_s + margin_s >= self.stretches[index].last_s - _ROUNDING_S:
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
    between = np.array(alike, np.float64)
    # Who is seen beside somebody is somebody else, and nobody is joined with himself.
    for i, one in enumerate(stretches):
        for j, other in enumerate(stretches[: i + 1]):
            if i == j or one.is_beside(other):
                between[i, j] = between[j, i] = -np.inf
    while len(groups) > 1:
        i, j = sorted(divmod(int(between.argmax()), len(groups)))
        if between[i, j] < threshold:
            break
        # The mean over all pairs of two groups, from the means over pairs of their parts.
        weight = len(groups[j]) / (len(groups[i]) + len(groups[j]))
        row = (1 - weight) * between[i] + weight * between[j]
        between[i], between[:, i] = row, row
        between = np.delete(np.delete(between, j, 0), j, 1)
        between[i, i] = -np.inf
        groups[i] += groups.pop(j)
    people = [
        Person(number=0, stretches=tuple(sorted((stretches[i] for i in g), key=_begin)))
        for g in groups
    ]
    people.sort(key=lambda person: (-person.seconds, person.stretches[0].first_s))
    seen = [person for person in people if person.seconds >= _SHORTEST_S] or people
    return [replace(person, number=number) for number, person in enumerate(seen, start=1)]


def _begin(stretch: Stretch) -> float:
    return stretch.first_s


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
