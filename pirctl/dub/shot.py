"""The original shot: the source video, and painted crops put back into its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import TargetError
from pirctl.media import Crop, probe, read_frames
from pirctl.media.background import prefetch
from pirctl.perform.composite import paste_into_shot
from pirctl.perform.footage import Section, read_section
from pirctl.perform.stream import QUEUE_BATCHES, PaintedFrame
from pirctl.target import Target, TargetAbout


def check_source(target: Target) -> None:
    """Raise unless the target's source video is where it was, is the same, and has the crop in it.

    Raises:
        TargetError: it is gone, another one, or not of the size that the target notes.
        DecodeError: it cannot be read.
    """
    about = target.about
    source = Path(about.source)
    hint = (
        f"--frame crop writes the square around the head, which needs no source; or say where the "
        f"video is: pirctl preprocess VIDEO --target {target.name}"
    )
    if not source.is_file():
        raise TargetError(
            f"{source}: the source video is gone, the original shot needs it", hint=hint
        )
    if not about.is_source_unchanged():
        raise TargetError(
            f"{source}: not the video that target {target.name!r} was made from", hint=hint
        )
    _check_sizes(target, about)


def _check_sizes(target: Target, about: TargetAbout) -> None:
    """Compare what is noted with the video: a record that was changed by hand paints nonsense."""
    info = probe(about.source, about.source_stream)
    size = about.source_width, about.source_height
    box = about.crop_x, about.crop_y, about.crop_x + about.crop_side, about.crop_y + about.crop_side
    in_it = box[0] < info.width and box[1] < info.height and box[2] > 0 and box[3] > 0
    if size != (info.width, info.height):
        wrong = (
            f"notes a source of {size[0]} x {size[1]} pixels, it has {info.width} x {info.height}"
        )
    elif about.crop_side < 1 or not in_it:
        wrong = "notes a crop that is not in the picture"
    else:
        return
    raise TargetError(
        f"{target.about_path}: {wrong}",
        hint=f"pirctl preprocess {about.source} --target {target.name} --force, and train again",
    )


def into_shots(
    painted: Iterable[PaintedFrame],
    about: TargetAbout,
    section: Section,
    total: int,
    frame_rate: Fraction,
) -> Iterator[PaintedFrame]:
    """Replace each crop by the source's own frame with the painted region pasted in.

    Args:
        painted: the crops, in the order of the section.
        about: where the source and the crop are.
        section: which frames are played.
        total: frames in all.
        frame_rate: of the target.
    """
    box = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side).rounded()
    info = probe(about.source, about.source_stream)

    def reader(_: Path, **part: Any) -> Iterator[NDArray[np.uint8]]:
        return read_frames(info, rate=frame_rate, **part)

    shots = read_section(info.path, section, total, reader=reader)
    with closing(prefetch(shots, QUEUE_BATCHES)) as ahead:
        for item, (_, shot) in zip(painted, ahead, strict=False):
            frame = paste_into_shot(shot, item.frame, item.mask, box, item.patch)
            yield replace(item, frame=frame)
