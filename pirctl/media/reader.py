"""Frames out of a video, through ffmpeg's pipe; never a whole video in memory.

Frames are uint8 (H, W, 3) RGB, or (H, W) for label maps. Rotation and non-square pixels are
resolved on reading, so a frame is what a viewer sees. Conversions happen inside ffmpeg.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.media.crop import Crop, crop_steps, scale_step
from pirctl.media.damage import describe_damage, frame_limit, without_jumps
from pirctl.media.probe import MediaInfo, expected_frames, probe_video
from pirctl.media.process import command_of, file_url, running

_log = logging.getLogger(__name__)

Frame = NDArray[np.uint8]


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
    info = probe_video(video)
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
    seek = {"ss": f"{seek_s:.6f}"} if seek_s > 0 else {}
    video = ffmpeg.input(file_url(info.path), **seek)[str(info.video_stream)]
    video = without_jumps(video, info)
    if rate is not None:
        video = video.filter("fps", fps=str(rate), start_time=0)
    if left_out:
        video = video.filter("trim", start_frame=left_out)
    before = _size_after(info, crop)
    steps = [scale_step(before, size, gray)]
    if crop is not None:
        shown = (info.width, info.height)
        steps = crop_steps(shown, crop.rounded(), info.has_square_pixels, gray) + steps
    for name, options in steps:
        video = video.filter(name, **options)
    limit = {} if frames is None else {"frames:v": frames}
    output = video.output(
        "pipe:",
        format="rawvideo",
        pix_fmt="gray" if gray else "rgb24",
        fps_mode="passthrough",
        **limit,
    )
    return command_of(output)
