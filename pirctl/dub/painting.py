"""Painting the frames of a video as it stores them: squares out, through the networks, and back.

A thread decodes and cuts out, the caller's thread paints, and whoever takes the frames puts the
painted squares in and encodes: `finished` may run in a thread of its own. Nothing here depends on
what was painted before, so a segment comes out the same wherever a run begins.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.role import Role
from pirctl.media import Crop
from pirctl.media.background import prefetch
from pirctl.media.planes import Planes
from pirctl.perform.composite import Patch, at_shot_size
from pirctl.perform.painter import Batch
from pirctl.perform.stream import QUEUE_BATCHES
from pirctl.progress import Stopwatch

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A painted square.

    Attributes:
        box: where it belongs in the picture as shown.
        picture: (S, S, 3) uint8.
        weight: (S, S) in [0, 1].
        patch: what is known at the resolution of the shot.
    """

    box: Crop
    picture: ByteArray
    weight: FloatArray
    patch: Patch | None


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A frame of the source and what is painted on it."""

    frame: Planes
    edits: tuple[Edit, ...]

    def finished(self) -> Planes:
        """The frame with all that was painted; the source's own where nothing was."""
        frame = self.frame
        for edit in self.edits:
            picture = at_shot_size(edit.picture, int(edit.box.side), edit.patch)
            frame = frame.paste(edit.box, picture, edit.weight)
        return frame


_Cut = tuple[Planes, dict[int, ByteArray]]


def paint_frames(
    frames: Iterable[Planes],
    roles: Sequence[Role],
    *,
    batch_size: int,
    watch: Stopwatch | None = None,
) -> Generator[Canvas, None, None]:
    """Paint frames of a video.

    Args:
        frames: decoded frames; read ahead in a thread.
        roles: who is painted, one after the other where they meet.
        batch_size: squares painted at once.
        watch: is told where the time goes.
    """
    watch = watch or Stopwatch()
    with closing(prefetch(_cut_out(frames, roles), QUEUE_BATCHES * batch_size)) as ahead:
        while True:
            with watch.part("waiting for frames"):
                batch = list(islice(ahead, batch_size))
            if not batch:
                return
            edits: list[list[Edit]] = [[] for _ in batch]
            for number, role in enumerate(roles):
                with watch.part("painting"):
                    _paint(role, number, batch, edits)
            for (frame, _), made in zip(batch, edits, strict=True):
                yield Canvas(frame=frame, edits=tuple(made))


def _cut_out(frames: Iterable[Planes], roles: Sequence[Role]) -> Iterator[_Cut]:
    for frame in frames:
        yield (
            frame,
            {
                number: frame.rgb(role.scene.crop, role.scene.size_px)
                for number, role in enumerate(roles)
                if role.plan.weights[frame.number] > 0
            },
        )


def _paint(role: Role, key: int, batch: Sequence[_Cut], edits: Sequence[list[Edit]]) -> None:
    """Paint one person in those frames of a batch that show something of them."""
    places = [place for place, (_, squares) in enumerate(batch) if key in squares]
    if not places:
        return
    numbers = [batch[place][0].number for place in places]
    painted = role.painter.paint(
        Batch(
            numbers=numbers,
            frames=np.stack([batch[place][1][key] for place in places]),
            z_exp=role.plan.z_exp[numbers],
            choices=role.plan.choices(numbers),
        )
    )
    for row, place in enumerate(places):
        edits[place].append(
            Edit(
                box=role.scene.crop,
                picture=painted.frames[row],
                weight=painted.masks[row] * role.plan.weights[numbers[row]],
                patch=painted.patches[row] if painted.patches else None,
            )
        )
