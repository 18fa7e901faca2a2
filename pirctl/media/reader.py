"""Frames out of a video, through ffmpeg's pipe; never a whole video in memory.

Frames are uint8 (H, W, 3) RGB, or (H, W) for label maps. Rotation and non-square pixels are
resolved on reading, so a frame is what a viewer sees. Conversions happen inside ffmpeg.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.media.damage import describe_damage, frame_limit, without_jumps
from pirctl.media.probe import MediaInfo, expected_frames, probe
from pirctl.media.process import command_of, file_url, running

_log = logging.getLogger(__name__)

Frame = NDArray[np.uint8]
EXACT = "accurate_rnd+full_chroma_int"
"""Flags of every scaling: rounding in swscale's fast paths costs 1 to 3 grey levels."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A square of a picture; it may reach outside, where the edge pixels are repeated.

    Attributes:
        x: left edge, in pixels of the picture (0 is the left edge of the first column).
        y: top edge.
        side: width and height.
    """

    x: float
    y: float
    side: float

    def rounded(self) -> Crop:
        """The square of whole pixels that reading cuts out.

        Map points with this one: `crop_from_picture(p) = (p - (x, y)) * size_px / side`.
        """
        return Crop(
            x=math.floor(self.x + 0.5),
            y=math.floor(self.y + 0.5),
            side=max(1, math.floor(self.side + 0.5)),
        )


def read_frames(
    video: Path | str | MediaInfo,
    *,
    rate: Fraction | None = None,
    crop: Crop | None = None,
    size: tuple[int, int] | None = None,
    start_frame: int = 0,
    frames: int | None = None,
    gray: bool = False,
    on_damage: Callable[[int, str], None] | None = None,
) -> Generator[Frame, None, None]:
    """Read the frames of a video one by one.

    The ffmpeg behind it starts with the first `next` and is gone when the generator ends, is
    closed, or is dropped. A video that is damaged yields what could be decoded, and then says so:
    what stands behind a jump of its time stamps is left out, and so are more than twice the frames
    that its header lets expect.

    Args:
        video: the file, whose first moving pictures are read, or what `probe` said of a stream of
            a file.
        rate: convert to this frame rate by repeating or leaving out frames; frame n is what is
            shown n / rate seconds after the file's start. None: every frame as it is.
        crop: the square to cut out, rounded by `Crop.rounded`. None: the whole picture.
        size: (width, height) to resample to; area when shrinking, Lanczos when enlarging, nearest
            with `gray`. None: as it is.
        start_frame: index of the first frame to yield, counted after conversion to `rate`.
        frames: how many frames to yield at most. None: all.
        gray: yield (H, W), the stored values of a "labels" video, instead of RGB.
        on_damage: called at the end of a damaged video with the number of frames and what is
            wrong, in words, before the generator ends. None: it is logged.

    Yields:
        uint8 (H, W, 3) RGB, or (H, W); each a new array.

    Raises:
        DecodeError: not a video, or not one frame of it can be decoded.
    """
    info = video if isinstance(video, MediaInfo) else probe(video)
    if not info.has_video:
        raise DecodeError(f"{info.path} has no pictures, only sound")
    if start_frame < 0 or (frames is not None and frames < 0):
        raise ValueError(f"start_frame {start_frame} and frames {frames} must not be negative")
    width, height = size or _size_after(info, crop)
    command = _reading_command(info, rate, crop, (width, height), start_frame, frames, gray)
    shape = (height, width) if gray else (height, width, 3)
    must_have_one = start_frame == 0 and frames != 0
    limit = frame_limit(expected_frames(info, rate))
    return _decoded(info.path, command, shape, limit, on_damage, must_have_one=must_have_one)


def _size_after(info: MediaInfo, crop: Crop | None) -> tuple[int, int]:
    if crop is None:
        return info.width, info.height
    side = int(crop.rounded().side)
    return side, side


def _decoded(
    path: Path,
    command: list[str],
    shape: tuple[int, ...],
    limit: int | None,
    on_damage: Callable[[int, str], None] | None,
    *,
    must_have_one: bool,
) -> Generator[Frame, None, None]:
    count, wrong = 0, ""
    with running(command, read=True) as process:
        while True:
            frame = np.empty(shape, np.uint8)
            if process.output.readinto(frame.data.cast("B")) < frame.nbytes:
                break
            if count == limit:
                wrong = "it holds more than twice the frames of its length"
                break
            count += 1
            yield frame
        if not wrong:
            status = process.finish()
            said = process.said()
            if count == 0 and must_have_one:
                raise DecodeError(
                    f"{path}: no picture could be decoded: {said or 'the file has none'}"
                )
            wrong = describe_damage(path, said) if status != 0 or said else ""
    if wrong and on_damage is not None:
        on_damage(count, wrong)
    elif wrong:
        _log.warning("%s is damaged: %s; %d frames could be decoded", path, wrong, count)


def _seek(info: MediaInfo, rate: Fraction | None, start_frame: int) -> tuple[float, int]:
    """Where to start decoding (s), and how many frames are then left out to be exact."""
    if start_frame == 0 or not info.has_steady_rate or info.frame_rate is None:
        return 0.0, start_frame
    if rate is None:
        # Half a frame early, so that rounded time stamps (ms in Matroska) cannot matter.
        return max(0.0, info.start_s + float((start_frame - Fraction(1, 2)) / info.frame_rate)), 0
    # Whole seconds on the grid of `rate`: every time base holds them, so the choice of the
    # nearest frame comes out as it does without seeking. One second early, for the frame that
    # is still shown.
    grid = rate.denominator
    seconds = int((start_frame / rate - 1) // grid) * grid
    if seconds <= 0:
        return 0.0, start_frame
    return float(seconds), start_frame - int(seconds * rate)


def _reading_command(
    info: MediaInfo,
    rate: Fraction | None,
    crop: Crop | None,
    size: tuple[int, int],
    start_frame: int,
    frames: int | None,
    gray: bool,
) -> list[str]:
    import ffmpeg

    seek_s, left_out = _seek(info, rate, start_frame)
    options = {"ss": f"{seek_s:.6f}"} if seek_s > 0 else {}
    video = ffmpeg.input(file_url(info.path), **options)[str(info.video_stream)]
    video = without_jumps(video, info)
    if rate is not None:
        video = video.filter("fps", fps=str(rate), start_time=0)
    if left_out:
        video = video.filter("trim", start_frame=left_out)
    if crop is not None:
        video = _cropped(video, info, crop.rounded(), gray)
    before = _size_after(info, crop)
    # At the same size only subsampled colour is interpolated, as it is before a crop.
    resample = "bicubic" if size == before else "area" if size[0] < before[0] else "lanczos"
    resample = "neighbor" if gray else resample
    video = video.filter("scale", *size, flags=f"{resample}+{EXACT}")
    limit = {} if frames is None else {"frames:v": frames}
    output = video.output(
        "pipe:",
        format="rawvideo",
        pix_fmt="gray" if gray else "rgb24",
        fps_mode="passthrough",
        **limit,
    )
    return command_of(output)


def _surrounding(info: MediaInfo, inner: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Corners (x0, y0, x1, y1) of the part that is worth converting: even, with some margin."""
    width, height, x, y = inner
    whole = (0, 0, info.width, info.height)
    if not info.has_square_pixels:
        return whole
    margin = 8  # More than the interpolation of subsampled colour reaches.
    x0, y0 = max(0, x - margin) // 2 * 2, max(0, y - margin) // 2 * 2
    x1 = min(info.width, (x + width + margin + 1) // 2 * 2)
    y1 = min(info.height, (y + height + margin + 1) // 2 * 2)
    return whole if x1 % 2 or y1 % 2 else (x0, y0, x1, y1)


def _cropped(video: Any, info: MediaInfo, crop: Crop, gray: bool) -> Any:
    x, y, side = int(crop.x), int(crop.y), int(crop.side)
    left, top = max(0, -x), max(0, -y)
    right, bottom = max(0, x + side - info.width), max(0, y + side - info.height)
    if left + right >= side or top + bottom >= side:
        raise ValueError(f"{crop} lies outside the picture ({info.width} x {info.height})")
    inner = (side - left - right, side - top - bottom, max(0, x), max(0, y))
    x0, y0, x1, y1 = _surrounding(info, inner)
    if (x0, y0, x1, y1) != (0, 0, info.width, info.height):
        video = video.filter("crop", x1 - x0, y1 - y0, x0, y0)
    # Full colour resolution first: ffmpeg cuts subsampled colour only at even positions.
    video = video.filter("scale", x1 - x0, y1 - y0, flags=f"bicubic+{EXACT}")
    video = video.filter("format", "gray" if gray else "gbrp")
    video = video.filter("crop", *inner[:2], inner[2] - x0, inner[3] - y0)
    width, height = inner[:2]
    while (width, height) != (side, side):
        # fillborders takes borders up to half a picture, so a wide one grows in steps.
        step_left, step_right = min(left, width), min(right, width)
        step_top, step_bottom = min(top, height), min(bottom, height)
        left, right = left - step_left, right - step_right
        top, bottom = top - step_top, bottom - step_bottom
        width, height = width + step_left + step_right, height + step_top + step_bottom
        video = video.filter("pad", width, height, step_left, step_top)
        video = video.filter(
            "fillborders",
            left=step_left,
            right=step_right,
            top=step_top,
            bottom=step_bottom,
            mode="smear",
        )
    return video
