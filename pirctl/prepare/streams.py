"""Which of several videos in one file shows the person.

A camera may write two views, a phone a picture for the lists. The choice is said, and the target
records it, so that whoever reads the source again reads the same stream.
"""

from __future__ import annotations

import logging
from fractions import Fraction

from pirctl.errors import DecodeError
from pirctl.face.landmark_file import Landmarks
from pirctl.face.search import FaceDetector
from pirctl.face.track import FaceFollower, tracking_size
from pirctl.media import MediaInfo, expected_frames, probe, read_frames

_log = logging.getLogger(__name__)

_LOOKS = 5
"""Frames that are looked at in each stream, spread over its length."""


def choose_stream(info: MediaInfo, points: Landmarks | FaceDetector) -> MediaInfo:
    """The stream of `find_stream`, the first of all without one; says what was chosen, and why.

    Args:
        info: of the file.
        points: what finds faces, or the points of a file.

    Returns:
        `info`, or that of the other stream.
    """
    if len(info.moving_streams) < 2:
        return info
    found = find_stream(info, points)
    chosen = found or info
    fits = "that the landmarks fit" if isinstance(points, Landmarks) else "with a face"
    _log.warning(
        "%s holds %d videos; stream %d is taken, the first%s. Another: ffmpeg -i VIDEO "
        "-map 0:NUMBER -map 0:a -c copy one.mp4",
        info.path,
        len(info.moving_streams),
        chosen.video_stream,
        f" {fits}" if found else f", for none was seen {fits}",
    )
    return chosen


def find_stream(info: MediaInfo, points: Landmarks | FaceDetector) -> MediaInfo | None:
    """The first stream of moving pictures with a face in one of a few frames; None: no stream.

    Points of a file belong to the first stream of their size.
    """
    for number in info.moving_streams:
        try:
            candidate = probe(info.path, number)
            if _shows_the_person(candidate, points):
                return candidate
        except DecodeError as error:
            _log.debug("stream %d of %s: %s", number, info.path, error)
    return None


def _shows_the_person(info: MediaInfo, points: Landmarks | FaceDetector) -> bool:
    if isinstance(points, Landmarks):
        return (points.width, points.height) == (info.width, info.height)
    size = tracking_size(info.width, info.height)
    rate = Fraction(info.frame_rate or 25)
    count = expected_frames(info, rate) or 1
    for look in range(_LOOKS):
        start = (2 * look + 1) * count // (2 * _LOOKS)
        found = read_frames(info, start_frame=start, frames=1, size=size)
        # Each with a fresh eye: frames so far apart do not follow one another.
        if any(FaceFollower(points).find(frame) is not None for frame in found):
            return True
    return False
