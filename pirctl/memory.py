"""How much memory this machine has, and how much this process has used."""

from __future__ import annotations

import os
import resource
import sys

ASSUMED_BYTES = 8 << 30
"""A modest guess, where the system does not say how much memory there is."""


def physical_bytes() -> int | None:
    """Memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def peak_bytes(*, with_children: bool = False) -> int:
    """Most resident memory of this process so far.

    Args:
        with_children: and that of the largest process it started.
    """
    who = [resource.RUSAGE_SELF] + [resource.RUSAGE_CHILDREN] * with_children
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(each).ru_maxrss for each in who)
