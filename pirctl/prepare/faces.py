"""A sheet of the people of a video: one row each, from their first picture to their last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.face.draw import write_image
from pirctl.face.people import Person
from pirctl.face.search import FloatArray
from pirctl.media import MediaInfo, read_planes
from pirctl.media.timeline import Timeline, read_timeline
from pirctl.prepare.people import Cast

COLUMNS = 6
_CELL_PX, _LABEL_PX = 160, 34
_AROUND = 2.0
"""Side of a portrait, in face sizes."""


def write_sheet(path: Path, info: MediaInfo, cast: Cast) -> None:
    """Draw the people of a video, each with pictures spread over the time on the screen.

    Raises:
        DecodeError: a frame cannot be decoded.
        PirctlError: no space left, or no right to write there.
    """
    timeline = read_timeline(info)
    speaker = cast.speaker.number
    rows = [
        _row(info, timeline, person, person.number == speaker, cast.seconds)
        for person in cast.people
    ]
    write_image(path, np.vstack(rows))


def moments(person: Person, count: int = COLUMNS) -> list[float]:
    """Moments spread over a person's time on the screen, each at a sighting."""
    times = [s.time_s for stretch in person.stretches for s in stretch.sightings]
    picks = np.unique(np.linspace(0, len(times) - 1, min(count, len(times))).round().astype(int))
    return [times[pick] for pick in picks]


def _row(
    info: MediaInfo, timeline: Timeline, person: Person, speaks: bool, seconds: float
) -> NDArray[np.uint8]:
    import cv2

    row = np.full((_CELL_PX + _LABEL_PX, COLUMNS * _CELL_PX, 3), 24, np.uint8)
    for column, time_s in enumerate(moments(person)):
        place = person.at(time_s)
        if place is not None:
            frame = int(np.abs(timeline.seconds - time_s).argmin())
            planes = next(iter(read_planes(info, timeline=timeline, first=frame, count=1)))
            left = column * _CELL_PX
            row[_LABEL_PX:, left : left + _CELL_PX] = _portrait(planes.rgb(), place)
    share = person.seconds / max(1e-9, seconds)
    text = f"face {person.number}: {person.seconds:.1f} s, {share:.0%}"
    text += ", speaks" if speaks else ""
    cv2.putText(row, text, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (240, 240, 240), 1, cv2.LINE_AA)
    return row


def _portrait(picture: NDArray[np.uint8], place: FloatArray) -> NDArray[np.uint8]:
    import cv2

    x, y, size = (float(value) for value in place)
    zoom = _CELL_PX / (_AROUND * size)
    matrix = np.array(
        [[zoom, 0, _CELL_PX / 2 - zoom * x], [0, zoom, _CELL_PX / 2 - zoom * y]], np.float64
    )
    drawn = cv2.warpAffine(picture, matrix, (_CELL_PX, _CELL_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(drawn, np.uint8)


def ranges_of(person: Person) -> Sequence[tuple[float, float]]:
    """When a person is there, in seconds, stretches that follow each other as one."""
    found: list[tuple[float, float]] = []
    for stretch in person.stretches:
        if found and stretch.first_s - found[-1][1] < 0.05:
            found[-1] = (found[-1][0], stretch.last_s)
        else:
            found.append((stretch.first_s, stretch.last_s))
    return found
