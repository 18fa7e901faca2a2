from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pirctl.errors import CheckpointError, PirctlError, SettingsError, TargetError, WeightsMissing
from pirctl.perform.loading import (
    check_trained,
    load_audio_stage,
    load_face_stage,
    load_render_stage,
)
from pirctl.progress import Progress
from pirctl.settings import STAGES, Settings, StageSettings
from pirctl.target import Target
from pirctl.target.checkpoint import load_about, load_checkpoint
from pirctl.training import run
from pirctl.training.face import FaceTrainer
from pirctl.training.memory import smaller_steps
from tests.targets import disc, make_target
from tests.training.clip import HOLDOUT_FRAMES, tiny_settings


def _with_epochs(settings: Settings, stage: str, epochs: int) -> Settings:
    changed = replace(getattr(settings.train, stage), epochs=epochs)
    return replace(settings, train=replace(settings.train, **{stage: changed}))


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = make_target(tmp_path_factory.mktemp("trained") / "bob", disc())
    run("all", target, tiny_settings())
    return target.folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Target:
    return Target(Path(shutil.copytree(_trained, tmp_path / "bob")))


def test_training_leaves_what_is_needed_to_use_and_to_judge_it(trained: Target) -> None:
    for stage in STAGES:
        names = {path.name for path in trained.stage_folder(stage).iterdir()}
        assert names == {"checkpoint", "log.jsonl", "preview.png", "settings.yaml"}
        about = load_about(trained.stage_folder(stage) / "checkpoint")
        assert about.finished
        assert about.train_frames == 30 - HOLDOUT_FRAMES
    assert trained.trained_stages() == list(STAGES)


def test_every_stage_loads_ready_for_use(trained: Target) -> None:
    device = torch.device("cpu")
    audio, face = load_audio_stage(trained, device), load_face_stage(trained, device)
    render = load_render_stage(trained, device)
    for network in (audio.encoder, audio.decoder, face.face, render.renderer):
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())
    assert render.renderer.cell_px == 64 // tiny_settings().renderer.feature_size
    assert face.settings == tiny_settings()
    check_trained(trained)


def test_the_held_out_end_never_enters_training(tmp_path: Path) -> None:
    # Its pictures and its sound are not even there, and its track would poison everything.
    target = make_target(tmp_path / "bob", disc(missing_frames=HOLDOUT_FRAMES))
    report = run("all", target, tiny_settings())
    assert report.train_frames == 20
    assert all(stage.new_steps and stage.loss == stage.loss for stage in report.stages)


def test_the_first_held_out_frame_is_held_out_too(tmp_path: Path) -> None:
    target = make_target(tmp_path / "bob", disc(missing_frames=HOLDOUT_FRAMES + 1))
    with pytest.raises(TargetError, match="has 19 frames, at least 20"):
        run("face", target, tiny_settings())


def test_frames_without_a_face_are_not_trained_on(target: Target) -> None:
    seen: list[Progress] = []
    settings = _with_epochs(tiny_settings(), "face", 2)
    face = replace(settings.train.face, batch_size=1)
    run(
        "face",
        target,
        replace(settings, train=replace(settings.train, face=face)),
        on_progress=seen.append,
    )
    # 20 frames, of which number 3 has no face, twice.
    assert seen[-1].total == 2 * 19


