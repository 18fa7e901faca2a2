"""Another person's expression on this target: track a driving video, fit it, carry it over.

The driving video is fitted with the target's own face model. What is carried over is how far its
expression is from its own rest (the median of its frames with the mouth most closed), added to the
target's rest: a fit puts a part of a person's looks into their expression, and that part stays
with its owner. It is retargeted to the target's own expressions (`own`). Identity, pose and camera
of the driver are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import MediaError
from pirctl.face.landmark_file import check_landmarks, read_landmark_file
from pirctl.face.search import FaceDetector
from pirctl.media import MediaInfo, probe
from pirctl.perform.actor import Actor
from pirctl.perform.loading import load_target_model
from pirctl.perform.poses import rest_expression
from pirctl.prepare.observers import open_points
from pirctl.prepare.options import TrackerOptions
from pirctl.prepare.parts import fit_source
from pirctl.prepare.reuse import Previous, Source
from pirctl.prepare.streams import choose_stream, find_stream
from pirctl.prepare.work import Work
from pirctl.progress import OnProgress
from pirctl.target import Track

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DrivingVideo:
    """The video whose expression is to be shown.

    Attributes:
        video: any file ffmpeg reads, showing one person; its sound, if any, is the result's.
        landmarks: points of its face, to use in place of the tracker.
        tracker_model: MediaPipe's `face_landmarker.task`; None looks in the cache.
        detector: finds faces in place of MediaPipe.
    """

    video: Path
    landmarks: Path | None = None
    tracker_model: Path | None = None
    detector: FaceDetector | None = None


@dataclass(frozen=True, kw_only=True)
class DrivingExpression:
    """What the person in the driving video does.

    Attributes:
        z_exp: (T, E) retargeted to the target's own expressions, one row per frame of the result.
        held_frames: numbers of the frames without a usable face; they repeat the last one with.
        damage: what is wrong with the video file, if anything.
    """

    z_exp: FloatArray
    held_frames: tuple[int, ...]
    damage: tuple[str, ...] = ()


def check_driving(driving: DrivingVideo) -> MediaInfo:
    """Find what is wrong with a driving video before anything is computed.

    Raises:
        DecodeError: video or landmark file missing or unreadable.
        MediaError: no picture, or landmarks of another video.
    """
    info = probe(driving.video)
    if not info.has_video:
        raise MediaError(
            f"{driving.video} has no picture to drive the face with, only sound",
            hint="give it as --audio",
        )
    if driving.landmarks is not None:
        points = read_landmark_file(driving.landmarks)
        info = find_stream(info, points) or info
        check_landmarks(
            points, driving.landmarks, width=info.width, height=info.height, frames=info.frames
        )
    return info


def driving_expression(
    driving: DrivingVideo, actor: Actor, on_progress: OnProgress
) -> DrivingExpression:
    """Track and fit a driving video.

    Args:
        driving: the video.
        actor: whom it drives; their face model, and their expressions in the training part.
        on_progress: called after every frame.

    Raises:
        FaceNotFound: no usable face in any frame.
        TargetError: the target was fitted with another version of the face model.
        WeightsMissing: the tracker's model is not there, and no landmarks are given.
    """
    info = check_driving(driving)
    nothing = Previous(target=actor.target, about=None, reusable=(), is_complete=False)
    with open_points(
        TrackerOptions(
            model=driving.tracker_model, landmarks=driving.landmarks, detector=driving.detector
        ),
        on_progress=on_progress,
    ) as points:
        work = Work(
            source=Source(video=driving.video, info=choose_stream(info, points), sha256=""),
            settings=actor.settings,
            model=load_target_model(actor.target),
            previous=nothing,
            report=on_progress,
        )
        track = fit_source(work, points)
    return DrivingExpression(
        z_exp=actor.own.retarget(carry_over(track) + actor.rest),
        held_frames=tuple(int(number) for number in np.flatnonzero(~track.valid)),
        damage=tuple(work.damage),
    )


def carry_over(track: Track) -> FloatArray:
    """Expression (T, E) of a tracked person relative to their rest; held where there is no face."""
    relative = track.z_exp - rest_expression(track)
    usable = np.flatnonzero(track.valid)
    last = np.searchsorted(usable, np.arange(track.frames), side="right") - 1
    held = usable[np.maximum(last, 0)]  # Before the first usable frame: that one.
    return np.ascontiguousarray(relative[held], dtype=np.float32)
