"""Pieces into one video, and beside it all that the source holds: nothing is encoded twice.

The pictures' packets get the source's time stamps again; then ffmpeg puts sound, subtitles,
chapters, attachments, covers, tags and rotation beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pirctl.errors import EncodeError
from pirctl.files import atomic_file
from pirctl.media import h264
from pirctl.media.delivery import Encoding
from pirctl.media.picture import PictureFormat
from pirctl.media.process import ffmpeg_program, file_url, running
from pirctl.media.segments import Piece, check_pieces, extradata_of, open_piece, read_chunks
from pirctl.media.soundtrack import Spoken, write_soundtrack
from pirctl.media.timeline import Timeline
from pirctl.media.tracks import carried_tracks, sound_codec
from pirctl.media.video import SYNTHETIC_COMMENT, check_video_name

# ffmpeg's options for each of the eight ways to turn; the angle is counter-clockwise.
_TURNS: dict[tuple[int, int, int, int], list[str]] = {
    (1, 0, 0, 1): [],
    (0, -1, 1, 0): ["-display_rotation", "90"],
    (-1, 0, 0, -1): ["-display_rotation", "180"],
    (0, 1, -1, 0): ["-display_rotation", "270"],
    (-1, 0, 0, 1): ["-display_rotation", "0", "-display_hflip"],
    (1, 0, 0, -1): ["-display_rotation", "0", "-display_vflip"],
    (0, 1, 1, 0): ["-display_rotation", "90", "-display_vflip"],
    (0, -1, -1, 0): ["-display_rotation", "90", "-display_hflip"],
}


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What is heard.

    Attributes:
        spoken: the new speech; it takes the place of the source's first sound track.
        keep_track: number of a sound track of the source that stays under it, from 1; None: none.
    """

    spoken: tuple[Spoken, ...]
    keep_track: int | None = None


@dataclass(frozen=True, kw_only=True)
class Film:
    """A source video and how its result is encoded.

    Attributes:
        timeline: of the source.
        form: of its pictures.
        encoding: of the pieces.
    """

    timeline: Timeline
    form: PictureFormat
    encoding: Encoding


def join(
    film: Film,
    pieces: Sequence[Piece],
    output: Path | str,
    sound: Sound | None,
    *,
    comment: str = SYNTHETIC_COMMENT,
    finish: Callable[[Path], None] | None = None,
) -> tuple[str, ...]:
    """Make the result of all pieces; it gets its name when it is whole.

    Args:
        film: what the pieces were made for.
        pieces: the whole video, in order.
        output: the video to be.
        sound: the new sound; None: the source's own tracks only.
        comment: of the file.
        finish: called with the whole file before it gets its name.

    Returns:
        what of the source could not be carried over, in words.

    Raises:
        EncodeError: a piece is broken, or ffmpeg failed.
        PirctlError: no space left, or no right to write there.
    """
    output = check_video_name(output)
    check_pieces(pieces, film.timeline, film.encoding)
    with atomic_file(output) as temporary:
        pictures = temporary.with_suffix(".pictures")
        wave = temporary.with_suffix(".wav")
        try:
            write_pictures(film, pieces, pictures)
            if sound is not None:
                write_soundtrack(wave, sound.spoken, film.timeline.path, sound.keep_track)
            left_out = _mux(film, pictures, wave if sound is not None else None, temporary, comment)
        finally:
            pictures.unlink(missing_ok=True)
            wave.unlink(missing_ok=True)
        if finish is not None:
            finish(temporary)
    return left_out


def write_pictures(film: Film, pieces: Sequence[Piece], path: Path) -> None:
    """Join the pieces' packets in a file of pictures alone, whose first frame is shown at 0.

    Raises:
        EncodeError: a piece is broken.
    """
    import av

    timeline, encoding = film.timeline, film.encoding
    written = next((piece.path for piece in pieces if piece.path is not None), None)
    delay = _delay(pieces, timeline)
    template_path, template_stream = (written, 0) if written else (timeline.path, timeline.stream)
    with (
        av.open(file_url(template_path), metadata_errors="replace") as template,
        open_piece(path, timeline, encoding) as container,
    ):
        stream = container.add_stream_from_template(template.streams[template_stream], opaque=True)
        stream.time_base = timeline.time_base
        if encoding.codec == "h264":
            stream.codec_context.extradata = _parameter_sets(pieces, timeline, written)
        for number, chunk in enumerate(read_chunks(pieces, timeline)):
            packet = av.Packet(chunk.payload)
            packet.stream = stream
            packet.time_base = timeline.time_base
            packet.pts = int(timeline.ticks[chunk.frame] - timeline.ticks[0])
            packet.dts = _decoding_time(timeline, number - delay)
            packet.duration = int(timeline.duration(chunk.frame) / timeline.time_base)
            packet.is_keyframe = chunk.is_key
            container.mux(packet)


