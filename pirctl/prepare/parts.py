"""The parts of a target folder, one after the other: landmarks, crop, pictures, sound, fit.

Frames are read as streams; memory holds the landmarks and the fit, never the pictures. A part that
an earlier run made from the same inputs is taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pirctl.errors import FaceNotFound
from pirctl.face.crop import choose_crop, crop_from_source, source_from_crop, widened
from pirctl.face.follow_person import PersonFollower, follow_person
from pirctl.face.landmark_file import Landmarks, resample_landmarks
from pirctl.face.parsing import Parser, without_flicker
from pirctl.face.search import FaceDetector, Frame
from pirctl.face.track import follow, track_frames, tracking_size
from pirctl.media import (
    Crop,
    VideoWriter,
    expected_frames,
    read_frames,
    stream_sound,
    write_sound,
)
from pirctl.media.background import QUEUE_FRAMES, prefetch
from pirctl.prepare.fitting import fit_track, mesh_points
from pirctl.prepare.reuse import link
from pirctl.prepare.work import Work
from pirctl.progress import Progress
from pirctl.target import Target, Track

FloatArray = npt.NDArray[np.float32]

_PARSER_BATCH = 8
"""Frames per call of the parser."""


def make_parts(
    work: Work,
    made: Target,
    points: Landmarks | FaceDetector,
    labeller: Parser,
    *,
    with_audio: bool,
) -> tuple[int, Track]:
    """Write every part but `target.yaml` into the new folder; `points` gives or finds the face."""
    tracked = _landmarks(work, points)
    work.crops.append(_crop(work, tracked))
    cropped = crop_from_source(tracked.points, work.crop.rounded(), work.size_px)
    mesh = mesh_points(work, cropped, tracked.valid)
    with work.watch.part("frames and parsing"):
        frames = _write_pictures(work, made, mesh, labeller)
    cropped, mesh, valid = (exactly_rows(each, frames) for each in (cropped, mesh, tracked.valid))
    valid[len(tracked.valid) :] = False
    if with_audio:
        with work.watch.part("sound"):
            _write_sound(work, made, frames)
    track = fit_track(work, cropped, mesh, valid, made)
    made.write_track(track)
    return frames, track


def fit_source(work: Work, points: Landmarks | FaceDetector) -> Track:
    """Track and fit a video whose pictures and sound are not kept; arguments as `make_parts`."""
    tracked = _landmarks(work, points)
    if isinstance(points, Landmarks):  # Its rows go a little beyond the pictures.
        frames = expected_frames(work.source.info, work.rate) or len(tracked.valid)
        tracked = replace(tracked, points=tracked.points[:frames], valid=tracked.valid[:frames])
    work.crops.append(_crop(work, tracked))
    cropped = crop_from_source(tracked.points, work.crop.rounded(), work.size_px)
    return fit_track(work, cropped, mesh_points(work, cropped, tracked.valid), tracked.valid)


def _landmarks(work: Work, points: Landmarks | FaceDetector) -> Landmarks:
    """Landmarks in source pixels at the target's frame rate."""
    info, about = work.source.info, work.previous.about
    if work.previous.has("track") and about is not None:
        old = work.previous.target.track()
        crop = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
        seen = old.landmarks if old.tracked is None else old.tracked
        whole = source_from_crop(seen, crop, about.size_px)
        found = Landmarks(
            points=whole,
            valid=np.isfinite(old.error_px),  # Tracked, however badly the old fit missed.
            width=info.width,
            height=info.height,
            frame_rate=work.rate,
        )
    elif isinstance(points, Landmarks):
        duration_s = len(points.valid) / points.frame_rate
        # A few rows more than the picture may have; the pictures' number is known after reading.
        found = resample_landmarks(points, work.rate, int(duration_s * work.rate) + 2)
    else:
        with work.watch.part("tracking"):
            found = _track(work, points)
    if not found.valid.any():
        raise FaceNotFound(
            f"{work.source.video}: no face found in any of {len(found.valid)} frames "
            f"({info.width}x{info.height} pixels)",
            hint="use a clip that shows one face from the front, at least 60 pixels wide; "
            "rotate or cut it first if needed, or give your own points with --landmarks FILE",
        )
    return found


def _track(work: Work, detector: FaceDetector) -> Landmarks:
    info = work.source.info
    size = tracking_size(info.width, info.height)
    frames = work.source_frames(size=size)
    with closing(prefetch(frames, QUEUE_FRAMES)) as ahead:
        points, valid = track_frames(
            _seen(work, ahead, detector, size[0] / info.width),
            detector.points,
            total=expected_frames(info, work.rate),
            on_progress=work.report,
        )
    points = points * np.array([info.width / size[0], info.height / size[1]], np.float32)
    return Landmarks(
        points=points, valid=valid, width=info.width, height=info.height, frame_rate=work.rate
    )


