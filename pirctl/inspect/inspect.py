"""Pictures that show whether a target is good: what was tracked, fitted, labelled and masked.

Written into `TARGET/inspect/`, for a person to look at before a long training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray

from pirctl.face.camera import head_angles, project, transform
from pirctl.face.draw import (
    GREEN,
    RED,
    Image,
    contact_sheet,
    draw_label_colours,
    draw_mask,
    draw_model,
    draw_points,
    draw_text,
    plot_curves,
    write_image,
)
from pirctl.face.landmarks import MESH_POINTS, eye_distance, mouth_opening
from pirctl.face.masks import MaskPainter
from pirctl.face.model import FaceModel
from pirctl.inspect.trained import trained_settings
from pirctl.media import probe
from pirctl.perform.footage import frame_at
from pirctl.perform.loading import load_target_model
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import MaskSettings
from pirctl.target import Target, Track

COLUMNS = 6
"""Frames per row of a sheet."""
WORST = 12
"""Frames on the sheet of the worst."""


@dataclass(frozen=True, kw_only=True)
class InspectReport:
    """What was drawn, and the numbers beside it.

    Attributes:
        pictures: the files, in the order to look at them.
        frames: frames of the target.
        unusable_frames: their numbers.
        error_percent: (mean, worst) distance of landmarks and fit, percent of the eyes' distance.
        yaw_degrees: (lowest, highest); positive is the subject's left.
        mouth_opening: (lowest, highest) in units of the eyes' distance.
    """

    pictures: tuple[Path, ...]
    frames: int
    unusable_frames: tuple[int, ...]
    error_percent: tuple[float, float]
    yaw_degrees: tuple[float, float]
    mouth_opening: tuple[float, float]

    def to_mapping(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pictures": [str(path) for path in self.pictures],
            "frames": self.frames,
            "unusable_frames": list(self.unusable_frames),
            "error_percent": [round(value, 3) for value in self.error_percent],
            "yaw_degrees": [round(value, 1) for value in self.yaw_degrees],
            "mouth_opening": [round(value, 3) for value in self.mouth_opening],
        }


def inspect(target: Target, *, on_progress: OnProgress = ignore_progress) -> InspectReport:
    """Draw a target's frames, fit, labels, masks and curves into `TARGET/inspect/`.

    The mask is the one that the render stage was trained with, or would be.

    Args:
        target: made by preprocess.
        on_progress: called after every picture.

    Raises:
        TargetError: the folder is incomplete, or was made with another face model.
        CheckpointError: the render stage is damaged.
    """
    settings = trained_settings(target)
    track, model = target.track(), load_target_model(target)
    drawer = _Drawer(target, track, model, settings.mask)
    share = _error_share(track)
    numbers = np.unique(np.linspace(0, track.frames - 1, 2 * COLUMNS).round().astype(int))
    by_error = np.argsort(-np.where(track.valid, np.nan_to_num(share), -1), kind="stable")
    unusable = np.flatnonzero(~track.valid)
    spread = unusable[np.linspace(0, len(unusable) - 1, min(COLUMNS, len(unusable))).astype(int)]
    worst = np.concatenate([by_error[: WORST - len(spread)], spread])[: track.frames]
    frame_rate = float(probe(target.frames_path).frame_rate or settings.media.frame_rate)
    pictures: list[tuple[str, Callable[[Path], None]]] = [
        ("landmarks.png", lambda path: drawer.sheet(path, numbers, drawer.landmarks)),
        ("masks.png", lambda path: drawer.sheet(path, numbers, drawer.masks)),
        ("parsing.png", lambda path: drawer.sheet(path, numbers, drawer.parsing)),
        ("worst.png", lambda path: drawer.sheet(path, worst, drawer.landmarks)),
        (
            "curves.png",
            lambda path: draw_curves(path, target.name, track, model, frame_rate=frame_rate),
        ),
    ]
    written = []
    for done, (name, draw) in enumerate(pictures, 1):
        path = target.folder / "inspect" / name
        draw(path)
        written.append(path)
        on_progress(Progress(step="drawing", done=done, total=len(pictures), unit="pictures"))
    return _report(track, tuple(written))


class _Drawer:
    """Draws single frames of one target and puts them on sheets."""

    def __init__(self, target: Target, track: Track, model: FaceModel, mask: MaskSettings) -> None:
        self._target, self._track, self._model = target, track, model
        self._kept: dict[int, Image] = {}
        size_px = target.about.size_px
        self._painter = MaskPainter(model, track.z_id, track.K, size_px, mask)

    def sheet(
        self, path: Path, numbers: npt.NDArray[np.int_], draw: Callable[[int, Image], Image]
    ) -> None:
        """A sheet of the frames of these numbers, each drawn upon."""
        pictures = [draw(number, self._frame(number)) for number in numbers.tolist()]
        share = _error_share(self._track)
        captioned = [
            draw_text(picture, self._caption(int(number), share))
            for number, picture in zip(numbers, pictures, strict=True)
        ]
        rows = [captioned[i : i + COLUMNS] for i in range(0, len(captioned), COLUMNS)]
        write_image(path, contact_sheet(rows, side_px=320))

    def landmarks(self, number: int, frame: Image) -> Image:
        """The fitted mesh in green (red where the frame is not usable) and the tracked points."""
        track = self._track
        vertices = self._model.vertices(
            torch.from_numpy(track.z_id), torch.from_numpy(track.z_exp[number])
        )
        camera = transform(
            torch.from_numpy(track.R[number]), torch.from_numpy(track.t[number]), vertices
        )
        pixels = project(camera, torch.from_numpy(track.K))
        colour = GREEN if track.valid[number] else RED
        drawn = draw_model(frame, self._model, pixels.numpy(), colour)
        seen = track.landmarks[:, :MESH_POINTS] if track.tracked is None else track.tracked
        return draw_points(drawn, seen[number], (255, 255, 255))

    def masks(self, number: int, frame: Image) -> Image:
        """The inpainting mask."""
        return draw_mask(frame, self._mask(number))

    def _mask(self, number: int) -> NDArray[np.float32]:
        track = self._track
        return self._painter.paint(track.R[number], track.t[number], track.z_exp[[number]])

    def parsing(self, number: int, frame: Image) -> Image:
        """The label map."""
        labels = frame_at(self._target.parsing_path, number, gray=True)
        return draw_label_colours(frame, labels)

    def _frame(self, number: int) -> Image:
        """A frame of the target; kept, for the sheets show the same few."""
        if number not in self._kept:
            self._kept[number] = frame_at(self._target.frames_path, number)
        return self._kept[number]

    def _caption(self, number: int, share: npt.NDArray[np.float32]) -> str:
        if not self._track.valid[number]:
            return f"{number}  no usable face"
        return f"{number}  {100 * share[number]:.1f} %"


def draw_curves(
    path: Path, name: str, track: Track, model: FaceModel, *, frame_rate: float
) -> None:
    """Pose, jaw, mouth and error over time as a PNG; gaps where there is no usable face."""
    angles = head_angles(torch.from_numpy(track.R))
    hidden = ~track.valid

    def seen(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.where(hidden, np.nan, values).astype(np.float32)

    degrees = [seen(np.degrees(angle.numpy())) for angle in angles]
    jaw = {}
    if "jawOpen" in model.expression_names:
        jaw["jawOpen"] = seen(track.z_exp[:, model.axis("jawOpen")])
    jaw["mouth opening / eye distance"] = seen(mouth_opening(track.landmarks))
    plot_curves(
        path,
        {
            "head angles (degrees)": dict(zip(("yaw", "pitch", "roll"), degrees, strict=True)),
            "head position (dm)": {
                "right": seen(track.t[:, 0]),
                "down": seen(track.t[:, 1]),
                "distance - mean": seen(track.t[:, 2] - track.t[track.valid, 2].mean()),
            },
            "mouth": jaw,
            "fit error (% of eye distance)": {"error": seen(100 * _error_share(track))},
        },
        seconds=(np.arange(track.frames) / frame_rate).astype(np.float32),
        title=f"{name}: {track.frames} frames, {int(hidden.sum())} not usable",
    )


def _error_share(track: Track) -> npt.NDArray[np.float32]:
    share: npt.NDArray[np.float32] = track.error_px / np.maximum(eye_distance(track.landmarks), 1.0)
    return share


def _report(track: Track, pictures: tuple[Path, ...]) -> InspectReport:
    valid = track.valid
    share = 100 * _error_share(track)[valid]
    yaw = np.degrees(head_angles(torch.from_numpy(track.R[valid]))[0].numpy())
    opening = mouth_opening(track.landmarks[valid])
    return InspectReport(
        pictures=pictures,
        frames=track.frames,
        unusable_frames=tuple(np.flatnonzero(~valid).tolist()),
        error_percent=(float(share.mean()), float(share.max())),
        yaw_degrees=(float(yaw.min()), float(yaw.max())),
        mouth_opening=(float(opening.min()), float(opening.max())),
    )
