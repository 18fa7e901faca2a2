"""The sheet of axes: one face per axis, drawn with what there is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pirctl.errors import TargetError
from pirctl.face.model import load_face_model
from pirctl.inspect.axes import COLUMNS, SIDE_PX, inspect_axes
from pirctl.inspect.trained import training_part
from pirctl.perform.own import OwnExpressions
from pirctl.progress import Progress
from pirctl.settings import Settings
from tests.inspect.checkpoints import pretend_trained
from tests.targets import face, make_target


def cell(sheet: np.ndarray, number: int) -> np.ndarray:
    """The face of that number, without its caption."""
    row, column = divmod(number, COLUMNS)
    step = SIDE_PX + 4
    part = sheet[row * step : row * step + SIDE_PX, column * step : column * step + SIDE_PX]
    return part[24:].astype(int)


def test_every_axis_has_a_face_of_its_own_drawn_as_a_mesh(tmp_path: Path) -> None:
    model = load_face_model()
    target = make_target(tmp_path / "anna", face(12, model))
    reports: list[Progress] = []
    report = inspect_axes(target, on_progress=reports.append)
    assert report.picture == target.folder / "inspect" / "axes.png"
    assert (report.drawn_with, tuple(report.shares)) == ("mesh", model.expression_names)
    assert reports[-1].done == reports[-1].total == 53
    sheet = cv2.imread(str(report.picture))
    assert sheet.shape[1] == COLUMNS * (SIDE_PX + 4) - 4
    rest = cell(sheet, 0)
    moved = {name: cell(sheet, 1 + axis) != rest for axis, name in enumerate(report.shares)}
    assert all(change.any() for change in moved.values())
    # The jaw changes the lower half, a brow the upper one.
    half = rest.shape[0] // 2
    jaw, brow = moved["jawOpen"], moved["browInnerUp"]
    assert jaw[half:].sum() > 2 * jaw[:half].sum()
    assert brow[:half].sum() > 2 * brow[half:].sum()


def test_what_an_axis_can_show_comes_from_the_training_part(tmp_path: Path) -> None:
    model = load_face_model()
    target = make_target(tmp_path / "anna", face(30, model))
    track = target.track()
    track.z_exp[20:, model.axis("cheekPuff")] = np.linspace(0, 1, 10)  # In the held-out part only.
    target.write_track(track)
    pretend_trained(target, "render", Settings(), 20)
    seen = OwnExpressions(track, model, 20).share(model.axis("cheekPuff"), 1.0)
    whole = OwnExpressions(track, model).share(model.axis("cheekPuff"), 1.0)
    assert inspect_axes(target).shares["cheekPuff"] == seen < 0.5 * whole
    # Untrained, it is the part that the remembered preset would train on.
    shutil.rmtree(target.stage_folder("render"))
    preset = tmp_path / "own.yaml"
    preset.write_text("train: {holdout_s: 0.4}")
    target.write_about(replace(target.about, preset=str(preset)))
    assert inspect_axes(target).shares["cheekPuff"] == seen


def test_a_clip_that_is_too_short_to_train_on_is_drawn_whole(tmp_path: Path) -> None:
    target = make_target(tmp_path / "anna", face(12))
    assert training_part(target) == 12


def test_another_face_model_is_refused(tmp_path: Path) -> None:
    target = make_target(tmp_path / "anna", face(12))
    target.write_about(replace(target.about, face_model_hash="0123"))
    with pytest.raises(TargetError, match="face model"):
        inspect_axes(target)
