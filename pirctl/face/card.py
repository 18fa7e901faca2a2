"""The card of the bundled face model: what it is, and how well it explains people it never saw.

Used by `build` only. The card holds statistics over all people, nothing about a single one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pirctl.face import landmarks as mesh
from pirctl.face.axes import DESIGNED
from pirctl.face.build import Array, Person, build_model
from pirctl.face.camera import FLIP, intrinsics, project, transform
from pirctl.face.draw import contact_sheet, draw_model, draw_text, write_image
from pirctl.face.fit import fit_clip
from pirctl.face.model import ARKIT_NAMES, FaceModel
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
class PersonError:
    """Mean distance of tracked and projected points of one person the model was built without.

    Attributes:
        by_region: name of the region to fraction of the distance between the outer eye corners.
        opening: correlation of the fitted with the tracked opening of the mouth.
    """

    by_region: dict[str, float]
    opening: float


def leave_one_out(people: Sequence[Person], triangles: Array) -> list[PersonError]:
    """For each person: build without them, fit them, measure.

    The frames are spread over the clip, so nothing is smoothed in time.
    """
    errors = []
    for person in people:
        model = build_model([other for other in people if other is not person], triangles)
        errors.append(_explain(person, model))
        logger.info("%d of %d left out: %s", len(errors), len(people), errors[-1])
    return errors


def _explain(person: Person, model: FaceModel) -> PersonError:
    size_px = 512
    points = person.image
    middle = (points.min((0, 1)) + points.max((0, 1))) / 2
    side = 1.9 * np.median(np.ptp(points[..., 1], axis=1))
    tracked = (points - middle) * (size_px / side) + size_px / 2
    settings = FitSettings(smoothness=0.0)
    fit = fit_clip(tracked, np.ones(len(tracked), bool), model, size_px, settings)
    vertices = model.vertices(torch.from_numpy(fit.z_id), torch.from_numpy(fit.z_exp))
    seen = transform(torch.from_numpy(fit.R), torch.from_numpy(fit.t), vertices)
    projected = project(seen, torch.from_numpy(fit.K)).numpy()
    eyes_px = float(np.quantile(mesh.eye_distance(tracked), 0.8))
    apart = np.linalg.norm(projected - tracked, axis=-1) / eyes_px
    opening = np.corrcoef(mesh.mouth_opening(projected), mesh.mouth_opening(tracked))[0, 1]
    return PersonError(
        by_region={name: float(apart[:, list(rows)].mean()) for name, rows in REGIONS.items()},
        opening=float(opening),
    )


def draw_axes(path: Path, model: FaceModel, side_px: int = 150, columns: int = 9) -> None:
    """Draw the mean face at rest and under each expression axis at full strength, as one picture.

    Args:
        path: a PNG file.
        model: with named axes.
        side_px: side of one face.
        columns: faces per row.
    """
    K = intrinsics(4.4 * side_px, side_px)
    t = torch.tensor([0.0, 0.0, 9.0])  # Far enough that the whole face fits, in dm.
    rest = torch.zeros(1, model.expression_width)
    shown = torch.cat([rest, torch.eye(model.expression_width)])
    pictures = []
    for name, z_exp in zip(("rest", *model.expression_names), shown, strict=True):
        vertices = model.vertices(torch.zeros(model.identity_width), z_exp)
        points = project(transform(FLIP, t, vertices), K).numpy()
        canvas = np.full((side_px, side_px, 3), 24, np.uint8)
        pictures.append(draw_text(draw_model(canvas, model, points), name))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    write_image(path, contact_sheet(rows, side_px=side_px))


def write_card(
    path: Path, model: FaceModel, people: Sequence[Person], errors: Sequence[PersonError]
) -> None:
    """Write the card as Markdown, in the outline all cards have, and its picture beside it."""
    draw_axes(path.with_name(f"{path.stem}_axes.png"), model)
    reach = model.expression_basis.norm(dim=-1).amax(1)
    still = [n for n, r in zip(ARKIT_NAMES, reach, strict=True) if r < STILL_DM]
    frames = sum(len(person.points) for person in people)
    rows = []
    for name in REGIONS:
        values = [100 * error.by_region[name] for error in errors]
        columns = (np.mean(values), np.median(values), max(values))
        rows.append(f"| {name} | " + " | ".join(f"{value:.2f} %" for value in columns) + " |")
    opening = [error.opening for error in errors]
    text = f"""# generic: the bundled face model

Version `{model.version}`, written by `pirctl/face/build.py`.

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
0.9 dm: the absolute size of a head cannot be seen in a picture.

## Built from

{frames} frames of {len(people)} people, from the example clips of open-source projects (Apache-2.0
and MIT). Measured: the 478 three-dimensional landmarks and the blendshape scores of MediaPipe Face
Landmarker (Apache-2.0). Kept: means, regression fields and principal axes over all people, everyone
also mirrored. No picture and no single person's face is in the file.

Identity axes beyond what {len(people)} people span are smooth harmonics of the mesh.

A hand-made field is the prior of these axes, because the footage hardly shows them or the tracker
hardly scores them: {", ".join(DESIGNED)}. There is no tongue in the mesh: `tongueOut` only moves
the lower lip a little.

## How to reproduce

    python -m pirctl.face.build CLIPS --tracker-model face_landmarker.task \\
        --output models/face/generic.safetensors --report models/cards/generic.md

CLIPS is a folder of .mp4 files, one person each.

## Measured

Each person fitted with a model built without them; mean distance between tracked and projected
landmarks, as a fraction of the distance between the outer eye corners; over {len(errors)} people.

| points | mean | median | worst person |
|---|---|---|---|
{chr(10).join(rows)}

Correlation of the fitted with the tracked opening of the mouth: mean {np.mean(opening):.3f},
worst {min(opening):.3f}.

## Limits

- The truth is another tracker's: where MediaPipe errs (depth, profiles, hands before the face) the
  model errs with it.
- {len(people)} people do not stand for everyone; children and old people are hardly among them.
- The weights of the fit were chosen while looking at some of the same clips; the errors are of
  people the model has not seen, but not of a fit that has never met them.
- A camera distance of 12 dm was assumed for all clips when perspective was taken out.
- Axes that move no point by more than {STILL_DM} dm: {", ".join(still)}. The mesh has no irises, so
  the gaze axes only move the lids.
- `mouthClose` is meant together with `jawOpen`; alone it pushes the lips through each other.

## Licence and consent

Apache-2.0, like the rest of the project. The people of the clips have not been asked by this
project; nothing in the file identifies one of them.
"""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
