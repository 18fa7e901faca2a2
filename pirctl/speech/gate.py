"""When the speaker is silent, smoothly: 1 inside a pause, 0 while anything is said.

Where a voice detector has listened, it decides: music and noise do not move the mouth, and quiet
speech does. Its edges are rough, so the loudness says within its reach where a pause begins. Where
none has, loudness alone decides.

The ramps lie inside the pauses, so nothing that is said is touched. Short gaps stay open: the
closure of a "t" or a "k" is silent too, and the mouth does not close for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pirctl.speech.level import FloatArray, Loudness

SHORTEST_PAUSE_FRAMES = 6
"""A pause shorter than this (0.24 s at 25 frames per second) is not one."""
CLOSING_FRAMES = 4
"""Frames over which the mouth comes to rest after speech."""
OPENING_FRAMES = 3
"""Frames over which the mouth is freed before speech: lips move before they are heard."""
VOICE = 0.1
"""Probability from which on a frame has voice in it. Low, because under music a voice is rarely
sure, and music alone stays under it but for the beginnings of notes."""
VOICE_REACH_FRAMES = 3
"""Frames beside a voice that belong to it: breath, and consonants without voice."""
SHORTEST_VOICE_FRAMES = 6
"""A shorter voice is the beginning of a note, unless the detector is sure of it."""
SURE_VOICE = 0.9
"""Probability from which on a voice counts, however short."""


def silence_gate(loudness: Loudness, voice: FloatArray | None = None) -> FloatArray:
    """How silent each frame is.

    Args:
        loudness: of the whole file.
        voice: (T,) probability that somebody speaks in each frame; None: not known.

    Returns:
        (T,) in [0, 1].
    """
    silent = loudness.frames_db < loudness.threshold_db
    if voice is not None:
        silent = ~_near_voice(voice) | (silent & (voice < VOICE))
    gate = np.zeros(len(silent), np.float32)
    for start, stop in _runs(silent):
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


def _near_voice(voice: FloatArray) -> NDArray[np.bool_]:
    """Frames (T,) with a voice in them or within reach."""
    reach = VOICE_REACH_FRAMES
    count = np.convolve(voice >= VOICE, np.ones(2 * reach + 1), "full")
    near = np.asarray(count[reach : reach + len(voice)] > 0.5)
    for start, stop in _runs(near):
        is_short = stop - start < SHORTEST_VOICE_FRAMES + 2 * reach
        if is_short and voice[start:stop].max() < SURE_VOICE:
            near[start:stop] = False
    return near


def _runs(frames: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First frame of every run of set ones, and the first one after it."""
    edges = np.diff(np.concatenate([[0], frames.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    return zip(starts.tolist(), stops.tolist(), strict=True)
