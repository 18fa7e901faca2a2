"""Who speaks when: a table of cues, or the times of subtitles.

    start,end,face,sound
    0:01.5,0:04,1,anna.wav
    5,7.25,2,ben.wav

Times are seconds, or minutes and hours with colons. `face` is a number of `pirctl faces`; empty:
the one that is dubbed anyway. `sound` begins at `start` and is heard until `end`, or to its own
end; its path starts at the folder of the table. Without a sound, the row says when the speech of
--audio is this face's. A fifth column `target` may name a trained target for a face. Of subtitles
(SRT, WebVTT) the times are read, and the text is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pirctl.dub.sheets import read_rows, read_text
from pirctl.errors import SettingsError

COLUMNS = ("start", "end", "face", "sound", "target")
"""Of a table of cues; the last three may be left out."""

_WHAT = "cues"
_HINT = "the first row names the columns: start,end,face,sound"
_SUBTITLES = {".srt", ".vtt"}
_CLOCK = r"(?:(\d+):)?(\d+):(\d+)[,.](\d+)"
_ARROW = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One stretch of speech.

    Attributes:
        start_s: when it begins, seconds on the timeline of the video.
        end_s: when it ends; None: with its sound.
        face: number of the face that speaks; None: the one that is dubbed anyway.
        sound: file that is heard from `start_s` on; None: the speech of --audio, where it is.
        target: name of the target that paints this face; None: the video's own.
        line: where it stands in its file, for messages.
    """

    start_s: Fraction
    end_s: Fraction | None = None
    face: int | None = None
    sound: Path | None = None
    target: str | None = None
    line: int = 0


def read_cues(path: Path) -> tuple[Cue, ...]:
    """Read a table of cues, or subtitles, in the order of their times.

    Raises:
        SettingsError: missing, no text, nothing in it, or not such a file; says the line and
            what is wrong there.
    """
    cues = _subtitles(path) if path.suffix.lower() in _SUBTITLES else _table(path)
    if not cues:
        raise SettingsError(f"{path} has no cue", hint=_HINT)
    cues.sort(key=lambda cue: cue.start_s)
    _check(path, cues)
    return tuple(cues)


def _table(path: Path) -> list[Cue]:
    rows = read_rows(path, _WHAT, _HINT)
    if not rows:
        return []
    names = [name.lower() for name in rows[0][1]]
    unknown = [name for name in names if name and name not in COLUMNS]
    if unknown or names[:1] != ["start"] or len(set(names)) < len(names):
        said = unknown[0] if unknown else ",".join(names)
        raise SettingsError(f"{path}: {said!r} is not a header of cues", hint=_HINT)
    return [_cue(path, line, dict(zip(names, cells, strict=False))) for line, cells in rows[1:]]


def _cue(path: Path, line: int, cells: dict[str, str]) -> Cue:
    start, end, face = (cells.get(name, "") for name in ("start", "end", "face"))
    sound, target = cells.get("sound", ""), cells.get("target", "")
    if face and not (face.isascii() and face.isdigit() and int(face) > 0):
        raise SettingsError(
            f"{path}, row {line}: face {face!r} is no number of a face",
            hint="pirctl faces VIDEO shows them: 1, 2, ...",
        )
    if not end and not sound:
        raise SettingsError(
            f"{path}, row {line}: neither an end nor a sound that has one", hint=_HINT
        )
    return Cue(
        start_s=_seconds(path, line, start),
        end_s=_seconds(path, line, end) if end else None,
        face=int(face) if face else None,
        sound=path.parent / sound if sound else None,
        target=target or None,
        line=line,
    )


def _seconds(path: Path, line: int, text: str) -> Fraction:
    """Seconds of `75.5`, `75,5`, `1:15.5` or `0:01:15.5`."""
    match = _TIME.fullmatch(text.replace(",", "."))
    if match is None:
        raise SettingsError(
            f"{path}, row {line}: {text!r} is no time",
            hint="write seconds, 75.5, or with colons, 1:15.5",
        )
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(seconds)


def _subtitles(path: Path) -> list[Cue]:
    cues = []
    for number, text in enumerate(read_text(path, _WHAT).splitlines(), start=1):
        if match := _ARROW.match(text):
            start, end = _clock(match.groups()[:4]), _clock(match.groups()[4:])
            cues.append(Cue(start_s=start, end_s=end, line=number))
    return cues


def _clock(parts: Sequence[str | None]) -> Fraction:
    hours, minutes, seconds, decimals = parts
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(f"{seconds}.{decimals}")


def _check(path: Path, cues: Sequence[Cue]) -> None:
    for cue in cues:
        if cue.end_s is not None and cue.end_s <= cue.start_s:
            raise SettingsError(
                f"{path}, line {cue.line}: it ends at {float(cue.end_s):g} s and begins at "
                f"{float(cue.start_s):g} s",
                hint="start comes before end",
            )
    for face in {cue.face for cue in cues}:
        own = [cue for cue in cues if cue.face == face]
        for one, other in pairwise(own):
            # Subtitles overlap where two speak; who does is not said there.
            if one.end_s is not None and other.start_s < one.end_s and one.sound is not None:
                raise SettingsError(
                    f"{path}, line {other.line}: it begins before the one in line {one.line} "
                    "of the same face ends",
                    hint="one face says one thing at a time; give the other its own face number",
                )
        targets = {cue.target for cue in own if cue.target}
        if len(targets) > 1:
            raise SettingsError(
                f"{path}: face {face} has two targets, {' and '.join(sorted(targets))}",
                hint="name the same target in each of its rows",
            )
