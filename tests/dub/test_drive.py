"""Another person's expression: whose jaw moves when, whose identity stays, what is held."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.dub.controls import Controls
from pirctl.dub.drive import (
    DrivingVideo,
    carry_over,
    check_driving,
    driving_expression,
)
from pirctl.dub.inputs import OutputFiles
from pirctl.dub.reenact import reenact
from pirctl.errors import DecodeError, FaceNotFound, MediaError, TargetError, WeightsMissing
from pirctl.face.camera import FLIP, intrinsics, project, transform
from pirctl.face.landmark_file import Landmarks, write_landmark_file
from pirctl.face.model import load_face_model
from pirctl.media import VideoWriter, probe, read_frames, write_sound
from pirctl.perform.actor import Actor
from pirctl.perform.poses import rest_expression
from pirctl.progress import ignore_progress
from pirctl.target import Target
from tests.prepare import drawn
from tests.targets import face, make_target

FRAMES = 24
HIDDEN = (0, 9, 10, 23)
WIDTH, HEIGHT = 200, 160


def jaw() -> np.ndarray:
    """How far the driver's jaw is open in every frame; a quarter of the time it is shut."""
    return np.maximum(0.5 * np.sin(np.arange(FRAMES) * 0.5), 0).astype(np.float32)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> DrivingVideo:
    """A person with another identity and a constant smile, who talks; with sound."""
    folder, model = tmp_path_factory.mktemp("driver"), load_face_model()
    z_exp = torch.zeros(FRAMES, model.expression_width)
    z_exp[:, model.axis("jawOpen")] = torch.from_numpy(jaw())
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        z_exp[:, model.axis(name)] = 0.4
    z_id = torch.zeros(model.identity_width)
    z_id[:3] = torch.tensor([1.0, -1.0, 0.5])
    place = torch.tensor([0.0, 0.0, 8.0]).expand(FRAMES, 3)
    seen = transform(FLIP.expand(FRAMES, 3, 3), place, model.vertices(z_id, z_exp))
    points = project(seen, intrinsics(400.0, 0)).numpy() + np.float32([WIDTH / 2, HEIGHT / 2])
    valid = np.ones(FRAMES, bool)
    valid[list(HIDDEN)] = False
    landmarks = Landmarks(
        points=points.astype(np.float32), valid=valid, width=WIDTH, height=HEIGHT,
        frame_rate=Fraction(25),
    )  # fmt: skip
    write_landmark_file(folder / "points.safetensors", landmarks)
    write_sound(folder / "voice.wav", np.zeros(FRAMES * 640, np.float32), 16000)
    shape = (WIDTH, HEIGHT, Fraction(25))
    with VideoWriter(folder / "talk.mp4", *shape, sound=folder / "voice.wav") as writer:
        for _ in range(FRAMES):
            writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return DrivingVideo(video=folder / "talk.mp4", landmarks=folder / "points.safetensors")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return make_target(tmp_path_factory.mktemp("targets") / "anna", face(30))


@pytest.fixture(scope="module")
def actor(target: Target) -> Actor:
    return drawn.make_actor(target, load_face_model(), 30)


def test_the_jaw_follows_the_driver_and_a_constant_smile_stays_with_its_owner(
    driver: DrivingVideo, actor: Actor
) -> None:
    model = load_face_model()
    made = driving_expression(driver, actor, ignore_progress)
    assert made.held_frames == HIDDEN
    assert made.z_exp.shape == (FRAMES, model.expression_width)
    seen = np.setdiff1d(np.arange(FRAMES), HIDDEN)
    opened = made.z_exp[seen, model.axis("jawOpen")]
    assert np.corrcoef(opened, jaw()[seen])[0, 1] > 0.98
    assert np.abs(opened - jaw()[seen]).max() < 0.15
    smile = model.axis("mouthSmileLeft")  # The driver's is 0.4 throughout.
    own = rest_expression(actor.track)[smile]
    assert np.abs(made.z_exp[seen, smile] - own).max() < 0.05


def test_frames_without_a_face_hold_the_last_expression(driver: DrivingVideo, actor: Actor) -> None:
    z_exp = driving_expression(driver, actor, ignore_progress).z_exp
    for number, held in ((0, 1), (9, 8), (10, 8), (23, 22)):
        np.testing.assert_array_equal(z_exp[number], z_exp[held])
    assert (z_exp[11] != z_exp[8]).any()


def test_what_is_carried_over_is_zero_at_rest(target: Target) -> None:
    track = target.track()
    np.testing.assert_allclose(carry_over(track) + rest_expression(track), track.z_exp, atol=1e-6)


