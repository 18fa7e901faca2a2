"""New speech on a target's lips: decode, paint and encode at once, with queues of a few frames.

A thread decodes frames and draws masks, the caller's thread turns sound into expressions and
paints, a third one feeds the encoder. Memory does not depend on the length of the speech.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError, MediaError, TargetError
from pirctl.files import check_writable
from pirctl.media import (
    SYNTHETIC_COMMENT,
    Crop,
    VideoWriter,
    check_video_name,
    probe,
    read_frames,
    sound_duration_s,
)
from pirctl.pipeline.actor import Actor, load_actor
from pirctl.pipeline.background import prefetch, write_behind
from pirctl.pipeline.composite import paste_into_shot
from pirctl.pipeline.footage import read_ping_pong
from pirctl.pipeline.stream import QUEUE_BATCHES, PaintedFrame, Stopwatch, paint_stream
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import STAGES
from pirctl.target import Target, TargetAbout
from pirctl.training.loading import check_trained

ByteArray = NDArray[np.uint8]
Picture = Literal["crop", "full"]

_TOLERANCE_FRAMES = 1e-4  # of a duration in seconds that is a rounded decimal fraction


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
        seconds: seconds per part, as the painting thread saw them; `total` is the wall time.
        fps: frames per second over the whole run, loading excluded.
    """

    output: Path
    frames: int
    width: int
    height: int
    skipped_frames: tuple[int, ...]
    seconds: dict[str, float]
    fps: float

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "output": str(self.output)}


def default_output(target: Target, audio: Path) -> Path:
    """Name of the result when none is given: `TARGET_SPEECH.mp4` in the current folder."""
    return Path(f"{target.name}_{audio.stem}.mp4")


def check_inputs(
    target: Target, audio: Path, output: Path, *, picture: Picture = "crop", force: bool = False
) -> int:
    """Find every mistake that can be found before the networks are loaded.

    Returns:
        Frames of the result: ceil(duration of the sound x frame rate).

    Raises:
        DecodeError: the sound file is missing, no media file, or without sound.
        EncodeError: the output's suffix names no container for video.
        TargetError: the full shot is wanted, and the source video is gone or another one.
        PirctlError: the output exists (without `force`) or cannot be written.
    """
    check_video_name(output)
    if not probe(audio).has_audio:
        raise DecodeError(f"{audio} has no sound", hint="give a file with speech as --audio")
    duration_s = sound_duration_s(audio)
    if output.exists() and output.samefile(audio):
        raise MediaError(f"{output} is the speech itself", hint="choose another --output")
    check_writable(output, force=force)
    if picture == "full":
        _check_source(target)
    return frame_count(duration_s)


def frame_count(duration_s: float, frame_rate: int = 25) -> int:
    """Frames that cover a sound: ceil(duration x rate), at least 1."""
    return max(1, math.ceil(duration_s * frame_rate - _TOLERANCE_FRAMES))


def reenact(
    target: Target,
    audio: Path,
    output: Path | None = None,
    *,
    actor: Actor | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    picture: Picture = "crop",
    force: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> ReenactReport:
    """Make a video of the target saying the speech.

    Args:
        target: a target with three trained stages.
        audio: a sound file, or a video whose sound is meant; it is muxed into the result as it is.
        output: the video to write; `TARGET_SPEECH.mp4` in the current folder if None.
        actor: the loaded target, for callers that have it; loaded here if None.
        device: where to compute; the best there is if None.
        batch_size: frames painted at once; suits the device if None.
        picture: `crop` writes the target's square crop; `full` pastes the painted region back
            into the source video at its own resolution.
        force: overwrite an existing output.
        on_progress: is told about loading and every batch.

    Raises:
        CheckpointError: a stage is not trained, damaged, or trained for something else.
        PirctlError: see `check_inputs`; also when the encoder fails.
    """
    output = default_output(target, audio) if output is None else output
    total = check_inputs(target, audio, output, picture=picture, force=force)
    if actor is None:
        check_trained(target)
        on_progress(Progress(step="loading", done=0, total=len(STAGES), unit="stages"))
        actor = load_actor(target, device)
        on_progress(Progress(step="loading", done=len(STAGES), total=len(STAGES), unit="stages"))
    batch_size = batch_size or (16 if actor.painter.device.type == "cuda" else 4)
    start = time.perf_counter()
    watch, skipped, done = Stopwatch(), [], 0
    about = target.about
    width, height = _picture_size(about, picture)
    with (
        VideoWriter(
            output, width, height, Fraction(actor.settings.media.frame_rate),
            quality="delivery", sound=audio, comment=SYNTHETIC_COMMENT, force=force,
        ) as writer,
        write_behind(writer.write, QUEUE_BATCHES * batch_size) as write,
        closing(_paint(actor, audio, total, batch_size, watch)) as painted,
    ):  # fmt: skip
        pictures = painted if picture == "crop" else _into_shots(painted, about, total)
        for item in pictures:
            with watch.part("waiting for the encoder"):
                write(item.frame)
            if not item.is_painted:
                skipped.append(done)
            done += 1
            if done % batch_size == 0 or done == total:
                on_progress(Progress(step="painting", done=done, total=total))
        if done != total:
            raise ValueError(f"{done} frames were painted, the sound needs {total}")
    seconds = time.perf_counter() - start
    return ReenactReport(
        output=output,
        frames=done,
        width=width,
        height=height,
        skipped_frames=tuple(skipped),
        seconds={**watch.seconds, "total": seconds},
        fps=done / seconds,
    )


def _paint(
    actor: Actor, audio: Path, total: int, batch_size: int, watch: Stopwatch
) -> Generator[PaintedFrame, None, None]:
    footage = read_ping_pong(actor.target.frames_path, length=actor.track.frames, count=total)
    return paint_stream(
        actor.painter,
        footage,
        actor.express(audio),
        actor.mouth_axes,
        batch_size=batch_size,
        watch=watch,
    )


def _into_shots(
    painted: Iterable[PaintedFrame], about: TargetAbout, total: int
) -> Iterator[PaintedFrame]:
    """Replace each crop by the source's own frame with the painted region pasted in."""
    box = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side).rounded()
    reader = partial(read_frames, rate=Fraction(25))
    shots = read_ping_pong(Path(about.source), length=about.frames, count=total, reader=reader)
    with closing(prefetch(shots, QUEUE_BATCHES)) as ahead:
        for item, (_, shot) in zip(painted, ahead, strict=False):
            frame = paste_into_shot(shot, item.frame, item.mask, box)
            yield replace(item, frame=frame)


def _picture_size(about: TargetAbout, picture: Picture) -> tuple[int, int]:
    if picture == "full":
        return about.source_width, about.source_height
    return about.size_px, about.size_px


def _check_source(target: Target) -> None:
    about = target.about
    source = Path(about.source)
    again = f"pirctl preprocess VIDEO --target {target.name}, or leave out --frame full"
    if not source.is_file():
        raise TargetError(f"{source}: the source video is gone, the full shot needs it", hint=again)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != about.source_sha256:
        raise TargetError(
            f"{source}: not the video that target {target.name!r} was made from", hint=again
        )
