"""Training a target: which stages, in which order, and everything that must hold before it starts.

    audio    sound, expression coefficients        -> speech encoder and Audio2Exp
    face     frames, head masks, coefficients      -> FaceNetwork
    render   frames, masks, the frozen face stage  -> Renderer

What can go wrong is looked for before anything expensive is begun.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from pirctl import config
from pirctl.device import memory_errors, one_thread
from pirctl.errors import CheckpointError, SettingsError, TargetError, WeightsMissing
from pirctl.media import probe
from pirctl.networks.perceptual import find_vgg16
from pirctl.perform.loading import (
    check_trained,
    face_stage_digest,
    load_target_model,
)
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import STAGES, Settings
from pirctl.target import Target
from pirctl.target.checkpoint import (
    check_belongs,
    has_checkpoint,
    load_about,
    load_checkpoint,
    retrain_command,
)
from pirctl.target.consent import check_consent
from pirctl.target.lock import lock_target
from pirctl.training.audio import AudioTrainer
from pirctl.training.builders import BUILDERS, Job
from pirctl.training.footage import training_frames, usable_frames
from pirctl.training.loop import StageReport, train_stage
from pirctl.training.memory import smaller_steps
from pirctl.training.schedule import total_steps
from pirctl.training.trust import measure_trust
from pirctl.weights.needs import fetch_for

LOGGER = logging.getLogger(__name__)

ALL = "all"
"""Name under which the three stages are trained one after the other."""

_SHAPING = {
    "audio": ("speech", "audio2exp"),
    "face": ("face",),
    "render": ("face", "renderer", "discriminator"),
}
"""Sections of the settings that a stage's networks are built from."""

