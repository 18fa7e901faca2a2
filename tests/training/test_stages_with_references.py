"""A target is trained and shown with frames of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pirctl.errors import CheckpointError
from pirctl.media import read_frames
from pirctl.networks.blend import Blender
from pirctl.networks.renderer import Renderer
from pirctl.perform.actor import load_actor
from pirctl.perform.bank import BANK_FILE, read_bank, write_bank
from pirctl.perform.blending import Blending
from pirctl.perform.loading import load_render_stage
from pirctl.perform.painter import Batch
from pirctl.progress import Progress
from pirctl.settings import MaskSettings, Settings
from pirctl.target import Target
from pirctl.target.checkpoint import load_checkpoint, load_resume
from pirctl.training import run
from tests.targets import disc, make_target
from tests.training.clip import HOLDOUT_FRAMES, tiny_settings

CPU = torch.device("cpu")
FRAMES, TRAINED, BANK = 40, 30, 8
NEW_KEYS = {
    "renderer": ("references", "bank_frames", "most_channels"),
    "loss": ("needless_pixels",),
    "face": ("picture_size",),
}


def _settings(epochs: int = 3) -> Settings:
    settings = tiny_settings()
    return replace(
        settings,
        mask=MaskSettings(region="mouth"),
        face=replace(settings.face, picture_size=32),
        renderer=replace(settings.renderer, references=2, bank_frames=BANK),
        train=replace(settings.train, render=replace(settings.train.render, epochs=epochs)),
    )


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert FRAMES - HOLDOUT_FRAMES == TRAINED
    target = make_target(tmp_path_factory.mktemp("trained") / "bob", disc(FRAMES))
    run("all", target, _settings())
    return target.folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Target:
    return Target(Path(shutil.copytree(_trained, tmp_path / "bob")))


def _bank_path(target: Target) -> Path:
    return target.stage_folder("render") / BANK_FILE


def test_the_bank_holds_frames_of_the_training_part_as_they_are(trained: Target) -> None:
    bank = read_bank(_bank_path(trained), "bob", TRAINED)
    assert 1 < len(bank) <= BANK
    assert 3 not in bank.numbers  # Has no usable face.
    assert bank.scale == 1
    side = bank.pictures.shape[1]
    frames = list(read_frames(trained.frames_path))
    for number, (x, y), picture in zip(
        bank.numbers, bank.corners.astype(int), bank.pictures, strict=True
    ):
        np.testing.assert_array_equal(picture, frames[number][y : y + side, x : x + side])


def test_what_was_trained_paints_with_references(trained: Target) -> None:
    stage = load_render_stage(trained, CPU)
    assert isinstance(stage.renderer, Blender)
    assert stage.bank is not None
    actor = load_actor(trained, "cpu")
    assert isinstance(actor.painter.brush, Blending)
    numbers = [3, 31, 35]
    frames = np.stack(list(read_frames(trained.frames_path)))[numbers]
    batch = Batch(numbers=numbers, frames=frames, z_exp=actor.track.z_exp[[3, 31, 31]])
    painted = actor.painter.paint(batch)
    assert (painted.masks[0] == 0).all()
    assert (painted.masks[1:] == 1).any((1, 2)).all()
    outside = painted.masks == 0
    np.testing.assert_array_equal(painted.frames[outside], frames[outside])
    assert (painted.frames != frames)[painted.masks == 1].any()


def test_stopped_and_gone_on_with_it_has_the_same_bank_and_the_same_weights(
    trained: Target,
) -> None:
    folder = trained.stage_folder("render")
    at_once = load_resume(folder / "checkpoint")["networks"]
    averaged = load_checkpoint(folder / "checkpoint").weights
    bank = _bank_path(trained).read_bytes()

    def stop(report: Progress) -> None:
        if report.step == "training render" and report.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("render", trained, _settings(), restart=True, on_progress=stop)
    assert _bank_path(trained).read_bytes() == bank
    # What is shown is what was chosen then, even if it would be chosen otherwise now.
    (report,) = run(
        "render",
        trained,
        replace(_settings(), renderer=replace(_settings().renderer, bank_frames=2)),
    ).stages
    assert report.steps > report.new_steps > 0
    assert _bank_path(trained).read_bytes() == bank
    in_two = load_resume(folder / "checkpoint")["networks"]
    for name, weight in at_once.items():
        assert torch.equal(in_two[name], weight), name
    for name, weight in load_checkpoint(folder / "checkpoint").weights.items():
        assert torch.equal(averaged[name], weight), name


def test_the_bank_decides_what_is_learnt(trained: Target) -> None:
    before = load_checkpoint(trained.stage_folder("render") / "checkpoint").weights
    other = replace(_settings(), renderer=replace(_settings().renderer, bank_frames=2))
    run("render", trained, other, restart=True)
    assert len(read_bank(_bank_path(trained), "bob", TRAINED)) == 2
    after = load_checkpoint(trained.stage_folder("render") / "checkpoint").weights
    assert any(not torch.equal(before[name], weight) for name, weight in after.items())


def test_a_bank_that_is_gone_or_another_target_s_is_said_in_a_sentence(trained: Target) -> None:
    path = _bank_path(trained)
    bank = read_bank(path, "bob", TRAINED)
    write_bank(replace(bank, numbers=bank.numbers + FRAMES), path)
    for broken in (lambda: None, path.unlink):
        broken()
        for use in (
            lambda: load_render_stage(trained, CPU),
            lambda: load_actor(trained, "cpu"),
            lambda: run("render", trained, _settings(epochs=4)),
        ):
            with pytest.raises(CheckpointError, match=BANK_FILE) as caught:
                use()
            assert str(caught.value.hint) == ("pirctl train --stage render --target bob --restart")
    run("render", trained, _settings(), restart=True)
    load_render_stage(trained, CPU)


def test_references_cannot_be_turned_on_or_off_half_way(trained: Target) -> None:
    longer = replace(_settings(epochs=4), renderer=tiny_settings().renderer)
    with pytest.raises(CheckpointError, match=r"renderer\.references 2, the settings now have 0"):
        run("render", trained, longer)


def test_a_target_trained_before_there_were_references_still_works(target: Target) -> None:
    run("all", target, tiny_settings())
    for path in target.folder.rglob("settings.yaml"):
        content = yaml.safe_load(path.read_text())
        for section, keys in NEW_KEYS.items():
            for key in keys:
                del content[section][key]
        path.write_text(yaml.safe_dump(content))
    stage = load_render_stage(target, CPU)
    assert isinstance(stage.renderer, Renderer)
    assert stage.bank is None
    actor = load_actor(target, "cpu")
    frames = np.stack(list(read_frames(target.frames_path)))[[5]]
    painted = actor.painter.paint(Batch(numbers=[5], frames=frames, z_exp=actor.track.z_exp[[5]]))
    assert (painted.frames != frames)[painted.masks == 1].any()
    longer = tiny_settings()
    longer = replace(
        longer, train=replace(longer.train, render=replace(longer.train.render, epochs=4))
    )
    (report,) = run("render", target, longer).stages
    assert report.new_steps > 0
