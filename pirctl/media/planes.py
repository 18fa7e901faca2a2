"""Decoded frames as the video stores them, and a painted picture put into them.

Only samples under the painting change; everything else keeps the decoder's bytes, whatever the
sampling, depth, matrix and range. `rgb` gives the very pixels that `read_frames` gives, because
both run the same filters. What is put back is the difference between painted and shown colours:
where nothing was painted over, what 8-bit RGB cannot hold survives.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.media.crop import Crop
from pirctl.media.filters import Filters
from pirctl.media.pasting import Box, Samples, add_moves, as_stored, painted_part, resized, shared
from pirctl.media.picture import Component, PictureFormat, check_progressive, describe
from pirctl.media.probe import MediaInfo
from pirctl.media.process import file_url
from pirctl.media.timeline import Timeline, read_timeline

_THREADS = 4  # More decode ahead more frames than they are worth.


@dataclass(frozen=True, kw_only=True)
class Planes:
    """One decoded frame.

    Attributes:
        number: of the frame in its video.
        form: how its samples are meant.
        frame: the frame of PyAV; its memory may be the decoder's and must not be written.
        filters: shared by the frames of one reading.
    """

    number: int
    form: PictureFormat
    frame: Any
    filters: Filters

    @cached_property
    def samples(self) -> tuple[Samples, ...]:
        """Each component's samples, (h, w) uint8 or uint16, as they lie in memory: do not write."""
        views = tuple(_view(self.frame, self.form, one) for one in self.form.components)
        for view in views:
            view.flags.writeable = False
        return views

    def rgb(self, box: Crop | None = None, size_px: int | None = None) -> NDArray[np.uint8]:
        """The picture as it is shown, or a square of it.

        Args:
            box: the square, in pixels of the picture as shown, rounded by `Crop.rounded`; it may
                reach outside. None: the whole picture.
            size_px: side to resample the square to. None: as it is.

        Returns:
            (S, S, 3) uint8 RGB, or (H, W, 3) without `box`: what `read_frames` gives.

        Raises:
            ValueError: the square lies outside the picture, or `size_px` without a square.
        """
        if box is None:
            if size_px is not None:
                raise ValueError(f"size_px {size_px}: only a square can be resampled")
            return self.filters.rgb(self.frame, None, self.form.shown_size)
        box = box.rounded()
        side = size_px or int(box.side)
        return self.filters.rgb(self.frame, box, (side, side))

    def paste(self, box: Crop, picture: NDArray[np.uint8], weight: NDArray[np.float32]) -> Planes:
        """Put a painted square into the frame.

        Args:
            box: where it belongs, as for `rgb`.
            picture: (S, S, 3) uint8 RGB of any size, resampled to the box.
            weight: (Q, Q) in [0, 1] of any size, resampled to the box; 1 is painted. A colour
                sample that several pixels share changes by the mean of their weights.

        Returns:
            a new frame. Samples whose weight is 0 keep their value exactly.
        """
        box = box.rounded()
        part = painted_part(self.form, box, weight)
        if part is None:
            return self
        shown_box, weights = part
        change = self._change(box, picture, shown_box) * weights[..., None]
        x0, y0, change, weights = as_stored(self.form, shown_box, change, weights)
        frame = self.filters.copied(self.frame)
        frame.pict_type = 0  # The decoder's choice of key frames is not the encoder's.
        moves = change @ self.form.differences.T
        for n, one in enumerate(self.form.components):
            move, share, column, row = moves[..., n], weights, x0, y0
            if one.across or one.down:
                move, share, column, row = shared(self.form, one, (x0, y0), move, weights)
            plane = _view(frame, self.form, one)
            there = plane[row : row + move.shape[0], column : column + move.shape[1]]
            add_moves(there, move, share > 0, self.form.bit_depth)
        return Planes(number=self.number, form=self.form, frame=frame, filters=self.filters)

    def _change(self, box: Crop, picture: NDArray[np.uint8], part: Box) -> NDArray[np.float32]:
        """Painted minus shown, (h, w, 3) in grey levels, over a part of the shown picture."""
        side, x, y = int(box.side), int(box.x), int(box.y)
        inside = (slice(part[1] - y, part[3] - y), slice(part[0] - x, part[2] - x))
        painted = resized(picture, side)[inside].astype(np.float32)
        return painted - self.rgb(box)[inside]


