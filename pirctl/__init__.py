"""pirctl: put new speech on a speaker's lips, in the original shot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pirctl.api import Speaker, load_target, make_target

__version__ = "0.1.0"
__all__ = ["Speaker", "load_target", "make_target"]


def __getattr__(name: str) -> Any:
    """The names of `pirctl.api`, imported when they are asked for: torch takes seconds."""
    if name in __all__:
        from pirctl import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
