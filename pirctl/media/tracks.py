"""What of a source goes into the result beside its pictures, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pirctl.media.process import file_url
from pirctl.media.video import COPIED_SOUND

_QUICKTIME = {".mp4", ".m4v", ".mov"}
_TEXTS = {"subrip", "ass", "ssa", "mov_text", "webvtt", "text"}


@dataclass(frozen=True, kw_only=True)
class Track:
    """A stream that is carried over.

    Attributes:
        stream: its number in the source.
        codec: value of ffmpeg's codec option, with further options.
        is_cover: whether it is a still picture for the file.
    """

    stream: int
    codec: tuple[str, ...] = ("copy",)
    is_cover: bool = False


def sound_codec(suffix: str) -> tuple[str, ...]:
    """Codec and options of new sound; without lead-in where the container would not note it."""
    match suffix:
        case ".mkv":
            return ("flac", "-sample_fmt:a:0", "s16")
        case ".webm":
            return ("libopus", "-b:a:0", "160k")
    return ("aac", "-b:a:0", "192k")


def carried_tracks(
    source: Path, pictures: int, suffix: str, replaces_sound: bool
) -> tuple[list[Track], tuple[str, ...]]:
    """Choose the streams that go over.

    Args:
        source: the file.
        pictures: number of the stream whose pictures are repainted.
        suffix: of the result.
        replaces_sound: whether new sound takes the place of the first sound track.

    Returns:
        the tracks in the source's order, and what is left out, in words.
    """
    import av

    tracks, left_out = list[Track](), list[str]()
    with av.open(file_url(source), metadata_errors="replace") as container:
        replaced = container.streams.audio[0].index if container.streams.audio else None
        for stream in container.streams:
            if stream.index == pictures or (replaces_sound and stream.index == replaced):
                continue
            track = _track(stream, suffix)
            if track is not None:
                tracks.append(track)
            else:
                left_out.append(
                    f"stream {stream.index}, {_name(stream)}, does not go into {suffix}"
                )
    return tracks, tuple(left_out)


def _name(stream: Any) -> str:
    codec = getattr(stream.codec_context, "name", None)
    return f"{stream.type} ({codec})" if codec else str(stream.type)


def _track(stream: Any, suffix: str) -> Track | None:
    import av

    number, kind = stream.index, stream.type
    if kind == "audio":
        name = stream.codec_context.codec.canonical_name
        if name in COPIED_SOUND[suffix]:
            return Track(stream=number)
        return Track(stream=number, codec=("libopus",) if suffix == ".webm" else ("aac",))
    if kind == "subtitle":
        return _subtitles(number, stream.codec_context.name, suffix)
    if kind == "attachment":
        return Track(stream=number) if suffix == ".mkv" else None
    if kind == "video" and stream.disposition & av.stream.Disposition.attached_pic:
        return Track(stream=number, is_cover=True) if suffix in _QUICKTIME else None
    return None


def _subtitles(number: int, name: str, suffix: str) -> Track | None:
    is_text = name in _TEXTS
    if suffix in _QUICKTIME:
        return Track(stream=number, codec=("mov_text",)) if is_text else None
    if suffix == ".webm":
        return Track(stream=number, codec=("webvtt",)) if is_text else None
    return Track(stream=number, codec=("srt",) if name == "mov_text" else ("copy",))