def _parameter_sets(pieces: Sequence[Piece], timeline: Timeline, written: Path | None) -> bytes:
    extradatas = [] if written is None else [extradata_of(written)]
    if any(piece.path is None for piece in pieces):
        extradatas.append(extradata_of(timeline.path, timeline.stream))
    return h264.joined_sets(extradatas)


def _delay(pieces: Sequence[Piece], timeline: Timeline) -> int:
    """By how many frames at most a frame is stored later than it is shown."""
    late = (number - chunk.frame for number, chunk in enumerate(read_chunks(pieces, timeline)))
    return max(0, *late)


def _decoding_time(timeline: Timeline, number: int) -> int:
    """A time to decode by: that at which a frame so many earlier is shown."""
    if number >= 0:
        return int(timeline.ticks[number] - timeline.ticks[0])
    step = int(timeline.ticks[1] - timeline.ticks[0]) if len(timeline) > 1 else 1
    return number * step


def _mux(
    film: Film, pictures: Path, wave: Path | None, output: Path, comment: str
) -> tuple[str, ...]:
    timeline, suffix = film.timeline, output.suffix.lower()
    # All is moved to the file's start, in whole ticks, so that every frame keeps its own.
    moved = round(timeline.start / timeline.time_base) * timeline.time_base
    first = int(timeline.ticks[0]) * timeline.time_base
    tracks, left_out = carried_tracks(timeline.path, timeline.stream, suffix, wave is not None)
    command = [ffmpeg_program(), "-y", "-hide_banner", "-nostdin", "-v", "error", "-copyts"]
    command += [*_TURNS[film.form.turn], *_shifted(first - moved), "-i", file_url(pictures)]
    command += [*_shifted(-moved), "-i", file_url(timeline.path)]
    if wave is not None:
        command += [*_shifted(timeline.start - moved), "-i", file_url(wave)]
    command += ["-map", "0:v:0"]
    if wave is not None:
        command += ["-map", "2:a:0"]
    for track in tracks:
        command += ["-map", f"1:{track.stream}"]
    command += ["-c", "copy", "-map_metadata", "1", "-map_chapters", "1"]
    command += ["-map_metadata:s:v:0", f"1:s:{timeline.stream}"]
    if wave is not None:
        command += ["-c:a:0", *sound_codec(suffix), "-disposition:a:0", "default"]
    offset = 1 + (wave is not None)
    for number, track in enumerate(tracks):
        command += [f"-c:{number + offset}", *track.codec]
        # Naming the tags of one stream ends ffmpeg's own copying for the others.
        command += [f"-map_metadata:s:{number + offset}", f"1:s:{track.stream}"]
        if track.is_cover:
            command += [f"-disposition:{number + offset}", "attached_pic"]
    command += ["-metadata", f"comment={comment}"]
    if suffix in {".mp4", ".m4v", ".mov"}:
        ticks = str(timeline.time_base.denominator)
        command += ["-video_track_timescale", ticks, "-movie_timescale", ticks]
        command += ["-movflags", "+faststart"]
        # Or the edit list ends with the last frame's beginning, and hides it.
        last = timeline.duration(len(timeline) - 1)
        command += ["-bsf:v:0", f"setts=pts=PTS:dts=DTS:duration={last}/TB"]
        if film.encoding.codec == "hevc":
            command += ["-tag:v:0", "hvc1"]  # What players of Apple ask for.
    command.append(file_url(output))
    with running(command) as process:
        if process.finish() != 0:
            said = process.said() or "ffmpeg stopped without a word"
            hint = "free some space" if "No space left" in said else None
            raise EncodeError(f"the video could not be written: {said}", hint=hint)
    return left_out


def _shifted(seconds: Fraction) -> list[str]:
    return ["-itsoffset", f"{float(seconds):.9f}"] if seconds else []
