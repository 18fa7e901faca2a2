"""When the speaker is silent, smoothly: 1 inside a pause, 0 while anything is said.

The ramps lie inside the pauses, so nothing that is said is touched. Short gaps stay open: the
closure of a "t" or a "k" is silent too, and the mouth does not close for it.
"""

from __future__ import annotations

import numpy as np

from pirctl.speech.level import FloatArray, Loudness

SHORTEST_PAUSE_FRAMES = 6
"""A pause shorter than this (0.24 s at 25 frames per second) is not one."""
CLOSING_FRAMES = 4
"""Frames over which the mouth comes to rest after speech."""
OPENING_FRAMES = 3
"""Frames over which the mouth is freed before speech: lips move before they are heard."""


def silence_gate(loudness: Loudness) -> FloatArray:
    """How silent each frame is.

    Args:
        loudness: of the whole file.

    Returns:
        (T,) in [0, 1].
    """
    silent = loudness.frames_db < loudness.threshold_db
    gate = np.zeros(len(silent), np.float32)
    # Where silence begins and ends: +1 at the first silent frame, -1 at the first loud one.
    edges = np.diff(np.concatenate([[0], silent.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        # Beyond the ends of the file it is silent: no ramp there, and no shortest length.
        at_end = start == 0 or stop == len(silent)
        if stop - start < SHORTEST_PAUSE_FRAMES and not at_end:
            continue
        frame = np.arange(stop - start)
        since = np.full(len(frame), np.inf) if start == 0 else (frame + 1) / CLOSING_FRAMES
        until = frame[::-1] + 1
        left = np.full(len(frame), np.inf) if stop == len(silent) else until / OPENING_FRAMES
        ramp = np.minimum(np.minimum(since, left), 1.0)
        gate[start:stop] = ramp * ramp * (3 - 2 * ramp)
    return gate
