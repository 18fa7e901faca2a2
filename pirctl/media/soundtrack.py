"""The new sound of a video: speech on its timeline, over a track of the source where wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pirctl.errors import DecodeError, EncodeError
from pirctl.media.process import command_of, file_url, running

RATE_HZ = 48000


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A sound file on the timeline of a video.

    Attributes:
        sound: the file.
        start: moment of its first sample, in seconds after the video file's start; below 0 it
            begins within.
        end: when it is cut off; None: it ends by itself.
    """

    sound: Path
    start: Fraction = Fraction(0)
    end: Fraction | None = None


def sound_tracks(video: Path) -> int:
    """How many sound tracks a file has."""
    import av

    with av.open(file_url(video), metadata_errors="replace") as container:
        return len(container.streams.audio)


def check_track(video: Path, track: int) -> None:
    """Raise DecodeError unless a file has a sound track of this number, counted from 1."""
    tracks = sound_tracks(video)
    if not 1 <= track <= tracks:
        raise DecodeError(
            f"{video} has no sound track {track}, it has {tracks}",
            hint=f"choose --keep-sound between 1 and {tracks}" if tracks else None,
        )


def write_soundtrack(
    path: Path, spoken: Sequence[Spoken], source: Path, keep_track: int | None = None
) -> None:
    """Mix everything into one WAV file, whose first sample is heard at the video file's start.

    Args:
        path: the file to be, of 32-bit floats, in stereo where any part is.
        spoken: what is heard where.
        source: the video.
        keep_track: number of its sound track that stays under the speech, from 1; None: none.

    Raises:
        DecodeError: a file has no sound.
        EncodeError: ffmpeg failed.
    """
    import ffmpeg

    parts: list[tuple[Path, int, Fraction, Fraction | None]]
    parts = [(one.sound, 0, one.start, one.end) for one in spoken]
    if keep_track is not None:
        check_track(source, keep_track)
        parts.append((source, keep_track - 1, Fraction(0), None))
    channels = [_channels(sound, track) for sound, track, *_ in parts]
    is_stereo = max(channels) > 1
    reads = _reads([(sound, track) for sound, track, *_ in parts])
    mixed = [
        _laid(_in_layout(read, count, is_stereo), start, end)
        for read, (_, _, start, end), count in zip(reads, parts, channels, strict=True)
    ]
    sound = mixed[0]
    if len(mixed) > 1:
        sound = ffmpeg.filter(mixed, "amix", inputs=len(mixed), normalize=0, dropout_transition=0)
    output = sound.output(file_url(path), **{"c:a": "pcm_f32le", "f": "wav", "rf64": "auto"})
    with running(command_of(output)) as process:
        if process.finish() != 0:
            raise EncodeError(f"the sound could not be mixed: {process.said()}")


def _channels(path: Path, track: int) -> int:
    import av

    with av.open(file_url(path), metadata_errors="replace") as container:
        if track >= len(container.streams.audio):
            raise DecodeError(f"{path} has no sound")
        return int(container.streams.audio[track].codec_context.channels)


def _reads(sources: Sequence[tuple[Path, int]]) -> list[Any]:
    """A stream for each, although a file that is heard several times is read once."""
    import ffmpeg

    times = Counter(sources)
    copies: dict[tuple[Path, int], Iterator[Any]] = {}
    for (path, track), count in times.items():
        sound = ffmpeg.input(file_url(path))[f"a:{track}"]
        sound = sound.filter("aresample", RATE_HZ, **{"async": 1}, first_pts=0)
        if count == 1:
            copies[path, track] = iter([sound])
        else:
            split = sound.filter_multi_output("asplit", count)
            copies[path, track] = iter([split.stream(number) for number in range(count)])
    return [next(copies[source]) for source in sources]


def _in_layout(sound: Any, channels: int, is_stereo: bool) -> Any:
    if not is_stereo:
        return sound.filter("aformat", sample_fmts="fltp", channel_layouts="mono")
    if channels == 1:  # By itself ffmpeg would take 3 dB off.
        sound = sound.filter("pan", "stereo|c0=c0|c1=c0")
    return sound.filter("aformat", sample_fmts="fltp", channel_layouts="stereo")


def _laid(sound: Any, start: Fraction, end: Fraction | None) -> Any:
    first = round(start * RATE_HZ)
    options = {"start_sample": max(0, -first)}
    if end is not None:
        options["end_sample"] = max(0, round(end * RATE_HZ) - first)
    sound = sound.filter("atrim", **options).filter("asetpts", "PTS-STARTPTS")
    return sound.filter("adelay", f"{first}S", all=1) if first > 0 else sound
