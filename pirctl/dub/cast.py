"""The person who speaks: a target that is there and trained, or is made now from the video itself.

Every step is taken over where an earlier run did it, and gone on with where one was cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pirctl import config
from pirctl.device import select_device
from pirctl.errors import TargetError
from pirctl.face.people import Person
from pirctl.files import file_hash
from pirctl.media import MediaInfo
from pirctl.perform.loading import check_trained
from pirctl.prepare.options import OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.people import find_people, find_several
from pirctl.prepare.preprocess import preprocess
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import DEFAULT_PRESET, STAGES, Settings
from pirctl.target import Target
from pirctl.target.checkpoint import has_checkpoint, load_about
from pirctl.target.consent import check_consent, record_consent
from pirctl.target.workspace import check_name, name_from_video, workspace_folder
from pirctl.training import run


@dataclass(frozen=True, kw_only=True)
class Casting:
    """How targets are found and made.

    Attributes:
        target: name of the one for the face that is dubbed anyway; None: the video's own.
        face: which face of the video that is; None: the one who speaks.
        workspace: root of the targets; None is PIRCTL_WORKSPACE, else `./targets`.
        preset: name or YAML file; "auto": the target's, else what this machine can train.
        changes: `section.key=value` on top of the preset.
        tracker: where the landmarks of the video come from.
        parser: what labels the pixels.
        consent: who agreed, for the record, in words or in a file; empty changes nothing.
        device: where to compute; the best there is if None.
    """

    target: str | None = None
    face: int | None = None
    workspace: Path | str | None = None
    preset: str = DEFAULT_PRESET
    changes: tuple[str, ...] = ()
    tracker: TrackerOptions = field(default_factory=TrackerOptions)
    parser: ParserOptions = field(default_factory=ParserOptions)
    consent: str = ""
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    """One person of a dubbing.

    Attributes:
        target: paints the person; trained once `ready` has returned.
        face: number of the face in the video; None: the one who speaks.
        is_own_source: whether the target was made from this very video.
        person: where that face is when, once it is known; None: nobody else is there.
    """

    target: Target
    face: int | None
    is_own_source: bool
    person: Person | None = None


def find_member(casting: Casting, video: Path, face: int | None, target: str | None) -> Member:
    """Who speaks for a face, before anything is made.

    Args:
        casting: how targets are found.
        video: that is dubbed.
        face: number of the face; None: the one who speaks.
        target: name that was given for it; None: the video's own target of that face.

    Raises:
        TargetError: bad name, the target of another video and not trained, or one whose consent
            was withdrawn.
    """
    found = target_of(casting, video, face, target)
    name = found.name
    if not found.about_path.is_file():
        return Member(target=found, face=face, is_own_source=True)
    about = found.about
    if not casting.consent:  # Else the person has agreed again.
        check_consent(name, about)
    if Path(about.source).absolute() == video.absolute() and about.is_source_unchanged():
        return Member(target=found, face=face, is_own_source=True)
    if about.source_sha256 == file_hash(video):
        return Member(target=found, face=face, is_own_source=True)
    if not is_trained(found):
        hint = (
            f"pirctl train {name}, and then this command again"
            if target
            else f"--target NAME for this video, or pirctl train {name} to dub it with that target"
        )
        raise TargetError(
            f"target {name!r} was made from another video ({about.source}) and is not trained",
            hint=hint,
        )
    if target is None:
        raise TargetError(
            f"target {name!r} exists, made from another video ({about.source})",
            hint=f"--target NAME for a new one, or --target {name} if it shows the same person",
        )
    return Member(target=found, face=face, is_own_source=False)


def target_of(casting: Casting, video: Path, face: int | None, target: str | None) -> Target:
    """The target that paints a face, whether or not it is there yet; as for `find_member`."""
    own_name = name_from_video(video) + ("" if face is None else f"_face{face}")
    name = check_name(target) if target else own_name
    return Target(workspace_folder(casting.workspace) / name)


def find_persons(
    members: Sequence[Member],
    info: MediaInfo,
    sha256: str,
    casting: Casting,
    on_progress: OnProgress = ignore_progress,
) -> list[Member]:
    """Tell who in the video each member is, where that has to be found out.

    A target that was made from this very video knows its face, and the points of a file are of one
    face.

    Raises:
        SettingsError: the video shows no face of such a number.
        FaceNotFound: it shows nobody.
    """
    numbers = [_number(member) for member in members]
    unknown = [n is None and not _is_made_of_it(m) for m, n in zip(members, numbers, strict=True)]
    is_asked = any(member.face is not None for member in members)
    if not any(unknown) and all(number is None for number in numbers):
        return list(members)
    if casting.tracker.landmarks and not is_asked:
        return list(members)
    # Whether there are several at all is found faster than who they are.
    find = find_several if all(number is None for number in numbers) else find_people
    cast = find(
        info, sha256, casting.tracker, workspace_folder(casting.workspace),
        device=casting.device, on_progress=on_progress,
    )  # fmt: skip
    if cast is None:
        return list(members)
    found = []
    for member, number, is_unknown in zip(members, numbers, unknown, strict=True):
        person = member.person
        if number is not None:
            person = cast.person(number)
        elif is_unknown and len(cast.people) > 1:
            person = cast.speaker
        found.append(replace(member, person=person))
    return found


def _number(member: Member) -> int | None:
    """Number of a member's face, as asked for or as the target was made; None: not known."""
    if member.face is None and _is_made_of_it(member):
        return member.target.about.face
    return member.face


