"""Faces followed from look to look: stretches, in which a face is surely one and the same.

Places and sizes are pixels of the video, x right, y down; times are seconds after the file's start.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pirctl.face.search import FloatArray

_REACH = 0.7
"""How far a face may move between two looks, in its own size."""
_GROWTH = 1.6
_GAP_S = 1.0
"""A face that is not seen for longer begins a new stretch."""
_TOUCHING = 0.9
"""Nearer than this, in face sizes, two faces may be taken for one another."""


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

    @cached_property
    def _path(self) -> tuple[NDArray[np.float64], FloatArray]:
        times = np.array([sighting.time_s for sighting in self.sightings])
        return times, np.stack([sighting.place for sighting in self.sightings])

    @property
    def place(self) -> FloatArray:
        """(3,) where it is in the median."""
        return np.asarray(np.median(self._path[1], axis=0), np.float32)

    def at(self, time_s: float) -> FloatArray:
        """(3,) where it is at a moment, interpolated."""
        times, places = self._path
        return np.array([np.interp(time_s, times, column) for column in places.T], np.float32)

    def is_beside(self, other: Stretch) -> bool:
        """Whether both were seen in one picture."""
        if self.last_s <= other.first_s or other.last_s <= self.first_s:
            return False
        return bool(np.isin(self._path[0], other._path[0]).any())

    def best(self, count: int) -> list[Sighting]:
        """The sightings that show most of the face: large, from the front; by time."""
        shown = [sighting for sighting in self.sightings if sighting.portrait]
        ranked = sorted(shown, key=lambda s: float(s.place[2]) * (1 - s.turned), reverse=True)
        return sorted(ranked[:count], key=lambda s: s.time_s)


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
    for shot, group in groupby(looks, key=lambda look: bisect_right(cuts_s, look[0] + 1e-6)):
        first, last = edges[shot], edges[shot + 1]
        own = list(group)
        for chain in _parted(_chains(own)):
            # Seen at the first look of a shot, or at the last, it is there to the cut.
            begin = first if chain[0].time_s == own[0][0] else chain[0].time_s - step / 2
            stop = last if chain[-1].time_s == own[-1][0] else chain[-1].time_s + step / 2
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


def _parted(chains: Sequence[list[Sighting]]) -> list[list[Sighting]]:
    """Chains cut where a face comes to touch another, and where it ceases to.

    Who is who after two people passed before one another is not told by their places.
    """
    parts: list[list[Sighting]] = []
    for chain in chains:
        before: list[int] | None = None
        for sighting in chain:
            touched = [
                number
                for number, other in enumerate(chains)
                if other is not chain and _touches(sighting, other)
            ]
            if touched != before:
                parts.append([])
                before = touched
            parts[-1].append(sighting)
    return parts


def _touches(sighting: Sighting, chain: Sequence[Sighting]) -> bool:
    """Whether a face is near another at that moment, seen or hidden for less than a gap."""
    time_s = sighting.time_s
    if not chain[0].time_s - _GAP_S < time_s < chain[-1].time_s + _GAP_S:
        return False
    times = [one.time_s for one in chain]
    after = min(bisect_right(times, time_s), len(chain) - 1)
    others = [chain[max(0, after - 1)], chain[after]]
    share = float(np.clip(np.interp(time_s, [o.time_s for o in others], [0, 1]), 0, 1))
    place = (1 - share) * others[0].place + share * others[1].place
    apart = float(np.hypot(*(place[:2] - sighting.place[:2])))
    return apart < _TOUCHING * max(float(place[2]), float(sighting.place[2]))