def _view(frame: Any, form: PictureFormat, one: Component) -> Samples:
    """(h, w) view of a component's samples in a frame's memory."""
    plane = frame.planes[one.plane]
    kind = np.uint8 if form.bit_depth == 8 else np.uint16
    rows: Any = np.frombuffer(plane, kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)
    width, height = -((-form.width) >> one.across), -((-form.height) >> one.down)
    samples: Samples = rows[:height, one.offset : one.offset + width * one.step : one.step]
    return samples


def read_planes(
    video: MediaInfo,
    *,
    timeline: Timeline | None = None,
    first: int = 0,
    count: int | None = None,
) -> Generator[Planes, None, None]:
    """Decode the frames of a video, exactly those that its timeline numbers.

    Args:
        video: what `probe` said of the file.
        timeline: of the file, where it is known already.
        first: number of the first frame to yield.
        count: how many to yield; None: all that follow.

    Yields:
        the frames in order.

    Raises:
        DecodeError: a frame is missing or cannot be decoded, is of another form than the first,
            or of a form that cannot be repainted.
    """
    timeline = timeline or read_timeline(video)
    if not 0 <= first <= len(timeline) or (count is not None and count < 0):
        raise ValueError(f"first {first} and count {count}: there are {len(timeline)} frames")
    end = len(timeline) if count is None else min(len(timeline), first + count)
    return _decoded(timeline, first, end)


def _decoded(timeline: Timeline, first: int, end: int) -> Generator[Planes, None, None]:
    form, filters = None, None
    expected = first
    with closing(_frames(timeline, first)) as frames:
        while expected < end:
            frame, codec = next(frames, (None, None))
            if frame is None or frame.pts > timeline.ticks[expected]:
                raise _missing(timeline, expected)
            if frame.pts < timeline.ticks[expected]:
                continue
            if form is None or filters is None:
                form = describe(frame, codec, timeline.path)
                filters = Filters(form)
            _check_alike(frame, form, timeline, expected)
            yield Planes(number=expected, form=form, frame=frame, filters=filters)
            expected += 1


def _frames(timeline: Timeline, first: int) -> Generator[tuple[Any, Any], None, None]:
    """Decoded frames from `first` or before, in the order in which they are shown."""
    import av

    start = timeline.key_frame_before(min(first, len(timeline) - 1))
    try:
        # Where the file's index misleads, everything is read.
        for seek in (start, 0):
            with av.open(file_url(timeline.path), metadata_errors="replace") as container:
                stream = container.streams[timeline.stream]
                stream.thread_type = "AUTO"
                stream.thread_count = min(_THREADS, os.cpu_count() or 1)
                if seek > 0:
                    container.seek(int(timeline.ticks[seek]), stream=stream)
                frames = (frame for frame in container.decode(stream) if frame.pts is not None)
                head = next(frames, None)
                if seek > 0 and (head is None or head.pts > timeline.ticks[seek]):
                    continue
                for frame in [] if head is None else chain([head], frames):
                    yield frame, stream.codec_context
                return
    except (av.error.FFmpegError, OSError) as error:
        raise DecodeError(f"{timeline.path} is damaged: {error}") from error


def _missing(timeline: Timeline, frame: int) -> DecodeError:
    return DecodeError(
        f"{timeline.path}: the frame at {float(timeline.time(frame)):.3f} s cannot be decoded; "
        "the file is damaged there",
        hint=f"ffmpeg -i {timeline.path} -c:v libx264 -crf 12 -c:a copy mended.mkv, and go on "
        "with mended.mkv",
    )


def _check_alike(frame: Any, form: PictureFormat, timeline: Timeline, number: int) -> None:
    check_progressive(frame, timeline.path)
    found = (frame.width, frame.height, frame.format.name)
    if found != (form.width, form.height, form.pixel_format):
        raise DecodeError(
            f"{timeline.path} changes its pictures at {float(timeline.time(number)):.3f} s, from "
            f"{form.width} x {form.height} {form.pixel_format} to {found[0]} x {found[1]} "
            f"{found[2]}",
            hint=f"ffmpeg -i {timeline.path} -vf scale={form.width}:{form.height} -c:v libx264 "
            "-crf 12 -c:a copy mended.mkv, and go on with mended.mkv",
        )
