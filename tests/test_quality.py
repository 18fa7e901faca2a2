"""The gate of `make quality` itself: what it lets through and what it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pirctl.evaluate.lip_reader import lips_of
from pirctl.evaluate.pixels import PixelScorer
from pirctl.evaluate.result import BASELINES
from pirctl.evaluate.scores import Scorer
from pirctl.face.model import load_face_model
from tests.prepare.drawn import SIZE, make_track
from tests.quality import LEAST_CORRELATION, shortfalls


def table(correlation: float, lmd_px: float, baseline_lmd_px: float = 10.0) -> dict[str, object]:
    rows = [{"name": "ours", "correlation": correlation, "lmd_px": lmd_px}]
    rows += [{"name": name, "correlation": 0.0, "lmd_px": baseline_lmd_px} for name in BASELINES]
    return {"rows": rows}


def test_a_mouth_that_follows_passes() -> None:
    assert shortfalls(table(0.71, 6.9)) == []


def test_a_mouth_that_follows_another_sound_does_not_pass() -> None:
    assert shortfalls(table(0.69, 6.9)) == ["correlation is 0.690, must be 0.7"]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_that_is_nearly_as_good_is_named(name: str) -> None:
    scores = table(0.9, 6.9)
    (row,) = (row for row in scores["rows"] if row["name"] == name)
    row["lmd_px"] = 9.0
    assert shortfalls(scores) == [f"LMD is 6.90 px, must be 6.30 against {name}"]


def test_what_is_not_a_number_does_not_pass() -> None:
    assert len(shortfalls(table(math.nan, math.nan))) == 1 + len(BASELINES)


def test_a_mouth_that_never_moves_does_not_pass() -> None:
    # Measured as `evaluate` does, of frames that all show the same mouth.
    track = make_track(load_face_model("generic"), 40)
    frozen = lips_of(track.landmarks.mean(0, keepdims=True))[0]
    rows = []
    for name in ("ours", *BASELINES):
        scorer = Scorer(name, lambda frame, number: frozen, track, SIZE, PixelScorer())
        for number in range(track.frames):
            scorer.add(number, np.zeros((SIZE, SIZE, 3), np.uint8))
        score = scorer.score()
        rows.append({"name": name, "correlation": score.correlation, "lmd_px": score.lmd_px})
    assert not abs(rows[0]["correlation"]) >= LEAST_CORRELATION
    assert len(shortfalls({"rows": rows})) == 1 + len(BASELINES)
