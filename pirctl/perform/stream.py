"""The stream of painted frames: footage and expressions in, repainted frames out, in batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pirctl.media.background import prefetch
from pirctl.perform.painter import Painter
from pirctl.perform.poses import drive
from pirctl.progress import Stopwatch

T = TypeVar("T")
ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

Edit = Callable[[FloatArray], FloatArray]
"""Changes the expressions (t, E) of the next t frames; called for every frame, in order."""

QUEUE_BATCHES = 2
"""Batches decoded ahead of the networks, and painted ahead of the encoder."""


@dataclass(frozen=True, kw_only=True)
class PaintedFrame:
    """One frame of the output.

    Attributes:
        number: number of the target's frame that it was made from.
        frame: (H, W, 3) uint8, repainted.
        mask: (H, W) in [0, 1], where it was repainted; all 0 when the frame passed through.
        is_painted: whether the target's frame has a usable face.
    """

    number: int
    frame: ByteArray
    mask: FloatArray
    is_painted: bool


@dataclass(frozen=True, kw_only=True)
class _Batch:
    numbers: list[int]
    frames: ByteArray
    masks: FloatArray = field(repr=False)


def paint_stream(
    painter: Painter,
    footage: Iterable[tuple[int, ByteArray]],
    expressions: Iterable[FloatArray],
    mouth_axes: Sequence[int],
    *,
    batch_size: int,
    edit: Edit | None = None,
    watch: Stopwatch | None = None,
) -> Generator[PaintedFrame, None, None]:
    """Repaint footage with a stream of expressions; as many frames as the shorter one has.

    Args:
        painter: paints one batch.
        footage: pairs of frame number and frame; read ahead in a thread.
        expressions: chunks (t, E) of expressions, one row per frame.
        mouth_axes: indices of the axes that the expressions move; the others stay the footage's.
        batch_size: frames painted at once.
        edit: changes what is shown; nothing is changed if None.
        watch: is told where the time goes.
    """
    watch = watch or Stopwatch()
    rows = (row for chunk in expressions for row in chunk)
    with closing(prefetch(_batches(painter, footage, batch_size), QUEUE_BATCHES)) as batches:
        while True:
            with watch.part("waiting for frames"):
                batch = next(batches, None)
            if batch is None:
                return
            with watch.part("speech"):
                speech = list(islice(rows, len(batch.numbers)))
            if not speech:
                return
            with watch.part("painting"):
                frames = _paint(painter, batch, np.stack(speech), mouth_axes, edit)
            for number, frame, mask in zip(batch.numbers, frames, batch.masks, strict=False):
                yield PaintedFrame(
                    number=number,
                    frame=frame,
                    mask=mask,
                    is_painted=bool(painter.track.valid[number]),
                )


def _paint(
    painter: Painter,
    batch: _Batch,
    speech: FloatArray,
    mouth_axes: Sequence[int],
    edit: Edit | None,
) -> ByteArray:
    numbers, count = batch.numbers[: len(speech)], len(speech)
    z_exp = drive(painter.track.z_exp[numbers], speech, mouth_axes)
    if edit is not None:
        z_exp = edit(z_exp)
    if not painter.track.valid[numbers].any():
        return batch.frames[:count]
    return painter.paint(numbers, batch.frames[:count], z_exp, batch.masks[:count])


def _batches(
    painter: Painter, footage: Iterable[tuple[int, ByteArray]], batch_size: int
) -> Iterator[_Batch]:
    pairs = iter(footage)
    try:
        while batch := list(islice(pairs, batch_size)):
            numbers = [number for number, _ in batch]
            frames = np.stack([frame for _, frame in batch])
            yield _Batch(numbers=numbers, frames=frames, masks=painter.masks(numbers))
    finally:
        close = getattr(pairs, "close", None)
        if close is not None:
            close()