_NO_EFFECT_ON_SHAPE = {
    "audio2exp.dropout",
    "audio2exp.teacher_forced",
    "audio2exp.teacher_noise",
    "audio2exp.speed_change",
    "audio2exp.trust_below_s",
    "discriminator.lr_multiplier",
    "renderer.bank_frames",
}


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What became of the stages that were asked for, in training order."""

    target: str
    train_frames: int
    stages: tuple[StageReport, ...]


def run(
    stage: str,
    target: Target,
    settings: Settings,
    *,
    device: torch.device | None = None,
    restart: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> TrainReport:
    """Train a stage of a target, or all of them, from where they stopped.

    A stage that is trained to its end is left alone; with more epochs in the settings it goes on.

    Args:
        stage: `audio`, `face`, `render` or `all`.
        target: the target folder.
        settings: the resolved settings.
        device: where to compute; default the CPU.
        restart: throw away what was trained before, and begin anew.
        on_progress: told about every step.

    Raises:
        SettingsError: the clip is not longer than the part held out, or the settings do not fit
            the target.
        TargetError: the target has no sound, or no usable face, another process writes to it, or
            the consent was withdrawn.
        CheckpointError: an earlier stage is missing, or the checkpoint does not fit.
        WeightsMissing: the perceptual loss is on and VGG16 is not there.
        TrainingDiverged: a loss is no longer a number, or went up for good.
        PirctlError: the GPU's memory is too small for a step.
        KeyboardInterrupt: Ctrl-C, after a checkpoint has been written.
    """
    names = STAGES if stage == ALL else (stage,)
    if stage not in (*STAGES, ALL):
        raise ValueError(f"stage {stage!r}, must be one of {', '.join((*STAGES, ALL))}")
    with lock_target(target, "train"):
        job = _prepare(names, target, settings, device or torch.device("cpu"), on_progress)
        if not restart:
            for name in names:
                _check_resumable(job, name)
        reports = []
        for name in names:
            hint = smaller_steps(name, getattr(settings.train, name).batch_size)
            with memory_errors(f"training the {name} stage", hint):
                reports.append(_train(name, job, restart))
    return TrainReport(target=target.name, train_frames=job.frames, stages=tuple(reports))


def _prepare(
    names: tuple[str, ...],
    target: Target,
    settings: Settings,
    device: torch.device,
    on_progress: OnProgress,
) -> Job:
    """Everything that can be found wrong without reading a frame."""
    about = target.about
    check_consent(target.name, about)
    settings = config.at_size(settings, about.size_px)
    if about.size_px != settings.media.size_px:
        raise SettingsError(
            f"{target.name} was preprocessed at {about.size_px} px with preset {about.preset}, "
            f"the settings have media.size_px {settings.media.size_px}",
            hint=f"--preset {about.preset}, or preprocess the video again with the other preset",
        )
    made_at = probe(target.frames_path).frame_rate
    if made_at != settings.media.frame_rate:
        raise SettingsError(
            f"{target.name} was preprocessed at {made_at} frames per second, the settings have "
            f"media.frame_rate {settings.media.frame_rate}",
            hint=f"--set media.frame_rate={made_at}, or preprocess the video again",
        )
    frames = training_frames(about, target.name, settings)
    if "audio" in names and not about.has_audio:
        raise TargetError(
            f"{target.name} has no sound, and the audio stage learns from the sound of the clip",
            hint="preprocess a video with sound; the other stages can be trained alone: "
            + retrain_command("face", target.name),
        )
    if "render" in names and "face" not in names:
        _require_face(target)
    fetch_for(settings, names, on_progress)
    if settings.loss.perceptual and set(names) & {"face", "render"}:
        settings = _with_vgg16(settings)
    track = target.track()
    usable_frames(track, frames, target.name)
    model = load_target_model(target)
    return Job(
        target=target,
        about=about,
        track=track,
        model=model,
        settings=settings,
        frames=frames,
        device=device,
        on_progress=on_progress,
    )


def _with_vgg16(settings: Settings) -> Settings:
    """The settings, without the VGG16 term where its weights are missing and may be."""
    try:
        find_vgg16()
    except WeightsMissing as missing:
        if not settings.loss.perceptual_if_there:
            raise
        LOGGER.warning(
            "VGG16 is not here, so training goes without its loss, and detail comes out softer: %s",
            missing.hint,
        )
        return replace(settings, loss=replace(settings.loss, perceptual=0.0))
    return settings


def _require_face(target: Target) -> None:
    check_trained(target, ("face",))
    about = load_about(target.stage_folder("face") / "checkpoint")
    if not about.finished:
        raise CheckpointError(
            f"stage face of {target.name} is trained only to step {about.step} of "
            f"{about.total_steps}, and the render stage builds on it",
            hint=retrain_command("face", target.name),
        )


def _check_resumable(job: Job, stage: str) -> None:
    """Raise unless the checkpoint, if there is one, can be continued with these settings."""
    folder = job.target.stage_folder(stage) / "checkpoint"
    if not has_checkpoint(folder):
        return
    checkpoint = load_checkpoint(folder)
    check_belongs(checkpoint.about, job.about, job.target.name)
    then, now = config.to_mapping(checkpoint.settings), config.to_mapping(job.settings)
    for section in _SHAPING[stage]:
        for key, value in now[section].items():
            name = f"{section}.{key}"
            if then[section][key] != value and name not in _NO_EFFECT_ON_SHAPE:
                raise CheckpointError(
                    f"stage {stage} of {job.target.name} was begun with {name} "
                    f"{then[section][key]}, the settings now have {value}",
                    hint=f"--set {name}={then[section][key]} to go on, or "
                    + retrain_command(stage, job.target.name, restart=True),
                )
    if checkpoint.about.train_frames > job.frames:
        raise CheckpointError(
            f"stage {stage} of {job.target.name} was trained on the first "
            f"{checkpoint.about.train_frames} frames, the settings now hold out all but "
            f"{job.frames} of them: the held-out part would not be unseen",
            hint=retrain_command(stage, job.target.name, restart=True),
        )


def _train(stage: str, job: Job, restart: bool) -> StageReport:
    folder = job.target.stage_folder(stage)
    old = None
    if has_checkpoint(folder / "checkpoint") and not restart:
        old = load_about(folder / "checkpoint")
        if stage == "render" and old.face_stage != face_stage_digest(job.target):
            LOGGER.info("the face stage is another one now, the render stage starts anew")
            old = None
    if old is not None and old.step >= _planned_steps(stage, job):
        return StageReport(
            stage=stage, steps=old.step, new_steps=0, seconds=0.0, loss=old.loss, folder=folder
        )
    trainer, about, settings = BUILDERS[stage](job, old is not None)
    # The decoder goes through a window frame by frame: beside a small encoder, its products are
    # too small to share between threads, which would only wait for each other.
    is_small = stage == "audio" and settings.speech.encoder != "wav2vec2"
    with one_thread() if is_small else nullcontext():
        if isinstance(trainer, AudioTrainer):
            trust = old.trust if old else measure_trust(trainer, about, job.on_progress)
            about = replace(about, trust=trust)
        return train_stage(
            trainer,
            folder=folder,
            settings=settings,
            about=about,
            device=job.device,
            resume=old is not None,
            on_progress=job.on_progress,
        )


def _planned_steps(stage: str, job: Job) -> int:
    """Steps that the settings ask for, without building anything."""
    if stage == "audio":
        window = min(job.settings.audio2exp.window_frames, job.frames)
        samples = max(1, job.frames // window)
    else:
        samples = len(usable_frames(job.track, job.frames, job.target.name))
    return total_steps(getattr(job.settings.train, stage), samples)
