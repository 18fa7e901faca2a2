"""`pirctl evaluate`: the table, the JSON, and the mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pirctl.cli.evaluate import score_table, warn_without_gain
from pirctl.cli.tables import print_table
from pirctl.evaluate.intervals import Interval
from pirctl.evaluate.result import ROWS, EvaluateReport
from pirctl.evaluate.scores import Score


def test_the_table_and_the_files(pirctl, workspace) -> None:
    outcome = pirctl("evaluate", "--target", "anna", "--output", "scores")
    assert outcome.status == 0, outcome.err
    for word in (
        "anna: 25 held-out frames",
        "lation ↑",
        "px ↓",
        "sharp-",
        "flicker",
        *ROWS,
    ):
        assert word in outcome.out
    assert "LPIPS" not in outcome.out  # Its weights are not there.
    assert "scores/scores.json" in outcome.out
    assert "ours: " in outcome.err

    scores = json.loads((workspace.parent / "scores" / "scores.json").read_text())
    assert (scores["first_frame"], scores["frames"]) == (35, 25)
    assert f"leak           {scores['leak']:.2f}" in outcome.out
    assert (workspace.parent / "scores" / "sheet.png").stat().st_size > 10_000


def test_a_result_that_is_no_better_than_a_baseline_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def report(**gains: tuple[float, Interval]) -> EvaluateReport:
        named = {name.replace("_", " "): gain for name, gain in gains.items()}
        return EvaluateReport(
            target="anna", first_frame=0, frames=1, rows=(), leak=0.0, curves={}, errors=[],
            improvement={name: {"lmd": gain} for name, (gain, _) in named.items()},
            differences={name: {"lmd_px": apart} for name, (_, apart) in named.items()},
            scores_path=tmp_path, sheet_path=tmp_path, film_path=tmp_path,
        )  # fmt: skip

    warn_without_gain(report(mean_mouth=(12.0, (-2, -1)), wrong_speech=(30.0, (-4, -3))))
    assert capsys.readouterr().err == ""
    warn_without_gain(report(mean_mouth=(-3.0, (1, 2)), wrong_speech=(30.0, (-4, -3))))
    said = capsys.readouterr().err
    assert "no nearer to the truth than those of: mean mouth; train" in said
    warn_without_gain(report(mean_mouth=(12.0, (-2, -1)), wrong_speech=(30.0, (-4, 0.1))))
    assert "than those of: wrong speech; train" in capsys.readouterr().err


def test_what_cannot_be_told_from_ours_is_marked_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(name: str, lmd_px: float) -> Score:
        return Score(
            name=name, correlation=0.5, lmd_px=lmd_px, movement=1.0,
            intervals={"lmd_px": (1.11, 3.33)},
        )  # fmt: skip

    apart = {"mean mouth": {"lmd_px": (-1, 1)}, "wrong speech": {"lmd_px": (-3, -2)}}
    report = EvaluateReport(
        target="anna", first_frame=0, frames=1, leak=0.0, curves={}, errors=[], differences=apart,
        rows=(row("ours", 2.0), row("mean mouth", 2.2), row("wrong speech", 4.4)),
        improvement={"mean mouth": {"lmd": 9.0}, "wrong speech": {"lmd": 55.0}},
        scores_path=tmp_path, sheet_path=tmp_path, film_path=tmp_path,
    )  # fmt: skip
    print_table(score_table(report))
    out = capsys.readouterr().out
    assert "≈2.20" in out
    assert "≈9 %" in out
    assert "≈4.40" not in out
    assert "≈55 %" not in out
    assert "1.11" in out
    assert "3.33" in out


def test_json_goes_to_stdout_alone(pirctl, workspace) -> None:
    outcome = pirctl("evaluate", "--target", "anna", "--json", "--quiet")
    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    assert [row["name"] for row in report["rows"]] == list(ROWS)
    assert report["scores_path"] == "targets/anna/evaluate/scores.json"
    assert outcome.err == ""


def test_help_has_two_examples(pirctl) -> None:
    outcome = pirctl("evaluate", "--help")
    assert outcome.status == 0
    assert outcome.out.count("\n  pirctl evaluate obama") == 2


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("-t", "carl"), "no target 'carl' in targets; there are: anna, bert", "pirctl preprocess"),
        (("-t", "bert"), "stage audio of bert is not trained", "pirctl train --stage audio"),
        (("-t", "anna", "--tracker", "mediapipe"), "", "pirctl models pull face_landmarker"),
    ],
)
def test_mistakes(arguments, error: str, hint: str, pirctl, workspace) -> None:
    outcome = pirctl("evaluate", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert f"error: {error}" in outcome.err
    assert f"hint: {hint}" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_target_without_sound(pirctl, workspace) -> None:
    about = workspace / "anna" / "target.yaml"
    text = about.read_text().replace("has_audio: true", "has_audio: false")
    about.unlink()  # A hard link to the session's target.
    about.write_text(text)
    outcome = pirctl("evaluate", "-t", "anna")
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: target 'anna' has no sound" in outcome.err
    assert not (workspace / "anna" / "evaluate").exists()


def test_a_missing_track(pirctl, workspace) -> None:
    (workspace / "anna" / "track.safetensors").unlink()
    shutil.rmtree(workspace / "bert")
    outcome = pirctl("evaluate")
    assert (outcome.status, outcome.out) == (1, "")
    assert "track.safetensors: not found" in outcome.err
