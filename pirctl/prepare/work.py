"""One run over a source video: its inputs, what an earlier run left, its clock and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from pirctl.errors import DecodeError
from pirctl.face.deep3d import Deep3dNetwork
from pirctl.face.model import FaceModel
from pirctl.face.people import Person
from pirctl.media import Crop, expected_frames, read_frames
from pirctl.prepare.reuse import Previous, Source
from pirctl.progress import OnProgress, Stopwatch
from pirctl.settings import Settings

CUT_OFF_FRAMES = 2
"""A damaged file that lacks more frames than these has been cut off."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run: its inputs and its clock.

    With a regressor, that reads the coefficients; with a person, that one of several is meant.
    """

    source: Source
    settings: Settings
    model: FaceModel
    previous: Previous
    report: OnProgress
    regressor: Deep3dNetwork | None = None
    person: Person | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)
    crops: list[Crop] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    @property
    def rate(self) -> Fraction:
        """Frame rate of the target."""
        return Fraction(self.settings.media.frame_rate)

    @property
    def crop(self) -> Crop:
        """The square, once it is chosen."""
        return self.crops[-1]

    @property
    def size_px(self) -> int:
        """Side of the crop as stored, once it is chosen."""
        return self.settings.media.size_of(self.crop.rounded().side)

    def source_frames(self, **options: Any) -> Iterator[npt.NDArray[np.uint8]]:
        """Frames of the source at the target's rate, as `read_frames` gives them.

        Raises:
            DecodeError: the file ends before its header says.
        """
        yield from read_frames(
            self.source.info, rate=self.rate, on_damage=self._on_damage, **options
        )

    def _on_damage(self, frames: int, wrong: str) -> None:
        info, video = self.source.info, self.source.video
        promised = expected_frames(info, self.rate) or 0
        if info.frames and info.frame_rate:
            promised = max(promised, int(info.frames / info.frame_rate * self.rate))
        # Containers and the change of rate count loosely by a frame or two.
        if promised - frames > CUT_OFF_FRAMES:
            raise DecodeError(
                f"{video} is cut off or damaged: it ends after {float(frames / self.rate):.1f} of "
                f"{float(promised / self.rate):.1f} seconds",
                hint="copy it again, or keep what is whole: ffmpeg -i VIDEO -t SECONDS good.mp4",
            )
        self.damage[:] = [f"{video} is damaged, look at its pictures: {wrong}"]
