"""Who is in a video: a look at a few pictures a second, once, and kept for all that asks again."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import FaceNotFound, SettingsError
from pirctl.face.landmark_file import Landmarks
from pirctl.face.looks import LOOKS, look_at
from pirctl.face.people import Person, gather, speaker_of, with_speech
from pirctl.face.recognise import ColourRecogniser, Recogniser, SfaceRecogniser, sight
from pirctl.face.search import CrowdFinder, FaceDetector
from pirctl.face.stretches import Sighting, Stretch, stretches_of
from pirctl.face.track import tracking_size
from pirctl.files import atomic_file
from pirctl.media import MediaInfo, read_frames, read_sound
from pirctl.media.background import QUEUE_FRAMES, prefetch
from pirctl.media.cuts import mark_cuts, small_gray
from pirctl.media.timeline import Timeline, read_timeline
from pirctl.prepare.observers import open_points
from pirctl.prepare.options import TrackerOptions
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.speech.level import measure
from pirctl.speech.voice import hear_voice
from pirctl.weights.catalog import find_weights, weights_entry

FORMAT = 2
"""Counted up whenever the same video gives other people."""
LOOKS_PER_S = 5
"""How often faces are looked for; half as often in what is longer than `_LONG_S`."""

_log = logging.getLogger(__name__)
_LONG_S = 1200
_WORTH_A_GLANCE_S = 60.0
"""A shorter video is looked through as fast as a few dozen pictures are found in it."""
_PORTRAIT_EVERY = 3
_VOICE_RATE_HZ, _SOUND_RATE_HZ = 25, 16000
_FOLDER = ".people"
_COLOURS = "colours"


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The people of a video.

    Attributes:
        people: by time on the screen, numbered from 1.
        seconds: length of the video.
        told_by: "sface", or "colours" where its file is not to be had.
    """

    people: tuple[Person, ...]
    seconds: float
    told_by: str

    @property
    def speaker(self) -> Person:
        """Who speaks in the original."""
        return speaker_of(self.people)

    def person(self, number: int) -> Person:
        """One of them by number.

        Raises:
            SettingsError: there is no such face.
        """
        if not 1 <= number <= len(self.people):
            count = len(self.people)
            raise SettingsError(
                f"there is no face {number} in the video, it shows {count}",
                hint=f"choose a face from 1 to {count}; pirctl faces VIDEO shows them",
            )
        return self.people[number - 1]


