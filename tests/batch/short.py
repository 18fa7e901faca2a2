"""pirctl with segments so short that a toy video has several; a module, for workers import it."""

from __future__ import annotations

from pirctl.cli import main


def main_in_short_segments(arguments: list[str]) -> int:
    """`main`, painting a fifth of a second at a time."""
    from pirctl.dub import division

    division.SEGMENT_S = 0.2
    return main(arguments)
