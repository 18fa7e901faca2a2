from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pirctl.demo.synthetic import SpeakerFiles, make_speaker
from pirctl.face.landmark_file import read_landmark_file
from pirctl.face.landmarks import INNER_LIP_CENTRES, eye_distance, mouth_opening
from pirctl.media import probe, read_frames, read_sound


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SpeakerFiles:
    folder = tmp_path_factory.mktemp("speaker")
    return make_speaker(folder, seconds=4.0, holdout_s=1.0, size_px=96, seed=3)


def test_video_sound_and_truth_have_one_length(files: SpeakerFiles) -> None:
    video = probe(files.video)
    assert (video.width, video.height, video.frame_rate) == (96, 96, Fraction(25))
    assert video.has_audio
    truth = load_file(files.truth)
    landmarks = read_landmark_file(files.landmarks)
    assert len(list(read_frames(files.video))) == 100
    assert len(list(read_frames(files.parsing, gray=True))) == 100
    assert truth["z_exp"].shape[0] == len(landmarks.points) == 100
    assert len(read_sound(files.audio)) == 4 * 16000
    assert len(read_sound(files.heldout_audio)) == 1 * 16000


def test_heldout_sound_is_the_end_of_the_whole(files: SpeakerFiles) -> None:
    whole, end = read_sound(files.audio, 22050), read_sound(files.heldout_audio, 22050)
    assert np.array_equal(whole[-len(end) :], end)


def test_the_picture_shows_what_the_truth_says(files: SpeakerFiles) -> None:
    labels = np.stack(list(read_frames(files.parsing, gray=True)))
    openings = mouth_opening(read_landmark_file(files.landmarks).points)
    areas = (labels == 11).sum((1, 2))
    assert np.corrcoef(areas, openings)[0, 1] > 0.9


def test_lips_are_closed_where_the_truth_forces_them_together(files: SpeakerFiles) -> None:
    closed = load_file(files.truth)["closure"] > 0.99
    points = read_landmark_file(files.landmarks).points
    # With a sign, down in the picture: pressed lips lie a little over each other.
    upper, lower = INNER_LIP_CENTRES
    apart = (points[:, lower, 1] - points[:, upper, 1]) / eye_distance(points)
    assert closed.any()
    assert apart[closed].max() < 0.01
    assert apart[closed].min() > -0.03
    assert apart[~closed].max() > 0.05


def test_the_head_moves_gently(files: SpeakerFiles) -> None:
    truth = load_file(files.truth)
    turn = truth["R"][1:] @ truth["R"][:-1].transpose(0, 2, 1)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert angle.max() < 1.5
    assert np.abs(np.diff(truth["t"], axis=0)).max() < 0.05


def test_one_seed_gives_one_clip(files: SpeakerFiles, tmp_path: Path) -> None:
    again = make_speaker(tmp_path, seconds=4.0, holdout_s=1.0, size_px=96, seed=3)
    assert files.audio.read_bytes() == again.audio.read_bytes()
    before, after = load_file(files.truth), load_file(again.truth)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    pairs = zip(read_frames(files.video), read_frames(again.video), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holdout_s"):
        make_speaker(tmp_path, seconds=2.0, holdout_s=2.0)
    with pytest.raises(ValueError, match="size_px"):
        make_speaker(tmp_path, seconds=2.0, holdout_s=0.0, size_px=33)
