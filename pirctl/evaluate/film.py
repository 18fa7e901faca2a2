"""Truth and result side by side, as a small film with the sound that drove it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pirctl.face.draw import fit_into_square
from pirctl.media import VideoWriter

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

SIDE_PX = 360


class SideBySide:
    """Writes the film, and remembers how far each frame is off inside its mask.

    Use as a context manager.

    Args:
        path: of the film, H.264 in MP4: any browser plays it.
        rate: frames per second.
        sound: what drives the mouth.
    """

    def __init__(self, path: Path, rate: Fraction, sound: Path) -> None:
        self.errors: dict[int, float] = {}
        self._writer = VideoWriter(path, 2 * SIDE_PX, SIDE_PX, rate, sound=sound, force=True)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def add(self, number: int, truth: ByteArray, painted: ByteArray, mask: FloatArray) -> None:
        """Append a frame; all (H, W, 3) uint8, the mask (H, W) in [0, 1]."""
        squares = [fit_into_square(image, SIDE_PX) for image in (truth, painted)]
        self._writer.write(np.concatenate(squares, axis=1))
        weight = float(mask.sum())
        if weight > 0:
            apart = (truth.astype(np.float32) - painted) ** 2
            self.errors[number] = float(np.sqrt((apart.mean(-1) * mask).sum() / weight))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, traceback)


OnFrame = Callable[[int, ByteArray, ByteArray, FloatArray], None]
"""Called with number, truth, painted frame and mask."""
