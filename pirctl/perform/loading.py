"""Trained stages, ready for use: networks rebuilt from their checkpoint, with averaged weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pirctl.errors import CheckpointError, TargetError
from pirctl.face.model import FaceModel, load_face_model
from pirctl.files import file_hash
from pirctl.networks.blend import Blender
from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.networks.face import FaceNetwork
from pirctl.networks.renderer import Renderer
from pirctl.perform.bank import BANK_FILE, Bank, read_bank
from pirctl.settings import STAGES, Settings
from pirctl.speech.build import build_encoder
from pirctl.speech.encoder import SpeechEncoder
from pirctl.target import Target
from pirctl.target.checkpoint import (
    Checkpoint,
    CheckpointAbout,
    check_belongs,
    has_checkpoint,
    load_about,
    load_checkpoint,
    restore,
    retrain_command,
)


@dataclass(frozen=True, kw_only=True)
class AudioStage:
    """Speech to expression.

    Attributes:
        encoder: sound to features.
        decoder: features to expression coefficients.
        settings: the settings it was trained with.
        about: what was trained, and how far.
    """

    encoder: SpeechEncoder
    decoder: Audio2ExpEnsemble
    settings: Settings
    about: CheckpointAbout


@dataclass(frozen=True, kw_only=True)
class FaceStage:
    """The implicit face.

    Attributes:
        face: coefficients and camera to I_F.
        settings: the settings it was trained with.
        about: what was trained, and how far.
    """

    face: FaceNetwork
    settings: Settings
    about: CheckpointAbout


@dataclass(frozen=True, kw_only=True)
class RenderStage:
    """The renderer.

    Attributes:
        renderer: masked frame and I_F to the frame, or to what of the references to show.
        settings: the settings it was trained with.
        about: what was trained, and how far.
        bank: the frames from which references are taken, where the renderer has any.
    """

    renderer: Renderer | Blender
    settings: Settings
    about: CheckpointAbout
    bank: Bank | None = None


def load_target_model(target: Target) -> FaceModel:
    """The face model that a target was fitted with.

    Raises:
        TargetError: what has this name now is another one.
        WeightsMissing: it has to be imported.
    """
    about = target.about
    model = load_face_model(about.face_model)
    if model.version != about.face_model_hash:
        raise TargetError(
            f"target {target.name!r} was fitted with face model {about.face_model} "
            f"{about.face_model_hash}, this program has {model.version}",
            hint=f"pirctl preprocess {about.source} --target {target.name} "
            f"--face-model {about.face_model} --fit {about.fit} --force",
        )
    return model


def load_audio_stage(target: Target, device: torch.device) -> AudioStage:
    """The trained audio stage of a target.

    Raises:
        CheckpointError: not trained, damaged, or made for another face model or video.
    """
    checkpoint = _open(target, "audio")
    about, settings = checkpoint.about, checkpoint.settings
    media = settings.media
    encoder = build_encoder(
        settings.speech, media.frame_rate, media.sample_rate_hz, about.architecture
    )
    decoder = Audio2ExpEnsemble(
        settings.audio2exp,
        settings.speech,
        encoder.feature_width,
        about.identity_width,
        about.expression_width,
    )
    checkpoint = _of_one_head(checkpoint)
    restore(encoder, checkpoint, "encoder")
    restore(decoder, checkpoint, "decoder")
    if about.trust:
        _trust(decoder, about.trust, checkpoint)
    _ready(encoder, device)
    _ready(decoder, device)
    return AudioStage(encoder=encoder, decoder=decoder, settings=settings, about=about)


def _of_one_head(checkpoint: Checkpoint) -> Checkpoint:
    """The same by today's names, where it is from before there could be several heads."""
    if any(name.startswith("decoder.members.") for name in checkpoint.weights):
        return checkpoint
    head = ("encoder.projection.", "encoder.norm.", "encoder.blocks.")
    renamed = {}
    for name, tensor in checkpoint.weights.items():
        if name.startswith(head) and checkpoint.settings.speech.encoder != "wav2vec2":
            name = f"encoder.heads.0.{name.removeprefix('encoder.')}"
        elif name.startswith("decoder."):
            name = f"decoder.members.0.{name.removeprefix('decoder.')}"
        renamed[name] = tensor
    return replace(checkpoint, weights=renamed)


