"""The bank of a target is filled: which frames, and their pictures at their best resolution."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pirctl.face.model import FaceModel
from pirctl.face.warp import FaceWarp
from pirctl.media import Crop, probe, read_frames
from pirctl.perform.bank import Bank, choose_frames, sharpness_of
from pirctl.perform.references import Likeness
from pirctl.perform.windows import Windows
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import Settings
from pirctl.target import TargetAbout, Track
from pirctl.training.footage import Footage

LOGGER = logging.getLogger(__name__)

ByteArray = NDArray[np.uint8]

_MOST_BYTES = 256 << 20
"""Memory that the pictures take at most: large faces get fewer, but not less than the next."""
_FEWEST_FRAMES = 24
_MARGIN_CELLS = 2
"""Surroundings of a window that a reference also shows: a face nearer to the camera is larger."""


def fill_bank(
    footage: Footage,
    windows: Windows,
    track: Track,
    model: FaceModel,
    about: TargetAbout,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
) -> Bank:
    """Choose frames of the training part, and cut out what is around the mouth.

    Args:
        footage: the training part.
        windows: the squares around its masks.
        track: the target's track.
        model: the face model it was fitted with.
        about: where the source is; its pixels are taken where they are finer than the crop's.
        settings: the resolved settings.
        on_progress: told about every frame read.
    """
    usable = footage.usable.numpy()
    side = min(windows.size_px, windows.side_px + 2 * _MARGIN_CELLS * windows.cell_px)
    middles = windows.middles(footage.usable).numpy()
    corners = np.clip(middles - side // 2, 0, windows.size_px - side).astype(np.float32)

    def around(number: int, corner: NDArray[np.float32]) -> ByteArray:
        x, y = corner.astype(int)
        picture: ByteArray = footage.frames[number, y : y + side, x : x + side].cpu().numpy()
        return picture

    sharpness = np.array([sharpness_of(around(*at)) for at in zip(usable, corners, strict=True)])
    features = Likeness(FaceWarp(model, track.z_id, track.K)).of(
        track.z_exp[usable], track.R[usable]
    )
    scale = max(1.0, about.crop_side / windows.size_px)
    room = int(_MOST_BYTES / (3 * (side * scale) ** 2))
    rows = choose_frames(
        features, sharpness, min(settings.renderer.bank_frames, max(_FEWEST_FRAMES, room))
    )
    numbers, corners = usable[rows].astype(np.int64), corners[rows]
    if scale > 1:
        if about.is_source_unchanged():
            return _from_source(numbers, corners, side, scale, about, settings, on_progress)
        LOGGER.warning(
            "%s: not there as it was, the frames that the renderer shows have the resolution of "
            "the crop", about.source,
        )  # fmt: skip
    pictures = [around(*at) for at in zip(numbers, corners, strict=True)]
    return Bank(numbers=numbers, pictures=np.stack(pictures), corners=corners, scale=1.0)


def _from_source(
    numbers: NDArray[np.int64],
    corners: NDArray[np.float32],
    side: int,
    scale: float,
    about: TargetAbout,
    settings: Settings,
    on_progress: OnProgress,
) -> Bank:
    """The same squares at the resolution of the source."""
    lefts = np.floor(corners * scale).astype(np.int64)
    full = min(int(about.crop_side), int(np.ceil(side * scale)))
    lefts = np.minimum(lefts, int(about.crop_side) - full)
    wanted, last = set(numbers.tolist()), int(numbers[-1])
    pictures: list[ByteArray] = []
    with closing(_crops(about, settings, last + 1)) as frames:
        for number, frame in enumerate(frames):
            if number in wanted:
                x, y = lefts[len(pictures)]
                pictures.append(frame[y : y + full, x : x + full].copy())
            on_progress(Progress(step="reading the source", done=number + 1, total=last + 1))
    count = len(pictures)  # A source that is damaged may end early.
    return Bank(
        numbers=numbers[:count],
        pictures=np.stack(pictures),
        corners=(lefts[:count] / scale).astype(np.float32),
        scale=scale,
    )


def _crops(about: TargetAbout, settings: Settings, count: int) -> Generator[ByteArray, None, None]:
    box = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    rate = Fraction(settings.media.frame_rate)
    source = probe(about.source, about.source_stream)
    return read_frames(source, rate=rate, crop=box, frames=count)
