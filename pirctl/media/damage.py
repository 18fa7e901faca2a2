"""Damaged files: time stamps that jump are cut off in ffmpeg's filters, and all is said in words.

ffmpeg repeats a frame until the next one's time, and fills a gap in the sound with silence: one
flipped bit in a time stamp would make hours of either.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from pirctl.media.probe import MediaInfo

MAX_GAP_S = 5.0
"""What follows later than this after the frame before it, or earlier, does not belong there."""

_log = logging.getLogger(__name__)

_JUMP_LOG_LEVEL = 16  # what ffmpeg's evaluator prints at this level is said even with -v error
_JUMP = re.compile(r"^\[Eval @ [^]]*\] ")


def without_jumps(stream: Any, info: MediaInfo, *, sound: bool = False) -> Any:
    """Leave out the frames whose time stamps jump, and say so on stderr.

    Args:
        stream: of ffmpeg-python, before any change of the rate.
        info: of the file; the first frame may come as late as it is long.
        sound: whether the stream is sound.
    """
    first = f"lt(t,{info.duration_s + MAX_GAP_S})" if info.duration_s > 0 else "1"
    near = f"if(isnan(prev_selected_t),{first},lt(abs(t-prev_selected_t),{MAX_GAP_S}))"
    said = f"0*print(t,{_JUMP_LOG_LEVEL})"
    stream = stream.filter("aselect" if sound else "select", f"if({near},1,{said})")
    if sound:
        return stream
    # The end of the stream has a time too, and the last frame is repeated up to it.
    late = f"gt((PTS-PREV_OUTPTS)*TB,{MAX_GAP_S})"
    end = f"PREV_OUTPTS+1/({info.frame_rate or 25}*TB)"
    return stream.filter("setpts", f"if({late},{end}+0*print(T,{_JUMP_LOG_LEVEL}),PTS)")


def frame_limit(expected: int | None) -> int | None:
    """More frames than these are damage: twice what the header lets expect, and some."""
    return None if expected is None else 2 * expected + 100


def describe_damage(path: Path, said: str) -> str:
    """What is wrong with a file, from ffmpeg's last words; these go to the log for debugging."""
    _log.debug("%s: ffmpeg said: %s", path, said)
    if any(_JUMP.match(line) for line in said.splitlines()):
        return f"its time stamps jump by more than {MAX_GAP_S:.0f} seconds"
    if "Cannot allocate memory" in said:
        return "decoding it takes more memory than one ffmpeg may have"
    return "parts of it cannot be decoded, as in a copy that was cut off"
