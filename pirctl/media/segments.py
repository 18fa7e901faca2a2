"""A video in pieces: stretches that are encoded anew, and stretches of the source's own packets.

Each encoded piece is a file of its own, whole or not there, so that work that was stopped goes on
piece by piece; `pieces` gives their packets as one stream. A piece begins with a key frame and
refers to nothing outside itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pirctl.errors import EncodeError
from pirctl.files import atomic_file
from pirctl.media import h264
from pirctl.media.delivery import Encoding, group_frames, quiet
from pirctl.media.picture import PictureFormat
from pirctl.media.planes import Planes
from pirctl.media.process import file_url
from pirctl.media.timeline import Timeline

SEGMENT_SUFFIX = ".piece"
"""Of the pieces' names: whole files of pictures, though not for players."""


def open_piece(path: Path, timeline: Timeline, encoding: Encoding) -> Any:
    """An empty container that keeps time stamps exactly."""
    import av

    # NUT holds any time base and nearly every codec; else QuickTime with the source's ticks.
    ticks = str(timeline.time_base.denominator)
    options = {"video_track_timescale": ticks, "movie_timescale": ticks}
    is_nut = encoding.codec != "prores"
    # All would be moved until no decoding time is below zero.
    stay = {"avoid_negative_ts": "disabled"}
    return av.open(
        file_url(path),
        "w",
        format="nut" if is_nut else "mov",
        container_options=stay if is_nut else options,
    )


class SegmentWriter:
    """Encode consecutive frames of a video into a piece; it gets its name when it is complete.

    Use as a context manager. Time stamps, colours, aspect and pixel format are the source's. The
    same frames give the same bytes.
    """

    def __init__(
        self, path: Path | str, form: PictureFormat, timeline: Timeline, encoding: Encoding
    ) -> None:
        """Start nothing yet.

        Args:
            path: of the piece, ending in `SEGMENT_SUFFIX`.
            form: of the source's pictures.
            timeline: of the source.
            encoding: what `choose_encoding` gave for the whole video.
        """
        self.path = Path(path)
        self.frames = 0
        self._form = form
        self._timeline = timeline
        self._encoding = encoding
        self._first = 0
        self._next: int | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        quiet()
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_file(self.path))
            self._container = open_piece(temporary, self._timeline, self._encoding)
            stack.callback(self._container.close)
            self._stream = self._opened()
            self._stack = stack.pop_all()
        return self

    def _opened(self) -> Any:
        import av

        form, encoding = self._form, self._encoding
        rate = self._timeline.mean_rate.limit_denominator(1 << 16)
        stream = self._container.add_stream(encoding.encoder, rate=rate, options=encoding.options)
        stream.width, stream.height = form.width, form.height
        stream.pix_fmt = encoding.pixel_format
        codec = stream.codec_context
        codec.time_base = self._timeline.time_base
        codec.gop_size = group_frames(rate)
        codec.sample_aspect_ratio = form.aspect
        codec.colorspace = form.matrix
        codec.color_range = form.range_tag
        codec.color_primaries = form.primaries
        codec.color_trc = form.transfer
        try:
            codec.open(strict=False)
        except av.error.FFmpegError as error:
            raise EncodeError(
                f"the encoder {encoding.encoder} does not start on this machine: {error}",
                hint="leave out --encoder: software needs no hardware",
            ) from error
        return stream

    def write(self, planes: Planes) -> None:
        """Append the next frame.

        Raises:
            EncodeError: the encoder gave up, for example on a full disk.
        """
        if self._next is None:
            self._first = int(self._timeline.ticks[planes.number])
        elif planes.number != self._next:
            raise ValueError(f"frame {planes.number} follows frame {self._next - 1}")
        frame = planes.frame
        if frame.format.name != self._encoding.pixel_format:
            frame = frame.reformat(format=self._encoding.pixel_format)
        frame.pts = int(self._timeline.ticks[planes.number]) - self._first
        frame.time_base = self._timeline.time_base
        frame.pict_type = 0  # The decoder's choice of key frames is not the encoder's.
        self._encode(frame)
        self._next = planes.number + 1
        self.frames += 1

    def _encode(self, frame: Any) -> None:
        import av

        try:
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # `atomic_file` knows what a full disk is.
                raise
            raise EncodeError(f"{self.path} could not be encoded: {error}") from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:
                raise error
            if self.frames == 0:
                raise EncodeError(f"{self.path}: no frame was written")
            self._encode(None)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames `first` to `stop` - 1 of a video.

    Attributes:
        first: number of its first frame.
        stop: number of the first frame after it.
        path: the file that `SegmentWriter` wrote; None: the source's own packets, which begin and
            end at frames of `Timeline.clean_frames`, or at the end.
    """

    first: int
    stop: int
    path: Path | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A packet of the joined stream.

    Attributes:
        payload: its bytes; H.264 with start codes.
        frame: number of the frame in it.
        is_key: whether decoding can begin here.
    """

    payload: bytes
    frame: int
    is_key: bool


