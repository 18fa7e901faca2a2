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

from pirctl.errors import TargetError
from pirctl.evaluate.evaluate import cut_sound, evaluate
from pirctl.evaluate.result import BASELINES, ROWS, EvaluateReport
from pirctl.evaluate.scores import landmark_distances
from pirctl.evaluate.sheet import evaluation_sheet
from pirctl.face.model import FaceModel, load_face_model
from pirctl.media.sound import read_sound, write_sound
from pirctl.perform.actor import Actor
from pirctl.progress import Progress
from tests.prepare.drawn import SIZE, make_actor
from tests.targets import face, make_target

FRAMES, TRAINING = 110, 80


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model("generic")


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory, model: FaceModel) -> Actor:
    target = make_target(tmp_path_factory.mktemp("targets") / "drawn", face(FRAMES, model))
    return make_actor(target, model, TRAINING)


@pytest.fixture(scope="module")
def reports() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def report(actor: Actor, reports: list[Progress]) -> EvaluateReport:
    # No distances: which weights the user has must not change a test.
    return evaluate(actor, on_progress=reports.append, distances={})


def test_the_table_has_every_row_over_the_held_out_frames(report: EvaluateReport) -> None:
    assert [row.name for row in report.rows] == list(ROWS)
    assert (report.first_frame, report.frames) == (TRAINING, FRAMES - TRAINING)


def test_the_truth_s_row_is_the_reader_s_own_error(report: EvaluateReport) -> None:
    truth = report.row("truth")
    assert truth.correlation > 0.95
    assert truth.lmd_px < 2
    assert truth.movement == pytest.approx(1, abs=0.1)
    assert truth.cpbd > 0
    assert truth.psnr_db is truth.sharpness is truth.lpips_vgg is None


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


def test_the_true_expression_paints_the_truth_and_silence_leaks_what_is_read_into_it(
    report: EvaluateReport,
) -> None:
    told = report.row("true expression")
    # The jaw alone is taken from the expression, the other axes are the footage's: all are true.
    assert told.mouth_psnr_db > report.row("mean mouth").mouth_psnr_db + 3
    for share in (told.sharpness, told.flicker, told.seam, told.movement):
        assert share == pytest.approx(1, abs=0.25)  # The drawing's noise differs.
    silence = report.row("silence")
    assert report.leak == silence.movement < 0.3
    # The drawn person's mean mouth is open, silence closes it.
    assert silence.lmd_px > report.row("mean mouth").lmd_px


def test_a_distance_looks_at_boxes_around_the_mask_in_some_frames_of_each_row(
    actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.evaluate.evaluate._LPIPS_FRAMES", 5)
    seen: list[tuple[int, ...]] = []

    def distance(painted: np.ndarray, truth: np.ndarray) -> float:
        seen.append(painted.shape)
        assert painted.shape == truth.shape
        return 0.25

    shorter = replace(actor, training_frames=FRAMES - 12)
    scored = evaluate(shorter, tmp_path, distances={"lpips_vgg": distance})
    painted_rows = len(ROWS) - 1
    assert len(seen) == painted_rows * 4  # Every third of twelve frames.
    assert all(64 <= side < SIZE for shape in seen for side in shape[:2])
    assert {row.lpips_vgg for row in scored.rows if row.name != "truth"} == {0.25}
    assert {row.lpips_alex for row in scored.rows} == {None}


def test_the_scores_and_the_sheet_are_written(actor: Actor, report: EvaluateReport) -> None:
    assert report.scores_path == actor.target.folder / "evaluate" / "scores.json"
    scores = json.loads(report.scores_path.read_text())
    assert scores["rows"][2]["correlation"] == report.row("ours").correlation
    assert scores["leak"] == report.leak
    sheet = cv2.imread(str(report.sheet_path))
    assert sheet.shape[0] >= 7 * SIZE
    assert sheet.std() > 10


def test_a_target_that_lost_its_last_frames_is_said_in_words_on_the_sheet(
    actor: Actor, model: FaceModel, tmp_path: Path
) -> None:
    short = make_target(tmp_path / "short", face(TRAINING, model))
    cut = replace(actor, target=short)
    with pytest.raises(TargetError, match=r"frames\.mkv has no frame 8\d") as caught:
        evaluation_sheet(cut, [actor.track.z_exp], TRAINING, 30, tmp_path / "sheet.png")
    assert caught.value.hint == "pirctl preprocess VIDEO --force"
    assert not (tmp_path / "sheet.png").exists()


def test_every_score_has_an_interval_and_lies_in_it(report: EvaluateReport) -> None:
    for row in report.rows:
        scores = {name: value for name, value in vars(row).items() if isinstance(value, float)}
        assert scores.keys() == row.intervals.keys()
        for name in ("correlation", "lmd_px", "mouth_psnr_db", "cpbd"):
            if name in scores:
                low, high = row.intervals[name]
                assert low <= scores[name] <= high, (row.name, name)


def test_ours_is_told_from_the_baselines_beyond_noise(report: EvaluateReport) -> None:
    assert report.differences.keys() == set(ROWS) - {"ours"}
    for name in BASELINES:
        low, high = report.differences[name]["lmd_px"]
        assert low < report.row("ours").lmd_px - report.row(name).lmd_px < high < 0


def test_the_curves_are_those_of_the_held_out_frames(actor: Actor, report: EvaluateReport) -> None:
    assert report.curves.keys() == {*ROWS, "speech"}
    assert {len(curve) for curve in report.curves.values()} == {FRAMES - TRAINING}
    assert np.corrcoef(report.curves["truth"], report.curves["ours"])[0, 1] > 0.8


def test_progress_names_each_row(report: EvaluateReport, reports: list[Progress]) -> None:
    assert {"reader", "ours", *BASELINES} <= {progress.step for progress in reports}


def test_two_evaluations_agree_to_the_last_digit(
    actor: Actor, report: EvaluateReport, tmp_path: Path
) -> None:
    assert evaluate(actor, tmp_path, distances={}).rows == report.rows


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
    assert not heard[2].any()  # Silence.
    assert len(wrong) == len(heard[0]) == (FRAMES - first) * 640
    np.testing.assert_allclose(heard[0], whole[first * 640 :], atol=1e-4)
    np.testing.assert_allclose(wrong, np.resize(whole[: first * 640], len(wrong)), atol=1e-4)


def test_landmark_distance_ignores_where_the_mouth_is() -> None:
    points = np.random.default_rng(0).normal(size=(5, 20, 2)).astype(np.float32)
    np.testing.assert_allclose(landmark_distances(points, points + 7), 0, atol=1e-5)
    stretched = points.copy()
    stretched[:, 0, 0] += 20.0
    # The mean moves by 1, so 19 points are off by 1 and one by 19.
    np.testing.assert_allclose(landmark_distances(points, stretched), (19 * 1 + 19) / 20, rtol=1e-4)
