"""What is wrong with an input: one thing, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["stop", "warning", "note"]
"""Dubbing cannot work; its result will be worse; nothing is lost, but it is good to know."""

_ORDER: tuple[Level, ...] = ("stop", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing.

    Attributes:
        level: how bad it is.
        about: what it is about, a word or two: "face", "sound of the video".
        what: what was found, one sentence.
        do: what to do, the next command where there is one; empty: nothing.
    """

    level: Level
    about: str
    what: str
    do: str = ""


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the worst first; of equal ones the order stays."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.level)))