def check_pieces(pieces: Sequence[Piece], timeline: Timeline, encoding: Encoding) -> None:
    """Raise ValueError unless the pieces hold each frame once, in order, and may be joined."""
    border = 0
    clean = {*timeline.clean_frames, len(timeline)}
    for piece in pieces:
        if piece.first != border or piece.stop <= piece.first:
            raise ValueError(f"{piece} does not follow frame {border - 1}")
        if piece.path is None and not (encoding.copies and {piece.first, piece.stop} <= clean):
            raise ValueError(f"{piece} cannot be copied: {encoding.reason or 'no clean frames'}")
        border = piece.stop
    if border != len(timeline):
        raise ValueError(f"the pieces end at frame {border} of {len(timeline)}")


def read_chunks(pieces: Sequence[Piece], timeline: Timeline) -> Iterator[Chunk]:
    """The packets of all pieces in the order in which they are stored.

    Raises:
        EncodeError: a piece does not hold its frames, or was encoded otherwise than the first.
    """
    head: bytes | None = None
    for piece in pieces:
        found = 0
        for chunk in _copied(piece, timeline) if piece.path is None else _written(piece, timeline):
            found += piece.first <= chunk.frame < piece.stop
            yield chunk
        if found != piece.stop - piece.first:
            raise _broken(piece, f"it holds {found} frames")
        if piece.path is not None:
            own = extradata_of(piece.path)
            if head is not None and own != head:
                raise _broken(piece, "it was encoded with other settings than the first")
            head = own


def _broken(piece: Piece, why: str) -> EncodeError:
    where = piece.path or "the source"
    return EncodeError(
        f"{where}: frames {piece.first} to {piece.stop - 1} cannot be joined, {why}",
        hint=None if piece.path is None else f"rm {piece.path}, and run the same command again",
    )


def extradata_of(path: Path, stream: int = 0) -> bytes:
    """What a decoder must know before the first packet of a stream."""
    import av

    with av.open(file_url(path), metadata_errors="replace") as container:
        return bytes(container.streams[stream].codec_context.extradata or b"")


def _written(piece: Piece, timeline: Timeline) -> Iterator[Chunk]:
    import av

    assert piece.path is not None
    with av.open(file_url(piece.path)) as container:
        stream = container.streams.video[0]
        scale, start = stream.time_base / timeline.time_base, int(timeline.ticks[piece.first])
        for packet in container.demux(stream):
            if packet.size:
                frame = timeline.frame_at(round(packet.pts * scale) + start)
                if frame is None:
                    raise _broken(piece, "its time stamps are not the source's")
                yield Chunk(bytes(packet), frame, packet.is_keyframe)


def _copied(piece: Piece, timeline: Timeline) -> Iterator[Chunk]:
    import av

    with av.open(file_url(timeline.path), metadata_errors="replace") as container:
        stream = container.streams[timeline.stream]
        if piece.first > 0:
            container.seek(int(timeline.ticks[piece.first]), stream=stream)
        size = 0
        if stream.codec_context.codec.canonical_name == "h264":
            size = h264.length_size(stream.codec_context.extradata or b"")
        left = piece.stop - piece.first
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None or packet.is_discard:
                continue
            frame = timeline.frame_at(packet.pts)
            if frame is not None and piece.first <= frame < piece.stop:
                yield Chunk(h264.to_annex_b(bytes(packet), size), frame, packet.is_keyframe)
                left -= 1
                if left == 0:
                    return
