"""The order of the footage by arithmetic: the plain twin of `pirctl.perform.footage`."""

from __future__ import annotations

from collections.abc import Iterator


def ping_pong(length: int, count: int) -> Iterator[int]:
    """Yield `count` frame numbers in [0, length): 0 .. length-1 .. 0 .. without a repeated end."""
    period = max(1, 2 * (length - 1))
    for position in range(count):
        phase = position % period
        yield phase if phase < length else period - phase
