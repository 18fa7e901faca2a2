"""The contact sheet of an evaluation: what goes in, what comes out, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.face.draw import contact_sheet, draw_text, fit_into_square, write_image
from pirctl.perform.actor import Actor
from pirctl.perform.footage import frame_at
from pirctl.perform.painter import Batch
from pirctl.perform.poses import drive

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

ROWS = (
    "truth", "masked frame", "implicit face", "output",
    "mouth, output", "mouth, true expression", "mouth, truth",
)  # fmt: skip
"""Rows of the sheet. The held-out frame is both the truth and the source of the masked frame."""

_COLUMNS = 7
_SIDE_PX = 256
_LARGEST_SIDE_PX = 512


def evaluation_sheet(
    actor: Actor, expressions: Sequence[FloatArray], first: int, total: int, path: Path
) -> None:
    """Draw the held-out frames at evenly spread times.

    Args:
        actor: the loaded target.
        expressions: chunks (t, E) predicted from the held-out sound.
        first: number of the first held-out frame.
        total: held-out frames.
        path: the PNG to write.
    """
    speech = np.concatenate(list(expressions))[:total]
    offsets = np.unique(np.linspace(0, len(speech) - 1, _COLUMNS + 2).round().astype(int)[1:-1])
    numbers = [first + int(offset) for offset in offsets]
    truths = np.stack([frame_at(actor.target.frames_path, number) for number in numbers])
    z_exp = drive(actor.track.z_exp[numbers], speech[offsets], actor.mouth_axes)
    shown = actor.painter.pictures(Batch(numbers=numbers, frames=truths, z_exp=z_exp))
    own = actor.track.z_exp[numbers]
    told = actor.painter.paint(Batch(numbers=numbers, frames=truths, z_exp=own)).frames
    masks = actor.painter.masks(numbers, z_exp)
    close = [
        [cut_mouth(image, mask) for image, mask in zip(images, masks, strict=True)]
        for images in (shown.painted, told, truths)
    ]
    # As large as a mouth is in its picture, so that no detail of it is lost on the sheet.
    largest = max(len(image) for row in close for image in row)
    side_px = min(max(_SIDE_PX, largest), _LARGEST_SIDE_PX)
    pictures = [*map(list, (truths, shown.masked, shown.face, shown.painted)), *close]
    rate = actor.settings.media.frame_rate
    # Fitted first: text that is resized with its picture cannot be read.
    pictures[0] = [
        draw_text(fit_into_square(image, side_px), f"{number / rate:.2f} s")
        for image, number in zip(pictures[0], numbers, strict=True)
    ]
    write_image(path, contact_sheet(pictures, captions=ROWS, side_px=side_px))


def cut_mouth(image: ByteArray, mask: FloatArray) -> ByteArray:
    """Cut a square around the masked region out of (H, W, 3); black where nothing is masked."""
    rows, columns = np.nonzero(mask > 0.5)
    if not len(rows):
        return np.zeros((1, 1, 3), np.uint8)
    height, width = mask.shape
    side = min(height, width, max(int(np.ptp(rows)), int(np.ptp(columns))) + 1)
    top = int(np.clip((rows.min() + rows.max()) // 2 - side // 2, 0, height - side))
    left = int(np.clip((columns.min() + columns.max()) // 2 - side // 2, 0, width - side))
    return image[top : top + side, left : left + side]
