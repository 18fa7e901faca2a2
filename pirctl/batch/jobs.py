"""The table of jobs: one row a dubbing, the columns are the options of `pirctl dub`.

    video,audio,target,keep_sound
    scene1.mp4,scene1_de.wav,obama,2

A CSV file, or a YAML list of mappings; paths start at the folder of the table. All that is wrong
with it is told at once, before anything starts.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from pirctl.dub.cues import read_cues
from pirctl.dub.sheets import read_rows, read_text
from pirctl.errors import PirctlError, SettingsError
from pirctl.files import file_hash
from pirctl.settings.strict import told
from pirctl.target.workspace import name_from_video

_WHAT = "jobs"
_HINT = "the first row names the columns, which are options of pirctl dub: video,audio,output"
_YES, _NO = {"yes", "true", "1", "x", "on"}, {"no", "false", "0", "off"}
# What decides nothing about the result.
_ASIDE = {"output", "force", "device", "batch-size", "offline", "workspace"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of `pirctl dub`, as the column of a table.

    Attributes:
        name: of the column, `keep-sound`; `_` stands for `-`.
        kind: `str`, `int`, `float`, `Path`, or `bool` for a switch.
        choices: the only values there are; empty: any.
        least: smallest number.
        most: largest number.
        repeats: whether a cell holds several values, with spaces between.
    """

    name: str
    kind: type = str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    repeats: bool = False

    def check(self, text: str) -> None:
        """Tell what is wrong with a value.

        Raises:
            ValueError: says what it must be.
        """
        if self.choices and text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        if self.kind is bool and text.lower() not in _YES | _NO:
            raise ValueError("must be yes or no")
        if self.kind in (int, float):
            try:
                number = self.kind(text)
            except ValueError:
                raise ValueError("is no number" if self.kind is float else "is no count") from None
            if not math.isfinite(number):
                raise ValueError("is no number")
            if self.least is not None and number < self.least:
                raise ValueError(f"must be at least {self.least:g}")
            if self.most is not None and number > self.most:
                raise ValueError(f"must be at most {self.most:g}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row.

    Attributes:
        line: where it begins in the table.
        video: that is dubbed.
        output: that is written.
        target: name of the target that the job writes to.
        arguments: of `pirctl dub`, but for `--output`, `--force`.
        force: whether the row says to replace the output.
        digest: of all that decides the result: options, and the content of files.
    """

    line: int
    video: Path
    output: Path
    target: str
    arguments: tuple[str, ...]
    force: bool
    digest: str


Row = dict[str, list[str]]
Outputs = Callable[[Path], Path]


def read_jobs(
    path: Path, options: Sequence[Option], output_of: Outputs, common: Mapping[str, str]
) -> list[Job]:
    """Read a table.

    Args:
        path: `.yaml` or `.yml`, else CSV.
        options: columns there may be.
        output_of: name of the result of a video, for rows that give none.
        common: value of an option for rows that do not give it, by the option's name.

    Raises:
        SettingsError: missing, no table, or with mistakes; names the rows and what is wrong there.
    """
    problems: list[str] = []
    rows = _yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else _csv(path)
    if not rows:
        raise SettingsError(f"{path} has no job", hint=_HINT)
    reader = _Reader(path.parent.absolute(), {one.name: one for one in options}, output_of, common)
    jobs = []
    for line, row in rows:
        found = reader.job(line, row)
        if isinstance(found, Job):
            jobs.append(found)
        else:
            problems += [f"row {line}: {problem}" for problem in found]
    written = defaultdict(list)
    for job in jobs:
        written[job.output].append(str(job.line))
    problems += [
        f"rows {' and '.join(lines)} write the same file, {output}"
        for output, lines in written.items()
        if len(lines) > 1
    ]
    if problems:
        raise SettingsError(f"{path}: {told(problems)}", hint="mend the table; nothing was started")
    return jobs


def _key(name: str) -> str:
    return name.strip().lower().lstrip("-").replace("_", "-")


def _csv(path: Path) -> list[tuple[int, Row]]:
    rows = read_rows(path, _WHAT, _HINT)
    if not rows:
        return []
    names = [_key(name) for name in rows[0][1]]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise SettingsError(f"{path}: column {min(twice)!r} is there twice", hint=_HINT)
    found = []
    for line, cells in rows[1:]:
        row = {name: [cell] for name, cell in zip(names, cells, strict=False) if cell}
        beyond = [cell for cell in cells[len(names) :] if cell]
        if beyond:
            row[""] = beyond
        found.append((line, row))
    return found


def _yaml(path: Path) -> list[tuple[int, Row]]:
    hint = "a list of mappings, each with options of pirctl dub: - video: scene1.mp4"
    try:
        root = yaml.compose(read_text(path, _WHAT), yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {error}", hint=hint) from error
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise SettingsError(f"{path} is no list of jobs", hint=hint)
    found = []
    for node in root.value:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise SettingsError(f"{path}, line {line}: no mapping of options", hint=hint)
        row: Row = {}
        for name, value in node.value:
            # As it is written: 1:30 and 1e3 are texts here, and options read them.
            items = value.value if isinstance(value, yaml.SequenceNode) else [value]
            scalars = all(isinstance(one, yaml.ScalarNode) for one in (name, *items))
            if not scalars or _key(name.value) in row:
                where = name.start_mark.line + 1
                raise SettingsError(
                    f"{path}, line {where}: an option twice, or not a value", hint=hint
                )
            texts = [one.value for one in items if one.tag != "tag:yaml.org,2002:null"]
            if any(texts):
                row[_key(name.value)] = texts
        found.append((line, row))
    return found


class _Reader:
    """Makes jobs of rows."""

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, Option],
        output_of: Outputs,
        common: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._options = options
        self._output_of = output_of
        self._common = common
        self._hashes: dict[Path, str] = {}

    def job(self, line: int, row: Row) -> Job | list[str]:
        """The job of a row, or what is wrong with it."""
        problems = []
        for name, texts in row.items():
            problems += self._problems(name, texts)
        if "video" not in row:
            problems.append("no video")
        if "audio" not in row and "cues" not in row:
            problems.append("neither audio nor cues")
        if problems:
            return problems
        values = {name: [self._value(name, text) for text in texts] for name, texts in row.items()}
        video = Path(values["video"][0])
        inputs = [Path(one) for name in values for one in values[name] if self._is_input(name)]
        try:
            if "cues" in values:
                cues = read_cues(Path(values["cues"][0]))
                inputs += sorted({cue.sound for cue in cues if cue.sound is not None})
            missing = [f"{path} does not exist" for path in inputs if not path.is_file()]
            if missing:
                return missing
            target = values["target"][0] if "target" in values else name_from_video(video)
            digest = self._digest(values, inputs)
        except PirctlError as error:
            return [error.message]
        except OSError as error:
            return [f"{error.filename} cannot be read: {error.strerror}"]
        output = values["output"][0] if "output" in values else None
        return Job(
            line=line,
            video=video,
            output=Path(output) if output else self._folder / self._output_of(video),
            target=target,
            arguments=self._arguments(values),
            force=values.get("force", ["no"])[0].lower() in _YES,
            digest=digest,
        )

    def _problems(self, name: str, texts: Sequence[str]) -> list[str]:
        if not name:
            return [f"{texts[0]!r} stands under no column"]
        option = self._options.get(name)
        if option is None:
            near = get_close_matches(name, self._options, n=1)
            return [f"no option {name!r}" + (f", did you mean {near[0]!r}?" if near else "")]
        if len(texts) > 1 and not option.repeats:
            return [f"{name}: takes one value"]
        problems = []
        for text in texts:
            try:
                option.check(text)
            except ValueError as error:
                problems.append(f"{name}: {text!r} {error}")
        return problems

    def _is_input(self, name: str) -> bool:
        return self._options[name].kind is Path and name not in {"output", "workspace"}

    def _value(self, name: str, text: str) -> str:
        # A preset may be a name or a file.
        if self._options[name].kind is Path or (
            name == "preset" and (self._folder / text).is_file()
        ):
            return str(self._folder / text)
        return text

    def _arguments(self, values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        given: dict[str, Sequence[str]] = {name: [text] for name, text in self._common.items()}
        arguments = []
        for name, texts in (given | dict(values)).items():
            option = self._options[name]
            if name in {"video", "output", "force"}:
                continue
            if option.kind is bool:
                arguments += [f"--{name}"] if texts[0].lower() in _YES else []
            else:
                several = [part for text in texts for part in shlex.split(text)]
                arguments += [f"--{name}={text}" for text in (several if option.repeats else texts)]
        return (*arguments, "--", values["video"][0])

    def _digest(self, values: Mapping[str, Sequence[str]], inputs: Sequence[Path]) -> str:
        options = {n: t for n, t in values.items() if not (self._is_input(n) or n in _ASIDE)}
        for path in inputs:
            if path not in self._hashes:
                self._hashes[path] = file_hash(path)
        content = [options, [self._hashes[path] for path in inputs]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
