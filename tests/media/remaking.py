"""Videos taken apart and joined again, as dubbing does it: the fixtures' plain functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from pirctl.media import probe, read_format, read_planes, read_timeline
from pirctl.media.delivery import DeliverySettings, choose_encoding
from pirctl.media.join import Film, Sound, join
from pirctl.media.planes import Planes
from pirctl.media.segments import SEGMENT_SUFFIX, Piece, SegmentWriter
from tests.media.clips import ffmpeg


def film_of(video: Path, suffix: str, settings: DeliverySettings | None = None) -> Film:
    """A video, and how its result is encoded."""
    info = probe(video)
    form = read_format(info)
    encoding = choose_encoding(info, form, suffix, settings or DeliverySettings())
    return Film(timeline=read_timeline(info), form=form, encoding=encoding)


def encode(film: Film, folder: Path, first: int, stop: int) -> Piece:
    """Frames of a video as a piece, unchanged."""
    path = folder / f"{first}-{stop}{SEGMENT_SUFFIX}"
    frames = read_planes(
        probe(film.timeline.path), timeline=film.timeline, first=first, count=stop - first
    )
    with SegmentWriter(path, film.form, film.timeline, film.encoding) as writer:
        for planes in frames:
            writer.write(planes)
    return Piece(first=first, stop=stop, path=path)


def remake(
    video: Path,
    output: Path,
    borders: Sequence[int] = (),
    *,
    copied: Iterable[int] = (),
    sound: Sound | None = None,
    settings: DeliverySettings | None = None,
) -> tuple[Film, tuple[str, ...]]:
    """Cut a video at `borders`, encode all pieces but the `copied`, and join them."""
    film = film_of(video, output.suffix, settings)
    edges = [0, *borders, len(film.timeline)]
    pieces = [
        Piece(first=first, stop=stop, path=None)
        if number in set(copied)
        else encode(film, output.parent, first, stop)
        for number, (first, stop) in enumerate(pairwise(edges))
    ]
    return film, join(film, pieces, output, sound)


def all_planes(video: Path) -> list[Planes]:
    """Every frame in the decoder's own samples."""
    return list(read_planes(probe(video)))


def luma_psnr(one: Planes, other: Planes) -> float:
    """Of the first plane, against the largest value that its depth holds, in dB."""
    a, b = (planes.samples[0].astype(np.float64) for planes in (one, other))
    return float(10 * np.log10((2**one.form.bit_depth - 1) ** 2 / max(np.mean((a - b) ** 2), 1e-9)))


def exact_times(video: Path) -> list[Fraction]:
    """When each frame is shown, after the file's start."""
    return list(read_timeline(video).times())


def clicking(path: Path, at_s: Sequence[float], seconds: float) -> Path:
    """Silence with short bursts."""
    bursts = "+".join(f"between(t,{at},{at}+0.01)" for at in at_s)
    source = f"aevalsrc='0.8*sin(2*PI*3000*t)*({bursts})':s=48000:d={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, path)
    return path
