"""When each frame of a video is shown: exact, from its packets, without decoding a picture.

Frames are numbered in the order in which they are shown. Times are exact seconds after the file's
start, the zero of `read_frames` and of `stream_sound`; they come from whole ticks of the stream's
time base, so that they can be written again without rounding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.media import h264
from pirctl.media.probe import MediaInfo, probe_video
from pirctl.media.process import file_url

_VP8_SHOWN = 0x10  # Bit of the first byte; a reference that is never shown has a packet of its own.


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The frames of a video in time.

    Attributes:
        path: the file.
        stream: number of the stream of pictures.
        time_base: seconds of one tick.
        start: time of the file's start in its own time stamps, in seconds.
        ticks: (N,) int64, time stamp of each frame in ticks, rising.
        last_ticks: how many ticks the last frame is shown.
        key_frames: numbers of the frames at which decoding can begin, rising.
        clean_frames: those of them at which the video can be cut: nothing after refers to what
            is before, and every frame before is stored before, every frame after is stored after.
        reorder: by how many frames at most a frame is stored later than it is shown.
    """

    path: Path
    stream: int
    time_base: Fraction
    start: Fraction
    ticks: NDArray[np.int64]
    last_ticks: int
    key_frames: tuple[int, ...]
    clean_frames: tuple[int, ...]
    reorder: int

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.ticks)

    def time(self, frame: int) -> Fraction:
        """When a frame is first shown, in seconds after the file's start."""
        return int(self.ticks[frame]) * self.time_base - self.start

    def duration(self, frame: int) -> Fraction:
        """How long a frame is shown, in seconds."""
        if frame + 1 < len(self):
            return int(self.ticks[frame + 1] - self.ticks[frame]) * self.time_base
        return self.last_ticks * self.time_base

    def times(self) -> Iterator[Fraction]:
        """The exact time of every frame, in order."""
        return (self.time(frame) for frame in range(len(self)))

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) the times as floats, to calculate with; off by less than a nanosecond."""
        return self.ticks.astype(np.float64) * float(self.time_base) - float(self.start)

    @property
    def end(self) -> Fraction:
        """When the last frame ceases to be shown, in seconds after the file's start."""
        return self.time(len(self) - 1) + self.duration(len(self) - 1)

    @property
    def mean_rate(self) -> Fraction:
        """Frames per second over the whole length, for what needs a single number."""
        return len(self) / (self.end - self.time(0))

    def frame_at(self, ticks: int) -> int | None:
        """Number of the frame with exactly this time stamp; None: there is none."""
        frame = int(np.searchsorted(self.ticks, ticks))
        return frame if frame < len(self) and self.ticks[frame] == ticks else None

    def key_frame_before(self, frame: int) -> int:
        """The last key frame that is `frame` or comes before it; 0 where an edit list hides it."""
        before = bisect_right(self.key_frames, frame)
        return self.key_frames[before - 1] if before else 0


def read_timeline(video: Path | str | MediaInfo) -> Timeline:
    """Read the time of every frame that is shown.

    What an edit list hides and what stands before the first key frame is no frame.

    Args:
        video: the file, whose first moving pictures are meant, or what `probe` said of a stream.

    Raises:
        DecodeError: not a video, or its time stamps are missing, equal or cannot be read.
    """
    import av

    info = probe_video(video)
    try:
        with av.open(file_url(info.path), metadata_errors="replace") as container:
            stream = container.streams[info.video_stream]
            packets = list(_packets(container, stream, info.path))
            start = _file_start(container)
            time_base = Fraction(stream.time_base)
    except (av.error.FFmpegError, OSError) as error:
        raise DecodeError(f"{info.path}: its time stamps cannot be read: {error}") from error
    return _timeline(info, packets, time_base, start)


@dataclass(frozen=True, slots=True)
class _Stamp:
    ticks: int
    duration: int
    is_key: bool
    is_refresh: bool


def _packets(container: Any, stream: Any, path: Path) -> Iterator[_Stamp]:
    """Time stamps of the packets that become frames, in the order in which they are stored."""
    first: int | None = None
    codec = stream.codec_context.codec.canonical_name
    is_vp8 = codec == "vp8"
    size = h264.length_size(stream.codec_context.extradata or b"")
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if is_vp8 and not bytes(packet)[0] & _VP8_SHOWN:
            continue
        if first is None and not packet.is_keyframe:
            continue
        if packet.pts is None:
            raise _untimed(path, "a frame without a time stamp")
        first = packet.pts if first is None else first
        # Leading pictures of an open group refer to what is not in the file.
        if packet.pts >= first and not packet.is_discard:
            is_key = packet.is_keyframe
            # A key frame of H.264 may be a recovery point only.
            refreshes = is_key and (codec != "h264" or h264.has_idr(bytes(packet), size))
            yield _Stamp(packet.pts, packet.duration or 0, is_key, refreshes)


def _untimed(path: Path, what: str) -> DecodeError:
    return DecodeError(
        f"{path} has {what}, so its frames cannot be told apart",
        hint=f"ffmpeg -fflags +genpts -i {path} -fps_mode vfr -c:v libx264 -crf 12 -c:a copy "
        "mended.mkv, and go on with mended.mkv",
    )


def _file_start(container: Any) -> Fraction:
    """Start of the file, exact where it is the start of a stream; the container rounds to µs."""
    import av

    if container.start_time is None:
        return Fraction(0)
    rounded = Fraction(container.start_time, av.time_base)
    exact = [s.start_time * s.time_base for s in container.streams if s.start_time is not None]
    near = [time for time in exact if abs(time - rounded) <= Fraction(1, av.time_base)]
    return Fraction(near[0]) if near else rounded


def _timeline(
    info: MediaInfo, packets: list[_Stamp], time_base: Fraction, start: Fraction
) -> Timeline:
    if not packets:
        raise DecodeError(f"{info.path}: not one of its frames can be decoded")
    stored = np.array([packet.ticks for packet in packets], np.int64)
    order = np.argsort(stored, kind="stable")
    ticks = stored[order]
    if len(ticks) > 1 and np.diff(ticks).min() <= 0:
        twice = Fraction(int(ticks[np.argmin(np.diff(ticks))])) * time_base - start
        raise _untimed(info.path, f"two frames with one time stamp, at {float(twice):.3f} s")
    last = packets[order[-1]].duration
    if last <= 0:
        last = int(ticks[-1] - ticks[-2]) if len(ticks) > 1 else round(Fraction(1, 25) / time_base)
    shown = np.empty(len(order), np.int64)
    shown[order] = np.arange(len(order))
    is_key = np.array([packet.is_key for packet in packets])
    is_refresh = np.array([packet.is_refresh for packet in packets])
    # Clean: in storage all that went before is shown before, all that follows is shown after.
    before = np.maximum.accumulate(np.concatenate([[-1], shown[:-1]])) < shown
    after = np.minimum.accumulate(shown[::-1])[::-1] >= shown
    return Timeline(
        path=info.path,
        stream=info.video_stream,
        time_base=time_base,
        start=start,
        ticks=ticks,
        last_ticks=max(1, last),
        key_frames=tuple(sorted(int(n) for n in shown[is_key])),
        reorder=max(0, int((np.arange(len(shown)) - shown).max())),
        clean_frames=tuple(sorted(int(n) for n in shown[is_refresh & before & after])),
    )
