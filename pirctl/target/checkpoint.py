"""The checkpoint of a trained stage: a folder of four files, written whole or not at all.

    weights.safetensors  averaged weights, the ones the pipeline uses
    resume.pt            weights as trained, optimisers, step: only to continue training
    settings.yaml        the resolved settings the networks are rebuilt from
    about.json           `CheckpointAbout`

No pickled objects: `resume.pt` holds tensors and plain containers and is read with
`weights_only=True`. This module knows files, not which networks a stage consists of.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pirctl import __version__, config
from pirctl.errors import CheckpointError, PirctlError
from pirctl.files import atomic_folder
from pirctl.settings import Settings
from pirctl.settings.strict import build, read_yaml
from pirctl.target.folder import TargetAbout

FORMAT = 1
"""Number of the folder's format."""

_WEIGHTS, _RESUME, _SETTINGS, _ABOUT = (
    "weights.safetensors",
    "resume.pt",
    "settings.yaml",
    "about.json",
)
_LISTED_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class CheckpointAbout:
    """What was trained, how far, and for whom; `about.json` holds exactly these fields."""

    stage: str
    """`audio`, `face` or `render`."""
    step: int
    """Optimiser steps taken."""
    total_steps: int
    """Steps after which the stage counts as trained, as the settings then asked."""
    epoch: float
    """Passes over the training part of the clip."""
    loss: float
    """Last running mean of the sum of the losses."""
    face_model: str
    """Name of the face model the coefficients belong to."""
    face_model_hash: str
    """Hash of that face model's content."""
    source_sha256: str
    """Hash of the video the target was made from."""
    size_px: int
    """Side of the crop in pixels."""
    identity_width: int
    """Identity coefficients I."""
    expression_width: int
    """Expression coefficients E."""
    train_frames: int
    """Frames at the start of the clip that training saw; the rest was held out."""
    architecture: dict[str, object] = field(default_factory=dict)
    """What rebuilds the speech encoder of the audio stage without its pre-trained weights."""
    trust: tuple[float, ...] = ()
    """What the audio stage predicts is shrunk by, towards the mean: a factor per axis of
    expression, from 0 to 1; empty: not measured, so not at all."""
    face_stage: str = ""
    """Hash of the face stage's weights that the render stage was trained on."""
    pirctl: str = __version__
    """Version of the program that wrote it."""
    format: int = FORMAT
    """Number of the folder's format."""

    @property
    def finished(self) -> bool:
        """Whether the stage was trained to its end."""
        return self.step >= self.total_steps


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is needed to use a trained stage.

    Attributes:
        folder: where it lies.
        about: what was trained, and how far.
        settings: the settings to rebuild the networks from.
        weights: averaged weights by "<network>.<parameter>", on the CPU.
    """

    folder: Path
    about: CheckpointAbout
    settings: Settings
    weights: Mapping[str, Tensor]


def retrain_command(stage: str, target_name: str | None = None, *, restart: bool = False) -> str:
    """The command line that trains `stage`, as hints show it."""
    words = ["pirctl train --stage", stage]
    words += ["--target", target_name] if target_name else []
    return " ".join(words + (["--restart"] if restart else []))


def save_checkpoint(
    folder: Path,
    *,
    weights: Mapping[str, Tensor],
    resume: Mapping[str, Any],
    settings: Settings,
    about: CheckpointAbout,
) -> None:
    """Write a checkpoint in the place of the one in `folder`, which is removed last.

    Args:
        folder: the checkpoint's folder.
        weights: averaged weights by name, on any device.
        resume: nested dicts and lists of tensors and numbers, for `load_resume`.
        settings: the resolved settings of this run.
        about: what was trained, and how far.

    Raises:
        PirctlError: no room on the disk, or no right to write.
    """
    with atomic_folder(folder) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
            temporary / _WEIGHTS,
        )
        torch.save(dict(resume), temporary / _RESUME)
        text = yaml.safe_dump(config.to_mapping(settings), sort_keys=False)
        (temporary / _SETTINGS).write_text(text, encoding="utf-8")
        (temporary / _ABOUT).write_text(json.dumps(asdict(about), indent=1), encoding="utf-8")


def has_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint lies in `folder`, readable or not."""
    return folder.is_dir()


