"""From a video of a speaker to a target folder: track, crop, fit, label.

This module checks the inputs and puts the folder in place when all its parts (`parts`) are
complete. A second run redoes only what changed (`reuse`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pirctl.errors import MediaError, SettingsError
from pirctl.face.deep3d import Deep3dNetwork, check_model, weights_digest
from pirctl.face.landmark_file import Landmarks, check_landmarks
from pirctl.face.landmarks import SPARSE_COUNTS, eye_distance
from pirctl.face.model import FaceModel, load_face_model
from pirctl.face.people import Person
from pirctl.face.search import FaceDetector
from pirctl.files import atomic_folder, check_writable, file_hash
from pirctl.media import MediaInfo, expected_frames, probe
from pirctl.prepare.observers import (
    choose_parser,
    choose_regressor,
    open_points,
)
from pirctl.prepare.options import FitOptions, OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.parts import make_parts
from pirctl.prepare.people import find_people
from pirctl.prepare.reuse import PointSource, Previous, Source, part_digests
from pirctl.prepare.streams import choose_stream
from pirctl.prepare.work import Work
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import Settings
from pirctl.target import Target, TargetAbout, Track
from pirctl.target.consent import Consent, new_consent, with_consent
from pirctl.target.lock import lock_target
from pirctl.target.workspace import check_name, name_from_video, workspace_folder


@dataclass(frozen=True, kw_only=True)
class PreprocessReport:
    """What came out.

    Attributes:
        target: the folder.
        frames: frames in it.
        unusable_frames: their numbers, where no usable face was found.
        error_percent: mean distance of landmarks and fit, in percent of the eyes' distance.
        seconds: time of each step that ran; empty when all was up to date.
        reused: the parts that an earlier run had made already.
        damage: what is wrong with the file of the video, empty when nothing is.
    """

    target: Target
    frames: int
    unusable_frames: tuple[int, ...]
    error_percent: float
    seconds: dict[str, float]
    reused: tuple[str, ...]
    damage: str = ""

    @property
    def up_to_date(self) -> bool:
        """Whether there was nothing to do."""
        return not self.seconds

    @property
    def fps(self) -> float:
        """Frames per second over all steps, 0 when there was nothing to do."""
        return self.frames / sum(self.seconds.values()) if self.seconds else 0.0

    def to_mapping(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "target": str(self.target.folder),
            "frames": self.frames,
            "unusable_frames": list(self.unusable_frames),
            "error_percent": round(self.error_percent, 3),
            "fps": round(self.fps, 1),
            "seconds": {step: round(value, 2) for step, value in self.seconds.items()},
            "reused": list(self.reused),
            "damage": self.damage,
        }


def preprocess(
    video: Path | str,
    *,
    settings: Settings | None = None,
    tracker: TrackerOptions | None = None,
    parser: ParserOptions | None = None,
    fit: FitOptions | None = None,
    output: OutputOptions | None = None,
    device: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> PreprocessReport:
    """Make the target folder of a video.

    Args:
        video: any file ffmpeg reads, showing one speaker.
        settings: sizes and weights; None takes the defaults.
        tracker: where the landmarks come from.
        parser: what labels the pixels.
        fit: the face model, and what gives its coefficients.
        output: the target's name and place, and what is kept.
        device: for the networks of tracker, parser and fit; None is a GPU if there is one.
        on_progress: called after every frame.

    Raises:
        FaceNotFound: no usable face in any frame.
        MediaError: not a video, no sound, or landmarks of another video.
        PirctlError: the consent names a file that is not there.
        SettingsError: two trackers, a model file for the wrong one, or a regressor for the wrong
            face model.
        TargetError: bad name, the folder holds something that would be lost, or another process
            writes to it.
        WeightsMissing: a model of the tracker, the parser or the regressor, or the face model, is
            not there.
    """
    settings, video = settings or Settings(), Path(video)
    tracker, parser = tracker or TrackerOptions(), parser or ParserOptions()
    fit, output = fit or FitOptions(), output or OutputOptions()
    name = check_name(output.name) if output.name else name_from_video(video)
    target = Target(workspace_folder(output.workspace) / name)
    if tracker.landmarks is not None and (tracker.name or tracker.model):
        raise SettingsError(
            "--landmarks gives the points, so there is nothing for a tracker to do",
            hint="leave out --landmarks, or --tracker and --tracker-model",
        )
    consent = new_consent(output.consent) if output.consent else None
    info = _checked(video, settings.media.frame_rate, with_audio=output.with_audio)
    model = load_face_model(fit.face_model)
    regressor = _choose_regressor(fit, model, device)
    sha256 = file_hash(video, on_progress=on_progress)
    with (
        lock_target(target, "preprocess"),
        open_points(tracker, device, on_progress) as points,
    ):
        info = choose_stream(info, points)
        source = Source(video=video, info=info, sha256=sha256)
        workspace = workspace_folder(output.workspace)
        person = _person(source, tracker, workspace, device, on_progress)
        seen = replace(_seen(points, tracker.landmarks, info), person=person)
        labeller = choose_parser(parser, device)
        method = fit.method
        parts = part_digests(
            source,
            settings,
            model,
            seen,
            labeller,
            method=method if regressor is None else f"{method} {weights_digest(regressor)}",
            with_audio=output.with_audio,
        )
        previous = Previous.of(target, parts, source, model.name, force=output.force)
        if previous.is_complete:
            _remember(target, source, consent)
            return _report(target, target.about.frames, target.track(), {}, tuple(parts))
        check_writable(target.folder, needed_bytes=_needed_bytes(info, settings))
        work = Work(
            source=source,
            settings=settings,
            model=model,
            previous=previous,
            report=on_progress,
            regressor=regressor,
            person=person,
        )
        with atomic_folder(target.folder) as folder:
            made = Target(folder)
            frames, track = make_parts(work, made, points, labeller, with_audio=output.with_audio)
            about = replace(
                _about(work, output.preset, seen.name, labeller.name, parts, frames),
                has_audio=output.with_audio,
                face=tracker.face,
                fit=fit.method,
            )
            previous.keep_stages(made)
            made.write_about(with_consent(about, consent or previous.consent))
    report = _report(target, frames, track, work.watch.seconds, previous.reusable)
    return replace(report, damage=" ".join(work.damage))


def _person(
    source: Source,
    tracker: TrackerOptions,
    workspace: Path,
    device: str | None,
    on_progress: OnProgress,
) -> Person | None:
    """Who is meant, where most of them can be cut out with one crop; None: whoever is there."""
    if tracker.face is None:
        return None
    cast = find_people(
        source.info, source.sha256, tracker, workspace, device=device, on_progress=on_progress
    )
    return cast.person(tracker.face).setups()[0]


def _seen(points: Landmarks | FaceDetector, file: Path | None, info: MediaInfo) -> PointSource:
    """What the points are; those of a file must be of this video."""
    if isinstance(points, Landmarks):
        assert file is not None
        check_landmarks(points, file, width=info.width, height=info.height, frames=info.frames)
        count = points.points.shape[1]
        return PointSource(name="file", file=file, is_sparse=count in SPARSE_COUNTS)
    return PointSource(name=points.name, file=None, is_sparse=points.points in SPARSE_COUNTS)


def _checked(video: Path, rate: int, *, with_audio: bool) -> MediaInfo:
    info = probe(video)
    if not info.has_video:
        raise MediaError(f"{video} has no picture, only sound", hint="give a video of the speaker")
    if info.frames == 1 or expected_frames(info, Fraction(rate)) == 1:
        raise MediaError(
            f"{video} has only one frame, and a speaker is learnt from minutes of video",
            hint="give a video of the person speaking, half a minute or more",
        )
    if with_audio and not info.has_audio:
        raise MediaError(
            f"{video} has no sound, which training speech to expression needs",
            hint="--no-audio makes the target without it",
        )
    return info


def _choose_regressor(
    fit: FitOptions, model: FaceModel, device: str | None
) -> Deep3dNetwork | None:
    if fit.method == "deep3d":
        check_model(model)
        return choose_regressor(fit.weights, device)
    if fit.weights is not None:
        raise SettingsError(
            f"--fit-weights {fit.weights} is for the paper's regressor, and landmarks are fitted",
            hint="add --fit deep3d, or leave out --fit-weights",
        )
    return None


def _remember(target: Target, source: Source, consent: Consent | None) -> None:
    """Note where the video is now, which may have been moved since, and who agreed."""
    about = replace(target.about, **_place(source.video))
    if consent is not None:
        about = with_consent(about, consent)
    if about != target.about:
        target.write_about(about)


def _place(video: Path) -> dict[str, Any]:
    state = video.stat()
    return {
        # Absolute, because reenact may be called from another folder.
        "source": str(video.absolute()),
        "source_bytes": state.st_size,
        "source_mtime_ns": state.st_mtime_ns,
    }


def _needed_bytes(info: MediaInfo, settings: Settings) -> int:
    return target_bytes(expected_frames(info, Fraction(settings.media.frame_rate)) or 0, settings)


def target_bytes(frames: float, settings: Settings) -> int:
    """Disk that a target of so many frames takes, without its stages."""
    # Measured on footage: 60 kB per 512 crop in frames.mkv, half as much again for all else.
    return int(frames * 90_000 * (settings.media.size_px / 512) ** 2)


def _about(
    work: Work, preset: str, tracker: str, parser: str, parts: dict[str, str], frames: int
) -> TargetAbout:
    info = work.source.info
    return TargetAbout(
        **_place(work.source.video),
        source_sha256=work.source.sha256,
        source_stream=info.video_stream if len(info.moving_streams) > 1 else None,
        frame_rate=str(info.frame_rate or work.rate),
        source_width=info.width,
        source_height=info.height,
        crop_x=float(work.crop.x),
        crop_y=float(work.crop.y),
        crop_side=float(work.crop.side),
        size_px=work.size_px,
        frames=frames,
        has_audio=False,
        tracker=tracker,
        face_model=work.model.name,
        face_model_hash=work.model.version,
        parser=parser,
        preset=preset,
        inputs=parts,
    )


def _report(
    target: Target, frames: int, track: Track, seconds: dict[str, float], reused: tuple[str, ...]
) -> PreprocessReport:
    share = track.error_px / np.maximum(eye_distance(track.landmarks), 1.0)
    return PreprocessReport(
        target=target,
        frames=frames,
        unusable_frames=tuple(int(number) for number in np.flatnonzero(~track.valid)),
        error_percent=100 * float(share[track.valid].mean()),
        seconds=seconds,
        reused=reused,
    )
