"""A whole dubbing: the speaker is learnt, every frame is planned, painted in segments, and joined.

Each step is taken over where an earlier run did it. What is left of an unfinished run lies in the
work folder (`work`), and the same command goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from pirctl.dub.cast import (
    Casting,
    Member,
    find_member,
    find_persons,
    make_target,
    settings_of,
    target_of,
    train_target,
)
from pirctl.dub.cues import Cue
from pirctl.dub.filming import Job, Made, make_film
from pirctl.dub.in_front import minding_front, plan_front
from pirctl.dub.inputs import check_no_input
from pirctl.dub.marking import making_of_dub
from pirctl.dub.overall import Overall
from pirctl.dub.plan import shot_numbers
from pirctl.dub.role import Role, RolePlan, hear_all, plan_role
from pirctl.dub.scenes import Footage, find_scenes
from pirctl.dub.script import Script, write_script
from pirctl.dub.work import Arrays, Work, work_folder
from pirctl.errors import MediaError
from pirctl.files import check_writable, file_hash
from pirctl.media import Timeline, check_video_name, probe, read_format, read_timeline
from pirctl.media.delivery import DeliverySettings, choose_encoding
from pirctl.media.join import Film, Sound
from pirctl.media.segments import SEGMENT_SUFFIX
from pirctl.media.soundtrack import check_track
from pirctl.perform.actor import Actor, load_actor
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.provenance import Mark, Signing, check_mark, open_credentials
from pirctl.settings import STAGES
from pirctl.target import Target
from pirctl.target.consent import consent_note
from pirctl.target.lock import lock_targets

Load = Callable[[Target, str | None], Actor]

# What each part takes before anything is measured, seconds; rough, and corrected as it goes.
_TRACK_FRAME_S, _CROP_FRAME_S, _TRAIN_S, _PAINT_FRAME_S = 0.015, 0.02, 600.0, 0.08
_MAKE, _TRAIN, _LOOK, _PAINT = "preprocess", "train", "look", "paint"


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What is to be said.

    Attributes:
        audio: a sound for the whole video.
        offset_s: when it begins, seconds on the timeline of the video; negative: within it.
        cues: who says what when; empty: one face says `audio`.
        keep_pauses: whether the original passes where nobody speaks; else the mouth is closed.
        keep_sound: number of the video's sound track that stays under the speech, from 1; None:
            none.
        keep_front: whether what is in front of a face stays in front.
    """

    audio: Path | None = None
    offset_s: Fraction = Fraction(0)
    cues: tuple[Cue, ...] = ()
    keep_pauses: bool = True
    keep_sound: int | None = None
    keep_front: bool = True


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The file that is made.

    Attributes:
        video: its name; None: `VIDEO_dubbed` in the current folder, with the video's ending.
        force: replace a file that stands there.
        batch_size: frames painted at once; suits the device if None.
        settings: codec, quality, encoder.
        signing: whether the video gets a C2PA manifest, and who signs it.
    """

    video: Path | None = None
    force: bool = False
    batch_size: int | None = None
    settings: DeliverySettings = field(default_factory=DeliverySettings)
    signing: Signing = field(default_factory=Signing)


@dataclass(frozen=True, kw_only=True)
class DubReport:
    """What was made, and what it cost.

    Attributes:
        output: the video.
        frames: frames in it, as many as in the source.
        painted_frames: of them, those in which a mouth was painted.
        copied_frames: those that were copied without encoding.
        missed: stretches of frames (first, last) in which something is said and nothing could be
            painted, for want of a usable face.
        targets: who was painted: name of the target of each face.
        reused_segments: segments that an earlier run had finished.
        provenance: how the video says what it is.
        notes: what else the user should know.
        seconds: per part of the painting, as the painting thread saw it.
    """

    output: Path
    frames: int
    painted_frames: int
    copied_frames: int
    missed: tuple[tuple[int, int], ...]
    targets: dict[str, str]
    reused_segments: int
    provenance: Mark
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            **asdict(self),
            "output": str(self.output),
            "missed": [list(x) for x in self.missed],
            "provenance": self.provenance.to_mapping(),
        }


def default_output(video: Path) -> Path:
    """Name of the result when none is given: `VIDEO_dubbed.mp4` in the current folder."""
    suffix = video.suffix.lower()
    return Path(f"{video.stem}_dubbed{suffix if suffix in _CONTAINERS else '.mp4'}")


_BEYOND_S = 0.1
_CONTAINERS = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}


def dub(
    video: Path,
    speech: Speech,
    delivery: Delivery | None = None,
    *,
    casting: Casting | None = None,
    load: Load = load_actor,
    on_progress: OnProgress = ignore_progress,
) -> DubReport:
    """Put new speech on the lips of a finished video; nothing else of it changes.

    Args:
        video: any file ffmpeg reads, not interlaced.
        speech: what is said, and when.
        delivery: the file to write.
        casting: how the targets of the faces are found and made.
        load: makes an actor of a trained target.
        on_progress: is told about every step, with the time left for all of them.

    Raises:
        PirctlError: whatever is wrong with the inputs, found before anything slow where it can
            be; also as `preprocess`, `train` and the encoder.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    delivery, casting = delivery or Delivery(), casting or Casting()
    output = check_video_name(delivery.video or default_output(video))
    info = probe(video)
    if not info.has_video:
        raise MediaError(f"{video} has no picture, only sound", hint="give the video to dub")
    check_writable(output, force=delivery.force)
    check_mark(output, force=delivery.force)
    credentials = open_credentials(delivery.signing)
    timeline = read_timeline(info)
    cues, face = speech.cues, casting.face
    script = write_script(speech.audio, speech.offset_s, cues, face, timeline.end)
    _check_output(output, video, script)
    form = read_format(info)
    encoding = choose_encoding(info, form, output.suffix.lower(), delivery.settings)
    film = Film(timeline=timeline, form=form, encoding=encoding)
    if speech.keep_sound is not None:
        check_track(video, speech.keep_sound)
    targets = {face: casting.target, **script.targets}
    names = [(face, targets.get(face)) for face in script.faces]
    written = [target_of(casting, video, face, name) for face, name in names]
    with lock_targets(written, "dub", on_progress):
        # Whoever was waited for may have made it.
        check_writable(output, force=delivery.force)
        members = [find_member(casting, video, face, name) for face, name in names]
        overall = Overall(on_progress, _expected(len(timeline), members))
        sha256 = file_hash(video, on_progress=overall)
        footage = Footage(info=info, timeline=timeline, sha256=sha256)
        members = find_persons(members, info, sha256, casting, overall)
        for member in members:
            overall.begin(_MAKE)
            make_target(member, casting, video, overall)
        for member in members:
            overall.begin(_TRAIN)
            train_target(member, casting, overall)
        overall.begin(_LOOK)
        inputs = _inputs(footage, script, speech, members) | {"encoding": asdict(encoding)}
        work = Work(work_folder(members[0].target, inputs), SEGMENT_SUFFIX)
        work.open({"video": str(video), "output": str(output)})
        roles = _roles(footage, script, speech, members, casting, work, load, overall)
        overall.begin(_PAINT)
        on_gpu = roles[0].painter.device.type == "cuda"
        job = Job(
            footage=footage, film=film, roles=roles, work=work, credentials=credentials,
            making=making_of_dub(footage, script, [member.target for member in members]),
            batch_size=delivery.batch_size or (16 if on_gpu else 4), report=overall,
        )  # fmt: skip
        made = make_film(job, output, Sound(spoken=script.heard, keep_track=speech.keep_sound))
        work.remove()
    return DubReport(
        output=output,
        frames=len(timeline),
        painted_frames=made.painted,
        copied_frames=made.copied,
        missed=made.missed,
        targets={str(m.face or "speaker"): m.target.name for m in members},
        reused_segments=made.reused_segments,
        provenance=made.provenance,
        notes=(
            *_notes(script, timeline, made),
            *made.left_out,
            *(consent_note(m.target.name, m.target.about) for m in members),
        ),
        seconds=made.seconds,
    )