def load_about(folder: Path) -> CheckpointAbout:
    """Read what was trained and how far, without the weights.

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    path = folder / _ABOUT
    _require(folder, path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "expected an object")
    number = content.get("format")
    if isinstance(number, int) and number > FORMAT:
        raise CheckpointError(
            f"{path}: format {number} is newer than this program's ({FORMAT})",
            hint="update pirctl",
        )
    problems: list[str] = []
    # A stage that was stopped before its first step has no loss yet: NaN.
    about = build(CheckpointAbout, content, problems, finite=False)
    if about is None:
        raise _damaged(path, "; ".join(problems))
    return about


def load_settings(folder: Path) -> Settings:
    """Read the settings that a stage was trained with, without the weights.

    Raises:
        CheckpointError: missing or damaged.
    """
    path = folder / _SETTINGS
    _require(folder, path)
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise _damaged(path, "expected keys and values")
        return config.from_mapping(content)
    except CheckpointError:
        raise
    except (OSError, UnicodeDecodeError, yaml.YAMLError, PirctlError) as error:
        raise _damaged(path, error) from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the averaged weights with the settings they belong to.

    Raises:
        CheckpointError: missing, damaged, or of a newer format.
    """
    about = load_about(folder)
    path = folder / _WEIGHTS
    _require(folder, path)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error
    return Checkpoint(folder=folder, about=about, settings=load_settings(folder), weights=weights)


def load_resume(folder: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` got as `resume`, tensors on the CPU.

    Raises:
        CheckpointError: missing or damaged.
    """
    path = folder / _RESUME
    _require(folder, path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "expected a mapping")
    return content


def restore(network: nn.Module, checkpoint: Checkpoint, prefix: str) -> None:
    """Load the weights named "<prefix>.*" into `network`, all of them and no others.

    Raises:
        CheckpointError: names or shapes differ; lists them.
    """
    start = f"{prefix}."
    found = {
        name.removeprefix(start): tensor
        for name, tensor in checkpoint.weights.items()
        if name.startswith(start)
    }
    wanted = network.state_dict()
    problems = [f"missing {_listed(set(wanted) - set(found))}"] if set(wanted) - set(found) else []
    if set(found) - set(wanted):
        problems.append(f"unexpected {_listed(set(found) - set(wanted))}")
    reshaped = {
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in set(found) & set(wanted)
        if found[name].shape != wanted[name].shape
    }
    if reshaped:
        problems.append(f"of another shape: {_listed(reshaped)}")
    if problems:
        raise CheckpointError(
            f"{checkpoint.folder}: the weights of {prefix} do not fit: {'; '.join(problems)}",
            hint=retrain_command(checkpoint.about.stage, restart=True),
        )
    network.load_state_dict(found, strict=True)


def check_belongs(about: CheckpointAbout, target: TargetAbout, name: str) -> None:
    """Raise unless the checkpoint was trained for this target as it is now.

    Raises:
        CheckpointError: another face model, another video, or another crop size.
    """
    remedy = retrain_command(about.stage, name, restart=True)
    if (about.face_model, about.face_model_hash) != (target.face_model, target.face_model_hash):
        same_name = about.face_model == target.face_model
        raise CheckpointError(
            f"stage {about.stage} of {name} was trained with face model {about.face_model}"
            f"{' in another version' if same_name else ''}, the target has {target.face_model}; "
            "their coefficients mean different things",
            hint=remedy,
        )
    if about.source_sha256 != target.source_sha256:
        raise CheckpointError(
            f"stage {about.stage} of {name} was trained on another video than {target.source}",
            hint=remedy,
        )
    if about.size_px != target.size_px:
        raise CheckpointError(
            f"stage {about.stage} of {name} was trained at {about.size_px} px, "
            f"the target has {target.size_px} px",
            hint=remedy,
        )


def _require(folder: Path, path: Path) -> None:
    if path.is_file():
        return
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: not found, this stage is not trained",
            hint=retrain_command(_stage_of(folder)),
        )
    raise _damaged(path, "not found")


def _damaged(path: Path, cause: object) -> CheckpointError:
    return CheckpointError(
        f"{path}: damaged checkpoint ({str(cause).splitlines()[0] if str(cause) else cause!r})",
        hint=retrain_command(_stage_of(path.parent), restart=True),
    )


def _stage_of(folder: Path) -> str:
    # <target>/stages/<stage>/checkpoint
    return folder.parent.name


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:_LISTED_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