def _seen(
    work: Work, frames: Iterable[Frame], detector: FaceDetector, scale: float
) -> Iterator[tuple[Frame, FloatArray | None]]:
    """The one person that is seen, or the one of several that is meant."""
    if work.person is None:
        return follow(frames, detector)
    times_s = (float(number / work.rate) for number in count())
    # Of another rate, the frame that is nearest is shown, by half a frame too soon or too late.
    margin_s = 0.0 if work.source.info.frame_rate == work.rate else float(0.5 / work.rate)
    follower = PersonFollower(detector, work.person, scale, margin_s)
    return follow_person(frames, times_s, follower)


def _crop(work: Work, tracked: Landmarks) -> Crop:
    about = work.previous.about
    if work.previous.has("frames") and about is not None:
        return Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    media = work.settings.media
    crop = choose_crop(
        tracked.points,
        tracked.valid,
        width=tracked.width,
        height=tracked.height,
        margin=media.crop_margin,
    ).rounded()
    # A crop that is kept as it is needs no resampling, there or back, when its pixels are whole.
    wanted = media.size_of(crop.side)
    if media.enlarge or wanted >= media.size_px:
        return crop
    return widened(crop, wanted, tracked.width, tracked.height)


def exactly_rows(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The first rows (count, ...); the last one repeated where a source gave fewer."""
    # It can decode to more frames the second time.
    missing = max(0, count - len(rows))
    return np.concatenate([rows[:count], np.repeat(rows[-1:], missing, 0)])


def _write_pictures(work: Work, made: Target, mesh: FloatArray, labeller: Parser) -> int:
    """Write `frames.mkv` and `parsing.mkv`, or take over what holds; returns the frames."""
    old, size_px = work.previous, work.size_px
    if old.has("frames") and old.has("parsing") and old.about is not None:
        link(old.target.frames_path, made.frames_path)
        link(old.target.parsing_path, made.parsing_path)
        return old.about.frames
    if old.has("frames"):
        link(old.target.frames_path, made.frames_path)
        pictures: Iterator[npt.NDArray[np.uint8]] = read_frames(made.frames_path)
    else:
        size = (size_px, size_px)
        pictures = work.source_frames(crop=work.crop, size=size)
    done = 0
    with ExitStack() as stack:
        shape = (size_px, size_px, work.rate)
        labels = stack.enter_context(VideoWriter(made.parsing_path, *shape, quality="labels"))
        archive = None
        if not old.has("frames"):
            archive = stack.enter_context(VideoWriter(made.frames_path, *shape, quality="archive"))
        ahead = stack.enter_context(closing(prefetch(pictures, QUEUE_FRAMES)))
        for label in without_flicker(_labelled(ahead, archive, mesh, labeller)):
            labels.write(label)
            done += 1
            work.report(Progress(step="cropping and parsing", done=done, total=len(mesh)))
    return done


def _labelled(
    pictures: Iterable[npt.NDArray[np.uint8]],
    archive: VideoWriter | None,
    mesh: FloatArray,
    labeller: Parser,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The label maps of pictures, which are written to `archive` on the way."""
    stream, done = iter(pictures), 0
    while batch := list(islice(stream, _PARSER_BATCH)):
        rows = np.minimum(np.arange(done, done + len(batch)), len(mesh) - 1)
        for frame, label in zip(batch, labeller.parse(batch, mesh[rows]), strict=True):
            if archive is not None:
                archive.write(frame)
            yield label
        done += len(batch)


def _write_sound(work: Work, made: Target, frames: int) -> None:
    """Write `audio.wav`, exactly as long as the picture, or take it over."""
    if work.previous.has("sound"):
        link(work.previous.target.audio_path, made.audio_path)
        return
    rate_hz = work.settings.media.sample_rate_hz
    samples = int(frames * rate_hz / work.rate)
    blocks = stream_sound(work.source.video, rate_hz)
    write_sound(made.audio_path, exactly(blocks, samples), rate_hz)


def exactly(
    blocks: Iterable[npt.NDArray[np.float32]], samples: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of sound (S,) cut off, or continued with silence, at `samples` in all."""
    left = samples
    for block in blocks:
        if not left:
            return
        yield block[:left]
        left -= len(block[:left])
    while left:
        silence = np.zeros(min(left, 1 << 16), np.float32)
        yield silence
        left -= len(silence)
