"""Painting a planned video segment by segment, each a file, and joining them to the result.

A segment is whole or not there; a run that was stopped paints those that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pirctl.device import memory_errors
from pirctl.dub.division import Segment, divide
from pirctl.dub.painting import Canvas, paint_frames
from pirctl.dub.plan import runs_of
from pirctl.dub.role import Role
from pirctl.dub.scenes import Footage
from pirctl.dub.work import Work
from pirctl.media import read_planes
from pirctl.media.background import write_behind
from pirctl.media.join import Film, Sound, join
from pirctl.media.segments import Piece, SegmentWriter
from pirctl.perform.stream import QUEUE_BATCHES
from pirctl.progress import OnProgress, Progress, Stopwatch
from pirctl.provenance import Credentials, Making, Mark, comment_for, mark


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that is known when painting begins.

    Attributes:
        footage: the video.
        film: how its result is encoded.
        roles: who is painted.
        work: where finished segments lie.
        making: what the manifest tells.
        credentials: who signs it; None: nobody.
        batch_size: frames painted at once.
        report: is told about every frame.
    """

    footage: Footage
    film: Film
    roles: Sequence[Role]
    work: Work
    making: Making
    credentials: Credentials | None
    batch_size: int
    report: OnProgress


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made.

    Attributes:
        painted: frames in which a mouth was painted.
        copied: frames that were copied without encoding.
        missed: first and last of the stretches in which something is said and nothing painted.
        reused_segments: segments that an earlier run had finished.
        left_out: what of the source could not be carried over, in words.
        provenance: how the video says what it is.
        seconds: per part, as the painting thread saw it.
    """

    painted: int
    copied: int
    missed: tuple[tuple[int, int], ...]
    reused_segments: int
    left_out: tuple[str, ...]
    provenance: Mark
    seconds: dict[str, float]


def make_film(job: Job, output: Path, sound: Sound) -> Made:
    """Paint what is missing, and join; the result has its name when this returns.

    Raises:
        EncodeError: an encoder gave up.
        DecodeError: a frame of the source cannot be decoded.
        PirctlError: no space left, or the GPU's memory is too small.
    """
    timeline, watch = job.footage.timeline, Stopwatch()
    painted = np.any([role.plan.weights > 0 for role in job.roles], axis=0)
    clean = timeline.clean_frames if job.film.encoding.copies else ()
    segments = divide(timeline.seconds, painted, clean)
    paths = {one: job.work.segment_path(one) for one in segments if not one.is_copied}
    missing = [one for one, path in paths.items() if not path.is_file()]
    done = len(timeline) - sum(map(len, missing))
    job.report(Progress(step="painting", done=done, total=len(timeline)))
    hint = f"--batch-size {job.batch_size // 2}" if job.batch_size > 1 else "--device cpu"
    with memory_errors(f"painting {job.batch_size} frames at once", hint):
        for segment in missing:
            done = _paint_segment(job, segment, done, watch)
    with watch.part("joining"):
        job.report(Progress(step="joining", done=0, total=None))
        pieces = [Piece(first=x.first, stop=x.stop, path=paths.get(x)) for x in segments]
        left_out, marked = _join_and_sign(job, pieces, output, sound)
    missed = np.any([role.plan.missed for role in job.roles], axis=0)
    return Made(
        painted=int(painted.sum()),
        copied=sum(len(one) for one in segments if one.is_copied),
        missed=tuple((first, stop - 1) for first, stop in runs_of(missed & ~painted)),
        reused_segments=len(paths) - len(missing),
        left_out=left_out,
        provenance=marked,
        seconds=watch.seconds,
    )


def _join_and_sign(
    job: Job, pieces: Sequence[Piece], output: Path, sound: Sound
) -> tuple[tuple[str, ...], Mark]:
    """Join, and sign before the file has its name; returns what was left out, and the mark."""
    marks: list[Mark] = []

    def sign(whole: Path) -> None:
        job.report(Progress(step="signing", done=0, total=None))
        marks.append(mark(whole, output, job.making, job.credentials))

    comment = comment_for(len(job.footage.timeline), signed=job.credentials is not None)
    left_out = join(job.film, pieces, output, sound, comment=comment, finish=sign)
    return left_out, marks[0]


def _paint_segment(job: Job, segment: Segment, done: int, watch: Stopwatch) -> int:
    """Paint and write one segment; returns the frames that are done then."""
    film, path = job.film, job.work.segment_path(segment)
    frames = read_planes(
        job.footage.info, timeline=job.footage.timeline, first=segment.first, count=len(segment)
    )
    with SegmentWriter(path, film.form, film.timeline, film.encoding) as writer:

        def put(canvas: Canvas) -> None:
            writer.write(canvas.finished())

        painted = paint_frames(frames, job.roles, batch_size=job.batch_size, watch=watch)
        done = _hand_over(job, painted, put, done, watch)
    return done


def _hand_over(
    job: Job,
    painted: Generator[Canvas, None, None],
    put: Callable[[Canvas], None],
    done: int,
    watch: Stopwatch,
) -> int:
    """Give painted frames to a thread that puts them in and encodes."""
    total = len(job.footage.timeline)
    with write_behind(put, QUEUE_BATCHES * job.batch_size) as write, closing(painted) as canvases:
        for canvas in canvases:
            with watch.part("waiting for the encoder"):
                write(canvas)
            done += 1
            job.report(Progress(step="painting", done=done, total=total))
    return done
