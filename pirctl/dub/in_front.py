"""What is in front of a face in a video that is dubbed: looked for before anything is painted.

It is part of the plan, so that a run that goes on in the middle finds it as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.own_times import Scene
from pirctl.dub.plan import runs_of
from pirctl.dub.role import RolePlan
from pirctl.dub.scenes import Footage
from pirctl.media.planes import read_planes
from pirctl.perform.actor import Actor
from pirctl.perform.occlusion import NEIGHBOURS
from pirctl.perform.painter import Painter
from pirctl.progress import OnProgress


def plan_front(
    actor: Actor, scene: Scene, footage: Footage, plan: RolePlan, on_progress: OnProgress
) -> RolePlan:
    """The plan, with what is in front of the face in the frames that it paints."""
    if actor.front is None or not (plan.weights > 0).any():
        return plan
    frames = _squares(footage, scene, plan.weights > 0)
    return replace(plan, front=actor.front.find(scene.track, frames, on_progress))


def minding_front(actor: Actor, scene: Scene, painter: Painter, plan: RolePlan) -> Painter:
    """A painter that leaves what is in front of the face as it is."""
    if actor.front is None or not len(plan.front.numbers):
        return painter
    return replace(painter, visible=actor.front.visibility(scene.track, scene.size_px, plan.front))


def _squares(
    footage: Footage, scene: Scene, painted: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The squares of the frames that are painted, and of their neighbours."""
    near = np.convolve(painted, np.ones(2 * NEIGHBOURS + 1), "same") > 0
    for first, stop in runs_of(near, np.zeros(len(near), np.int64)):
        frames = read_planes(
            footage.info, timeline=footage.timeline, first=first, count=stop - first
        )
        with closing(frames):
            for frame in frames:
                yield frame.number, frame.rgb(scene.crop, scene.size_px)
