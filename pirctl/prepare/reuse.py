"""What an earlier run of preprocess left: which parts of a target still hold, and taking them over.

Every part remembers a digest of what it was made from; equal digests mean an equal part.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pirctl.errors import TargetError
from pirctl.face.model import FaceModel
from pirctl.face.parsing import Parser
from pirctl.face.people import Person
from pirctl.files import file_hash
from pirctl.media import MediaInfo
from pirctl.settings import Settings
from pirctl.target import Target, TargetAbout
from pirctl.target.consent import Consent, consent_of


@dataclass(frozen=True, kw_only=True)
class Source:
    """The video: file, headers, hash."""

    video: Path
    info: MediaInfo
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PointSource:
    """Where the landmarks come from.

    Attributes:
        name: the tracker's, or "file".
        file: that has them, or None.
        is_sparse: whether they are few.
        person: whose they are, of several people; None: the most prominent.
    """

    name: str
    file: Path | None
    is_sparse: bool
    person: Person | None = None


@dataclass(frozen=True, kw_only=True)
class Previous:
    """What an earlier run left, and which of its parts still hold."""

    target: Target
    about: TargetAbout | None
    reusable: tuple[str, ...]
    is_complete: bool

    @staticmethod
    def of(
        target: Target, parts: dict[str, str], source: Source, face_model: str, *, force: bool
    ) -> Previous:
        """Look at what stands in a target's folder.

        Args:
            target: where the result is to go.
            parts: digests of the parts as they are to be.
            source: the video.
            face_model: name of the one that is to be fitted.
            force: take nothing over and replace whatever is there.

        Raises:
            TargetError: something is there that would be lost.
        """
        nothing = Previous(target=target, about=None, reusable=(), is_complete=False)
        if not target.about_path.is_file():
            if target.folder.exists() and not force and any(target.folder.iterdir()):
                raise TargetError(
                    f"{target.folder} exists and is not a target",
                    hint="choose another --target NAME, or --force to replace the folder",
                )
            return nothing
        if force:
            return nothing
        about = target.about
        if about.source_sha256 != source.sha256:
            raise TargetError(
                f"target {target.name!r} exists, made from another video ({about.source})",
                hint="choose another --target NAME, or --force to replace it",
            )
        same = tuple(part for part in parts if about.inputs.get(part) == parts[part])
        stages = target.trained_stages()
        if stages and ("frames" not in same or "fit" not in same):
            raise TargetError(
                f"target {target.name!r} has trained stages ({', '.join(stages)}), which would "
                f"not fit what these settings make{_from_to(about.face_model, face_model)}",
                hint="choose another --target NAME, or --force, which drops them",
            )
        complete = len(same) == len(parts) and target.track_path.is_file()
        return Previous(target=target, about=about, reusable=same, is_complete=complete)

    @property
    def consent(self) -> Consent | None:
        """Whose agreement is recorded, of the same video: it holds whatever is made anew."""
        # Read now: it may have been withdrawn while the parts were made.
        return None if self.about is None else consent_of(self.target.about)

    def has(self, part: str) -> bool:
        """Whether a part can be taken over."""
        return part in self.reusable

    def keep_stages(self, made: Target) -> None:
        """Link the trained stages into the new folder."""
        stages = self.target.folder / "stages"
        # Linked, not moved: until the new folder stands, the old one stays whole.
        if self.about is not None and stages.is_dir():
            shutil.copytree(stages, made.folder / "stages", copy_function=link)


def _from_to(was: str, is_to_be: str) -> str:
    return "" if was == is_to_be else f": the face model {is_to_be}, and they have {was}"


def part_digests(
    source: Source,
    settings: Settings,
    model: FaceModel,
    seen: PointSource,
    parser: Parser,
    *,
    method: str,
    with_audio: bool,
) -> dict[str, str]:
    """What each part is made from; a part that builds on another includes its digest.

    `method` says what gives the coefficients: "landmarks", or a regressor and its weights. With
    sparse landmarks the fit completes the points that the labels are drawn from.
    """
    media, fit = settings.media, [asdict(settings.fit), model.version]
    if method != "landmarks":
        fit.append(method)
    points = file_hash(seen.file) if seen.file else ""
    # The first stream is left out: what was made before others could be chosen still holds.
    number = source.info.video_stream
    stream = [number] if number not in source.info.moving_streams[:1] else []
    where = [] if seen.person is None else [str(seen.person.to_mapping())]
    track = _digest(source.sha256, seen.name, points, media.frame_rate, *stream, *where)
    size = [media.size_px] if media.enlarge else [media.size_px, "not enlarged"]
    frames = _digest(track, *size, media.crop_margin)
    parts = {
        "track": track,
        "frames": frames,
        "parsing": _digest(frames, parser.name, parser.version, *(fit if seen.is_sparse else ())),
        "fit": _digest(frames, *fit),
    }
    if with_audio:
        parts["sound"] = _digest(source.sha256, media.frame_rate, media.sample_rate_hz)
    return parts


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def link(old: str | Path, new: str | Path) -> None:
    """Hard link, or copy where the file system cannot."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)
