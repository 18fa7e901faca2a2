"""One person's part in a video: who paints it, where it is, and what every frame of it shows.

All choices over time, also those of the references, are made here for the whole video, before the
first frame is painted: a run that goes on in the middle finds them as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.own_times import Scene
from pirctl.dub.plan import (
    Times,
    Utterance,
    expressions_at,
    fade_weights,
    joined,
    runs_of,
    towards_own,
)
from pirctl.dub.script import Line
from pirctl.dub.work import Arrays
from pirctl.perform.actor import Actor
from pirctl.perform.choice import Choice
from pirctl.perform.occlusion import Occlusion
from pirctl.perform.painter import Batch, Painter
from pirctl.perform.poses import drive

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_PLANNED_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """What every frame of a video shows of one person.

    Attributes:
        weights: (T,) in [0, 1], how much of the painted mouth; 0: the frame stays as it is.
        z_exp: (T, E) expression.
        rows: (T, K) rows of the references that are shown; K is 0 where there are none.
        shares: (T, K) how far each of them has come in.
        missed: (T,) bool, frames in which something is said and nothing can be painted.
        front: what is in front of the face.
    """

    weights: FloatArray
    z_exp: FloatArray
    rows: IntArray
    shares: FloatArray
    missed: NDArray[np.bool_]
    front: Occlusion = field(default_factory=Occlusion.nothing)

    def to_arrays(self, prefix: str) -> Arrays:
        """Its parts under names that begin with `prefix`."""
        parts = {name: getattr(self, name) for name in ("weights", "z_exp", "rows", "shares")}
        parts["missed"] = self.missed.astype(np.uint8)
        parts |= {f"front.{name}": value for name, value in vars(self.front).items()}
        return {f"{prefix}.{name}": value for name, value in parts.items()}

    @staticmethod
    def from_arrays(arrays: Arrays, prefix: str) -> RolePlan:
        """What `to_arrays` gave."""
        names = ("weights", "z_exp", "rows", "shares", "missed")
        parts = {name: arrays[f"{prefix}.{name}"] for name in names}
        front = Occlusion(
            numbers=arrays[f"{prefix}.front.numbers"], areas=arrays[f"{prefix}.front.areas"]
        )
        return RolePlan(**{**parts, "missed": parts["missed"].astype(bool)}, front=front)

    def choices(self, numbers: Sequence[int]) -> tuple[Choice, ...]:
        """The references of some frames; empty where there are none."""
        if not self.rows.shape[1]:
            return ()
        return tuple(Choice(rows=self.rows[n], weights=self.shares[n]) for n in numbers)


@dataclass(frozen=True, kw_only=True)
class Role:
    """One person in the frames of a video, ready to be painted.

    Attributes:
        scene: where the person is.
        painter: paints them there.
        plan: what every frame shows.
    """

    scene: Scene
    painter: Painter
    plan: RolePlan


def hear(actor: Actor, line: Line) -> Utterance:
    """What a line makes an actor's face do."""
    return Utterance(
        z_exp=np.concatenate(list(actor.express(line.sound))),
        silence=actor.silence(line.sound),
        starts_s=float(line.starts_s),
        span=(float(line.first_s), float(line.last_s)),
        rate=actor.settings.media.frame_rate,
    )


def hear_all(actor: Actor, lines: Iterable[Line]) -> list[Utterance]:
    """What the lines of one face make it do; a sound that several come from is heard once."""
    known: dict[tuple[object, object], Utterance] = {}
    spoken = []
    for line in lines:
        place = (line.sound, line.starts_s)
        known.setdefault(place, hear(actor, line))
        span = (float(line.first_s), float(line.last_s))
        spoken.append(replace(known[place], span=span))
    return spoken


def plan_role(
    actor: Actor,
    painter: Painter,
    spoken: Sequence[Utterance],
    times_s: Times,
    shots: IntArray,
    *,
    keep_pauses: bool = True,
) -> RolePlan:
    """Decide what every frame of a video shows of a person.

    Args:
        actor: the person.
        painter: paints the frames of the video; its track has a row for each.
        spoken: what the person says.
        times_s: (T,) when each frame is shown, in seconds.
        shots: (T,) number of each frame's shot.
        keep_pauses: whether the original passes in long pauses; else the mouth is closed there.
    """
    track = painter.track
    spans = [span for one in spoken for span in (one.stretches() if keep_pauses else [one.span])]
    spans = joined(spans)
    every = np.ones(len(times_s), bool)
    wanted = fade_weights(times_s, spans, every, shots)
    weights = fade_weights(times_s, spans, track.valid, shots)
    speech = expressions_at(times_s, spoken, actor.rest)
    shown = drive(track.z_exp, speech, actor.mouth_axes)
    z_exp = towards_own(shown, track.z_exp, weights)
    rows, shares = _choose(painter, z_exp, runs_of(weights > 0, shots))
    return RolePlan(
        weights=weights, z_exp=z_exp, rows=rows, shares=shares,
        missed=(wanted == 1) & ~track.valid,
    )  # fmt: skip


def _choose(
    painter: Painter, z_exp: FloatArray, runs: Iterable[tuple[int, int]]
) -> tuple[IntArray, FloatArray]:
    """The references of all painted frames, chosen for every run of them as a whole."""
    chosen: dict[int, Choice] = {}
    for first, stop in runs:
        for batch in painter.brush.plan(_unpainted(z_exp, first, stop)):
            chosen.update(zip(batch.numbers, batch.choices, strict=False))
    count = len(next(iter(chosen.values())).rows) if chosen else 0
    rows = np.zeros((len(z_exp), count), np.int64)
    shares = np.zeros((len(z_exp), count), np.float32)
    for number, choice in chosen.items():
        rows[number], shares[number] = choice.rows, choice.weights
    return rows, shares


def _unpainted(z_exp: FloatArray, first: int, stop: int) -> Iterator[Batch]:
    """Batches whose pictures nobody has looked at yet."""
    for begin in range(first, stop, _PLANNED_AT_ONCE):
        numbers = list(range(begin, min(stop, begin + _PLANNED_AT_ONCE)))
        nothing = np.zeros((len(numbers), 0, 0, 3), np.uint8)
        yield Batch(numbers=numbers, frames=nothing, z_exp=z_exp[numbers])
