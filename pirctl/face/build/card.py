"""The card of the bundled face model: what it is, and how well it explains people it never saw.

The card holds statistics over all people, nothing about a single one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pirctl.face import landmarks as mesh
from pirctl.face.build.assemble import EYE_DISTANCE_DM, align, build_model, without_perspective
from pirctl.face.build.axes import DESIGNED
from pirctl.face.build.measure import Array, Person
from pirctl.face.camera import FLIP, intrinsics, project, transform
from pirctl.face.draw import contact_sheet, draw_text, write_image
from pirctl.face.fit import ClipFit, fit_clip
from pirctl.face.model import ARKIT_NAMES, FaceModel
from pirctl.face.shade import draw_surface
from pirctl.files import atomic_file
from pirctl.settings import FitSettings

logger = logging.getLogger(__name__)

REGIONS = {
    "all 468 points": tuple(range(mesh.MESH_POINTS)),
    "lips": mesh.LIPS_OUTER + mesh.LIPS_INNER,
    "eyes": mesh.EYE_LEFT + mesh.EYE_RIGHT,
    "outline": mesh.FACE_OVAL,
}
"""Groups of points of the error table."""

STILL_DM = 0.03
"""An axis that moves no point further than this hardly shows in the mesh."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How well a model explains a person it was built without.

    Attributes:
        name: of the clip.
        by_region: name of the region to the mean distance of tracked and projected points, as a
            fraction of the distance between the outer eye corners.
        opening: correlation of the fitted with the tracked opening of the mouth.
        halves: mean distance between the shapes that identity has on the first and on the second
            half of the clip, same unit.
        identity_share: part of what tells this person from the mean face that identity explains.
        expression_share: part of the person's movement that the expression axes explain.
    """

    name: str
    by_region: dict[str, float]
    opening: float
    halves: float
    identity_share: float
    expression_share: float


def leave_one_out(people: Sequence[Person], triangles: Array) -> list[LeftOut]:
    """For each person: build without them, fit them, measure.

    The frames are spread over the clip, so nothing is smoothed in time.
    """
    found = []
    for person in people:
        model = build_model([other for other in people if other is not person], triangles)
        found.append(_explain(person, model))
        logger.info("%d of %d left out: %s", len(found), len(people), found[-1])
    return found


def _explain(person: Person, model: FaceModel) -> LeftOut:
    size_px = 512
    points = person.image
    middle = (points.min((0, 1)) + points.max((0, 1))) / 2
    side = 1.9 * np.median(np.ptp(points[..., 1], axis=1))
    tracked = (points - middle) * (size_px / side) + size_px / 2
    settings = FitSettings(smoothness=0.0)

    def fit(frames: slice) -> ClipFit:
        valid = np.ones(len(tracked[frames]), bool)
        return fit_clip(tracked[frames], valid, model, size_px, settings)

    whole, half = fit(slice(None)), len(tracked) // 2
    vertices = model.vertices(torch.from_numpy(whole.z_id), torch.from_numpy(whole.z_exp))
    seen = transform(torch.from_numpy(whole.R), torch.from_numpy(whole.t), vertices)
    projected = project(seen, torch.from_numpy(whole.K)).numpy()
    eyes_px = float(np.quantile(mesh.eye_distance(tracked), 0.8))
    apart = np.linalg.norm(projected - tracked, axis=-1) / eyes_px
    opening = np.corrcoef(mesh.mouth_opening(projected), mesh.mouth_opening(tracked))[0, 1]
    identity_share, expression_share = _shares(person, model)
    return LeftOut(
        name=person.name,
        by_region={name: float(apart[:, list(rows)].mean()) for name, rows in REGIONS.items()},
        opening=float(opening),
        halves=_shape_distance(model, fit(slice(None, half)), fit(slice(half, None))),
        identity_share=identity_share,
        expression_share=expression_share,
    )


def _shape_distance(model: FaceModel, fit: ClipFit, other: ClipFit) -> float:
    """Mean distance between the rest shapes of two fits, in eye distances."""
    still = torch.zeros(model.expression_width)
    shape, moved = (model.vertices(torch.from_numpy(each.z_id), still) for each in (fit, other))
    return float((shape - moved).norm(dim=-1).mean() / mesh.eye_distance(shape))


def _shares(person: Person, model: FaceModel) -> tuple[float, float]:
    """What the axes explain of the squared offsets in three dimensions, by least squares."""
    mean = model.mean.double().numpy()
    points = align(without_perspective(person.points), mean, np.ones(len(mean)))
    own = points.mean(0)

    def explained(basis: Tensor, offsets: Array) -> float:
        axes = basis.double().flatten(1).numpy().T  # (3V, axes)
        left = offsets - axes @ np.linalg.lstsq(axes, offsets, rcond=None)[0]
        return float(1 - (left**2).sum() / (offsets**2).sum())

    return (
        explained(model.identity_basis, (own - mean).reshape(-1, 1)),
        explained(model.expression_basis, (points - own).reshape(len(points), -1).T),
    )


def draw_axes(path: Path, model: FaceModel) -> None:
    """Draw the mean face at rest and under each expression axis at full strength, as one picture.

    Args:
        path: a PNG file.
        model: with named axes.
    """
    side_px, columns = 170, 9
    K = intrinsics(5.4 * side_px, side_px)
    # Far enough that the whole face fits, with room for a dropped jaw, in dm.
    t = torch.tensor([0.0, -0.05, 11.0])
    rest = torch.zeros(1, model.expression_width)
    shown = torch.cat([rest, torch.eye(model.expression_width)])
    pictures = []
    for name, z_exp in zip(("rest", *model.expression_names), shown, strict=True):
        vertices = model.vertices(torch.zeros(model.identity_width), z_exp)
        canvas = np.full((side_px, side_px, 3), 24, np.uint8)
        drawn = draw_surface(canvas, model, transform(FLIP, t, vertices), K)
        pictures.append(draw_text(drawn, name))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    write_image(path, contact_sheet(rows, side_px=side_px))


def _summary(values: Sequence[float], left_out: Sequence[LeftOut], unit: str) -> str:
    """Mean, median, worst and the clip that has it, as cells of a table."""
    worst = int(np.argmax(values))
    numbers = (np.mean(values), np.median(values), values[worst])
    return " | ".join([*(f"{number:.2f}{unit}" for number in numbers), left_out[worst].name])


def write_card(
    path: Path, model: FaceModel, people: Sequence[Person], left_out: Sequence[LeftOut]
) -> None:
    """Write the card as Markdown, in the outline all cards have, and its picture beside it."""
    draw_axes(path.with_name(f"{path.stem}_axes.png"), model)
    reach = model.expression_basis.norm(dim=-1).amax(1)
    still = [n for n, r in zip(ARKIT_NAMES, reach, strict=True) if r < STILL_DM]
    counts = [len(person.points) for person in people]
    rows = []
    for name in REGIONS:
        values = [100 * each.by_region[name] for each in left_out]
        rows.append(f"| {name} | " + _summary(values, left_out, " %") + " |")
    shapes = _summary([100 * each.halves for each in left_out], left_out, " %")
    rows.append(f"| shape from either half | {shapes} |")
    opening = [each.opening for each in left_out]
    identity = [100 * each.identity_share for each in left_out]
    expression = [100 * each.expression_share for each in left_out]
    text = f"""# generic: the bundled face model

