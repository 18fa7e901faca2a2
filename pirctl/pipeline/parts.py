"""The parts of a target folder, one after the other: landmarks, crop, pictures, sound, fit.

Frames are read as streams; memory holds the landmarks and the fit, never the pictures. A part that
an earlier run made from the same inputs is taken over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pirctl.errors import DecodeError, FaceNotFound
from pirctl.face.crop import choose_crop, crop_from_source, source_from_crop
from pirctl.face.deep3d import SIDE_PX, Deep3dNetwork, choose_square, regress_clip
from pirctl.face.dense import dense_landmarks
from pirctl.face.fit import ClipFit, fit_clip
from pirctl.face.landmark_file import Landmarks, fill_gaps, resample_landmarks
from pirctl.face.landmarks import MESH_COUNTS, eye_distance
from pirctl.face.model import FaceModel
from pirctl.face.parsing import Parser, without_flicker
from pirctl.face.track import FaceDetector, track_frames
from pirctl.media import (
    Crop,
    VideoWriter,
    expected_frames,
    read_frames,
    stream_sound,
    write_sound,
)
from pirctl.pipeline.background import prefetch
from pirctl.pipeline.reuse import Previous, Source, link
from pirctl.progress import OnProgress, Progress
from pirctl.settings import Settings
from pirctl.target import Target, Track

FloatArray = npt.NDArray[np.float32]

WORST_ERROR = 0.2
"""A frame whose fit misses by more than this fraction of the eyes' distance is not usable."""
TRACKING_SIDE_PX = 1920
"""Larger pictures are tracked at this size: the tracker sees a face at 256 pixels anyway."""
CUT_OFF_FRAMES = 2
"""A damaged file that lacks more frames than these has been cut off."""
_QUEUE_FRAMES = 4
_PARSER_BATCH = 8
"""Frames per call of the parser."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run: its inputs and its clock; with a regressor, that reads the coefficients."""

    source: Source
    settings: Settings
    model: FaceModel
    previous: Previous
    report: OnProgress
    regressor: Deep3dNetwork | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    crops: list[Crop] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def rate(self) -> Fraction:
        """Frame rate of the target."""
        return Fraction(self.settings.media.frame_rate)

    @property
    def crop(self) -> Crop:
        """The square, once it is chosen."""
        return self.crops[-1]

    def source_frames(self, **options: Any) -> Iterator[npt.NDArray[np.uint8]]:
        """Frames of the source at the target's rate, as `read_frames` gives them.

        Raises:
            DecodeError: the file ends before its header says.
        """
        yield from read_frames(
            self.source.video, rate=self.rate, on_damage=self._on_damage, **options
        )

    def _on_damage(self, frames: int, said: str) -> None:
        info, video = self.source.info, self.source.video
        promised = expected_frames(info, self.rate) or 0
        if info.frames and info.frame_rate:
            promised = max(promised, int(info.frames / info.frame_rate * self.rate))
        # Containers and the change of rate count loosely by a frame or two.
        if promised - frames > CUT_OFF_FRAMES:
            raise DecodeError(
                f"{video} is cut off or damaged: it ends after {float(frames / self.rate):.1f} of "
                f"{float(promised / self.rate):.1f} seconds",
                hint="copy it again, or keep what is whole: ffmpeg -i VIDEO -t SECONDS good.mp4",
            )
        self.damage[:] = [f"{video} is damaged, look at its pictures: {said.splitlines()[-1]}"]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def make_parts(
    work: Work,
    made: Target,
    points: Landmarks | None,
    detector: FaceDetector | None,
    labeller: Parser,
    *,
    with_audio: bool,
) -> tuple[int, Track]:
    """Write every part but `target.yaml` into the new folder."""
    size_px = work.settings.media.size_px
    tracked = _landmarks(work, points, detector)
    work.crops.append(_crop(work, tracked))
    cropped = crop_from_source(tracked.points, work.crop.rounded(), size_px)
    mesh = _mesh(work, cropped, tracked.valid)
    with work.step("frames and parsing"):
        frames = _write_pictures(work, made, mesh, labeller)
    cropped, mesh, valid = (exactly_rows(each, frames) for each in (cropped, mesh, tracked.valid))
    valid[len(tracked.valid) :] = False
    if with_audio:
        with work.step("sound"):
            _write_sound(work, made, frames)
    track = _fit(work, cropped, mesh, valid, made)
    made.write_track(track)
    return frames, track


def fit_source(work: Work, points: Landmarks | None, detector: FaceDetector | None) -> Track:
    """Track and fit a video whose pictures and sound are not kept; arguments as `make_parts`."""
    tracked = _landmarks(work, points, detector)
    if points is not None:  # Its rows go a little beyond the pictures.
        frames = expected_frames(work.source.info, work.rate) or len(tracked.valid)
        tracked = replace(tracked, points=tracked.points[:frames], valid=tracked.valid[:frames])
    work.crops.append(_crop(work, tracked))
    cropped = crop_from_source(tracked.points, work.crop.rounded(), work.settings.media.size_px)
    return _fit(work, cropped, _mesh(work, cropped, tracked.valid), tracked.valid)


