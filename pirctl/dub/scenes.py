"""The people of a video at its own times, found once for all speech that is put on it.

TARGET/dub/scene-KEY/
track.safetensors    pose and expression of every frame
scene.json           the square, and where the video cuts
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.cast import Casting, Member
from pirctl.dub.own_times import Scene, crop_of, fit_scene, has_target_times, look_through
from pirctl.dub.work import FOLDER, digest_of
from pirctl.errors import FaceNotFound, TargetError
from pirctl.face.landmark_file import Landmarks
from pirctl.face.people import Person
from pirctl.files import atomic_folder, file_hash
from pirctl.media import Crop, MediaInfo
from pirctl.media.cuts import find_cuts, small_gray
from pirctl.media.planes import read_planes
from pirctl.media.timeline import Timeline
from pirctl.prepare.observers import open_points
from pirctl.progress import OnProgress, Progress
from pirctl.settings import FitSettings
from pirctl.target import Target

FORMAT = 2
"""Counted up whenever the same video gives another scene."""
_SHORTEST_S = 1.0
"""A place where the person is for a shorter time is not worth a fit."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A video that is dubbed.

    Attributes:
        info: its headers.
        timeline: when its frames are shown.
        sha256: of the file.
    """

    info: MediaInfo
    timeline: Timeline
    sha256: str

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """All frames as shown."""
        return (planes.rgb() for planes in read_planes(self.info, timeline=self.timeline))


def find_scenes(
    footage: Footage,
    member: Member,
    casting: Casting,
    settings: FitSettings,
    on_progress: OnProgress,
) -> tuple[list[Scene], list[int]]:
    """One person in the frames of a video, and the first frames of its later shots.

    Returns:
        A scene for every place of the picture in which cameras show the person: one, but for
        one of several people.

    Raises:
        FaceNotFound: the person is seen in no frame.
        TargetError: a file of the target is damaged.
        WeightsMissing: the tracker's model is not there.
    """
    target, landmarks = member.target, casting.tracker.landmarks
    about, setups = member.target.about, _setups(member)
    inputs = [
        FORMAT, footage.sha256, footage.info.video_stream, about.inputs, about.face_model_hash,
        casting.tracker.name, file_hash(landmarks) if landmarks else "",
    ]  # fmt: skip
    folders = [
        target.folder / FOLDER / f"scene-{digest_of([*inputs, _plain(setup)])}" for setup in setups
    ]
    known = [found for folder in folders if (found := _read(folder, about.size_px))]
    if len(known) == len(folders):
        return [scene for scene, _ in known if scene], known[0][1]
    scenes: Sequence[Scene | None]
    if member.is_own_source and len(setups) == 1 and has_target_times(about, footage.timeline):
        scenes = [Scene(track=target.track(), crop=crop_of(about), size_px=about.size_px)]
        cuts = find_cuts(map(small_gray, _counted(footage, on_progress)))
    else:
        scenes, cuts = _track(footage, member, casting, settings, on_progress)
    for folder, scene in zip(folders, scenes, strict=True):
        _write(folder, scene, cuts)
    return [scene for scene in scenes if scene], cuts


def _setups(member: Member) -> list[Person | None]:
    """The person in each place where it stays for a while; None: whoever is there."""
    if member.person is None:
        return [None]
    setups: list[Person | None] = [*member.person.setups()]
    return [one for one in setups if one and one.seconds >= _SHORTEST_S] or setups[:1]


def _plain(setup: Person | None) -> str:
    return "" if setup is None else str(setup.to_mapping())


def _track(
    footage: Footage,
    member: Member,
    casting: Casting,
    settings: FitSettings,
    on_progress: OnProgress,
) -> tuple[list[Scene | None], list[int]]:
    total, setups = len(footage.timeline), _setups(member)
    with open_points(casting.tracker, casting.device, on_progress) as points:
        if isinstance(points, Landmarks):
            tracked = _rows(points, total)
            cuts = find_cuts(map(small_gray, _counted(footage, on_progress)))
        else:
            tracked, cuts = look_through(
                footage.info, footage.pictures(), points, footage.timeline, member.person,
                on_progress,
            )  # fmt: skip

    def fit(number: int) -> Scene:
        setup = setups[number]
        shown = tracked if setup is None else _within(tracked, setup, footage.timeline)
        return fit_scene(
            shown, footage.timeline, member.target,
            is_own_source=member.is_own_source and number == 0,
            settings=settings, on_progress=on_progress,
        )  # fmt: skip

    return fit_all(len(setups), fit), cuts


def fit_all(count: int, fit: Callable[[int], Scene]) -> list[Scene | None]:
    """A scene for each place of a person; None where none of its frames can be fitted.

    Raises:
        FaceNotFound: that is so in every place.
    """
    scenes: list[Scene | None] = []
    failed: FaceNotFound | None = None
    for number in range(count):
        try:
            scenes.append(fit(number))
        except FaceNotFound as error:
            failed = error
            scenes.append(None)
    if failed is not None and not any(scenes):
        raise failed
    return scenes


def _within(tracked: Landmarks, setup: Person, timeline: Timeline) -> Landmarks:
    """The points of those frames that show the person in one place."""
    there = np.array([setup.at(float(time_s)) is not None for time_s in timeline.seconds])
    return replace(tracked, valid=tracked.valid & there)


def _rows(points: Landmarks, total: int) -> Landmarks:
    """Points of a file, one row a frame; containers count frames loosely, by one."""
    rows = np.minimum(np.arange(total), len(points.valid) - 1)
    return Landmarks(
        points=points.points[rows], valid=points.valid[rows], width=points.width,
        height=points.height, frame_rate=points.frame_rate,
    )  # fmt: skip


def _counted(footage: Footage, on_progress: OnProgress) -> Iterator[NDArray[np.uint8]]:
    for number, picture in enumerate(footage.pictures()):
        yield picture
        done, total = number + 1, len(footage.timeline)
        on_progress(Progress(step="looking for cuts", done=done, total=total))


def _read(folder: Path, size_px: int) -> tuple[Scene | None, list[int]] | None:
    try:
        content = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
        cuts = list(map(int, content["cuts"]))
        if content["crop"] is None:
            return None, cuts
        crop = Crop(**content["crop"])
        track = Target(folder).track()
    except (OSError, ValueError, KeyError, TypeError, TargetError):
        return None  # Not there, or damaged: found anew.
    return Scene(track=track, crop=crop, size_px=size_px), cuts


def _write(folder: Path, scene: Scene | None, cuts: list[int]) -> None:
    crop = None if scene is None else asdict(scene.crop)
    content = {"crop": crop, "cuts": cuts}
    with atomic_folder(folder) as made:
        if scene is not None:
            Target(made).write_track(scene.track)
        (made / "scene.json").write_text(json.dumps(content), encoding="utf-8")
