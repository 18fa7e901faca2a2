"""`pirctl demo` from the first step to the last, at the smallest size; and again, reused."""

from __future__ import annotations

import json

import pytest

from pirctl.media import probe, read_frames

QUICK = (
    "demo", "--folder", "demo", "--seconds", 6, "--device", "cpu",
    "--set", "train.audio.max_steps=1",
    "--set", "train.face.max_steps=1",
    "--set", "train.render.max_steps=1",
)  # fmt: skip


@pytest.mark.slow
def test_every_step_runs_and_a_second_run_reuses_them(pirctl, tmp_path) -> None:
    outcome = pirctl(*QUICK)
    assert outcome.status == 0, outcome.err
    for word in ("train render", "GB at most", "mean mouth", "demo/report.json"):
        assert word in outcome.out
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["peak_memory_bytes"] < 6 * 2**30
    video = tmp_path / report["video"]
    about = probe(video)
    assert about.has_audio
    # The original shot, not the crop of 256 pixels that tiny works on.
    assert (about.width, about.height) == (512, 512)
    assert len(list(read_frames(video))) == round(0.35 * 6 * 25)
    assert (tmp_path / "demo" / "evaluation" / "sheet.png").is_file()

    again = pirctl(*QUICK, "--json")
    assert again.status == 0, again.err
    steps = {step["name"]: step["reused"] for step in json.loads(again.out)["steps"]}
    reused = ("synthetic speaker", "preprocess", "train audio", "train face", "train render")
    assert all(steps[name] for name in (*reused, "reenact"))
    first, second = report["evaluation"]["rows"], json.loads(again.out)["evaluation"]["rows"]
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--seconds", 1), "a speaker of 1 s is too short"),
        (("--preset", "tinny"), "tinny"),
        (("--set", "train.seed"), "train.seed"),
        (("--device", "abacus"), "'abacus' is not a device"),
    ],
)
def test_mistakes_cost_nothing(arguments, error: str, pirctl, tmp_path) -> None:
    outcome = pirctl("demo", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert error in outcome.err
    assert not (tmp_path / "demo").exists()


def test_help_has_two_examples(pirctl) -> None:
    outcome = pirctl("demo", "--help")
    assert outcome.status == 0
    assert "\n  pirctl demo\n  pirctl demo --folder" in outcome.out
