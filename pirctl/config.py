"""Presets into settings, and settings into plain values.

Strict: whatever is wrong in a preset or a `--set` comes in one message, each with its dotted path
(`pirctl.settings.strict`).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pirctl.device import select_device
from pirctl.errors import PirctlError, SettingsError
from pirctl.settings import DEFAULT_PRESET, Settings
from pirctl.settings.strict import build, read_yaml, shown, told

_GPU_PRESET, _GPU_GB = "paper", 16
_CPU_PRESET = "laptop"


@cache
def models_folder() -> Path:
    """The folder of shipped data: inside an installed package, else beside it in a checkout."""
    package = Path(str(importlib.resources.files("pirctl")))
    for folder in (package / "models", package.parent / "models"):
        if folder.is_dir():
            return folder
    raise PirctlError(
        f"the folder models was found neither in {package} nor beside it",
        hint="install pirctl again",
    )


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    folder = models_folder() / "presets"
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(path.as_posix() for path in paths)


def choose_preset(
    preset: str = DEFAULT_PRESET, *, remembered: str = "", device: str | None = None
) -> tuple[str, str]:
    """The preset that `auto` means: the target's, else the best that this machine can train.

    Args:
        preset: any but `auto` is taken as it is.
        remembered: what the target was preprocessed with; empty: nothing is known.
        device: where it will be trained; None: on a CUDA GPU if there is one.

    Returns:
        The preset, and why it was chosen; no reason where it was named.

    Raises:
        SettingsError: this machine has no such device.
    """
    if preset != DEFAULT_PRESET:
        return preset, ""
    if remembered:
        return remembered, ""
    try:
        import torch
    except (ImportError, OSError):  # `pirctl doctor` tells what is wrong with it.
        return _CPU_PRESET, "torch cannot be imported"
    chosen = select_device(device)
    if chosen.type != "cuda":
        found = "no CUDA GPU" if device is None else f"device {device}"
        return _CPU_PRESET, f"{found}, {_GPU_PRESET} is for one of {_GPU_GB} GB or more"
    try:
        card = torch.cuda.get_device_properties(chosen)
    except RuntimeError:
        return _CPU_PRESET, "the CUDA GPU does not answer"
    # Cards sold as 16 GB report as little as 15.6: the driver keeps some.
    if card.total_memory >= (_GPU_GB - 1) * 1e9:
        return _GPU_PRESET, f"{card.name} has {card.total_memory / 1e9:.0f} GB"
    return _CPU_PRESET, (
        f"{card.name} has {card.total_memory / 1e9:.0f} GB, {_GPU_PRESET} needs {_GPU_GB} GB"
    )


def preset_path(preset: str | Path) -> Path:
    """The YAML file of a preset.

    Args:
        preset: a shipped name ("tiny"), or the path of a file that ends in .yaml or .yml.

    Raises:
        SettingsError: there is none; names those that are.
    """
    if isinstance(preset, Path) or preset.endswith((".yaml", ".yml")):
        path = Path(preset)
        if not path.is_file():
            raise SettingsError(f"the preset {path} does not exist", hint="check the path")
        return path
    names = preset_names()
    if preset in names:
        return models_folder() / "presets" / f"{preset}.yaml"
    near = get_close_matches(preset, names, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise SettingsError(
        f"there is no preset {preset!r}",
        hint=f"{guess}presets: {', '.join(names)}, or the path of a YAML file",
    )


def load(preset: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a preset, changed by `--set` values.

    Args:
        preset: name of a shipped preset ("tiny"), or path of a YAML file.
        overrides: "section.key=value" texts; later ones win.

    Raises:
        SettingsError: no such preset, or anything in it or in the overrides that cannot be.
    """
    path = preset_path(preset)
    mapping = _read_yaml(path)
    problems: list[str] = []
    for override in overrides:
        _apply(override, mapping, problems)
    source = path.name if not overrides else f"{path.name} with --set"
    return _settings(mapping, source, problems)


def at_size(settings: Settings, size_px: int) -> Settings:
    """The settings for a target whose crop kept a smaller resolution than `media.size_px`.

    A texel of I_F stays as many pixels wide in the renderer.
    """
    media, renderer = settings.media, settings.renderer
    if media.enlarge or size_px >= media.size_px:
        return settings
    cell = media.size_px // renderer.feature_size
    return replace(
        settings,
        media=replace(media, size_px=size_px),
        renderer=replace(renderer, feature_size=size_px // cell),
    )


def from_mapping(mapping: Mapping[str, Any]) -> Settings:
    """Settings from nested plain values, as `to_mapping` makes them; absent keys are defaults.

    Raises:
        SettingsError: an unknown key, a wrong type, a value out of range.
    """
    return _settings(mapping, "settings", [])


def to_mapping(settings: Settings) -> dict[str, Any]:
    """Nested dictionaries, lists and plain values that YAML and JSON can carry."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    mapping: dict[str, Any] = plain(asdict(settings))
    return mapping


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected sections with keys, found {shown(content)}")
    return content


def _apply(override: str, mapping: dict[str, Any], problems: list[str]) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        problems.append(f"--set {override}: expected section.key=value")
        return
    try:
        value = read_yaml(text)
    except yaml.YAMLError:
        value = text
    section: Any = mapping
    for name in names[:-1]:
        # A missing section is made; whether it may exist is found out with all the others.
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            problems.append(f"{key}: {name} is a value, not a section")
            return
    section[names[-1]] = value
    if names[0] == "train" and names[-1] == "epochs" and len(names) == 3:
        section["min_steps"] = 0  # Who counts the epochs means them; a later override may differ.


def _settings(mapping: Mapping[str, Any], source: str, problems: list[str]) -> Settings:
    settings = build(Settings, mapping, problems)
    if settings is None:
        raise SettingsError(
            f"{source}: {told(problems)}",
            hint="every setting is explained in pirctl/settings; correct the file or the --set",
        )
    return settings