def test_what_training_never_saw_changes_nothing(
    driver: DrivingVideo, target: Target, tmp_path: Path
) -> None:
    model, made = load_face_model(), []
    for name in ("as_it_is", "loud_at_the_end"):
        other = make_target(tmp_path / name, face(30, model))
        track = target.track()
        if made:
            track.z_exp[20:] += 0.7
        other.write_track(track)
        made.append(driving_expression(driver, drawn.make_actor(other, model, 20), ignore_progress))
    np.testing.assert_array_equal(made[0].z_exp, made[1].z_exp)


def test_a_driven_video_has_the_driver_s_length_and_sound(
    driver: DrivingVideo, target: Target, actor: Actor, tmp_path: Path
) -> None:
    model = load_face_model()
    output, table = tmp_path / "driven.mkv", tmp_path / "shown.csv"
    report = reenact(
        target, driver, OutputFiles(video=output, picture="crop", curves=table), actor=actor
    )
    assert (report.frames, report.held_frames) == (FRAMES, HIDDEN)
    assert len(list(read_frames(output))) == FRAMES
    assert probe(output).has_audio
    assert report.expression_path == table
    rows = np.loadtxt(table, delimiter=",", skiprows=1)
    shown = rows[:, 1 + model.axis("jawOpen")]
    assert np.corrcoef(shown[1:23], jaw()[1:23])[0, 1] > 0.9
    # The actor's mouth is the jaw alone: all else stays the target's own.
    brow = 1 + model.axis("mouthSmileLeft")
    np.testing.assert_allclose(rows[:, brow], target.track().z_exp[:FRAMES, brow - 1])
    whole = reenact(
        target,
        driver,
        OutputFiles(video=tmp_path / "whole.mkv", picture="crop", curves=tmp_path / "whole.csv"),
        actor=actor,
        controls=Controls(upper_face="speech"),
    )
    assert whole.frames == FRAMES
    everything = np.loadtxt(tmp_path / "whole.csv", delimiter=",", skiprows=1)
    assert not np.allclose(everything[:, brow], rows[:, brow])


def test_a_driving_video_without_sound_makes_a_silent_one(
    driver: DrivingVideo, target: Target, actor: Actor, tmp_path: Path
) -> None:
    silent = tmp_path / "silent.mkv"
    with VideoWriter(silent, WIDTH, HEIGHT, Fraction(25)) as writer:
        for frame in read_frames(driver.video):
            writer.write(frame)
    driving = replace(driver, video=silent)
    report = reenact(
        target, driving, OutputFiles(video=tmp_path / "out.mp4", picture="crop"), actor=actor
    )
    assert report.frames == FRAMES
    assert not probe(report.output).has_audio


def test_mistakes_are_found_first(driver: DrivingVideo, actor: Actor, tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="does not exist"):
        check_driving(DrivingVideo(video=tmp_path / "none.mp4"))
    with pytest.raises(MediaError, match="has no picture to drive the face with") as caught:
        check_driving(DrivingVideo(video=driver.video.with_name("voice.wav")))
    assert caught.value.hint == "give it as --audio"
    with pytest.raises(DecodeError, match=r"landmark file .* not found"):
        check_driving(replace(driver, landmarks=tmp_path / "none.safetensors"))
    with pytest.raises(WeightsMissing) as missing:
        driving_expression(replace(driver, landmarks=None), actor, ignore_progress)
    assert "--landmarks FILE" in str(missing.value.hint)
    assert "--tracker-model FILE" in str(missing.value.hint)


def test_no_face_at_all_is_an_error(driver: DrivingVideo, actor: Actor, tmp_path: Path) -> None:
    nobody = Landmarks(
        points=np.zeros((FRAMES, 468, 2), np.float32), valid=np.zeros(FRAMES, bool),
        width=WIDTH, height=HEIGHT, frame_rate=Fraction(25),
    )  # fmt: skip
    path = tmp_path / "nobody.safetensors"
    write_landmark_file(path, nobody)
    with pytest.raises(FaceNotFound, match="no face found"):
        driving_expression(replace(driver, landmarks=path), actor, ignore_progress)


def test_a_target_of_another_face_model_is_refused(driver: DrivingVideo, tmp_path: Path) -> None:
    target = make_target(tmp_path / "bert", face(12))
    target.write_about(replace(target.about, face_model_hash="0123"))
    actor = drawn.make_actor(target, load_face_model(), 12)
    with pytest.raises(TargetError, match="fitted with face model generic 0123"):
        driving_expression(driver, actor, ignore_progress)
