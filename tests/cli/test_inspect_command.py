"""`pirctl inspect`: the pictures of a target, and its axes."""

from __future__ import annotations

import json
from pathlib import Path


def test_axes_are_drawn_with_the_trained_face_and_without_it_as_a_mesh(pirctl, workspace) -> None:
    outcome = pirctl("inspect", "anna", "--axes", "--device", "cpu")
    assert (outcome.status, outcome.out) == (0, "targets/anna/inspect/axes.png\n"), outcome.err
    assert "rest and 52 axes at full strength, the implicit face" in outcome.err
    assert Path("targets/anna/inspect/axes.png").read_bytes()[:4] == b"\x89PNG"
    outcome = pirctl("inspect", "--target", "bert", "--axes", "--json", "--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report["drawn_with"] == "mesh"
    assert report["pictures"] == ["targets/bert/inspect/axes.png"]
    assert report["axes"].count("jawOpen") == 1


def test_all_pictures_are_named(pirctl, workspace) -> None:
    outcome = pirctl("inspect", "anna")
    assert outcome.status == 0, outcome.err
    assert "targets/anna/inspect/worst.png\n" in outcome.out
    assert "60 frames, 0 without a usable face" in outcome.err


def test_two_targets_are_one_too_many(pirctl, workspace) -> None:
    outcome = pirctl("inspect", "anna", "--target", "bert", "--axes")
    assert (outcome.status, outcome.out) == (2, "")


def test_help_has_its_examples_on_lines_of_their_own(pirctl) -> None:
    for command in ("inspect", "preprocess"):
        outcome = pirctl(command, "--help")
        assert outcome.status == 0
        assert outcome.out.count(f"\n  pirctl {command} ") >= 2
        assert "\\b" not in outcome.out