Version `{model.version}`, written by `python -m pirctl.face.build`.

## What it does

A linear 3D model of a face: mean + identity axes + named expression axes over the 468 vertices of
the MediaPipe face mesh. `pirctl preprocess` fits it to the tracked landmarks of a clip. The
expression axes carry the 52 ARKit names, coefficient 1 is full strength, 0 is the face at rest.

![every expression axis at full strength]({path.stem}_axes.png)

## Sizes

{model.mean.shape[0]} vertices, {len(model.triangles)} triangles ({len(model.mouth_triangles)} more
close the mouth, {len(model.eye_triangles)} the eyes), {model.identity_width} identity axes (one
standard deviation long), {model.expression_width} expression axes. Decimetres; x to the subject's
left, y up, z out of the face. The distance between the outer eye corners of the mean face is set to
{EYE_DISTANCE_DM} dm: the absolute size of a head cannot be seen in a picture.

## Built from

{sum(counts)} frames of {len(people)} people ({min(counts)} to {max(counts)} of each, who all weigh
the same), from the example clips of open-source projects (Apache-2.0 and MIT). Measured: the 478
three-dimensional landmarks and the blendshape scores of MediaPipe Face Landmarker (Apache-2.0).
Kept: means, regression fields and principal axes over all people, everyone also mirrored. No
picture and no single person's face is in the file.

Identity axes beyond what {len(people)} people span are smooth harmonics of the mesh.

A hand-made field is the prior of these axes, because the footage hardly shows them or the tracker
hardly scores them: {", ".join(DESIGNED)}. There is no tongue in the mesh: `tongueOut` only moves
the lower lip a little.

## How to reproduce

    python -m pirctl.face.build CLIPS --tracker-model face_landmarker.task \\
        --output models/face/generic.safetensors --report models/cards/generic.md

CLIPS is a folder of .mp4 files, one person each.

## Measured

Each person fitted with a model built without them, over {len(left_out)} people; mean distance
between tracked and projected landmarks, as a fraction of the distance between the outer eye
corners. The last row is how far the shape that identity has on the first half of a clip is from
that on the second half, in the same unit.

| points | mean | median | worst | clip |
|---|---|---|---|---|
{chr(10).join(rows)}

Correlation of the fitted with the tracked opening of the mouth: mean {np.mean(opening):.3f},
worst {min(opening):.3f}. Variance explained in the person left out, in three dimensions: of what
tells them from the mean face, identity explains {np.mean(identity):.0f} % (worst
{min(identity):.0f} %); of their movement, the expression axes {np.mean(expression):.0f} % (worst
{min(expression):.0f} %).

## Limits

- The truth is another tracker's: where MediaPipe errs (depth, profiles, hands before the face) the
  model errs with it.
- {len(people)} people do not stand for everyone; children and old people are hardly among them.
- The weights of the fit were chosen while looking at some of the same clips; the errors are of
  people the model has not seen, but not of a fit that has never met them.
- A camera distance of 12 dm was assumed for all clips when perspective was taken out.
- At 0 the lips touch and at 1 a blink closes the eye: both are set, the tracker's scores say
  something near. No identity axis parts the lips; narrow and wide eyes are identity.
- Axes that move no point by more than {STILL_DM} dm: {", ".join(still)}. The mesh has no irises, so
  the gaze axes only move the lids.
- `mouthClose` is meant together with `jawOpen`; alone it pushes the lips through each other.

## Licence and consent

Apache-2.0, like the rest of the project. The people of the clips have not been asked by this
project; nothing in the file identifies one of them.
"""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
