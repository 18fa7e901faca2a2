"""What is said on the timeline of a video: sounds, where they lie, and which face says them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pirctl.dub.cues import Cue
from pirctl.errors import DecodeError, SettingsError
from pirctl.media import probe, sound_duration_s
from pirctl.media.soundtrack import Spoken


@dataclass(frozen=True, kw_only=True)
class Line:
    """A stretch of speech of one face.

    Attributes:
        sound: the file.
        starts_s: moment of its first sample on the timeline; negative: it begins within.
        first_s: when it is heard from, seconds on the timeline.
        last_s: until when.
        face: number of the face; None: the one that is dubbed anyway.
    """

    sound: Path
    starts_s: Fraction
    first_s: Fraction
    last_s: Fraction
    face: int | None = None


@dataclass(frozen=True, kw_only=True)
class Script:
    """All that is said and heard.

    Attributes:
        lines: who speaks when, by rising time.
        heard: the new sound.
        targets: names of trained targets that cues give to faces.
    """

    lines: tuple[Line, ...]
    heard: tuple[Spoken, ...]
    targets: dict[int | None, str]

    @property
    def faces(self) -> tuple[int | None, ...]:
        """The faces that speak, each once, in the order of their first line."""
        return tuple(dict.fromkeys(line.face for line in self.lines))

    @property
    def sounds(self) -> tuple[Path, ...]:
        """The files that are heard or said, each once."""
        return tuple(
            dict.fromkeys([*(h.sound for h in self.heard), *(x.sound for x in self.lines)])
        )


def write_script(
    audio: Path | None,
    offset_s: Fraction,
    cues: Sequence[Cue],
    face: int | None,
    length_s: Fraction,
) -> Script:
    """Place all speech on the timeline of a video.

    Args:
        audio: one sound for the whole video.
        offset_s: when that sound begins.
        cues: who speaks when; empty: the face that is dubbed anyway says the sound.
        face: the face that is dubbed anyway, where it was chosen.
        length_s: of the video.

    Raises:
        DecodeError: a sound is missing, no sound, or not one sample long.
        SettingsError: nothing to say, a cue without a sound, or nothing within the video.
    """
    if audio is None and not cues:
        raise SettingsError(
            "nothing is said: neither --audio nor --cues is given",
            hint="pirctl dub video.mp4 --audio speech.wav",
        )
    ends = _lengths([audio, *(cue.sound for cue in cues)])
    whole = None
    if audio is not None:
        whole = Line(
            sound=audio, starts_s=offset_s, first_s=max(Fraction(0), offset_s),
            last_s=offset_s + ends[audio], face=face,
        )  # fmt: skip
    placed = [_line(cue, whole, ends, face) for cue in cues] if cues else [whole]
    lines = [line for line in placed if line is not None and line.first_s < line.last_s]
    lines = [line for line in lines if line.first_s < length_s and line.last_s > 0]
    if not lines:
        raise SettingsError(
            f"nothing is said within the video, which is {float(length_s):.1f} s long",
            hint="look at --offset and at the times of the cues",
        )
    heard = [] if whole is None else [Spoken(sound=whole.sound, start=whole.starts_s)]
    heard += [
        Spoken(sound=cue.sound, start=cue.start_s, end=cue.end_s)
        for cue in cues
        if cue.sound is not None
    ]
    targets = {face if cue.face is None else cue.face: cue.target for cue in cues if cue.target}
    lines.sort(key=lambda line: line.first_s)
    return Script(lines=tuple(lines), heard=tuple(heard), targets=targets)


def _line(
    cue: Cue, whole: Line | None, ends: dict[Path, Fraction], face: int | None
) -> Line | None:
    face = face if cue.face is None else cue.face
    if cue.sound is not None:
        last = cue.start_s + ends[cue.sound]
        last = last if cue.end_s is None else min(last, cue.end_s)
        return Line(
            sound=cue.sound, starts_s=cue.start_s, first_s=cue.start_s, last_s=last, face=face
        )
    if whole is None:
        raise SettingsError(
            f"the cue in line {cue.line} names no sound, and there is no --audio",
            hint="give the whole new sound track as --audio, or each cue its own sound",
        )
    assert cue.end_s is not None, "a cue without a sound has an end"
    return Line(
        sound=whole.sound, starts_s=whole.starts_s, first_s=max(cue.start_s, whole.first_s),
        last_s=min(cue.end_s, whole.last_s), face=face,
    )  # fmt: skip


def _lengths(sounds: Iterable[Path | None]) -> dict[Path, Fraction]:
    """Seconds of each sound."""
    lengths: dict[Path, Fraction] = {}
    for sound in sounds:
        if sound is None or sound in lengths:
            continue
        if not probe(sound).has_audio:
            raise DecodeError(f"{sound} has no sound", hint="give a file with speech")
        lengths[sound] = Fraction(sound_duration_s(sound))
    return lengths