def _notes(script: Script, timeline: Timeline, made: Made) -> tuple[str, ...]:
    """What the user should know of the speech."""
    notes = []
    beyond_s = max(line.last_s for line in script.lines) - timeline.end
    if beyond_s > _BEYOND_S:
        notes.append(f"the speech goes on for {float(beyond_s):.1f} s after the last frame")
    if not made.painted and not made.missed:
        notes.append(
            "no voice is heard in the speech, so all frames passed as they are; --pauses closed "
            "paints the mouth all the time"
        )
    return tuple(notes)


def _check_output(output: Path, video: Path, script: Script) -> None:
    for path in (video, *script.sounds):
        check_no_input(output, path, "an input")
    if output.is_dir():
        raise MediaError(f"{output} is a folder", hint="name a file as --output")


def _expected(frames: int, members: Sequence[Member]) -> dict[str, float]:
    """Seconds that each phase may take, before anything is known."""
    new = sum(not member.target.about_path.is_file() for member in members)
    untrained = sum(not member.target.trained_stages() for member in members)
    return {
        _MAKE: new * frames * (_TRACK_FRAME_S + _CROP_FRAME_S),
        _TRAIN: untrained * _TRAIN_S,
        _LOOK: len(members) * frames * _TRACK_FRAME_S,
        _PAINT: frames * _PAINT_FRAME_S,
    }


