"""The face in the frames of a video as they are: pose and expression at every frame's own time.

The target's own track has 25 rows a second, for training. To paint, the video is tracked again as
it is, at whatever rate, and fitted with the target's identity and camera. A video of other footage
of the person gets a square of its own, in which the face is as large as the networks know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import FaceNotFound
from pirctl.face.crop import choose_crop, crop_from_source, face_height
from pirctl.face.dense import dense_landmarks
from pirctl.face.fit import fit_known
from pirctl.face.follow_person import PersonFollower, follow_person
from pirctl.face.landmark_file import Landmarks, fill_gaps
from pirctl.face.landmarks import MESH_COUNTS
from pirctl.face.people import Person
from pirctl.face.search import FaceDetector
from pirctl.face.track import follow, tracking_size
from pirctl.media import Crop, MediaInfo
from pirctl.media.background import QUEUE_FRAMES, prefetch
from pirctl.media.cuts import Gray, find_cuts, small_gray
from pirctl.media.timeline import Timeline
from pirctl.perform.loading import load_target_model
from pirctl.prepare.fitting import usable_fits
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import FitSettings, MediaSettings
from pirctl.target import Target, TargetAbout, Track

FloatArray = NDArray[np.float32]
Frame = NDArray[np.uint8]

_SAME_TIME_S = 0.002
_TRACK_RATE = MediaSettings.frame_rate


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One person in the frames of a video.

    Attributes:
        track: one row per frame of the video, in pixels of the crop.
        crop: the square of whole pixels that is cut out of every frame.
        size_px: side of the crop as the networks see it.
    """

    track: Track
    crop: Crop
    size_px: int

    @property
    def scale(self) -> float:
        """Pixels of the shot per pixel of the crop."""
        return self.crop.side / self.size_px


def crop_of(about: TargetAbout) -> Crop:
    """The square that a target was cut out of its source with."""
    return Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side).rounded()


def has_target_times(about: TargetAbout, timeline: Timeline) -> bool:
    """Whether row n of the target's track is frame n of its source: 25 a second from 0 on."""
    if len(timeline) != about.frames:
        return False
    regular = np.arange(len(timeline)) / _TRACK_RATE
    return bool(np.abs(timeline.seconds - regular).max() < _SAME_TIME_S)


def look_through(
    info: MediaInfo,
    frames: Iterable[Frame],
    detector: FaceDetector,
    timeline: Timeline,
    person: Person | None,
    on_progress: OnProgress = ignore_progress,
) -> tuple[Landmarks, list[int]]:
    """Find the face in every frame of a video, and the cuts.

    Args:
        info: of the video.
        frames: all its frames as shown.
        detector: finds faces.
        timeline: when the frames are shown.
        person: who is meant, of several people; None: the most prominent.
        on_progress: called after every frame.

    Returns:
        A row for each frame in pixels of the video, and the first frames of the later shots.
    """
    rows: list[FloatArray] = []
    valid: list[bool] = []
    nothing = np.zeros((detector.points, 2), np.float32)
    size, total = tracking_size(info.width, info.height), len(timeline)

    def followed(ahead: Iterable[Frame]) -> Iterator[tuple[Frame, FloatArray | None]]:
        if person is None:
            return follow(ahead, detector)
        follower = PersonFollower(detector, person, size[0] / info.width)
        return follow_person(ahead, timeline.seconds, follower)

    def seen() -> Iterator[Gray]:
        with closing(prefetch(_at_size(frames, size), QUEUE_FRAMES)) as ahead:
            for frame, points in followed(ahead):
                rows.append(nothing if points is None else points)
                valid.append(points is not None)
                on_progress(Progress(step="tracking", done=len(rows), total=total))
                yield small_gray(frame)

    cuts = find_cuts(seen())
    found = np.array(valid)
    scale = np.array([info.width / size[0], info.height / size[1]], np.float32)
    landmarks = Landmarks(
        points=fill_gaps(np.stack(rows), found) * scale,
        valid=found,
        width=info.width,
        height=info.height,
        frame_rate=info.frame_rate or Fraction(_TRACK_RATE),
    )
    return landmarks, cuts


