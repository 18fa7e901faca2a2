"""The synthetic speaker: a rendered person talking, with the truth known; needs no download."""

from __future__ import annotations

from pirctl.demo.synthetic.speaker import SpeakerFiles, make_speaker

__all__ = ["SpeakerFiles", "make_speaker"]
