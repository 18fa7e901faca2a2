"""What this machine has, and what it still lacks to run pirctl: the content of a bug report.

Only looks: fetches nothing, changes nothing but the memory of which model files were found right.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pirctl import __version__, config
from pirctl.device import cpu_count, physical_bytes
from pirctl.errors import PirctlError, ProgramMissing
from pirctl.media.process import ffmpeg_program
from pirctl.settings import DEFAULT_PRESET, Settings
from pirctl.target.workspace import workspace_folder
from pirctl.weights import catalog, hub
from pirctl.weights.entry import WeightsEntry, WeightsState, cache_folder

State = Literal["ok", "note", "problem"]

_PACKAGES = (
    "av", "cv2", "facexlib", "huggingface_hub", "imageio_ffmpeg", "librosa", "matplotlib",
    "mediapipe", "numba", "numpy", "safetensors", "scipy", "torch", "torchvision", "transformers",
)  # fmt: skip
# Pictures between the stages, the delivered video and its sound; then what only .webm needs.
_ENCODERS = ("libx264", "libx264rgb", "aac")
_WEBM_ENCODERS = ("libvpx-vp9", "libopus")
_WORKSPACE_BYTES = 5e9
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: "ok", "note" (works, but...) or "problem" (pirctl cannot run).
        found: what is there.
        advice: what to do about it, one line; None: nothing.
    """

    name: str
    state: State
    found: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsCheck:
    """A third-party model file.

    Attributes:
        name: of the entry in models/weights.yaml.
        state: here (and right), missing or wrong.
        used_for: one phrase.
        advice: what to do about it, one line; None: nothing.
    """

    name: str
    state: WeightsState
    used_for: str
    advice: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A model file that a preset needs and does not find.

    Attributes:
        name: of the entry, or the hub's name of a model that is no entry.
        state: missing or wrong.
        get: the command that mends it.
        without: how to do without it.
    """

    name: str
    state: WeightsState
    get: str
    without: str


@dataclass(frozen=True, kw_only=True)
class PresetCheck:
    """What a preset still lacks, from a video to a reenactment."""

    name: str
    ready: bool
    lacks: tuple[Lack, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything `pirctl doctor` shows.

    Attributes:
        ready: whether `preset` can run from preprocess to reenact.
        preset: the one that `ready` is about.
    """

    ready: bool
    preset: str
    checks: tuple[Check, ...]
    weights: tuple[WeightsCheck, ...]
    presets: tuple[PresetCheck, ...]


def examine(preset: str = DEFAULT_PRESET, workspace: Path | None = None) -> Report:
    """Look at this machine.

    Args:
        preset: the one to be ready for; a shipped name, a YAML file, or `auto`.
        workspace: folder of the targets; None: PIRCTL_WORKSPACE, else ./targets.

    Raises:
        SettingsError: there is no such preset, or it is wrong.
    """
    preset, _ = config.choose_preset(preset)
    wanted = config.load(preset)
    states = {name: catalog.state_of(entry) for name, entry in catalog.weights_entries().items()}
    loaded = {name: config.load(name) for name in config.preset_names()} | {preset: wanted}
    presets = tuple(_preset(name, settings, states) for name, settings in loaded.items())
    chosen = next(one for one in presets if one.name == preset)
    checks = (
        _python(),
        _packages(),
        *_torch(),
        _memory(),
        *_ffmpeg(),
        _face_model(),
        *_disks(chosen, workspace_folder(workspace)),
    )
    return Report(
        ready=chosen.ready and not any(check.state == "problem" for check in checks),
        preset=preset,
        checks=checks,
        weights=tuple(_weights(catalog.weights_entry(name), states[name]) for name in states),
        presets=presets,
    )


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.platform()}, pirctl {__version__}"
    return Check(name="python", state="ok", found=found)


def _packages() -> Check:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        found = f"missing: {', '.join(missing)}"
        return Check(name="packages", state="problem", found=found, advice="install pirctl again")
    return Check(name="packages", state="ok", found=f"all {len(_PACKAGES)} are installed")


def _torch() -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:
        advice = "install torch again: https://pytorch.org/get-started/locally"
        yield Check(name="torch", state="problem", found=str(error), advice=advice)
        return
    yield Check(name="torch", state="ok", found=torch.__version__)
    cores = f"{cpu_count()} CPU cores"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            found = f"{name}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
            yield Check(name=f"gpu cuda:{index}", state="ok", found=found)
    elif torch.backends.mps.is_available():
        yield Check(name="gpu", state="ok", found=f"Apple GPU (--device mps), {cores}")
    else:
        advice = "with an NVIDIA GPU install torch for CUDA; without one use preset tiny"
        why = "this torch is built without CUDA"
        if torch.version.cuda:
            why = f"torch is built for CUDA {torch.version.cuda}, but finds no GPU"
            advice = "check the driver with nvidia-smi; without a GPU use preset tiny"
        yield Check(name="gpu", state="note", found=f"{why}; {cores}", advice=advice)