def _inputs(
    footage: Footage, script: Script, speech: Speech, members: Sequence[Member]
) -> dict[str, Any]:
    """Everything that decides the pictures, as plain values."""
    sounds = {str(path): file_hash(path) for path in script.sounds}
    return {
        "video": [footage.sha256, footage.info.video_stream],
        "lines": [{**asdict(line), "sound": sounds[str(line.sound)]} for line in script.lines],
        "keep_pauses": speech.keep_pauses,
        "keep_front": speech.keep_front,
        "people": [[m.face, m.target.name, _trained_digest(m.target)] for m in members],
    }


def _trained_digest(target: Target) -> list[str]:
    """Hashes of all that was trained."""
    digests = []
    for stage in STAGES:
        folder = target.stage_folder(stage)
        weights = [*folder.glob("checkpoint/*.safetensors"), *folder.glob("*.safetensors")]
        digests += [file_hash(path) for path in sorted(weights) if "resume" not in path.name]
    return digests


def _roles(
    footage: Footage,
    script: Script,
    speech: Speech,
    members: Sequence[Member],
    casting: Casting,
    work: Work,
    load: Load,
    report: OnProgress,
) -> list[Role]:
    """Everyone who is painted, with what every frame shows of them."""
    known = work.read_plan()
    roles: list[Role] = []
    arrays: Arrays = {}
    for member in members:
        fit = settings_of(member.target, casting).fit
        scenes, cuts = find_scenes(footage, member, casting, fit, report)
        report(Progress(step="loading", done=0, total=len(STAGES), unit="stages"))
        actor = load(member.target, casting.device)
        report(Progress(step="loading", done=len(STAGES), total=len(STAGES), unit="stages"))
        if known is None:
            report(Progress(step="listening", done=0, total=None))
            spoken = hear_all(actor, [line for line in script.lines if line.face == member.face])
        for scene in scenes:
            painter = actor.on(scene.track, scene.scale)
            prefix = f"role{len(roles)}"
            if known is not None:
                plan = RolePlan.from_arrays(known, prefix)
            else:
                plan = plan_role(
                    actor, painter, spoken, footage.timeline.seconds,
                    shot_numbers(len(footage.timeline), cuts), keep_pauses=speech.keep_pauses,
                )  # fmt: skip
                if speech.keep_front:
                    plan = plan_front(actor, scene, footage, plan, report)
                arrays |= plan.to_arrays(prefix)
            painter = minding_front(actor, scene, painter, plan)
            roles.append(Role(scene=scene, painter=painter, plan=plan))
    if known is None:
        work.write_plan(arrays)
    return roles