def _is_made_of_it(member: Member) -> bool:
    """Whether the target stands, and was made from the video that is dubbed."""
    return member.is_own_source and member.target.about_path.is_file()


def is_trained(target: Target) -> bool:
    """Whether all stages of a target are trained to their end."""
    folders = [target.stage_folder(stage) / "checkpoint" for stage in STAGES]
    return all(has_checkpoint(folder) and load_about(folder).finished for folder in folders)


def make_target(
    member: Member, casting: Casting, video: Path, on_progress: OnProgress = ignore_progress
) -> None:
    """Preprocess the video unless that was done; a consent is recorded in any case.

    Raises:
        PirctlError: as `preprocess`.
    """
    if member.target.about_path.is_file():
        if casting.consent:
            record_consent(member.target, casting.consent)
        return
    settings = settings_of(member.target, casting)
    preprocess(
        video,
        settings=settings,
        tracker=replace(casting.tracker, face=member.person.number if member.person else None),
        parser=casting.parser,
        output=OutputOptions(
            name=member.target.name,
            workspace=casting.workspace,
            preset=preset_of(member.target, casting)[0],
            consent=casting.consent,
        ),
        device=casting.device,
        on_progress=on_progress,
    )


def train_target(
    member: Member, casting: Casting, on_progress: OnProgress = ignore_progress
) -> None:
    """Train the target unless that was done; go on where it was cut off.

    Raises:
        PirctlError: as `training.run`.
        KeyboardInterrupt: Ctrl-C, after a checkpoint has been written.
    """
    target = member.target
    if not is_trained(target):
        device = select_device(casting.device)
        settings = settings_of(target, casting)
        run("all", target, settings, device=device, on_progress=on_progress)
    check_trained(target)


def preset_of(target: Target, casting: Casting) -> tuple[str, str]:
    """The preset that is meant for a target, and why; no reason where it was named."""
    remembered = target.about.preset if target.about_path.is_file() else ""
    return config.choose_preset(casting.preset, remembered=remembered, device=casting.device)


def settings_of(target: Target, casting: Casting) -> Settings:
    """The settings that a target is made and trained with."""
    chosen, _ = preset_of(target, casting)
    settings = config.load(chosen, casting.changes)
    if target.about_path.is_file() and casting.preset == DEFAULT_PRESET and settings.media.enlarge:
        # With the preset it was preprocessed with goes the size it was preprocessed at.
        return replace(settings, media=replace(settings.media, size_px=target.about.size_px))
    return settings
