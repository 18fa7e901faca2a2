"""New speech on a target's lips: decode, paint and encode at once, with queues of a few frames.

The mouth follows a sound, or the tracked expression of a driving video (`drive`); what is shown
may be edited by the names of the axes (`controls`). A thread decodes frames and draws masks, the
caller's thread turns sound into expressions and paints, a third one feeds the encoder. Memory does
not depend on the length of the speech.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.device import memory_errors
from pirctl.dub.controls import (
    Controls,
    ExpressionEditor,
    expression_range,
    notes_on_axes,
    notes_on_mask,
    notes_on_own,
)
from pirctl.dub.curves import write_curves
from pirctl.dub.drive import DrivingExpression, DrivingVideo, driving_expression
from pirctl.dub.inputs import (
    OutputFiles,
    Speech,
    check_inputs,
    default_output,
    file_of,
    frame_count,
)
from pirctl.dub.marking import making_of_take
from pirctl.dub.shot import into_shots
from pirctl.face.model import load_face_model
from pirctl.media import VideoWriter, probe
from pirctl.media.background import write_behind
from pirctl.perform.actor import Actor, load_actor
from pirctl.perform.footage import Section, read_section
from pirctl.perform.loading import check_trained
from pirctl.perform.poses import choose_section
from pirctl.perform.stream import QUEUE_BATCHES, PaintedFrame, paint_stream
from pirctl.progress import OnProgress, Progress, Stopwatch, ignore_progress
from pirctl.provenance import (
    Credentials,
    Mark,
    check_mark,
    comment_for,
    mark,
    open_credentials,
)
from pirctl.settings import STAGES
from pirctl.settings.choices import Picture
from pirctl.target import Target, TargetAbout

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ReenactReport:
    """What was made, and what it cost.

    Attributes:
        output: the video.
        frames: frames in it.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
        skipped_frames: numbers of the frames that passed through unchanged, for want of a usable
            face in the footage.
        held_frames: numbers of the frames without a usable face in the driving video; they show
            the last expression before.
        clamped: per edited axis, the frames in which it was out of its range, and the
            least and most of that range.
        notes: what else the user should know.
        expression_path: the table of what was shown, if it was asked for.
        provenance: how the video says what it is.
        seconds: seconds per part, as the painting thread saw them; `total` is the wall time.
        fps: frames per second over the whole run, loading and tracking excluded.
    """

    output: Path
    frames: int
    width: int
    height: int
    skipped_frames: tuple[int, ...]
    held_frames: tuple[int, ...]
    clamped: dict[str, tuple[int, float, float]]
    notes: tuple[str, ...]
    expression_path: Path | None
    provenance: Mark
    seconds: dict[str, float]
    fps: float

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        table = None if self.expression_path is None else str(self.expression_path)
        clamped = {
            axis: {"frames": frames, "least": least, "most": most}
            for axis, (frames, least, most) in self.clamped.items()
        }
        paths = {"output": str(self.output), "expression_path": table}
        marked = {"provenance": self.provenance.to_mapping()}
        return asdict(self) | paths | marked | {"clamped": clamped}


def reenact(
    target: Target,
    speech: Speech,
    output: OutputFiles | None = None,
    *,
    actor: Actor | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    controls: Controls | None = None,
    on_progress: OnProgress = ignore_progress,
) -> ReenactReport:
    """Make a video of the target saying the speech.

    Args:
        target: a target with three trained stages.
        speech: a sound file, or a video whose sound is meant; or a driving video. Its sound is
            muxed into the result as it is; a driving video without makes a silent one.
        output: the files to write, and whether the video shows the shot or the crop.
        actor: the loaded target, for callers that have it; loaded here if None.
        device: where to compute; the best there is if None.
        batch_size: frames painted at once; suits the device if None.
        controls: changes to pose and expression; none if None.
        on_progress: is told about loading and every batch.

    Raises:
        CheckpointError: a stage is not trained, damaged, or trained for something else.
        FaceNotFound: no usable face in the driving video.
        PirctlError: see `inputs.check_inputs`; an axis that the face model lacks; also when the
            encoder fails, and when the GPU's memory is too small.
    """
    controls = controls or Controls()
    output = output or OutputFiles()
    video = output.video or default_output(target, file_of(speech))
    picture, export, force = output.picture, output.curves, output.force
    duration_s = check_inputs(target, speech, video, picture=picture, export=export, force=force)
    credentials = open_credentials(output.signing)
    check_mark(video, force=force)
    actor = actor or _load(target, controls, device, on_progress)
    controls.check(actor.axis_names, target.about.face_model)
    if output.keep_front:
        actor = actor.minding_front(on_progress)
    rate, driving = actor.settings.media.frame_rate, None
    if isinstance(speech, DrivingVideo):
        driving = driving_expression(speech, actor, on_progress)
        total = len(driving.z_exp)
    else:
        assert duration_s is not None
        total = frame_count(duration_s, rate)
    batch_size = batch_size or (16 if actor.painter.device.type == "cuda" else 4)
    names = actor.axis_names
    with write_curves(export, names, rate, force=force) if export else nullcontext() as record:
        editor = ExpressionEditor(
            controls,
            names,
            expression_range(actor.track, names),
            rate,
            record=record,
            retarget_change=actor.own.retarget_change,
        )
        job = _Job(
            actor=actor,
            expressions=_expressions(actor, speech, driving),
            editor=editor,
            section=choose_section(actor.track, controls.pose),
            axes=_moved_axes(actor, controls),
            picture=picture,
            total=total,
            batch_size=batch_size,
        )
        with memory_errors(f"painting {batch_size} frames at once", _smaller_batch(batch_size)):
            skipped, marked, seconds = _film(job, video, speech, credentials, on_progress)
    width, height = _picture_size(target.about, picture)
    return ReenactReport(
        output=video,
        frames=total,
        width=width,
        height=height,
        skipped_frames=skipped,
        held_frames=() if driving is None else driving.held_frames,
        clamped={name: (n, *editor.range_of(name)) for name, n in editor.clamped.items()},
        notes=(*_notes(controls, actor), *(() if driving is None else driving.damage)),
        expression_path=export,
        provenance=marked,
        seconds=seconds,
        fps=total / seconds["total"],
    )


def _load(target: Target, controls: Controls, device: str | None, on_progress: OnProgress) -> Actor:
    """The actor, after all that can be found wrong without it."""
    model = load_face_model(target.about.face_model)
    controls.check(model.expression_names, model.name)
    check_trained(target)
    on_progress(Progress(step="loading", done=0, total=len(STAGES), unit="stages"))
    actor = load_actor(target, device)
    on_progress(Progress(step="loading", done=len(STAGES), total=len(STAGES), unit="stages"))
    return actor


def _smaller_batch(batch_size: int) -> str:
    return f"--batch-size {batch_size // 2}" if batch_size > 1 else "--device cpu"


def _notes(controls: Controls, actor: Actor) -> tuple[str, ...]:
    names, mask = actor.axis_names, actor.settings.mask
    return (
        *notes_on_axes(controls, names, mask),
        *notes_on_mask(controls, names, mask),
        *notes_on_own(controls, names, actor.own),
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """All that is known when painting begins."""

    actor: Actor
    expressions: Iterator[FloatArray]
    editor: ExpressionEditor
    section: Section
    axes: tuple[int, ...]
    picture: Picture
    total: int
    batch_size: int


def _film(
    job: _Job,
    output: Path,
    speech: Speech,
    credentials: Credentials | None,
    on_progress: OnProgress,
) -> tuple[tuple[int, ...], Mark, dict[str, float]]:
    """Paint, write and sign a whole video, and only then give it its name.

    Returns:
        Numbers of the frames that passed through, how it is marked, and seconds per part.
    """
    start = time.perf_counter()
    watch = Stopwatch()
    making = making_of_take(job.actor.target, job.picture, file_of(speech))
    marks: list[Mark] = []

    def sign(whole: Path) -> None:
        with watch.part("signing"):
            marks.append(mark(whole, output, making, credentials))

    size = _picture_size(job.actor.target.about, job.picture)
    writer = VideoWriter(
        output, *size, Fraction(job.actor.settings.media.frame_rate), quality="delivery",
        sound=_sound_of(speech), comment=comment_for(job.total, signed=credentials is not None),
        force=True,  # Whether it may be replaced was asked before the networks were loaded.
    )  # fmt: skip
    writer.finish = sign
    skipped = _write(job, writer, watch, on_progress)
    return skipped, marks[0], {**watch.seconds, "total": time.perf_counter() - start}


def _write(
    job: _Job, output: VideoWriter, watch: Stopwatch, on_progress: OnProgress
) -> tuple[int, ...]:
    """Paint and write all frames; returns the numbers of those that passed through."""
    skipped, done = list[int](), 0
    about, total = job.actor.target.about, job.total
    rate = Fraction(job.actor.settings.media.frame_rate)
    with (
        output as writer,
        write_behind(writer.write, QUEUE_BATCHES * job.batch_size) as write,
        closing(_paint(job, watch)) as painted,
    ):
        pictures: Iterator[PaintedFrame] = painted
        if job.picture == "full":
            pictures = into_shots(painted, about, job.section, total, rate)
        for item in pictures:
            with watch.part("waiting for the encoder"):
                write(item.frame)
            if not item.is_painted:
                skipped.append(done)
            done += 1
            if done % job.batch_size == 0 or done == total:
                on_progress(Progress(step="painting", done=done, total=total))
        if done != total:
            raise ValueError(f"{done} frames were painted, the speech needs {total}")
    return tuple(skipped)


def _paint(job: _Job, watch: Stopwatch) -> Generator[PaintedFrame, None, None]:
    actor = job.actor
    footage = read_section(actor.target.frames_path, job.section, job.total)
    return paint_stream(
        actor.painter,
        footage,
        job.expressions,
        job.axes,
        batch_size=job.batch_size,
        edit=job.editor,
        watch=watch,
    )


def _expressions(
    actor: Actor, speech: Speech, driving: DrivingExpression | None
) -> Iterator[FloatArray]:
    if driving is None:
        return actor.express(file_of(speech))
    return iter([driving.z_exp])


def _moved_axes(actor: Actor, controls: Controls) -> tuple[int, ...]:
    """Indices of the axes that come from the speech or the driving video."""
    if controls.upper_face == "speech":
        return tuple(range(len(actor.axis_names)))
    return actor.mouth_axes


def _sound_of(speech: Speech) -> Path | None:
    path = file_of(speech)
    return path if probe(path).has_audio else None


def _picture_size(about: TargetAbout, picture: Picture) -> tuple[int, int]:
    if picture == "full":
        return about.source_width, about.source_height
    return about.size_px, about.size_px
