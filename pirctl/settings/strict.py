"""YAML and JSON into dataclasses: strict, and with all problems told at once.

The one reader of presets, `target.yaml`, the records of checkpoints and `weights.yaml`. A key that
does not exist, one that is missing, a value of the wrong type or out of range is a problem, told
with its dotted path. Numbers and booleans are read as YAML 1.2 has them: `1e-4` is a number, `on`
and `1:30` are text.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

_T = TypeVar("_T")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers and booleans, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep=deep)


# A number that writers of YAML 1.1 take for text, and leave without quotes where it is text (the
# digest `12345e67`), stays text here; `_scalar` makes it a number where a number is wanted.
_EITHER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+|[-+]?0[0-9]+")

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


def read_yaml(text: str) -> Any:
    """Plain values of a YAML document; no object of any other kind is made.

    Raises:
        yaml.YAMLError: it is none, or has a key twice.
    """
    return yaml.load(text, _Loader)


def build(
    kind: type[_T], mapping: object, problems: list[str], *, finite: bool = True
) -> _T | None:
    """An instance of a dataclass from nested plain values.

    Absent keys keep their defaults. A section that is given in part keeps the rest of its
    parent's default, which may be another one than its class's: each training stage has its own.

    Args:
        kind: the dataclass; its fields are scalars, `Literal`, tuples of any length, dicts with
            text keys, dataclasses, or one of these or None.
        mapping: the values by field.
        problems: every problem is added to it.
        finite: refuse floats that are infinite or no number.

    Returns:
        None when there was a problem, here or before.
    """
    builder = _Builder(kind, problems, finite)
    made: _T | None = builder.build(kind, mapping, "", None)
    return None if problems else made


def told(problems: Sequence[str]) -> str:
    """The problems, one a line when there are several, to follow "FILE: "."""
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:" + "".join(f"\n  - {problem}" for problem in problems)


def shown(value: object) -> str:
    """A plain value as messages show it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text {value!r}" if isinstance(value, str) else f"{value!r}"


class _Builder:
    def __init__(self, root: type, problems: list[str], finite: bool) -> None:
        self.root = root
        self.problems = problems
        self.finite = finite

    def build(self, kind: Any, mapping: object, path: str, base: Any) -> Any:
        """A `kind` that is as `base` where the mapping says nothing; None: the class decides."""
        if not isinstance(mapping, Mapping):
            wanted = f"expected a section with keys, found {shown(mapping)}"
            self.problems.append(f"{path}: {wanted}" if path else wanted)
            return None
        hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}
        before, values = len(self.problems), {}
        for key, value in mapping.items():
            dotted = f"{path}.{key}" if path else str(key)
            if key in known:
                part = getattr(base, key) if base is not None else _default(known[key])
                values[key] = self._convert(hints[key], value, dotted, part)
            else:
                self.problems.append(f"{dotted}: unknown key, {self._nearest(str(key), known)}")
        if base is None:
            absent = (key for key, field in known.items() if key not in mapping)
            for key in absent:
                if known[key].default is MISSING and known[key].default_factory is MISSING:
                    self.problems.append(
                        f"{path}.{key} is missing" if path else f"{key} is missing"
                    )
        if len(self.problems) > before:
            return None
        try:
            return kind(**values) if base is None else replace(base, **values)
        except ValueError as error:
            self.problems.append(f"{path}: {error}" if path else str(error))
            return None

    def _convert(self, hint: Any, value: Any, path: str, base: Any = None) -> Any:
        if is_dataclass(hint):
            return self.build(hint, value, path, base)
        origin, options = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            if value is None and type(None) in options:
                return None
            (hint,) = (option for option in options if option is not type(None))
            return self._convert(hint, value, path)
        if origin is Literal:
            if value in options and type(value) in {type(option) for option in options}:
                return value
            wanted = "one of " + ", ".join(map(str, options))
            near = get_close_matches(str(value), [str(option) for option in options], n=1)
            wanted += f" (did you mean {near[0]}?)" if near else ""
        elif origin is tuple:
            assert len(options) == 2, "tuples of any length only"
            assert options[1] is Ellipsis
            if isinstance(value, list | tuple):
                items = enumerate(value)
                return tuple(self._convert(options[0], item, f"{path}[{i}]") for i, item in items)
            wanted = "a list"
        elif origin is dict:
            if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
                items_of = value.items()
                return {key: self._convert(options[1], v, f"{path}.{key}") for key, v in items_of}
            wanted = "keys and values"
        elif hint is object:
            return value
        else:
            converted = _scalar(hint, value, self.finite)
            if converted is not None:
                return converted
            wanted = _KINDS[hint]
        self.problems.append(f"{path}: expected {wanted}, found {shown(value)}")
        return None

    def _nearest(self, key: str, known: Mapping[str, object]) -> str:
        near = get_close_matches(key, known, n=1)
        if near:
            return f"did you mean `{near[0]}`?"
        leaves = _leaves(self.root)
        names = {path.rsplit(".", 1)[-1] for path in leaves}
        likely = key if key in names else "".join(get_close_matches(key, names, n=1))
        everywhere = [path for path in leaves if path.rsplit(".", 1)[-1] == likely]
        if everywhere:
            return f"did you mean `{'` or `'.join(everywhere)}`?"
        return f"known here: {', '.join(known)}"


def _default(field: Any) -> Any:
    """The default of a field; None where it has none."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


def _leaves(kind: Any, path: str = "") -> list[str]:
    found = []
    for name, hint in get_type_hints(kind).items():
        dotted = f"{path}.{name}" if path else name
        found += _leaves(hint, dotted) if is_dataclass(hint) else [dotted]
    return found


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _scalar(kind: type, value: Any, finite: bool) -> Any:
    """`value` as a `kind`, or None when it is none."""
    if kind in {int, float} and isinstance(value, str) and _EITHER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or kind in {bool, str}:
        return value if type(value) is kind else None
    if kind is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) else None
    assert kind is float
    if isinstance(value, int | float) and (not finite or abs(value) < float("inf")):
        return float(value)
    return None
