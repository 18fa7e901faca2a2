"""What this machine has, and what it still lacks to run pirctl: the content of a bug report.

Only looks: fetches nothing, changes nothing but the memory of which model files were found right.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pirctl import __version__, config
from pirctl.device import cpu_count, physical_bytes
from pirctl.errors import PirctlError, ProgramMissing
from pirctl.files import existing_parent, free_bytes
from pirctl.media.process import ffmpeg_program
from pirctl.settings import DEFAULT_PRESET, Settings
from pirctl.target.workspace import workspace_folder
from pirctl.weights import catalog
from pirctl.weights.entry import WeightsEntry, WeightsState, cache_folder, is_offline
from pirctl.weights.needs import needs

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
        sources: where it can come from.
        advice: what to do about it, one line; None: nothing.
    """

    name: str
    state: WeightsState
    used_for: str
    sources: tuple[str, ...]
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
    """What a preset still lacks, from a video to a reenactment.

    Attributes:
        ready: whether it runs.
        lacks: the model files that it needs and that somebody has to fetch.
        by_itself: those that are missing and are fetched when they are first needed.
    """

    name: str
    ready: bool
    lacks: tuple[Lack, ...]
    by_itself: tuple[str, ...]


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
    presets = tuple(_preset(name, settings) for name, settings in loaded.items())
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
    wanted = (*(lack.name for lack in preset.lacks), *preset.by_itself)
    known = [entries[name].bytes or 0 for name in wanted if name in entries]
    cache, work = cache_folder(), workspace
    yield _disk("cache", cache, sum(known), "PIRCTL_HOME=FOLDER puts model files on another disk")
    yield _disk("workspace", work, _WORKSPACE_BYTES, "five minutes of 512 px video take about 1 GB")


def _disk(name: str, folder: Path, wanted_bytes: float, advice: str) -> Check:
    standing = existing_parent(folder.absolute())
    try:
        free = free_bytes(standing)
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
        sources=entry.sources,
        advice=None if state == WeightsState.HERE else _get(entry, state),
    )


def _get(entry: WeightsEntry, state: WeightsState) -> str:
    if state == WeightsState.WRONG:
        return entry.mend
    command = entry.steps or f"pirctl models pull {entry.name}"
    if entry.at_first_use and not is_offline():
        return f"fetched when it is first needed, or now: {command}"
    return command


def _preset(name: str, settings: Settings) -> PresetCheck:
    wanted = [need for need in needs(settings) if need.is_required]
    missing = [(need, need.state) for need in wanted if need.state != WeightsState.HERE]
    by_itself = [
        need.name
        for need, state in missing
        if need.comes_by_itself and state == WeightsState.MISSING
    ]
    lacks = tuple(
        Lack(
            name=need.name,
            state=state,
            get=_get(need.entry, state) if need.entry else catalog.hub_command(need.name),
            without=need.without,
        )
        for need, state in missing
        if need.name not in by_itself
    )
    return PresetCheck(name=name, ready=not lacks, lacks=lacks, by_itself=tuple(by_itself))
