"""Look at a video and a speech in seconds, and say what dubbing them will come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pirctl import config
from pirctl.check.cost import Cost, estimate
from pirctl.check.finding import Finding, worst_first
from pirctl.check.footage import (
    FaceFacts,
    PictureFacts,
    judge_face,
    judge_length,
    judge_pictures,
    look_over,
)
from pirctl.check.sounds import SoundFacts, judge_sound, listen
from pirctl.face.looks import LOOKS, Look, look_at
from pirctl.face.search import FaceDetector
from pirctl.media import MediaInfo, probe
from pirctl.prepare.observers import choose_detector
from pirctl.prepare.options import TrackerOptions
from pirctl.prepare.streams import choose_stream
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import DEFAULT_PRESET, Settings
from pirctl.weights.entry import WeightsState
from pirctl.weights.needs import needs

_LONGER_S = 0.5


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found.

    Attributes:
        ready: whether dubbing can work.
        video: the file.
        speech: the file of the new speech, or None.
        preset: what it is judged for.
        pictures: None where the file has none.
        face: None where no face was seen.
        sound: of the video, None where it has none.
        speech_sound: of the new speech, likewise.
        training_s: seconds in which somebody speaks and the face is usable; None: not known.
        cost: time and disk; None where dubbing cannot work anyway.
        findings: the worst first.
    """

    ready: bool
    video: Path
    speech: Path | None
    preset: str
    pictures: PictureFacts | None
    face: FaceFacts | None
    sound: SoundFacts | None
    speech_sound: SoundFacts | None
    training_s: float | None
    cost: Cost | None
    findings: tuple[Finding, ...]


def check(
    video: Path,
    speech: Path | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    detector: FaceDetector | None = None,
    workspace: Path | None = None,
    device: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> CheckReport:
    """Look at a few dozen pictures of a video and listen to its sound and the new one.

    Args:
        video: that shall be dubbed.
        speech: the new sound.
        preset: that it shall be trained with; "auto" is what this machine can train.
        detector: finds faces; None is MediaPipe, whose model is fetched when it is missing.
        workspace: folder of the targets; None: PIRCTL_WORKSPACE, else ./targets.
        device: where it will be trained; None: a GPU if there is one.
        on_progress: told after every picture.

    Raises:
        DecodeError: a file that is neither video nor sound, or damaged from its start.
        SettingsError: no such preset or device.
        WeightsMissing: MediaPipe's model is not there.
    """
    preset, _ = config.choose_preset(preset, device=device)
    settings = config.load(preset)
    info, heard = probe(video), None if speech is None else probe(speech)
    findings = [*_judge_files(info, heard, speech)]
    pictures = face = None
    if info.has_video:
        pictures, face = _look(info, detector, on_progress)
        findings += [*judge_pictures(pictures, str(video)), *judge_face(face, pictures)]
    on_progress(Progress(step="listening", done=0, total=None, unit="sounds"))
    sound = listen(info, settings.media) if info.has_audio else None
    if sound is not None and info.has_video:
        findings += judge_sound(sound, "sound of the video", is_speech=False)
    spoken = None if heard is None or not heard.has_audio else listen(heard, settings.media)
    if spoken is not None:
        findings += judge_sound(spoken, "speech", is_speech=True)
        findings += _judge_lengths(info, spoken)
    training_s = None
    if face is not None and sound is not None:
        training_s = min(sound.voiced_s, info.duration_s) * face.usable_share
        if sound.has_voice and face.usable_share >= 0.1:
            findings += judge_length(training_s)
    findings += _judge_weights(settings, preset)
    ready = not any(finding.level == "stop" for finding in findings)
    cost = _cost(info, spoken or sound, settings, preset, workspace, device) if ready else None
    if cost is not None:
        findings += _judge_disk(cost)
    return CheckReport(
        ready=not any(finding.level == "stop" for finding in findings),
        video=video,
        speech=speech,
        preset=preset,
        pictures=pictures,
        face=face,
        sound=sound,
        speech_sound=spoken,
        training_s=training_s,
        cost=cost,
        findings=worst_first(findings),
    )


def _look(
    info: MediaInfo, detector: FaceDetector | None, on_progress: OnProgress
) -> tuple[PictureFacts, FaceFacts | None]:
    chosen = detector or choose_detector(TrackerOptions(), None, on_progress)
    try:
        info = choose_stream(info, chosen)
        return look_over(_counted(look_at(info), on_progress), info, chosen)
    finally:
        if detector is None:
            chosen.close()


def _counted(looks: Iterator[Look], on_progress: OnProgress) -> Iterator[Look]:
    for number, look in enumerate(looks):
        on_progress(Progress(step="looking", done=number, total=LOOKS, unit="pictures"))
        yield look


def _judge_files(
    info: MediaInfo, heard: MediaInfo | None, speech: Path | None
) -> Iterator[Finding]:
    if not info.has_video:
        yield Finding("stop", "pictures", "the file has sound only", "give a video of a face")
    elif not info.has_audio:
        yield Finding(
            "stop",
            "sound of the video",
            "it has no sound, and training learns from sound and lips together",
            "give the video with its sound",
        )
    if heard is not None and not heard.has_audio:
        yield Finding("stop", "speech", f"{speech} has no sound", "give a sound file")


def _judge_lengths(info: MediaInfo, spoken: SoundFacts) -> Iterator[Finding]:
    longer_s = spoken.duration_s - info.duration_s
    if info.has_video and longer_s > _LONGER_S:
        yield Finding(
            "warning",
            "speech",
            f"it is {longer_s:.1f} s longer than the video: its end has no pictures",
            "shorten the speech, or lengthen the video",
        )
    elif info.has_video and longer_s < -_LONGER_S:
        what = f"it is {-longer_s:.1f} s shorter than the video; the rest passes as it is"
        yield Finding("note", "speech", what)


def _judge_weights(settings: Settings, preset: str) -> Iterator[Finding]:
    for need in needs(settings):
        if need.is_required and need.state != WeightsState.HERE and not need.comes_by_itself:
            what = f"{preset} needs {need.name}, which is not here"
            yield Finding("warning", "model files", what, f"pirctl doctor --preset {preset}")


def _judge_disk(cost: Cost) -> Iterator[Finding]:
    if cost.free_bytes is not None and cost.free_bytes < cost.disk_bytes:
        yield Finding(
            "stop",
            "disk",
            f"{cost.disk_bytes / 1e9:.1f} GB are needed, {cost.free_bytes / 1e9:.1f} GB are free",
            "make room, or put the targets on another disk with --workspace FOLDER",
        )


def _cost(
    info: MediaInfo,
    sound: SoundFacts | None,
    settings: Settings,
    preset: str,
    workspace: Path | None,
    device: str | None,
) -> Cost:
    spoken_s = info.duration_s if sound is None else min(sound.voiced_s, info.duration_s)
    return estimate(
        settings,
        preset,
        duration_s=info.duration_s,
        painted_frames=spoken_s * float(info.frame_rate or settings.media.frame_rate),
        source_bytes=info.path.stat().st_size,
        workspace=workspace,
        device=device,
    )
