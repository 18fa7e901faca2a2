"""A few dozen pictures of a video, spread over its length, without decoding all of it.

Between two pictures that are wanted the decoder jumps to a key frame. What has to be decoded on the
way is counted and has an end, so that an hour of 4K takes seconds too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pirctl.errors import DecodeError
from pirctl.face.search import Frame
from pirctl.face.track import tracking_size
from pirctl.media import MediaInfo, expected_frames
from pirctl.media.process import file_url

LOOKS = 32
"""Pictures looked at, fewer in a very short video."""

_DECODED_PIXELS = 2_500_000_000
"""Pixels decoded at most, 1200 pictures of 1080p; then the next key frames must do."""
_NEAR_S = 2.0
"""What is wanted this soon after the last picture is decoded up to: key frames are rarer."""


@dataclass(frozen=True)
class Look:
    """One picture.

    Attributes:
        time_s: its time stamp, in seconds.
        picture: uint8 (H, W, 3) RGB as a viewer sees it, not larger than what is tracked.
        scale: its pixels over the pixels of the video.
        is_interlaced: whether it is made of two fields.
        bit_depth: of the stored samples.
        transfer: number of the transfer characteristics, ITU-T H.273.
    """

    time_s: float
    picture: Frame
    scale: float
    is_interlaced: bool
    bit_depth: int
    transfer: int


def look_at(info: MediaInfo, count: int = LOOKS) -> Iterator[Look]:
    """Pictures spread evenly over a video, in the order in which they are shown.

    Args:
        info: of a file with pictures.
        count: how many at most; fewer where the video is short, damaged or has few key frames.

    Raises:
        DecodeError: the file cannot be opened any more.
    """
    import av

    try:
        with av.open(file_url(info.path), metadata_errors="replace") as container:
            stream = container.streams[info.video_stream]
            stream.thread_type = "AUTO"
            for frame in _wanted(container, stream, info, count):
                yield _look(frame, info)
    except (av.error.FFmpegError, OSError) as error:
        raise DecodeError(f"{info.path} cannot be read: {error}") from error


def _wanted(container: Any, stream: Any, info: MediaInfo, count: int) -> Iterator[Any]:
    """The decoded frames that are looked at."""
    first_s = float((stream.start_time or 0) * stream.time_base)
    count = max(1, min(count, expected_frames(info) or count))
    # Where nobody says how long it is, its first seconds must do.
    step_s = (info.duration_s or count / 5.0) / count
    left, shown_s = _DECODED_PIXELS, -math.inf
    coming = _decoded(container, stream)
    for number in range(count):
        wanted_s = first_s + (number + 0.5) * step_s
        if wanted_s - max(shown_s, first_s) > _NEAR_S:
            container.seek(int(wanted_s / stream.time_base), stream=stream)
            coming = _decoded(container, stream)
        for frame in coming:
            left -= info.width * info.height
            is_near = left < 0 or frame.time >= wanted_s - step_s / 2
            # After a jump a picture may come that was shown already.
            if frame.time > shown_s and is_near:
                shown_s = frame.time
                yield frame
                break


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames from here on that have a time; what is damaged is left out."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = [] if packet is None else packet.decode()
        except av.error.FFmpegError:
            continue
        if packet is None:
            return
        yield from (frame for frame in frames if frame.time is not None)


def _look(frame: Any, info: MediaInfo) -> Look:
    quarters = round(frame.rotation / 90) % 4
    width, height = tracking_size(info.width, info.height)
    stored = (height, width) if quarters % 2 else (width, height)
    small = frame.reformat(width=stored[0], height=stored[1], format="rgb24")
    return Look(
        time_s=float(frame.time),
        # The rotation is counted against the clock, as numpy does.
        picture=np.ascontiguousarray(np.rot90(small.to_ndarray(), quarters)),
        scale=width / info.width,
        is_interlaced=bool(frame.interlaced_frame),
        bit_depth=frame.format.components[0].bits,
        transfer=int(frame.color_trc),
    )
