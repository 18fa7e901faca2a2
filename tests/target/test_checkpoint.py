from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pirctl.errors import CheckpointError
from pirctl.settings import Settings
from pirctl.target import TargetAbout
from pirctl.target.checkpoint import (
    CheckpointAbout,
    check_belongs,
    load_about,
    load_checkpoint,
    load_resume,
    restore,
    save_checkpoint,
)

ABOUT = CheckpointAbout(
    stage="face",
    step=7,
    total_steps=10,
    epoch=1.5,
    loss=0.25,
    face_model="generic",
    face_model_hash="abc",
    source_sha256="0" * 64,
    size_px=64,
    identity_width=3,
    expression_width=4,
    train_frames=20,
)

TARGET = TargetAbout(
    source="somebody.mp4",
    source_sha256="0" * 64,
    frame_rate="25",
    source_width=64,
    source_height=64,
    crop_x=0.0,
    crop_y=0.0,
    crop_side=64.0,
    size_px=64,
    frames=30,
    has_audio=True,
    tracker="file",
    face_model="generic",
    face_model_hash="abc",
    parser="geometry",
    preset="tiny",
)


def _save(folder: Path, network: nn.Module, about: CheckpointAbout = ABOUT) -> Path:
    place = folder / "stages" / "face" / "checkpoint"
    place.parent.mkdir(parents=True, exist_ok=True)
    weights = {f"face.{name}": value for name, value in network.state_dict().items()}
    resume = {"step": about.step, "networks": weights, "list": [1, 2.5, "x"]}
    save_checkpoint(place, weights=weights, resume=resume, settings=Settings(), about=about)
    return place


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    folder = _save(tmp_path, network)
    checkpoint = load_checkpoint(folder)
    other = nn.Linear(3, 2)
    restore(other, checkpoint, "face")
    assert torch.equal(other.weight, network.weight)
    assert checkpoint.about == ABOUT == load_about(folder)
    assert checkpoint.settings == Settings()
    assert load_resume(folder)["list"] == [1, 2.5, "x"]


def test_a_new_checkpoint_takes_the_place_of_the_old(tmp_path: Path) -> None:
    _save(tmp_path, nn.Linear(3, 2))
    folder = _save(tmp_path, nn.Linear(3, 2), replace(ABOUT, step=8))
    assert load_about(folder).step == 8
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_no_file_holds_pickled_objects(tmp_path: Path) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json",
        "resume.pt",
        "settings.yaml",
        "weights.safetensors",
    ]
    torch.load(folder / "resume.pt", weights_only=True)


def test_a_missing_checkpoint_says_how_to_train_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not trained") as caught:
        load_checkpoint(tmp_path / "stages" / "face" / "checkpoint")
    assert caught.value.hint == "pirctl train --stage face"


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "about.json", "settings.yaml"], ids=lambda name: name
)
def test_a_damaged_file_says_how_to_begin_anew(tmp_path: Path, name: str) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    path = folder / name
    path.write_bytes(path.read_bytes()[:10] + b"\xff\x00")
    with pytest.raises(CheckpointError, match=name) as caught:
        load_checkpoint(folder)
    assert caught.value.hint == "pirctl train --stage face --restart"
    path.unlink()
    with pytest.raises(CheckpointError, match="not found"):
        load_checkpoint(folder)


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_a_cut_off_resume_file_is_a_clear_error(tmp_path: Path, kept: int) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    path = folder / "resume.pt"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        load_resume(folder)
    assert "--restart" in str(caught.value.hint)


def test_a_resume_file_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    torch.save({"network": nn.Linear(1, 1)}, folder / "resume.pt")
    with pytest.raises(CheckpointError, match=r"resume\.pt"):
        load_resume(folder)


def test_a_newer_format_asks_for_a_newer_program(tmp_path: Path) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    path = folder / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        load_about(folder)


def test_every_wrong_value_of_the_record_is_named(tmp_path: Path) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2))
    path = folder / "about.json"
    content = json.loads(path.read_text()) | {"step": "many", "colour": "blue"}
    del content["loss"]
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="damaged checkpoint") as caught:
        load_about(folder)
    assert "step: expected a whole number, found the text 'many'" in caught.value.message
    assert "colour: unknown key" in caught.value.message
    assert "loss is missing" in caught.value.message


def test_a_record_from_before_a_field_was_added_keeps_loading(tmp_path: Path) -> None:
    folder = _save(tmp_path, nn.Linear(3, 2), replace(ABOUT, face_stage="abc"))
    path = folder / "about.json"
    content = json.loads(path.read_text())
    del content["face_stage"]
    path.write_text(json.dumps(content))
    assert load_about(folder) == ABOUT


def test_a_stage_stopped_before_its_first_step_has_no_loss_and_loads(tmp_path: Path) -> None:
    about = load_about(_save(tmp_path, nn.Linear(3, 2), replace(ABOUT, loss=math.nan)))
    assert math.isnan(about.loss)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(_save(tmp_path, nn.Linear(3, 2)))
    with pytest.raises(CheckpointError, match=r"weight \(2, 3\) instead of \(5, 3\)"):
        restore(nn.Linear(3, 5), checkpoint, "face")
    with pytest.raises(CheckpointError, match=r"unexpected bias"):
        restore(nn.Linear(3, 2, bias=False), checkpoint, "face")
    with pytest.raises(CheckpointError, match=r"missing 0\.bias, 0\.weight; unexpected"):
        restore(nn.Sequential(nn.Linear(3, 2)), checkpoint, "face")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"face_model": "bfm"}, "trained with face model bfm, the target has generic"),
        ({"face_model_hash": "x"}, "in another version"),
        ({"source_sha256": "1" * 64}, "another video"),
        ({"size_px": 128}, "at 128 px, the target has 64 px"),
    ],
)
def test_a_checkpoint_for_something_else_is_refused(change: dict[str, object], said: str) -> None:
    check_belongs(ABOUT, TARGET, "bob")
    with pytest.raises(CheckpointError, match=said) as caught:
        check_belongs(replace(ABOUT, **change), TARGET, "bob")  # type: ignore[arg-type]
    assert caught.value.hint == "pirctl train --stage face --target bob --restart"
