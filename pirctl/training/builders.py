"""What each stage trains, made from a target: footage, networks, what they stand on.

Everything is checked before (`stages`); here the reading and the building begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from pirctl.face.model import FaceModel
from pirctl.networks.perceptual import build_perceptual
from pirctl.perform.bank import BANK_FILE, Bank, read_bank, write_bank
from pirctl.perform.loading import face_stage_digest, load_face_stage
from pirctl.perform.references import Appearance
from pirctl.progress import OnProgress
from pirctl.settings import Settings
from pirctl.speech.build import build_encoder
from pirctl.target import Target, TargetAbout, Track
from pirctl.target.checkpoint import CheckpointAbout
from pirctl.training.audio import AudioTrainer, read_speech
from pirctl.training.bank import fill_bank
from pirctl.training.face import FaceTrainer
from pirctl.training.footage import Footage, read_footage
from pirctl.training.render import RenderTrainer, mask_windows
from pirctl.training.trainer import Trainer

Built = tuple[Trainer, CheckpointAbout, Settings]
"""What to train, what is recorded of it, and the settings that it was built with."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every stage needs to begin."""

    target: Target
    about: TargetAbout
    track: Track
    model: FaceModel
    settings: Settings
    frames: int
    device: torch.device
    on_progress: OnProgress


def _build_audio(job: Job, goes_on: bool) -> Built:
    torch.manual_seed(job.settings.train.seed)
    media = job.settings.media
    encoder = build_encoder(job.settings.speech, media.frame_rate, media.sample_rate_hz)
    encoder.to(job.device)
    change = job.settings.audio2exp.speed_change
    speech, *others = (
        read_speech(
            job.target, job.track, job.frames, encoder, media.sample_rate_hz, job.device, speed
        )
        for speed in ((1.0, 1 - change, 1 + change) if change else (1.0,))
    )
    names = job.model.expression_names
    trainer = AudioTrainer(speech, encoder, job.settings, names, tuple(others))
    about = replace(_about(job, "audio"), architecture=encoder.architecture())
    return trainer, about, job.settings


def _build_face(job: Job, goes_on: bool) -> Built:
    maps = ("head", "mouth") if job.settings.loss.mouth_emphasis > 1 else ("head",)
    footage = read_footage(
        job.target,
        job.track,
        job.frames,
        job.model,
        job.settings.mask,
        maps=maps,
        device=job.device,
        on_progress=job.on_progress,
    )
    trainer = FaceTrainer(footage, job.settings, build_perceptual(job.settings.loss, job.device))
    return trainer, _about(job, "face"), job.settings


def _build_render(job: Job, goes_on: bool) -> Built:
    face = load_face_stage(job.target, job.device)
    # The planes' sizes are the face stage's, whatever the preset of this run says.
    settings = replace(job.settings, face=face.settings.face)
    maps = ("mask", "mouth") if settings.loss.mouth_emphasis > 1 else ("mask",)
    footage = read_footage(
        job.target,
        job.track,
        job.frames,
        job.model,
        settings.mask,
        maps=maps,
        device=job.device,
        on_progress=job.on_progress,
    )
    appearance = None
    if settings.renderer.references:
        bank = _bank(job, footage, settings, goes_on)
        appearance = Appearance(bank, job.track, job.model, job.device)
    trainer = RenderTrainer(
        footage, settings, face.face, build_perceptual(settings.loss, job.device), appearance
    )
    about = replace(_about(job, "render"), face_stage=face_stage_digest(job.target))
    return trainer, about, settings


def _bank(job: Job, footage: Footage, settings: Settings, goes_on: bool) -> Bank:
    """The frames that the renderer is shown: those of a run that is gone on with, or new ones."""
    folder = job.target.stage_folder("render")
    path = folder / BANK_FILE
    if goes_on:
        return read_bank(path, job.target.name, job.about.frames)
    bank = fill_bank(
        footage, mask_windows(footage, settings), job.track, job.model, job.about, settings,
        job.on_progress,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_bank(bank, path)
    return bank


def _about(job: Job, stage: str) -> CheckpointAbout:
    return CheckpointAbout(
        stage=stage,
        step=0,
        total_steps=0,
        epoch=0.0,
        loss=0.0,
        face_model=job.about.face_model,
        face_model_hash=job.about.face_model_hash,
        source_sha256=job.about.source_sha256,
        size_px=job.about.size_px,
        identity_width=len(job.track.z_id),
        expression_width=job.track.z_exp.shape[1],
        train_frames=job.frames,
    )


BUILDERS: dict[str, Callable[[Job, bool], Built]] = {
    "audio": _build_audio,
    "face": _build_face,
    "render": _build_render,
}
"""By stage: what it is made of, for a job, and whether an earlier run is gone on with."""
