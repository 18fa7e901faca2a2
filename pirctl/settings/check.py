"""What the settings check about themselves."""

from __future__ import annotations


def at_least(owner: object, minimum: float, *names: str) -> None:
    """Raise ValueError unless all of these fields are `minimum` or more."""
    for name in names:
        value = getattr(owner, name)
        if value < minimum:
            raise ValueError(f"{name} is {value}, it must be at least {minimum}")
