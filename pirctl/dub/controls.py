"""Readable controls: what a user may change about the expression, by the names of its axes.

The expression of a frame comes from the video (eyes, brows) and from the speech or a driving
video (mouth). Then, in this order: curves from a file replace the axes they name, gains and
offsets change what is there, and everything is held in the range of the axis. What is written
with `--export-expression` is the result, so reading it back changes nothing. What is painted of a
change is what the person's own expressions can show of it (`own`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.curves import Curves
from pirctl.errors import SettingsError
from pirctl.face.model import ARKIT_SET, find_axis
from pirctl.face.solve import DEVIATIONS
from pirctl.perform.expression import mouth_axes
from pirctl.perform.own import OwnExpressions
from pirctl.settings import MaskSettings
from pirctl.settings.choices import Pose, UpperFace
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GAIN = re.compile(rf"\s*([^=\s]+)\s*=\s*([+-]?{_NUMBER})\s*(?:([+-])\s*({_NUMBER}))?\s*")

HARDLY = 0.3
"""An axis of which a person's own expressions show less than this is told to be hardly shown."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """One axis times `gain` plus `offset`; 1 is full strength, 0 the face at rest."""

    axis: str
    gain: float
    offset: float = 0.0


def parse_gain(text: str) -> Gain:
    """Read `NAME=GAIN`, `NAME=GAIN+OFFSET` or `NAME=GAIN-OFFSET`.

    Raises:
        SettingsError: it is none of these.
    """
    match = _GAIN.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"--expression {text}: expected NAME=GAIN or NAME=GAIN+OFFSET",
            hint="for example --expression jawOpen=1.2 --expression mouthSmileLeft=1+0.3",
        )
    axis, gain, sign, offset = match.groups()
    read = Gain(axis=axis, gain=float(gain), offset=float((sign or "") + (offset or "0")))
    if not math.isfinite(read.gain * read.offset):
        raise SettingsError(f"--expression {text}: too large a number", hint="1 is full strength")
    return read


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What is asked for; the defaults change nothing.

    Attributes:
        gains: per axis, applied to what the speech or the curves say.
        curves: axes whose values over time are given.
        upper_face: where axes that speech does not move come from: `video`, the target's own
            frames, so that blinks stay natural; `speech`, whatever drives the mouth.
        pose: which of the target's frames are shown: `original`, the clip in its order, forwards
            and backwards when the speech is longer; `loop`, a section of it over and over, cut
            where the head is most nearly in the same place; `still`, one frame.
    """

    gains: tuple[Gain, ...] = ()
    curves: Curves | None = None
    upper_face: UpperFace = "video"
    pose: Pose = "original"

    @property
    def edited_axes(self) -> tuple[str, ...]:
        """Names of the axes that are changed, each once."""
        names = [] if self.curves is None else list(self.curves.knots)
        return tuple(dict.fromkeys([*names, *(gain.axis for gain in self.gains)]))

    def check(self, names: Sequence[str], model_name: str) -> None:
        """Raise unless the face model has all the axes that are named.

        Raises:
            PirctlError: an axis that the face model lacks; near names are listed.
            SettingsError: two gains for one axis.
        """
        for axis in self.edited_axes:
            find_axis(names, axis, model_name)
        axes = [gain.axis for gain in self.gains]
        twice = next((axis for axis in axes if axes.count(axis) > 1), None)
        if twice is not None:
            raise SettingsError(
                f"--expression {twice} is given twice", hint=f"give one {twice}=GAIN+OFFSET"
            )


def expression_range(track: Track, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Least and most (E,) that each axis may show.

    Named axes go from rest to full strength, others as far as the fit goes; either is widened to
    what the person's own video shows, which the networks have learnt.
    """
    low, high = (0.0, 1.0) if ARKIT_SET & set(names) else DEVIATIONS.bounds
    shown = track.z_exp[track.valid] if track.valid.any() else np.zeros_like(track.z_exp[:1])
    least, most = np.minimum(shown.min(axis=0), low), np.maximum(shown.max(axis=0), high)
    return least.astype(np.float32), most.astype(np.float32)


