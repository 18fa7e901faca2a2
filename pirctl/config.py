"""Settings from YAML and back: strict, and with all problems in one message.

A key that does not exist, a value of the wrong type or out of range stops with its dotted path.
Numbers and booleans are read as YAML 1.2 has them: `1e-4` is a number, `on` and `1:30` are text.
"""

from __future__ import annotations

import importlib.resources
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from pirctl.errors import PirctlError, SettingsError
from pirctl.settings import Settings


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


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers and booleans, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands there twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        rf"{_NUMBER}(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
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
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected sections with keys, found {_shown(content)}")
    return content


def _apply(override: str, mapping: dict[str, Any], problems: list[str]) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        problems.append(f"--set {override}: expected section.key=value")
        return
    try:
        value = yaml.load(text, _Loader)
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


def _settings(mapping: Mapping[str, Any], source: str, problems: list[str]) -> Settings:
    settings = _build(Settings(), mapping, "", problems)
    if problems or settings is None:
        listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {p}" for p in problems)
        count = "" if len(problems) == 1 else f"{len(problems)} problems:"
        raise SettingsError(
            f"{source}: {count}{listed}",
            hint="every setting is explained in pirctl/settings.py; mend the file or the --set",
        )
    assert isinstance(settings, Settings)
    return settings


def _build(base: Any, mapping: Any, path: str, problems: list[str]) -> Any:
    """The dataclass instance `base` with other values, or None when there was a problem.

    A section that is given in part keeps the rest of `base`, whose own parts may have other
    defaults than their class: `TrainSettings` has one `StageSettings` for each stage.
    """
    if not isinstance(mapping, Mapping):
        problems.append(f"{path}: expected a section with keys, found {_shown(mapping)}")
        return None
    hints = get_type_hints(type(base))
    known = [field.name for field in fields(base)]
    before = len(problems)
    values = {}
    for key, value in mapping.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key in known:
            values[key] = _convert(hints[key], value, dotted, problems, getattr(base, key))
        else:
            problems.append(f"{dotted}: unknown key, {_nearest(str(key), known)}")
    if len(problems) > before:
        return None
    try:
        return replace(base, **values)
    except ValueError as error:
        problems.append(f"{path}: {error}" if path else str(error))
        return None


def _nearest(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    leaves = _leaves(Settings)
    names = {path.rsplit(".", 1)[-1] for path in leaves}
    likely = key if key in names else "".join(get_close_matches(key, names, n=1))
    everywhere = [path for path in leaves if path.rsplit(".", 1)[-1] == likely]
    if everywhere:
        return f"did you mean `{'` or `'.join(everywhere)}`?"
    return f"known here: {', '.join(known)}"


def _leaves(kind: Any, path: str = "") -> list[str]:
    found = []
    for name, hint in get_type_hints(kind).items():
        dotted = f"{path}.{name}" if path else name
        found += _leaves(hint, dotted) if is_dataclass(hint) else [dotted]
    return found


def _convert(hint: Any, value: Any, path: str, problems: list[str], base: Any = None) -> Any:
    if is_dataclass(hint):
        return _build(base, value, path, problems)
    origin, options = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        if value is None and type(None) in options:
            return None
        (hint,) = (option for option in options if option is not type(None))
        return _convert(hint, value, path, problems)
    if origin is Literal:
        if value in options and type(value) in {type(option) for option in options}:
            return value
        wanted = "one of " + ", ".join(map(str, options))
        near = get_close_matches(str(value), [str(option) for option in options], n=1)
        wanted += f" (did you mean {near[0]}?)" if near else ""
    elif origin is tuple:
        assert len(options) == 2, "settings hold tuples of any length only"
        assert options[1] is Ellipsis
        if isinstance(value, list | tuple):
            items = enumerate(value)
            return tuple(_convert(options[0], item, f"{path}[{i}]", problems) for i, item in items)
        wanted = "a list"
    else:
        converted = _scalar(hint, value)
        if converted is not None:
            return converted
        wanted = _KINDS[hint]
    problems.append(f"{path}: expected {wanted}, found {_shown(value)}")
    return None


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _scalar(kind: type, value: Any) -> Any:
    """`value` as a `kind`, or None when it is none."""
    if kind is float and isinstance(value, str) and re.fullmatch(rf"{_NUMBER}[eE][-+]?\d+", value):
        return float(value)  # From a reader of YAML 1.1, to which `1e-4` is text.
    if isinstance(value, bool) or kind in {bool, str}:
        return value if type(value) is kind else None
    if kind is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) else None
    assert kind is float
    if isinstance(value, int | float) and abs(value) < float("inf"):
        return float(value)
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text {value!r}" if isinstance(value, str) else f"{value!r}"
