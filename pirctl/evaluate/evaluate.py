"""How well a target speaks, measured on the end of its clip that training has never seen.

The held-out frames are repainted from their own masked pictures by the held-out sound, and
compared with the truth. A score alone proves nothing, so the same measurement is made of

    truth            the held-out frames themselves: the error of the reader, the floor of a column
    true expression  repainted by the same networks, showing the tracked expression: what the
                     pictures cost, apart from the speech
    ours             repainted, driven by the held-out sound
    mean mouth       repainted by the same networks, showing the person's mean expression
    wrong speech     repainted, driven by sound of the training part, repeated if that is shorter
    untouched frame  frames of the training part shown unchanged under the new speech, as a
                     viewer would see them without dubbing; their head pose is their own
    silence          repainted, driven by silence: the mouth should not move although it does in
                     the frames that are painted over; where it does, they leak
"""

from __future__ import annotations

import json
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.device import memory_errors
from pirctl.errors import TargetError
from pirctl.evaluate.film import OnFrame, SideBySide
from pirctl.evaluate.intervals import DoubleArray, Interval, block_counts, differences, intervals
from pirctl.evaluate.lip_reader import MOST_FRAMES, ReadLips, fit_reader, own_reader
from pirctl.evaluate.pixels import Distance, PixelScorer, Shown
from pirctl.evaluate.result import ROWS, EvaluateReport, improvement
from pirctl.evaluate.scores import Score, Scorer
from pirctl.evaluate.sheet import evaluation_sheet
from pirctl.evaluate.sync import speech_envelope
from pirctl.face.model import load_face_model
from pirctl.files import atomic_file
from pirctl.media import read_frames
from pirctl.media.sound import stream_sound, write_sound
from pirctl.networks.lpips import find_lpips
from pirctl.perform.actor import Actor
from pirctl.perform.footage import read_ping_pong
from pirctl.perform.poses import mean_expression
from pirctl.perform.stream import PaintedFrame, paint_stream
from pirctl.progress import OnProgress, Progress, ignore_progress

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_FEWEST_FRAMES = 10
_BATCH = 4
_LPIPS_FRAMES = 50
"""Frames of each row that LPIPS looks at, evenly spread: VGG16 is slow without a GPU."""


