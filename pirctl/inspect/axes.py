"""A target's face under each of its expression axes: what the readable parameters do.

Drawn with the implicit face when its stage is trained, as far as the person's own expressions can
show an axis; else with the mesh of the face model, which shows what the axis means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pirctl.device import select_device
from pirctl.face.camera import project, transform
from pirctl.face.draw import Image, contact_sheet, draw_text, fit_into_square, write_image
from pirctl.face.model import FaceModel
from pirctl.face.shade import draw_surface
from pirctl.inspect.trained import training_part
from pirctl.networks.inference import default_precision, prepare_inference
from pirctl.networks.pictures import to_bytes
from pirctl.perform.loading import load_face_stage, load_target_model
from pirctl.perform.own import OwnExpressions
from pirctl.perform.poses import Poses, choose_section, poses_of, rest_expression
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.target import Target
from pirctl.target.checkpoint import has_checkpoint

FloatArray = NDArray[np.float32]
Draw = Callable[[FloatArray], Image]
"""Expression (E,) -> picture of the face."""

COLUMNS = 8
"""Faces per row."""
SIDE_PX = 192
"""Side of a face on the sheet."""
DEVIATIONS = 3.0
"""Full strength of an axis without a name, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class AxesReport:
    """What was drawn.

    Attributes:
        picture: the sheet: the rest, then every axis.
        shares: name of each axis, in the order of the sheet, to how much of it the person's own
            expressions in the training part can say, from 0 to about 1: what the trained networks
            can paint.
        drawn_with: `face`, the trained implicit face, or `mesh`.
    """

    picture: Path
    shares: dict[str, float]
    drawn_with: Literal["face", "mesh"]

    def to_mapping(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pictures": [str(self.picture)],
            "axes": list(self.shares),
            "shares": self.shares,
            "drawn_with": self.drawn_with,
        }


def inspect_axes(
    target: Target, *, device: str | None = None, on_progress: OnProgress = ignore_progress
) -> AxesReport:
    """Draw a target's face at rest and under each axis at full strength, into `inspect/axes.png`.

    Args:
        target: made by preprocess.
        device: where the face network runs; the best there is if None.
        on_progress: called after every face.

    Raises:
        TargetError: the folder is incomplete, or was made with another face model.
        CheckpointError: the face stage is damaged.
    """
    model, track = load_target_model(target), target.track()
    frames = training_part(target)
    own = OwnExpressions(track, model, frames)
    number = choose_section(track, "still").first
    poses = poses_of(track, [number], "cpu")
    trained = has_checkpoint(target.stage_folder("face") / "checkpoint")
    if trained:
        draw = _face_drawer(target, poses, device)
    else:
        draw = _mesh_drawer(model, poses, target.about.size_px)
    cut = _around_face(model, poses, target.about.size_px)
    strength = 1.0 if model.has_named_axes else DEVIATIONS
    rest = rest_expression(track, frames)
    shown = list(_shown(model, rest, strength))
    shares = {name: own.share(axis, strength) for axis, name in enumerate(model.expression_names)}
    pictures = []
    for done, (name, z_exp) in enumerate(shown, 1):
        caption = f"{name} {100 * shares[name]:.0f} %" if name in shares else name
        painted = rest + own.retarget_change((z_exp - rest)[None])[0] if trained else z_exp
        pictures.append(draw_text(fit_into_square(cut(draw(painted)), SIDE_PX), caption))
        on_progress(Progress(step="drawing axes", done=done, total=len(shown), unit="faces"))
    path = target.folder / "inspect" / "axes.png"
    rows = [pictures[i : i + COLUMNS] for i in range(0, len(pictures), COLUMNS)]
    write_image(path, contact_sheet(rows, side_px=SIDE_PX))
    drawn_with: Literal["face", "mesh"] = "face" if trained else "mesh"
    return AxesReport(picture=path, shares=shares, drawn_with=drawn_with)


def _around_face(model: FaceModel, poses: Poses, size_px: int) -> Callable[[Image], Image]:
    """Cut the square around the face out of a picture of the crop, of any size."""
    still = torch.zeros(model.expression_width)
    seen = transform(poses.R[0], poses.t[0], model.vertices(poses.z_id[0], still))
    points = project(seen, poses.K).numpy() / size_px
    middle, reach = (points.min(0) + points.max(0)) / 2, 0.65 * np.ptp(points, axis=0).max()

    def cut(picture: Image) -> Image:
        size = picture.shape[0]
        low = np.clip(np.floor((middle - reach) * size), 0, size - 2).astype(int)
        high = np.clip(np.ceil((middle + reach) * size), low + 2, size).astype(int)
        return picture[low[1] : high[1], low[0] : high[0]]

    return cut


def _shown(model: FaceModel, rest: FloatArray, strength: float) -> Iterator[tuple[str, FloatArray]]:
    """The rest, then for every axis the rest with that axis at full strength."""
    yield "rest", rest
    for axis, name in enumerate(model.expression_names):
        z_exp = rest.copy()
        z_exp[axis] = strength
        yield name, z_exp


def _face_drawer(target: Target, poses: Poses, device: str | None) -> Draw:
    where = select_device(device)
    stage = load_face_stage(target, where)
    face = prepare_inference(stage.face, where, default_precision(where))
    R, t, K, z_id = (each.to(where) for each in (poses.R, poses.t, poses.K, poses.z_id))

    @torch.inference_mode()
    def draw(z_exp: FloatArray) -> Image:
        expression = torch.from_numpy(z_exp)[None].to(where)
        feature = face.feature_image(z_id, expression, R, t, K, None)
        return to_bytes(face.upsample(feature))[0].cpu().numpy()

    return draw


def _mesh_drawer(model: FaceModel, poses: Poses, size_px: int) -> Draw:
    ground = np.zeros((size_px, size_px, 3), np.uint8)

    def draw(z_exp: FloatArray) -> Image:
        vertices = model.vertices(poses.z_id[0], torch.from_numpy(z_exp))
        return draw_surface(ground, model, transform(poses.R[0], poses.t[0], vertices), poses.K)

    return draw
