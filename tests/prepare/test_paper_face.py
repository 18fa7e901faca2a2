"""A target with the paper's face model: fitted, read by the regressor, trained, kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pirctl.dub.controls import Controls, notes_on_axes
from pirctl.errors import CheckpointError, SettingsError, TargetError, WeightsMissing
from pirctl.evaluate.lip_reader import patch_transforms
from pirctl.face.deep3d import Deep3dNetwork, camera_of, choose_square
from pirctl.face.masks import CHIN_DROP, MaskPainter, dropped_jaw
from pirctl.face.model import ARKIT_NAMES, FaceModel, load_face_model, write_face_model
from pirctl.inspect.inspect import inspect
from pirctl.perform.actor import load_actor
from pirctl.perform.expression import mouth_axes
from pirctl.perform.loading import load_audio_stage, load_face_stage, load_render_stage
from pirctl.perform.painter import Batch
from pirctl.perform.poses import drive
from pirctl.settings import STAGES, MaskSettings, Settings
from pirctl.target import Target, Track
from pirctl.target.checkpoint import check_belongs, load_about
from pirctl.training import run as train
from tests.face.basel import basel_like
from tests.prepare.test_preprocess import FRAMES, make_clip, run
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaceModel:
    """The face model "bfm" as an import leaves it, in a cache of its own."""
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    write_face_model(basel_like(), tmp_path / "home" / "face" / "bfm.safetensors", half=False)
    return load_face_model("bfm")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The regressor, which says the same small random face of every picture."""
    torch.manual_seed(1)
    network = Deep3dNetwork()
    for head in network.final_layers[:4]:
        nn.init.normal_(head.bias, std=0.05)
    path = tmp_path / "epoch_20.pth"
    torch.save({"net_recon": network.state_dict()}, path)
    return path


def test_landmarks_are_fitted_with_the_paper_s_model(tmp_path: Path, paper: FaceModel) -> None:
    report = run(make_clip(tmp_path), tmp_path, face_model="bfm")
    about, track = report.target.about, report.target.track()
    assert (about.face_model, about.face_model_hash) == ("bfm", paper.version)
    assert about.fit == "landmarks"
    assert track.z_id.shape == (80,)
    assert track.z_exp.shape == (FRAMES, 64)
    assert report.error_percent < 1.5
    stage = report.target.stage_folder("face") / "checkpoint"
    stage.mkdir(parents=True)
    with pytest.raises(TargetError, match="the face model generic, and they have bfm"):
        run(tmp_path / "clip.mp4", tmp_path)
    stage.rmdir()
    # Another model is another fit: nothing of it is taken over, all else is.
    again = run(tmp_path / "clip.mp4", tmp_path)
    assert "fit" not in again.reused
    assert "frames" in again.reused
    assert again.target.track().z_exp.shape == (FRAMES, 52)


def test_the_regressor_gives_coefficients_in_the_camera_of_its_square(
    tmp_path: Path, paper: FaceModel, weights: Path
) -> None:
    options = {"face_model": "bfm", "fit": "deep3d", "fit_weights": weights, "device": "cpu"}
    report = run(make_clip(tmp_path), tmp_path, **options)
    about, track = report.target.about, report.target.track()
    assert (about.face_model, about.fit) == ("bfm", "deep3d")
    square = choose_square(track.landmarks, np.ones(FRAMES, bool))
    assert np.array_equal(track.K, camera_of(square))
    # One camera and a network that sees no difference: nothing trembles.
    assert np.abs(np.diff(track.t, axis=0)).max() < 1e-5
    assert np.abs(np.diff(track.z_exp, axis=0)).max() < 1e-5
    assert track.z_exp[0].std() == pytest.approx(0.05, rel=0.5)
    assert run(tmp_path / "clip.mp4", tmp_path, **options).up_to_date
    # A frame that this fit missed is not lost to the next one.
    track.valid[3] = False
    report.target.write_track(track)
    fitted = run(tmp_path / "clip.mp4", tmp_path, face_model="bfm")
    assert "fit" not in fitted.reused
    assert fitted.unusable_frames == ()
    assert fitted.target.about.fit == "landmarks"


def test_the_regressor_without_its_model_or_weights_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    video = make_clip(tmp_path)
    with pytest.raises(SettingsError, match="coefficients of the face model 'bfm'") as caught:
        run(video, tmp_path, fit="deep3d")
    assert "--face-model bfm" in (caught.value.hint or "")
    with pytest.raises(WeightsMissing, match="none was imported yet") as missing:
        run(video, tmp_path, fit="deep3d", face_model="bfm")
    assert "pirctl models import bfm" in (missing.value.hint or "")
    write_face_model(basel_like(), tmp_path / "home" / "face" / "bfm.safetensors")
    with pytest.raises(WeightsMissing) as missing:
        run(video, tmp_path, fit="deep3d", face_model="bfm")
    assert "pirctl models pull deep3d" in (missing.value.hint or "")
    with pytest.raises(SettingsError, match="is for the paper's regressor"):
        run(video, tmp_path, fit_weights=tmp_path / "epoch_20.pth")
    assert not (tmp_path / "targets").exists()


def test_without_named_axes_the_whole_expression_comes_from_the_speech(paper: FaceModel) -> None:
    axes = mouth_axes(paper.expression_names)
    assert axes == tuple(range(64))
    names, face = paper.expression_names, MaskSettings(region="face")
    assert "eyes and brows follow the speech" in notes_on_axes(Controls(), names, face)[0]
    assert notes_on_axes(Controls(upper_face="speech"), names, face) == ()
    assert notes_on_axes(Controls(), names, MaskSettings()) == ()
    assert notes_on_axes(Controls(), ARKIT_NAMES, face) == ()
    own, speech = np.zeros((2, 64), np.float32), np.ones((2, 64), np.float32)
    assert np.array_equal(drive(own, speech, axes), speech)


