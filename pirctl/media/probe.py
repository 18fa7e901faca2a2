"""What a file of pictures or sound contains, read from its headers and first picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from pirctl.errors import DecodeError
from pirctl.media.process import file_url

# ffmpeg draws text files as ANSI art; nobody means that as a video.
_NOT_MEDIA = {"tty", "ansi", "bintext", "idf", "xbin"}
# Among several streams of pictures, those that move show a second picture within so many packets.
_PACKETS_SEEN = 2000


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """A media file in numbers.

    Attributes:
        path: the file.
        width: columns of a picture as shown: after rotation, with square pixels; 0 without video.
        height: rows, likewise.
        has_square_pixels: whether width and height are the stored ones.
        frame_rate: mean frames per second; None without video or when the file does not say.
        has_steady_rate: whether all frames last equally long, as far as the headers tell.
        frames: number of frames when the headers tell, else None.
        start_s: when the first picture is shown, in seconds after the file's start.
        duration_s: length in seconds; 0.0 when the file does not say.
        has_video: whether there are moving pictures (a cover image does not count).
        video_stream: number of the stream they are in, the first whose pictures move unless
            another was asked for; -1 without.
        moving_streams: numbers of the streams of moving pictures that there are to choose from.
        has_audio: whether there is sound.
        sample_rate_hz: of the first sound stream, or None.
        audio_codec: ffmpeg's name of the first sound stream's codec ("aac"), or None.
    """

    path: Path
    width: int
    height: int
    has_square_pixels: bool
    frame_rate: Fraction | None
    has_steady_rate: bool
    frames: int | None
    start_s: float
    duration_s: float
    has_video: bool
    video_stream: int
    moving_streams: tuple[int, ...]
    has_audio: bool
    sample_rate_hz: int | None
    audio_codec: str | None


def expected_frames(info: MediaInfo, rate: Fraction | None = None) -> int | None:
    """How many frames reading will give, for a progress bar: exact or off by a few.

    Args:
        info: of a video.
        rate: the frame rate it is converted to; None for its own frames.
    """
    if rate is None and info.frames:
        return info.frames
    rate = rate or info.frame_rate
    return max(1, round(info.duration_s * rate)) if rate and info.duration_s else None


def check_readable(path: Path | str) -> Path:
    """Return `path` as a Path if it is a file that holds something.

    Raises:
        DecodeError: it is missing, a folder, a pipe, empty, may not be read, or has a name that is
            not UTF-8.
    """
    path = Path(path)
    if not path.exists():
        raise DecodeError(f"{path} does not exist", hint="check the name; use quotes around spaces")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DecodeError(
            f"{path} has a name that is not UTF-8", hint="rename it: a target records the name"
        ) from error
    if path.is_dir():
        raise DecodeError(f"{path} is a folder, a file was expected")
    if not path.is_file():
        raise DecodeError(
            f"{path} is no regular file but a pipe or a device",
            hint="write it to a file first: it is read more than once",
        )
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DecodeError(f"{path} cannot be opened: {error.strerror}") from error
    if empty:
        raise DecodeError(f"{path} is empty (0 bytes)")
    return path


def probe_video(video: Path | str | MediaInfo) -> MediaInfo:
    """What `probe` says of a file, or said already, that must have moving pictures.

    Raises:
        DecodeError: as `probe`; only sound.
    """
    info = video if isinstance(video, MediaInfo) else probe(video)
    if not info.has_video:
        raise DecodeError(f"{info.path} has no pictures, only sound")
    return info


def probe(path: Path | str, stream: int | None = None) -> MediaInfo:
    """Describe a media file without decoding more than its first picture.

    Args:
        path: the file.
        stream: number of the stream whose pictures are meant; None: the first that moves.

    Raises:
        DecodeError: missing, a folder, empty, unreadable, neither video nor sound, or without
            moving pictures in that stream.
    """
    import av

    path = check_readable(path)
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            if container.format.name in _NOT_MEDIA:
                raise DecodeError(f"{path} is neither video nor sound")
            return _describe(path, container, stream)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(
            f"{path} is not a video or sound file, or it is damaged: {_reason(error)}",
            hint="does it play in a media player? a copy that was cut off does not open",
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _describe(path: Path, container: Any, stream: int | None) -> MediaInfo:
    import av

    cover = av.stream.Disposition.attached_pic
    pictures = [s for s in container.streams.video if not s.disposition & cover]
    if len(pictures) > 1:
        # A still picture is a cover as well, where nobody marked it as one.
        moving = _moving(path, [s.index for s in pictures])
        pictures = [s for s in pictures if s.index in moving] or pictures[:1]
    sounds = list(container.streams.audio)
    duration_s = container.duration / av.time_base if container.duration else 0.0
    video = pictures[0] if pictures else None
    if stream is not None:
        video = next((s for s in pictures if s.index == stream), None)
        if video is None:
            raise DecodeError(f"{path} has no moving pictures in its stream {stream}")
    sound = sounds[0].codec_context if sounds else None
    if video is None and sound is None:
        raise DecodeError(f"{path} contains neither video nor sound")
    width, height = _shown_size(container, video) if video is not None else (0, 0)
    rate = (video.average_rate or video.guessed_rate) if video is not None else None
    return MediaInfo(
        path=path,
        width=width,
        height=height,
        has_square_pixels=video is None or video.sample_aspect_ratio in {None, 0, 1},
        frame_rate=Fraction(rate) if rate else None,
        has_steady_rate=video is not None and bool(rate) and rate == video.guessed_rate,
        frames=video.frames or None if video is not None else None,
        start_s=_start_s(container, video) if video is not None else 0.0,
        duration_s=max(duration_s, 0.0),
        has_video=width > 0,
        video_stream=video.index if video is not None else -1,
        moving_streams=tuple(s.index for s in pictures),
        has_audio=sound is not None,
        sample_rate_hz=sound.sample_rate or None if sound is not None else None,
        audio_codec=sound.codec.canonical_name if sound is not None else None,
    )


def _moving(path: Path, candidates: list[int]) -> set[int]:
    """Those of the streams that hold more than one picture, as far as the file's start tells."""
    import av

    seen: Counter[int] = Counter()
    # Opened anew: what is read here would be missing where the first picture is decoded.
    with av.open(file_url(path), metadata_errors="replace") as container:
        packets = container.demux([container.streams[index] for index in candidates])
        for packet in islice(packets, _PACKETS_SEEN):
            seen[packet.stream.index] += bool(packet.size)
            if all(seen[index] > 1 for index in candidates):
                break
    return {index for index in candidates if seen[index] > 1}


def _start_s(container: Any, video: Any) -> float:
    import av

    if video.start_time is None or container.start_time is None:
        return 0.0
    return float(video.start_time * video.time_base - Fraction(container.start_time, av.time_base))


def _shown_size(container: Any, video: Any) -> tuple[int, int]:
    """Width and height as shown: the pixels' aspect made square, the rotation carried out."""
    import av

    width, height = video.codec_context.width, video.codec_context.height
    aspect = video.sample_aspect_ratio or Fraction(1)
    width = max(1, int(width * aspect + Fraction(1, 2))) if width else 0
    try:
        # Only a decoded picture carries the rotation; metadata alone differs between formats.
        first = next(container.decode(video), None)
    except (av.error.FFmpegError, OSError):
        first = None
    if first is not None and round(first.rotation) % 180 == 90:
        return height, width
    return width, height