def notes_on_mask(controls: Controls, names: Sequence[str], mask: MaskSettings) -> tuple[str, ...]:
    """What to tell a user whose controls change what the mask does not repaint."""
    below = {names[axis] for axis in mouth_axes(names)}
    hidden = [gain.axis for gain in controls.gains if gain.axis not in below]
    if controls.curves is not None and below.isdisjoint(controls.curves.knots):
        hidden += controls.curves.knots  # A table with the mouth in it was most likely exported.
    if controls.upper_face == "speech" and len(below) < len(names):
        hidden.insert(0, "upper face")
    if mask.region != "lower" or not hidden:
        return ()
    return (
        f"{', '.join(hidden)}: hardly seen, for the mask covers the lower face only; train with "
        "--set mask.region=face to repaint eyes and brows",
    )


def notes_on_axes(controls: Controls, names: Sequence[str], mask: MaskSettings) -> tuple[str, ...]:
    """What to tell a user whose face model has no axes for the mouth alone."""
    mouth = mouth_axes(names)
    if len(mouth) < len(names) or controls.upper_face == "speech" or mask.region == "lower":
        return ()
    return (
        "the axes of this face model each move the whole face, so eyes and brows follow the "
        "speech too; the face model generic tells them apart, and so does a stage trained with "
        "--set mask.region=lower, which repaints the lower face only",
    )


def notes_on_own(controls: Controls, names: Sequence[str], own: OwnExpressions) -> tuple[str, ...]:
    """What to tell a user who asks for what this person never does."""
    axes = [gain.axis for gain in controls.gains]
    if controls.curves is not None and len(controls.curves.knots) < len(names):
        axes += controls.curves.knots  # A table with every axis in it was most likely exported.
    hardly = [
        axis for axis in dict.fromkeys(axes) if own.share(list(names).index(axis), 0.1) < HARDLY
    ]
    if not hardly:
        return ()
    return (
        f"{', '.join(hardly)}: hardly shown, for this person's own video hardly does it and the "
        "networks have not learnt it; pirctl inspect --axes draws what they have",
    )


class ExpressionEditor:
    """Applies controls to a stream of expressions, frame after frame.

    Args:
        controls: what to change.
        names: (E,) of the axes.
        limits: see `expression_range`.
        frame_rate: frames per second of the stream.
        record: is given every edited chunk (t, E).
        retarget_change: turns the change (t, E) that was made into the one that is painted; None
            paints it as it is.
    """

    def __init__(
        self,
        controls: Controls,
        names: Sequence[str],
        limits: tuple[FloatArray, FloatArray],
        frame_rate: int,
        *,
        record: Callable[[FloatArray], None] | None = None,
        retarget_change: Callable[[FloatArray], FloatArray] | None = None,
    ) -> None:
        self._names = tuple(names)
        self._low, self._high = limits
        self._rate = frame_rate
        self._record = record
        self._retarget_change = retarget_change
        index = {name: number for number, name in enumerate(self._names)}
        self._gains = [(index[gain.axis], gain) for gain in controls.gains]
        curves = controls.curves
        self._curves = [] if curves is None else [(index[name], name) for name in curves.knots]
        self._table = curves
        self._told = sorted(index[name] for name in controls.edited_axes)
        self._outside = np.zeros(len(self._names), np.int64)
        self.done = 0

    def __call__(self, z_exp: FloatArray) -> FloatArray:
        """Edit the next frames (t, E)."""
        check_shape("z_exp", z_exp, None, len(self._names))
        edited = z_exp.astype(np.float64)
        if self._table is not None:
            times_s = np.arange(self.done, self.done + len(edited)) / self._rate
            for axis, name in self._curves:
                # Rounded as what was written: a value at the end of its range is not beyond it.
                edited[:, axis] = self._table.at(name, times_s).astype(np.float32)
        for axis, gain in self._gains:
            edited[:, axis] = edited[:, axis] * gain.gain + gain.offset
        self._outside += ((edited < self._low) | (edited > self._high)).sum(axis=0)
        held = np.clip(edited, self._low, self._high).astype(np.float32)
        self.done += len(held)
        if self._record is not None:
            self._record(held)
        if self._retarget_change is None:
            return held
        # Where nothing is changed, not a bit is: a table that was exported gives the same frames.
        return z_exp + self._retarget_change(held - z_exp)

    @property
    def clamped(self) -> dict[str, int]:
        """Per axis that was edited, in how many frames it was out of its range."""
        return {self._names[axis]: int(n) for axis in self._told if (n := self._outside[axis])}

    def range_of(self, name: str) -> tuple[float, float]:
        """Least and most of an axis."""
        axis = self._names.index(name)
        return float(self._low[axis]), float(self._high[axis])