def _at_size(frames: Iterable[Frame], size: tuple[int, int]) -> Iterator[Frame]:
    import cv2

    for frame in frames:
        if (frame.shape[1], frame.shape[0]) == size:
            yield frame
        else:
            yield np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def fit_scene(
    tracked: Landmarks,
    timeline: Timeline,
    target: Target,
    *,
    is_own_source: bool,
    settings: FitSettings,
    on_progress: OnProgress = ignore_progress,
) -> Scene:
    """Fit a target's person to the frames of a video.

    Args:
        tracked: where the face is in every frame.
        timeline: when the frames are shown.
        target: whose identity and camera are known.
        is_own_source: whether the video is the one that the target was made from.
        settings: weights of the priors, as they are at 25 frames per second.
        on_progress: called after every few hundred frames.

    Raises:
        FaceNotFound: the person is seen in no frame, or fits none.
    """
    about, own = target.about, target.track()
    if not tracked.valid.any():
        raise FaceNotFound(
            f"{timeline.path}: no face found in any of {len(tracked.valid)} frames",
            hint="pirctl faces VIDEO shows who is seen; --face N chooses",
        )
    size_px = about.size_px
    if is_own_source:
        crop, K = crop_of(about), own.K
    else:
        crop = matching_crop(tracked, own, size_px)
        middle = np.array([tracked.width / 2, tracked.height / 2], np.float32)
        K = own.K.copy()
        K[:2, 2] = crop_from_source(middle, crop, size_px)
    cropped = crop_from_source(tracked.points, crop, size_px)
    valid = tracked.valid & _inside(cropped, size_px)
    if not valid.any():
        raise FaceNotFound(
            f"{timeline.path}: the face is never where target {target.name!r} was trained on it",
            hint="pirctl faces VIDEO shows who is seen; --face N chooses",
        )
    principal = (float(K[0, 2]), float(K[1, 2]))
    mesh = cropped
    if cropped.shape[1] not in MESH_COUNTS:
        mesh = dense_landmarks(
            cropped, valid, size_px, settings, on_progress, principal_px=principal
        )
    fit = fit_known(
        cropped, valid, load_target_model(target), size_px, own.z_id, K,
        at_rate(settings, float(timeline.mean_rate)), on_progress,
    )  # fmt: skip
    track = Track(
        landmarks=fill_gaps(mesh, valid),
        valid=usable_fits(fit, mesh),
        z_id=own.z_id,
        z_exp=fit.z_exp,
        R=fit.R,
        t=fit.t,
        K=K,
        error_px=fit.error_px,
    )
    return Scene(track=track, crop=crop, size_px=size_px)


def at_rate(settings: FitSettings, rate: float) -> FitSettings:
    """The same smoothness in time for another number of frames per second.

    What a head does between frames is a change of speed at random: its variance goes with the cube
    of the time between them, and the stiffness of the ties with its inverse.
    """
    return replace(settings, smoothness=settings.smoothness * (rate / _TRACK_RATE) ** 3)


def matching_crop(tracked: Landmarks, own: Track, size_px: int) -> Crop:
    """A square about the head in which the face is as large as in the target's own crop."""
    around = choose_crop(
        tracked.points, tracked.valid, width=tracked.width, height=tracked.height,
        margin=MediaSettings.crop_margin,
    )  # fmt: skip
    known_px = float(np.median(face_height(own.landmarks[own.valid])))
    seen_px = float(np.median(face_height(tracked.points[tracked.valid])))
    side = max(2.0, size_px * seen_px / known_px)
    return Crop(
        x=around.x + (around.side - side) / 2, y=around.y + (around.side - side) / 2, side=side
    ).rounded()


def _inside(points: FloatArray, size_px: int) -> NDArray[np.bool_]:
    """Frames (T,) whose face lies within the crop, but for a little of its outline."""
    low, high = np.quantile(points, 0.1, axis=1), np.quantile(points, 0.9, axis=1)
    return np.asarray(((low > 0) & (high < size_px)).all(1))