def find_several(
    info: MediaInfo,
    sha256: str,
    tracker: TrackerOptions,
    workspace: Path,
    *,
    device: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Cast | None:
    """The people of a video, arguments and errors as `find_people`; None: there is only one.

    In a long video a few dozen pictures tell that, where all of them show one and the same face.
    """
    recogniser, told_by = choose_recogniser()
    is_known = _path(info, sha256, workspace, told_by).is_file()
    if not is_known and info.duration_s >= _WORTH_A_GLANCE_S:
        with open_points(tracker, device, on_progress) as detector:
            assert not isinstance(detector, Landmarks)
            if _shows_one(info, detector, recogniser):
                return None
    cast = find_people(info, sha256, tracker, workspace, device=device, on_progress=on_progress)
    return cast if len(cast.people) > 1 else None


def _shows_one(info: MediaInfo, detector: FaceDetector, recogniser: Recogniser) -> bool:
    """Whether pictures from all over a video show one face each, always the same."""
    seen: list[Stretch] = []
    for look in look_at(info):
        faces = CrowdFinder(detector).find(look.picture, begins_shot=True)
        sightings = [sight(look.picture, face, look.time_s, look.scale) for face in faces]
        if len(sightings) > 1:
            return False
        at_s = look.time_s
        seen += [Stretch(first_s=at_s, last_s=at_s, sightings=(one,)) for one in sightings]
    # Seen in a few pictures only, it is not sure who else there is.
    if len(seen) < LOOKS / 2:
        return False
    return bool((recogniser.alike(seen) >= recogniser.threshold).all())


def find_people(
    info: MediaInfo,
    sha256: str,
    tracker: TrackerOptions,
    workspace: Path,
    *,
    device: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Cast:
    """Find and number the people of a video, or take over what an earlier look found.

    Args:
        info: of the video.
        sha256: of the file.
        tracker: what finds faces; a landmark file cannot.
        workspace: folder of all targets, where the result is kept.
        device: for the tracker's networks.
        on_progress: is told about every look.

    Raises:
        FaceNotFound: nobody is seen.
        SettingsError: the points come from a file.
        WeightsMissing: the tracker's model is not there.
    """
    if tracker.landmarks is not None:
        raise SettingsError(
            "--landmarks has the points of one face, so none can be chosen",
            hint="leave out --face, or leave out --landmarks",
        )
    recogniser, told_by = choose_recogniser()
    kept = _path(info, sha256, workspace, told_by)
    if (found := _read(kept)) is not None:
        return found
    if told_by == _COLOURS:
        _log.warning(
            "people are told apart by place and colours; better: pirctl models pull sface "
            "(licence %s)",
            weights_entry("sface").licence,
        )
    timeline = read_timeline(info)
    with open_points(tracker, device, on_progress) as detector:
        assert not isinstance(detector, Landmarks)
        looks, cuts_s = _look_through(info, timeline, detector, on_progress)
    end_s = float(timeline.end)
    stretches = stretches_of(looks, cuts_s, end_s)
    if not stretches:
        raise FaceNotFound(
            f"{info.path}: no face found in any of {len(looks)} pictures",
            hint="pirctl check VIDEO says what is wrong with it",
        )
    people = gather(stretches, recogniser.alike(stretches), recogniser.threshold)
    voice = _voice(info)
    people = people if voice is None else with_speech(people, voice, _VOICE_RATE_HZ)
    cast = Cast(people=tuple(people), seconds=end_s, told_by=told_by)
    _write(kept, cast)
    return cast


def _path(info: MediaInfo, sha256: str, workspace: Path, told_by: str) -> Path:
    return workspace / _FOLDER / f"{sha256[:16]}-{info.video_stream}-{told_by}.json"


def choose_recogniser() -> tuple[Recogniser, str]:
    """SFace, if it is in the cache; else by place and colours, for its licence has conditions."""
    if weights_entry("sface").is_here:
        return SfaceRecogniser(find_weights("sface")), "sface"
    return ColourRecogniser(), _COLOURS


def _look_through(
    info: MediaInfo, timeline: Timeline, detector: FaceDetector, on_progress: OnProgress
) -> tuple[list[tuple[float, list[Sighting]]], list[float]]:
    """The faces of some frames, and when the later shots begin.

    Frames are read as they are, with their own times: at a cut a frame more or less is another
    person. The first of every shot is looked at.
    """
    wanted = LOOKS_PER_S if timeline.end <= _LONG_S else LOOKS_PER_S / 2
    step = max(1, round(float(timeline.mean_rate) / wanted))
    size = tracking_size(info.width, info.height)
    finder, scale, total = CrowdFinder(detector), size[0] / info.width, len(timeline)
    looks: list[tuple[float, list[Sighting]]] = []
    cuts_s: list[float] = []
    since = 0
    with closing(prefetch(read_frames(info, size=size), QUEUE_FRAMES)) as ahead:
        # Containers and decoders may differ by a frame at the end.
        for number, (frame, is_cut) in zip(
            range(total), mark_cuts(ahead, small_gray), strict=False
        ):
            time_s = float(timeline.seconds[number])
            if is_cut:
                cuts_s.append(time_s)
                since = 0
            if since % step == 0:
                faces = finder.find(frame, begins_shot=since == 0)
                # Portraits are the most of what is held: every third look must do.
                kept = since // step % _PORTRAIT_EVERY == 0
                seen = [sight(frame, face, time_s, scale, with_portrait=kept) for face in faces]
                looks.append((time_s, seen))
            since += 1
            on_progress(Progress(step="looking for people", done=number + 1, total=total))
    return looks, cuts_s


def _voice(info: MediaInfo) -> NDArray[np.float32] | None:
    """How sure it is that somebody speaks, 25 a second; None: nothing is heard."""
    if not info.has_audio:
        return None
    samples = read_sound(info.path, _SOUND_RATE_HZ)
    per_frame = _SOUND_RATE_HZ // _VOICE_RATE_HZ
    loudness = measure([samples], per_frame)
    voice = hear_voice([samples], loudness, per_frame, _SOUND_RATE_HZ)
    return voice if voice is not None and len(voice) else None


def _write(path: Path, cast: Cast) -> None:
    content = {
        "format": FORMAT,
        "seconds": cast.seconds,
        "told_by": cast.told_by,
        "people": [person.to_mapping() for person in cast.people],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _read(path: Path) -> Cast | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return None
        people = tuple(
            Person.from_mapping(person, number)
            for number, person in enumerate(content["people"], start=1)
        )
        return Cast(
            people=people, seconds=float(content["seconds"]), told_by=str(content["told_by"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Not there, or damaged: found anew.