def evaluate(
    actor: Actor,
    folder: Path | None = None,
    *,
    read: ReadLips | None = None,
    distances: Mapping[str, Distance] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> EvaluateReport:
    """Measure a trained target on its held-out frames.

    Args:
        actor: the loaded target.
        folder: where `scores.json` and `sheet.png` go; `evaluate` in the target's folder if None.
        read: reads lips in pictures; fitted to the target's training frames if None.
        distances: `lpips_alex` and `lpips_vgg`; if None, those whose weights are there.
        on_progress: is told about every frame of every row.

    Raises:
        TargetError: nothing was held out, or there is no usable face or no sound there.
        PirctlError: the GPU's memory is too small.
    """
    actor = actor.minding_front(on_progress)
    target, track = actor.target, actor.track
    first, total = actor.training_frames, actor.track.frames - actor.training_frames
    _check(actor, total)
    folder = target.folder / "evaluate" if folder is None else folder
    read = _fit(actor, on_progress) if read is None else read
    distances = find_lpips(actor.painter.device) if distances is None else distances

    scorers: dict[str, Scorer] = {}

    def scorer(name: str) -> Scorer:
        pixels = PixelScorer(distances, -(-total // _LPIPS_FRAMES))
        scorers[name] = Scorer(name, read, track, target.about.size_px, pixels)
        return scorers[name]

    with (
        tempfile.TemporaryDirectory(prefix="pirctl-") as temporary,
        memory_errors(f"painting {_BATCH} frames at once", "--device cpu"),
    ):
        sources = _expressions(actor, Path(temporary), first, total)
        _score_truth(actor, scorer("truth"), first, total)
        rate = Fraction(actor.settings.media.frame_rate)
        film = SideBySide(folder / "film.mp4", rate, Path(temporary) / "right.wav")
        for name, source in sources.items():
            painted = _paint(actor, source(), first, total)
            with film if name == "ours" else nullcontext():
                on_frame = film.add if name == "ours" else None
                _score_painted(painted, actor, scorer(name), first, on_frame, on_progress)
        _score_untouched(actor, scorer("untouched frame"), first, total, on_progress)
        envelope = _envelope(actor, Path(temporary) / "right.wav", total)
        sheet_path = folder / "sheet.png"
        evaluation_sheet(actor, list(sources["ours"]()), first, total, sheet_path)
    rows, apart = _judge(scorers, range(first, first + total), envelope)
    report = EvaluateReport(
        target=target.name,
        first_frame=first,
        frames=int(track.valid[first:].sum()),
        rows=tuple(rows[name] for name in ROWS),
        improvement=improvement(rows.values()),
        differences=apart,
        curves=_curves(scorers, range(first, first + total), envelope),
        errors=[film.errors.get(number) for number in range(first, first + total)],
        leak=rows["silence"].movement,
        scores_path=folder / "scores.json",
        sheet_path=sheet_path,
        film_path=folder / "film.mp4",
    )
    with atomic_file(report.scores_path) as path:
        path.write_text(json.dumps(report.to_mapping(), indent=2) + "\n", encoding="utf-8")
    return report


def _envelope(actor: Actor, sound: Path, total: int) -> DoubleArray:
    rate_hz = actor.settings.media.sample_rate_hz
    return speech_envelope(stream_sound(sound, rate_hz), rate_hz, total)


def _judge(
    scorers: Mapping[str, Scorer], numbers: range, envelope: DoubleArray
) -> tuple[dict[str, Score], dict[str, dict[str, Interval]]]:
    """The rows with their intervals, and by how much ours differs from each other one."""
    samples = {name: scorer.samples(numbers, envelope) for name, scorer in scorers.items()}
    counts = block_counts(len(numbers))
    rows = {}
    for name, scorer in scorers.items():
        sync, lag = (samples[name].get(one) for one in ("sync", "sync_lag"))
        rows[name] = replace(
            scorer.score(),
            sync=None if sync is None else sync.value(),
            sync_lag=None if lag is None else lag.value(),
            intervals=intervals(samples[name], counts),
        )
    others = {name: rest for name, rest in samples.items() if name != "ours"}
    return rows, {name: differences(samples["ours"], rest, counts) for name, rest in others.items()}


def _curves(
    scorers: Mapping[str, Scorer], numbers: range, envelope: DoubleArray
) -> dict[str, list[float | None]]:
    curves = {name: scorer.curve(numbers) for name, scorer in scorers.items()}
    return {
        name: [None if np.isnan(value) else round(float(value), 4) for value in curve]
        for name, curve in {**curves, "speech": envelope}.items()
    }


def _expressions(
    actor: Actor, folder: Path, first: int, total: int
) -> dict[str, Callable[[], Iterable[FloatArray]]]:
    """What drives each painted row: chunks (t, E); `folder` gets the sounds, and must stay."""
    media, audio = actor.settings.media, actor.target.audio_path
    right, wrong, silence = (folder / f"{name}.wav" for name in ("right", "wrong", "silence"))
    rate = media.frame_rate
    cut_sound(audio, right, first / rate, total / rate)
    # Never of the held-out part: the clip's beginning, again and again if need be.
    cut_sound(audio, wrong, 0.0, total / rate, again_at_s=first / rate)
    samples = round(total / rate * media.sample_rate_hz)
    write_sound(silence, np.zeros(samples, np.float32), media.sample_rate_hz)
    mean = mean_expression(actor.track, first)[None]
    return {
        "true expression": lambda: (actor.track.z_exp[first:],),
        "ours": lambda: actor.express(right),
        "mean mouth": lambda: (mean for _ in range(total)),
        "wrong speech": lambda: actor.express(wrong),
        "silence": lambda: actor.express(silence),
    }


def cut_sound(
    source: Path,
    output: Path,
    start_s: float,
    duration_s: float,
    *,
    again_at_s: float | None = None,
) -> None:
    """Copy a section of a WAV file; reads no more than the section.

    Args:
        source: the file.
        output: the file to write; shorter than asked for where `source` ends.
        start_s: where the section starts, in seconds.
        duration_s: how long it is, in seconds.
        again_at_s: where to go back to the start, to fill the duration; None: never.
    """
    with wave.open(str(source), "rb") as reading, wave.open(str(output), "wb") as writing:
        writing.setparams(reading.getparams())
        rate_hz = reading.getframerate()
        start = min(round(start_s * rate_hz), reading.getnframes())
        left = round(duration_s * rate_hz)
        length = left if again_at_s is None else max(0, round(again_at_s * rate_hz) - start)
        while left > 0 and length > 0:
            reading.setpos(start)
            writing.writeframes(reading.readframes(min(left, length)))
            left -= length


def _check(actor: Actor, total: int) -> None:
    name, about = actor.target.name, actor.target.about
    again = f"pirctl train --target {name} --holdout 5 --restart"
    if total < _FEWEST_FRAMES:
        raise TargetError(f"target {name!r}: training left out {max(0, total)} frames", hint=again)
    if not about.has_audio:
        raise TargetError(
            f"target {name!r} has no sound, there is nothing to drive its held-out frames with",
            hint="evaluate a target made from a video with sound",
        )
    if actor.track.valid[actor.training_frames :].sum() < _FEWEST_FRAMES:
        raise TargetError(f"target {name!r}: no usable face in the held-out frames", hint=again)


def _fit(actor: Actor, on_progress: OnProgress) -> ReadLips:
    model = load_face_model(actor.target.about.face_model)
    count = actor.training_frames
    stride = -(-count // MOST_FRAMES)

    def footage() -> Iterator[tuple[int, ByteArray]]:
        for number, frame in enumerate(read_frames(actor.target.frames_path, frames=count)):
            on_progress(Progress(step="reader", done=number + 1, total=count))
            if number % stride == 0:
                yield number, frame

    return own_reader(fit_reader(footage(), actor.track, model), actor.track, model)


def _truth(actor: Actor, first: int, total: int) -> Iterator[tuple[int, ByteArray]]:
    return read_ping_pong(actor.target.frames_path, first=first, length=total, count=total)


def _paint(
    actor: Actor, expressions: Iterable[FloatArray], first: int, total: int
) -> Iterator[PaintedFrame]:
    footage = _truth(actor, first, total)
    return paint_stream(actor.painter, footage, expressions, actor.mouth_axes, batch_size=_BATCH)


def _score_truth(actor: Actor, scorer: Scorer, first: int, total: int) -> None:
    for number, frame in _truth(actor, first, total):
        mask = actor.painter.masks([number])[0]
        scorer.add(number, frame, Shown(painted=frame, mask=mask))


def _score_painted(
    painted: Iterator[PaintedFrame],
    actor: Actor,
    scorer: Scorer,
    first: int,
    on_frame: OnFrame | None,
    on_progress: OnProgress,
) -> None:
    total = actor.track.frames - first
    truths = _truth(actor, first, total)
    for done, (item, (number, truth)) in enumerate(zip(painted, truths, strict=False), 1):
        shown = Shown(painted=item.frame, mask=item.mask, truth=truth)
        scorer.add(number, item.frame, shown)
        if on_frame is not None:
            on_frame(number, truth, item.frame, item.mask)
        on_progress(Progress(step=scorer.name, done=done, total=total))


def _score_untouched(
    actor: Actor, scorer: Scorer, first: int, total: int, on_progress: OnProgress
) -> None:
    path = actor.target.frames_path
    shown = read_ping_pong(path, length=first, count=total)
    truths = _truth(actor, first, total)
    with closing(shown):
        for done, ((pose, frame), (number, truth)) in enumerate(zip(shown, truths, strict=True), 1):
            mask = actor.painter.masks([number])[0]
            shown_now = Shown(painted=frame, mask=mask, truth=truth)
            scorer.add(number, frame, shown_now, pose_number=pose)
            on_progress(Progress(step=scorer.name, done=done, total=total))
