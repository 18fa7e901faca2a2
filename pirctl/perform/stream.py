"""The stream of painted frames: footage and expressions in, repainted frames out, in batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pirctl.media.background import prefetch
from pirctl.perform.composite import Patch
from pirctl.perform.painter import Batch, Painted, Painter
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
        patch: the painted square at the resolution of the shot, where the painter knows more than
            the crop shows.
    """

    number: int
    frame: ByteArray
    mask: FloatArray
    is_painted: bool
    patch: Patch | None = None


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
    with closing(prefetch(_runs(footage, batch_size), QUEUE_BATCHES)) as runs:
        for batch in painter.brush.plan(_batches(painter, runs, rows, mouth_axes, edit, watch)):
            with watch.part("painting"):
                painted = _paint(painter, batch)
            patches = painted.patches or (None,) * len(batch.numbers)
            made = zip(batch.numbers, painted.frames, painted.masks, patches, strict=True)
            for number, frame, mask, patch in made:
                yield PaintedFrame(
                    number=number,
                    frame=frame,
                    mask=mask,
                    is_painted=bool(painter.track.valid[number]),
                    patch=patch,
                )


def _paint(painter: Painter, batch: Batch) -> Painted:
    if painter.track.valid[batch.numbers].any():
        return painter.paint(batch)
    return Painted(frames=batch.frames, masks=np.zeros(batch.frames.shape[:3], np.float32))


def _batches(
    painter: Painter,
    runs: Iterator[list[tuple[int, ByteArray]]],
    rows: Iterator[FloatArray],
    mouth_axes: Sequence[int],
    edit: Edit | None,
    watch: Stopwatch,
) -> Iterator[Batch]:
    """Runs of footage with what they shall show, until there are no more of either."""
    while True:
        with watch.part("waiting for frames"):
            run = next(runs, None)
        if run is None:
            return
        with watch.part("speech"):
            speech = list(islice(rows, len(run)))
        if not speech:
            return
        numbers = [number for number, _ in run[: len(speech)]]
        z_exp = drive(painter.track.z_exp[numbers], np.stack(speech), mouth_axes)
        yield Batch(
            numbers=numbers,
            frames=np.stack([frame for _, frame in run[: len(speech)]]),
            z_exp=z_exp if edit is None else edit(z_exp),
        )


def _runs(
    footage: Iterable[tuple[int, ByteArray]], batch_size: int
) -> Iterator[list[tuple[int, ByteArray]]]:
    pairs = iter(footage)
    try:
        while run := list(islice(pairs, batch_size)):
            yield run
    finally:
        close = getattr(pairs, "close", None)
        if close is not None:
            close()