def test_a_gpu_that_is_too_small_for_a_step_is_said_with_the_setting_to_change(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.6 GiB."

    def phases(*_: object) -> None:
        raise torch.OutOfMemoryError(said)

    monkeypatch.setattr(FaceTrainer, "phases", phases)
    with pytest.raises(PirctlError) as caught:
        run("face", target, tiny_settings())
    assert caught.value.message == (
        "the GPU's memory is too small for training the face stage: 2.00 GiB more were asked for"
    )
    batch = tiny_settings().train.face.batch_size
    assert f"--set train.face.batch_size={batch // 2}" in str(caught.value.hint)
    assert smaller_steps("face", 1).startswith("a smaller --preset")


def test_a_trained_stage_is_left_alone(trained: Target) -> None:
    before = load_about(trained.stage_folder("face") / "checkpoint")
    report = run("all", trained, tiny_settings())
    assert [stage.new_steps for stage in report.stages] == [0, 0, 0]
    assert load_about(trained.stage_folder("face") / "checkpoint") == before


def test_more_epochs_go_on_where_it_stopped(trained: Target) -> None:
    (report,) = run("audio", trained, _with_epochs(tiny_settings(), "audio", 5)).stages
    assert report.new_steps == 2
    assert report.steps == 5


def test_restart_trains_anew(trained: Target) -> None:
    (report,) = run("audio", trained, tiny_settings(), restart=True).stages
    assert report.new_steps == report.steps == 3


def test_render_starts_anew_when_the_face_was_trained_again(trained: Target) -> None:
    import torch

    run("face", trained, _with_epochs(tiny_settings(), "face", 4))
    with pytest.raises(CheckpointError, match="earlier face stage") as caught:
        load_render_stage(trained, torch.device("cpu"))
    assert caught.value.hint == "pirctl train --stage render --target bob"
    (report,) = run("render", trained, tiny_settings()).stages
    assert report.new_steps == report.steps
    check_trained(trained)


def test_render_before_face_says_what_to_type(target: Target) -> None:
    with pytest.raises(CheckpointError, match="stage face of bob is not trained") as caught:
        run("render", target, tiny_settings())
    assert caught.value.hint == "pirctl train --stage face --target bob"


def test_render_on_half_a_face_is_refused(target: Target) -> None:
    def stop(report: Progress) -> None:
        if report.step == "training face" and report.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("face", target, tiny_settings(), on_progress=stop)
    with pytest.raises(CheckpointError, match=r"only to step 1 of 3"):
        run("render", target, tiny_settings())


def test_audio_without_sound_says_what_is_missing(tmp_path: Path) -> None:
    target = make_target(tmp_path / "bob", disc(has_audio=False))
    for stage in ("audio", "all"):
        with pytest.raises(TargetError, match="has no sound"):
            run(stage, target, tiny_settings())


def test_a_clip_shorter_than_the_held_out_part_names_the_flag(target: Target) -> None:
    with pytest.raises(SettingsError, match=r"1\.2 s long.*last 5 s") as caught:
        run("face", target, tiny_settings(holdout_s=5.0))
    assert "--holdout" in str(caught.value.hint)


def test_settings_of_another_size_name_the_preset_to_use(target: Target) -> None:
    settings = tiny_settings()
    with pytest.raises(SettingsError, match="preprocessed at 64 px") as caught:
        run("face", target, replace(settings, media=replace(settings.media, size_px=128)))
    assert "--preset tiny" in str(caught.value.hint)


def test_another_frame_rate_than_that_of_the_target_is_refused(target: Target) -> None:
    settings = tiny_settings()
    with pytest.raises(SettingsError, match="at 25 frames per second, the settings have") as caught:
        run("face", target, replace(settings, media=replace(settings.media, frame_rate=30)))
    assert "--set media.frame_rate=25" in str(caught.value.hint)


def test_missing_vgg16_is_found_before_anything_starts(target: Target) -> None:
    settings = tiny_settings()
    seen: list[Progress] = []
    with pytest.raises(WeightsMissing) as caught:
        run(
            "face",
            target,
            replace(settings, loss=replace(settings.loss, perceptual=1.0)),
            on_progress=seen.append,
        )
    assert "pirctl models pull lpips_vgg16" in str(caught.value.hint)
    assert not seen


def test_another_network_size_is_refused_with_both_ways_out(trained: Target) -> None:
    settings = tiny_settings()
    wider = replace(settings, audio2exp=replace(settings.audio2exp, width=64))
    with pytest.raises(CheckpointError, match=r"audio2exp\.width 32, the settings now have 64") as (
        caught
    ):
        run("audio", trained, wider)
    assert "--set audio2exp.width=32" in str(caught.value.hint)
    assert "--restart" in str(caught.value.hint)


def test_frames_that_were_trained_on_cannot_be_held_out_later(trained: Target) -> None:
    with pytest.raises(CheckpointError, match="would not be unseen"):
        run("face", trained, tiny_settings(holdout_s=16 / 25))


def test_a_damaged_checkpoint_is_refused_and_restart_mends_it(trained: Target) -> None:
    (trained.stage_folder("audio") / "checkpoint" / "weights.safetensors").write_bytes(b"?")
    with pytest.raises(CheckpointError, match="damaged") as caught:
        run("audio", trained, tiny_settings())
    assert "--restart" in str(caught.value.hint)
    run("audio", trained, tiny_settings(), restart=True)
    load_checkpoint(trained.stage_folder("audio") / "checkpoint")


def test_without_vgg16_training_stops_or_goes_on_without_it_as_the_settings_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = make_target(tmp_path / "bob", disc())
    settings = tiny_settings(face=StageSettings(epochs=1, max_steps=1, batch_size=2))
    wanted = replace(settings, loss=replace(settings.loss, perceptual=1.0))
    with pytest.raises(WeightsMissing):
        run("face", target, wanted)
    optional = replace(wanted, loss=replace(wanted.loss, perceptual_if_there=True))
    report = run("face", target, optional)
    assert report.stages[0].new_steps == 1
    assert "without its loss" in caplog.text
    assert "pirctl models pull lpips_vgg16" in caplog.text