def _memory() -> Check:
    total = physical_bytes()
    if total is None:
        return Check(name="memory", state="ok", found="unknown")
    found = f"{total / _GIB:.1f} GiB"
    if total < 4 * _GIB:
        advice = "less than 4 GiB: close other programs, or use preset tiny"
        return Check(name="memory", state="note", found=found, advice=advice)
    return Check(name="memory", state="ok", found=found)


def _ffmpeg() -> Iterator[Check]:
    advice = "pip install --force-reinstall imageio-ffmpeg"
    try:
        program = ffmpeg_program()
        version = _said(program, "-version").split(" Copyright")[0].removeprefix("ffmpeg version ")
        listed = set(re.findall(r"^ [VAS.]\S{5} (\S+)", _said(program, "-encoders"), re.MULTILINE))
    except (ProgramMissing, OSError, subprocess.SubprocessError) as error:
        yield Check(name="ffmpeg", state="problem", found=str(error), advice=advice)
        return
    yield Check(name="ffmpeg", state="ok", found=f"{version}, {program}")
    lacking = [name for name in _ENCODERS if name not in listed]
    lacking_webm = [name for name in _WEBM_ENCODERS if name not in listed]
    if lacking:
        found = f"missing: {', '.join(lacking)}"
        yield Check(name="encoders", state="problem", found=found, advice=advice)
    elif lacking_webm:
        found, advice = f"missing: {', '.join(lacking_webm)}", "write .mp4 in place of .webm"
        yield Check(name="encoders", state="note", found=found, advice=advice)
    else:
        yield Check(name="encoders", state="ok", found=", ".join((*_ENCODERS, *_WEBM_ENCODERS)))


def _said(program: str, option: str) -> str:
    command = [program, "-hide_banner", option]
    if option == "-version":
        command.remove("-hide_banner")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def _face_model() -> Check:
    from pirctl.face.model import face_model_path

    try:
        return Check(name="face model", state="ok", found=str(face_model_path()))
    except PirctlError as error:
        return Check(
            name="face model", state="problem", found=error.message, advice="install pirctl again"
        )


def _disks(preset: PresetCheck, workspace: Path) -> Iterator[Check]:
    entries = catalog.weights_entries()
    known = [entries[lack.name].bytes or 0 for lack in preset.lacks if lack.name in entries]
    cache, work = cache_folder(), workspace
    yield _disk("cache", cache, sum(known), "PIRCTL_HOME=FOLDER puts model files on another disk")
    yield _disk("workspace", work, _WORKSPACE_BYTES, "five minutes of 512 px video take about 1 GB")


def _disk(name: str, folder: Path, wanted_bytes: float, advice: str) -> Check:
    standing = folder.absolute()
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    try:
        free = shutil.disk_usage(standing).free
    except OSError as error:
        return Check(name=name, state="note", found=f"{folder}: {error.strerror}")
    found = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(standing, os.W_OK):
        found, advice = f"{found}, not writable", "choose a folder of your own"
        return Check(name=name, state="note", found=found, advice=advice)
    if free < wanted_bytes:
        found = f"{found}, {wanted_bytes / 1e9:.1f} GB wanted"
        return Check(name=name, state="note", found=found, advice=advice)
    return Check(name=name, state="ok", found=found)


def _weights(entry: WeightsEntry, state: WeightsState) -> WeightsCheck:
    return WeightsCheck(
        name=entry.name,
        state=state,
        used_for=entry.used_for,
        advice=None if state == WeightsState.HERE else _get(entry, state),
    )


def _get(entry: WeightsEntry, state: WeightsState) -> str:
    if state == WeightsState.WRONG:
        return entry.mend
    return entry.steps or f"pirctl models pull {entry.name}"


def _preset(name: str, settings: Settings, states: dict[str, WeightsState]) -> PresetCheck:
    lacks = tuple(_lacks(settings, states))
    return PresetCheck(name=name, ready=not lacks, lacks=lacks)


def _lacks(settings: Settings, states: dict[str, WeightsState]) -> Iterator[Lack]:
    needs = {
        "face_landmarker": "preprocess --landmarks FILE",
        "bisenet": "preprocess --parser geometry",
    }
    if settings.loss.perceptual:
        needs["vgg16"] = "train --set loss.perceptual=0"
    for name, without in needs.items():
        if states[name] != WeightsState.HERE:
            get = _get(catalog.weights_entry(name), states[name])
            yield Lack(name=name, state=states[name], get=get, without=without)
    speech = settings.speech
    if speech.encoder != "wav2vec2" or Path(speech.model).expanduser().is_dir():
        return
    revision = speech.revision or catalog.hub_revision(speech.model)
    listed = catalog.hub_entry(speech.model)
    if listed is not None and listed.revision == revision:
        name, state = listed.name, states[listed.name]
        get = _get(listed, state)
    else:
        missing = hub.find(speech.model, revision) is None
        name, state = speech.model, WeightsState.MISSING if missing else WeightsState.HERE
        get = catalog.hub_command(speech.model)
    if state != WeightsState.HERE:
        yield Lack(name=name, state=state, get=get, without="train --set speech.encoder=mel")
