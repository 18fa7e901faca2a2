from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import TargetError
from pirctl.face.camera import FLIP
from pirctl.face.model import load_face_model
from pirctl.inspect.inspect import inspect
from pirctl.settings import Settings
from pirctl.target import Target, Track
from tests.inspect.checkpoints import pretend_trained
from tests.targets import make_target, noise

FRAMES = 5


def inspectable(folder: Path, *, invalid: tuple[int, ...] = ()) -> Target:
    """A target whose track is of the bundled face model, with frames and labels."""
    target, model = make_target(folder, noise(FRAMES)), load_face_model()
    target.write_about(replace(target.about, face_model_hash=model.version))
    target.parsing_path.write_bytes(target.frames_path.read_bytes())
    rng = np.random.default_rng(0)
    valid = np.ones(FRAMES, bool)
    valid[list(invalid)] = False
    target.write_track(
        Track(
            landmarks=rng.uniform(8, 56, (FRAMES, 478, 2)).astype(np.float32),
            valid=valid,
            z_id=np.zeros(model.identity_width, np.float32),
            z_exp=np.zeros((FRAMES, model.expression_width), np.float32),
            R=np.tile(FLIP.numpy(), (FRAMES, 1, 1)),
            t=np.tile(np.float32([0, 0, 8]), (FRAMES, 1)),
            K=np.float32([[128, 0, 32], [0, 128, 32], [0, 0, 1]]),
            error_px=np.where(valid, np.float32(0.5), np.float32(np.nan)),
        )
    )
    return target


def test_five_pictures_are_drawn_into_the_target(tmp_path: Path) -> None:
    target = inspectable(tmp_path / "me", invalid=(2,))
    reports: list[int] = []
    report = inspect(target, on_progress=lambda progress: reports.append(progress.done))
    names = ["landmarks.png", "masks.png", "parsing.png", "worst.png", "curves.png"]
    assert [path.name for path in report.pictures] == names
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in report.pictures)
    assert reports == [1, 2, 3, 4, 5]
    assert report.unusable_frames == (2,)
    assert report.frames == FRAMES
    np.testing.assert_allclose(report.yaw_degrees, 0, atol=1e-3)
    assert all(np.isfinite(report.error_percent))


def drawn_masks(target: Target) -> bytes:
    inspect(target)
    return (target.folder / "inspect" / "masks.png").read_bytes()


def test_the_mask_is_the_one_that_the_target_was_trained_with(tmp_path: Path) -> None:
    target = inspectable(tmp_path / "me")
    as_remembered = drawn_masks(target)
    wide = Settings(mask=replace(Settings().mask, margin=0.3))
    pretend_trained(target, "face", wide, FRAMES)  # Knows no mask.
    assert drawn_masks(target) == as_remembered
    pretend_trained(target, "render", wide, FRAMES)
    assert drawn_masks(target) != as_remembered


def test_untrained_the_mask_is_the_one_of_the_preset_that_the_target_remembers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target, preset = inspectable(tmp_path / "me"), tmp_path / "own.yaml"
    usual = drawn_masks(target)
    preset.write_text("mask: {margin: 0.3}")
    target.write_about(replace(target.about, preset=str(preset)))
    assert drawn_masks(target) != usual
    preset.unlink()
    assert drawn_masks(target) == usual
    assert "drawn with the default settings: the preset" in caplog.text


def test_a_track_of_another_face_model_is_refused(tmp_path: Path) -> None:
    target = inspectable(tmp_path / "me")
    target.write_about(replace(target.about, face_model_hash="0123"))
    with pytest.raises(TargetError, match="fitted with face model generic 0123") as caught:
        inspect(target)
    assert "pirctl preprocess gone.mp4 --target me" in (caught.value.hint or "")


def test_frames_that_are_missing_are_a_target_error(tmp_path: Path) -> None:
    target = inspectable(tmp_path / "me")
    short = make_target(tmp_path / "short", noise(2))
    target.frames_path.write_bytes(short.frames_path.read_bytes())
    with pytest.raises(TargetError, match="has no frame"):
        inspect(target)