def _trust(decoder: Audio2ExpEnsemble, trust: tuple[float, ...], checkpoint: Checkpoint) -> None:
    if len(trust) != decoder.expression_width or not all(0 <= factor <= 1 for factor in trust):
        raise CheckpointError(
            f"{checkpoint.folder}: trust must be {decoder.expression_width} factors from 0 to 1",
            hint=retrain_command("audio", restart=True),
        )
    decoder.trust.copy_(torch.tensor(trust))


def load_face_stage(target: Target, device: torch.device) -> FaceStage:
    """The trained face stage of a target; errors as `load_audio_stage`."""
    checkpoint = _open(target, "face")
    about, settings = checkpoint.about, checkpoint.settings
    face = FaceNetwork(settings.face, about.identity_width, about.expression_width, about.size_px)
    restore(face, checkpoint, "face")
    _ready(face, device)
    return FaceStage(face=face, settings=settings, about=about)


def load_render_stage(target: Target, device: torch.device) -> RenderStage:
    """The trained render stage of a target; errors as `load_audio_stage`.

    Raises:
        CheckpointError: also when the face stage was trained again after it.
    """
    checkpoint = _open(target, "render")
    about, settings = checkpoint.about, checkpoint.settings
    if is_stale(target, about):
        raise CheckpointError(
            f"stage render of {target.name} was trained on an earlier face stage",
            hint=retrain_command("render", target.name),
        )
    chosen, channels = settings.renderer, settings.face.feature_channels
    renderer: Renderer | Blender
    bank = None
    if chosen.references:
        renderer = Blender(chosen, channels, about.size_px)
        path = target.stage_folder("render") / BANK_FILE
        bank = read_bank(path, target.name, target.about.frames)
    else:
        renderer = Renderer(chosen, channels, about.size_px)
    restore(renderer, checkpoint, "renderer")
    _ready(renderer, device)
    return RenderStage(renderer=renderer, settings=settings, about=about, bank=bank)


def check_trained(target: Target, stages: tuple[str, ...] = STAGES) -> None:
    """Raise unless the stages are trained for this target as it is; reads no weights but hashes.

    Raises:
        CheckpointError: names the first stage that is not, with the command that trains it.
    """
    for stage in stages:
        about = _open_about(target, stage)
        if stage == "render" and is_stale(target, about):
            raise CheckpointError(
                f"stage render of {target.name} was trained on an earlier face stage",
                hint=retrain_command("render", target.name),
            )


def is_stale(target: Target, about: CheckpointAbout) -> bool:
    """Whether the face stage is not the one that the render stage `about` was trained on."""
    return about.face_stage != face_stage_digest(target)


def face_stage_digest(target: Target) -> str:
    """Hash of the face stage's weights, by which the render stage knows it again; "" without."""
    path = target.stage_folder("face") / "checkpoint" / "weights.safetensors"
    return file_hash(path) if path.is_file() else ""


def _open(target: Target, stage: str) -> Checkpoint:
    checkpoint = load_checkpoint(_checkpoint_folder(target, stage))
    check_belongs(checkpoint.about, target.about, target.name)
    return checkpoint


def _open_about(target: Target, stage: str) -> CheckpointAbout:
    about = load_about(_checkpoint_folder(target, stage))
    check_belongs(about, target.about, target.name)
    return about


def _checkpoint_folder(target: Target, stage: str) -> Path:
    folder = target.stage_folder(stage) / "checkpoint"
    if not has_checkpoint(folder):
        raise CheckpointError(
            f"stage {stage} of {target.name} is not trained",
            hint=retrain_command(stage, target.name),
        )
    return folder


def _ready(network: nn.Module, device: torch.device) -> None:
    network.to(device).eval().requires_grad_(False)