def _landmarks(work: Work, points: Landmarks | None, detector: FaceDetector | None) -> Landmarks:
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
    elif points is not None:
        duration_s = len(points.valid) / points.frame_rate
        # A few rows more than the picture may have; the pictures' number is known after reading.
        found = resample_landmarks(points, work.rate, int(duration_s * work.rate) + 2)
    else:
        assert detector is not None
        with work.step("tracking"):
            found = _track(work, detector)
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
    scale = min(1.0, TRACKING_SIDE_PX / max(info.width, info.height))
    size = max(1, round(info.width * scale)), max(1, round(info.height * scale))
    frames = work.source_frames(size=size if scale < 1 else None)
    with closing(prefetch(frames, _QUEUE_FRAMES)) as ahead:
        points, valid = track_frames(
            ahead, detector, total=expected_frames(info, work.rate), on_progress=work.report
        )
    points = points * np.array([info.width / size[0], info.height / size[1]], np.float32)
    return Landmarks(
        points=points, valid=valid, width=info.width, height=info.height, frame_rate=work.rate
    )


def _crop(work: Work, tracked: Landmarks) -> Crop:
    about = work.previous.about
    if work.previous.has("frames") and about is not None:
        return Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    return choose_crop(
        tracked.points,
        tracked.valid,
        width=tracked.width,
        height=tracked.height,
        margin=work.settings.media.crop_margin,
    ).rounded()


def _mesh(work: Work, cropped: FloatArray, valid: npt.NDArray[np.bool_]) -> FloatArray:
    """The mesh's points (T, 468 or 478, 2), as tracked or fitted to fewer points."""
    if cropped.shape[1] in MESH_COUNTS:
        return cropped
    if work.previous.has("fit"):
        return work.previous.target.track().landmarks
    with work.step("fitting"):
        settings = work.settings
        return dense_landmarks(cropped, valid, settings.media.size_px, settings.fit, work.report)


def exactly_rows(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The first rows (count, ...); the last one repeated where a source gave fewer."""
    # It can decode to more frames the second time.
    missing = max(0, count - len(rows))
    return np.concatenate([rows[:count], np.repeat(rows[-1:], missing, 0)])


def _write_pictures(work: Work, made: Target, mesh: FloatArray, labeller: Parser) -> int:
    """Write `frames.mkv` and `parsing.mkv`, or take over what holds; returns the frames."""
    old, size_px = work.previous, work.settings.media.size_px
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
        ahead = stack.enter_context(closing(prefetch(pictures, _QUEUE_FRAMES)))
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


def _principal(work: Work) -> tuple[float, float]:
    """Where the source's camera axis meets the crop, pixels: the middle of the source picture."""
    info = work.source.info
    middle = np.array([info.width / 2, info.height / 2], np.float32)
    x, y = crop_from_source(middle, work.crop.rounded(), work.settings.media.size_px)
    return float(x), float(y)


def _fit(
    work: Work,
    cropped: FloatArray,
    mesh: FloatArray,
    valid: npt.NDArray[np.bool_],
    made: Target | None = None,
) -> Track:
    """Fit the face model, or take the fit over; a regressor looks at the pictures of `made`."""
    if work.previous.has("fit"):
        return work.previous.target.track()
    settings = work.settings
    with work.step("fitting"):
        if work.regressor is None or made is None:
            fit = fit_clip(
                cropped,
                valid,
                work.model,
                settings.media.size_px,
                settings.fit,
                work.report,
                principal_px=_principal(work),
            )
        else:
            fit = _regress(work, work.regressor, made, cropped, valid)
    limit = WORST_ERROR * np.maximum(eye_distance(mesh), 1.0)
    usable = fit.valid & (np.nan_to_num(fit.error_px, nan=np.inf) < limit)
    if not usable.any():
        raise FaceNotFound(
            f"{work.source.video}: the face model fits none of {len(valid)} frames",
            hint="use a clip that shows the face from the front",
        )
    return Track(
        landmarks=fill_gaps(mesh, valid),
        tracked=None if cropped.shape == mesh.shape else fill_gaps(cropped, valid),
        valid=usable,
        z_id=fit.z_id,
        z_exp=fit.z_exp,
        R=fit.R,
        t=fit.t,
        K=fit.K,
        error_px=fit.error_px,
    )


def _regress(
    work: Work,
    network: Deep3dNetwork,
    made: Target,
    cropped: FloatArray,
    valid: npt.NDArray[np.bool_],
) -> ClipFit:
    """Coefficients and pose of every frame as the regressor reads them from the pictures."""
    square = choose_square(cropped, valid)
    pictures = read_frames(made.frames_path, crop=square, size=(SIDE_PX, SIDE_PX))
    with closing(prefetch(pictures, _QUEUE_FRAMES)) as ahead:
        return regress_clip(ahead, square, cropped, valid, network, work.model, work.report)
