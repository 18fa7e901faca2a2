"""Evaluation on a drawn target: the floor, our row, the baselines, and the files."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pirctl.compat import basicsr_metrics
from pirctl.errors import TargetError
from pirctl.evaluate.evaluate import BASELINES, EvaluateReport, cut_sound, evaluate
from pirctl.evaluate.scores import landmark_distance, psnr_inside, ssim
from pirctl.evaluate.sheet import evaluation_sheet
from pirctl.face.model import FaceModel, load_face_model
from pirctl.media.sound import read_sound, write_sound
from pirctl.perform.actor import Actor
from pirctl.progress import Progress
from tests.prepare.drawn import SIZE, make_actor, make_target

FRAMES, TRAINING = 110, 80


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model("generic")


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory, model: FaceModel) -> Actor:
    target = make_target(tmp_path_factory.mktemp("targets") / "drawn", model, FRAMES)
    return make_actor(target, model, TRAINING)


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def report(actor: Actor, reports: list[Progress]) -> EvaluateReport:
    return evaluate(actor, on_progress=reports.append)


def test_the_table_has_every_row_over_the_held_out_frames(report: EvaluateReport) -> None:
    assert [row.name for row in report.rows] == ["truth", "ours", *BASELINES]
    assert (report.first_frame, report.frames) == (TRAINING, FRAMES - TRAINING)


def test_the_truth_s_row_is_the_reader_s_own_error(report: EvaluateReport) -> None:
    truth = report.row("truth")
    assert truth.correlation > 0.95
    assert truth.lmd_px < 2
    assert truth.psnr_db is None


def test_the_right_speech_beats_every_baseline(report: EvaluateReport) -> None:
    ours = report.row("ours")
    # The sound says the jaw alone, so the other axes keep ours from being perfect.
    assert ours.correlation > 0.9
    for name in BASELINES:
        row = report.row(name)
        assert abs(row.correlation) < 0.5
        assert ours.lmd_px < row.lmd_px
        assert ours.mouth_psnr_db > row.mouth_psnr_db
        gain = report.improvement[name]
        assert gain["correlation"] == pytest.approx(ours.correlation - row.correlation)
        assert gain["lmd"] == pytest.approx(100 * (1 - ours.lmd_px / row.lmd_px))
        assert gain["mouth_mse"] > 0


def test_the_scores_and_the_sheet_are_written(actor: Actor, report: EvaluateReport) -> None:
    assert report.scores_path == actor.target.folder / "evaluate" / "scores.json"
    scores = json.loads(report.scores_path.read_text())
    assert scores["rows"][1]["correlation"] == report.row("ours").correlation
    sheet = cv2.imread(str(report.sheet_path))
    assert sheet.shape[0] >= 6 * SIZE
    assert sheet.std() > 10


def test_a_target_that_lost_its_last_frames_is_said_in_words_on_the_sheet(
    actor: Actor, model: FaceModel, tmp_path: Path
) -> None:
    short = make_target(tmp_path / "short", model, TRAINING)
    cut = replace(actor, target=short)
    with pytest.raises(TargetError, match=r"frames\.mkv has no frame 8\d") as caught:
        evaluation_sheet(cut, [actor.track.z_exp], TRAINING, 30, tmp_path / "sheet.png")
    assert caught.value.hint == "pirctl preprocess VIDEO --force"
    assert not (tmp_path / "sheet.png").exists()


def test_progress_names_each_row(report: EvaluateReport, reports: list[Progress]) -> None:
    assert {"reader", "ours", *BASELINES} <= {progress.step for progress in reports}


def test_two_evaluations_agree_to_the_last_digit(
    actor: Actor, report: EvaluateReport, tmp_path: Path
) -> None:
    assert evaluate(actor, tmp_path).rows == report.rows


def test_a_target_with_nothing_held_out_is_refused(actor: Actor) -> None:
    with pytest.raises(TargetError, match="left out 0 frames") as caught:
        evaluate(replace(actor, training_frames=FRAMES))
    assert "pirctl train --target drawn" in str(caught.value.hint)


def test_a_section_of_sound_is_cut_to_the_sample(tmp_path: Path) -> None:
    ramp = np.linspace(0, 0.9, 16000, dtype=np.float32)
    write_sound(tmp_path / "all.wav", ramp, 16000)
    cut_sound(tmp_path / "all.wav", tmp_path / "part.wav", 0.25, 0.5)
    part = read_sound(tmp_path / "part.wav", 16000)
    np.testing.assert_allclose(part, ramp[4000:12000], atol=1e-4)
    cut_sound(tmp_path / "all.wav", tmp_path / "end.wav", 0.9, 0.5)
    with wave.open(str(tmp_path / "end.wav")) as file:
        assert file.getnframes() == 1600
    cut_sound(tmp_path / "all.wav", tmp_path / "again.wav", 0.0, 0.7, again_at_s=0.25)
    again = read_sound(tmp_path / "again.wav", 16000)
    assert len(again) == 11200
    np.testing.assert_allclose(again, np.resize(ramp[:4000], 11200), atol=1e-4)


def test_the_wrong_speech_is_never_the_held_out_one(
    tmp_path: Path, model: FaceModel, actor: Actor
) -> None:
    # More is held out than trained on, so the beginning alone would run into it.
    heard: list[np.ndarray] = []

    def express(path: Path) -> Iterator[np.ndarray]:
        heard.append(read_sound(path, 16000))
        return actor.express(path)

    first = 30
    evaluate(replace(actor, training_frames=first, express=express), tmp_path)
    whole = read_sound(actor.target.audio_path, 16000)
    wrong = heard[1]
    assert len(wrong) == len(heard[0]) == (FRAMES - first) * 640
    np.testing.assert_allclose(heard[0], whole[first * 640 :], atol=1e-4)
    np.testing.assert_allclose(wrong, np.resize(whole[: first * 640], len(wrong)), atol=1e-4)


def test_landmark_distance_ignores_where_the_mouth_is() -> None:
    points = np.random.default_rng(0).normal(size=(5, 20, 2)).astype(np.float32)
    assert landmark_distance(points, points + 7) == pytest.approx(0, abs=1e-5)
    stretched = points.copy()
    stretched[:, 0, 0] += 20.0
    # The mean moves by 1, so 19 points are off by 1 and one by 19.
    assert landmark_distance(points, stretched) == pytest.approx((19 * 1 + 19) / 20, rel=1e-4)


def test_psnr_looks_only_inside_the_mask() -> None:
    truth = np.zeros((8, 8, 3), np.uint8)
    frame = truth.copy()
    frame[0, 0] = 255
    inside = np.zeros((8, 8), bool)
    inside[4:, 4:] = True
    assert psnr_inside(frame, truth, inside) == 100.0
    frame[4:, 4:] = 16
    assert psnr_inside(frame, truth, inside) == pytest.approx(20 * np.log10(255 / 16))


@pytest.mark.parametrize(
    "changed", [np.s_[40:60, 30:50], np.s_[0:5, 0:5], np.s_[70:, 60:], np.s_[:, :], np.s_[:0, :0]]
)
def test_ssim_of_the_differing_part_is_that_of_the_whole(changed: tuple[slice, slice]) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 256, (80, 72, 3), dtype=np.uint8)
    frame = truth.copy()
    frame[changed] = rng.integers(0, 256, frame[changed].shape, dtype=np.uint8)
    _, calculate_ssim = basicsr_metrics()
    assert ssim(frame, truth) == pytest.approx(
        calculate_ssim(frame, truth, crop_border=0), abs=1e-9
    )