def one_step() -> Settings:
    train = tiny_settings().train
    stages = {name: replace(getattr(train, name), max_steps=1) for name in STAGES}
    return replace(tiny_settings(), train=replace(train, **stages))


def as_paper(target: Target, paper: FaceModel) -> None:
    """Turn a target into one that was fitted with the paper's model."""
    track, rng = target.track(), np.random.default_rng(2)
    track.landmarks[:, 33], track.landmarks[:, 263] = (20, 28), (44, 28)  # Eyes, to measure with.
    target.write_track(
        Track(
            **{
                **vars(track),
                "z_id": rng.normal(0, 1, 80).astype(np.float32),
                "z_exp": rng.normal(0, 1, (track.frames, 64)).astype(np.float32),
            }
        )
    )
    target.write_about(replace(target.about, face_model=paper.name, face_model_hash=paper.version))


LOADERS = {"audio": load_audio_stage, "face": load_face_stage, "render": load_render_stage}


def test_every_stage_trains_on_it_and_belongs_to_it_alone(tmp_path: Path, paper: FaceModel) -> None:
    target = make_target(tmp_path / "me", disc())
    as_paper(target, paper)
    settings = one_step()
    for stage in STAGES:
        train(stage, target, settings)
        LOADERS[stage](target, torch.device("cpu"))
        about = load_about(target.stage_folder(stage) / "checkpoint")
        assert (about.identity_width, about.expression_width) == (80, 64)
        assert about.face_model_hash == paper.version
    actor = load_actor(target, "cpu")
    assert actor.mouth_axes == tuple(range(64))
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    still = np.zeros((2, 64), np.float32)
    painted = actor.painter.paint(Batch(numbers=[0, 1], frames=frames, z_exp=still))
    assert painted.frames.shape == frames.shape
    generic = load_face_model("generic")
    target.write_about(replace(target.about, face_model="generic", face_model_hash=generic.version))
    for stage in STAGES:
        with pytest.raises(
            CheckpointError,
            match=f"stage {stage} of me was trained with face model bfm, the target has generic",
        ):
            LOADERS[stage](target, torch.device("cpu"))


def test_inspect_draws_the_tracked_mesh_on_a_dense_model(tmp_path: Path, paper: FaceModel) -> None:
    target = make_target(tmp_path / "me", disc())
    as_paper(target, paper)
    report = inspect(target)
    assert report.pictures[0].name == "landmarks.png"
    write_face_model(basel_like(mapped=False), tmp_path / "home" / "face" / "bfm.safetensors")
    with pytest.raises(
        TargetError, match=r"was fitted with face model bfm .*, this program has"
    ) as other:
        inspect(target)
    assert "--face-model bfm --fit landmarks --force" in (other.value.hint or "")
    target.write_about(replace(target.about, face_model_hash=load_face_model("bfm").version))
    assert len(inspect(target).pictures) == 5


@pytest.mark.parametrize("mapped", [True, False])
def test_the_mouth_is_read_in_the_same_place_on_a_dense_model(mapped: bool) -> None:
    def place(model: FaceModel) -> np.ndarray:
        track = Track(
            landmarks=np.zeros((1, 468, 2), np.float32),
            valid=np.ones(1, bool),
            z_id=np.zeros(model.identity_width, np.float32),
            z_exp=np.zeros((1, model.expression_width), np.float32),
            R=np.diag(np.float32([1, -1, -1]))[None],
            t=np.float32([[0, 0, 9]]),
            K=np.float32([[1300, 0, 128], [0, 1300, 128], [0, 0, 1]]),
            error_px=np.zeros(1, np.float32),
        )
        return patch_transforms(track, model)[0]

    assert np.allclose(place(basel_like(mapped=mapped)), place(load_face_model("generic")), atol=3)


def test_a_model_imported_anew_with_other_content_is_another_one(
    tmp_path: Path, paper: FaceModel
) -> None:
    target = make_target(tmp_path / "me", disc())
    as_paper(target, paper)
    train("face", target, one_step())
    about = load_about(target.stage_folder("face") / "checkpoint")
    check_belongs(about, target.about, "me")
    with pytest.raises(CheckpointError, match="face model bfm in another version"):
        check_belongs(about, replace(target.about, face_model_hash="0" * 16), "me")


def test_the_mask_leaves_room_for_the_jaw_and_does_not_know_the_mouth(paper: FaceModel) -> None:
    R, t = np.diag(np.float32([1, -1, -1])), np.float32([0, 0, 9])
    K = np.float32([[1300, 0, 128], [0, 1300, 128], [0, 0, 1]])

    def covered(model: FaceModel) -> np.ndarray:
        z_id = np.zeros(model.identity_width, np.float32)
        return MaskPainter(model, z_id, K, 256, MaskSettings()).paint(R, t) > 0.5

    mask, generic = covered(paper), covered(load_face_model("generic"))
    assert (mask & generic).sum() / (mask | generic).sum() > 0.85
    # The jaw is dropped by its own axes, not only lowered by the margin.
    identity = torch.zeros(80)
    rest = paper.vertices(identity, torch.zeros(64))[paper.landmarks_68]
    open_ = paper.vertices(identity, dropped_jaw(paper))[paper.landmarks_68]
    height = float(rest[17:27, 1].mean() - rest[8, 1])
    assert (rest[8, 1] - open_[8, 1]) / height == pytest.approx(CHIN_DROP, rel=0.3)
    assert (open_[62, 1] - open_[66, 1]) > (rest[62, 1] - rest[66, 1]) + 0.05 * height
