"""`pirctl bench`: a table or JSON, and the mistakes."""

from __future__ import annotations

import json

import pytest

QUICK = (
    "bench",
    "--preset",
    "tiny",
    "--repeats",
    1,
    "--no-speech",
    "--no-video",
    "--device",
    "cpu",
)


def test_the_table_names_every_part(pirctl) -> None:
    outcome = pirctl(*QUICK)
    assert outcome.status == 0, outcome.err
    for word in (
        "planes",
        "volume rendering",
        "renderer",
        "ms/frame",
        "frames/s",
        "beside one busy thread",
    ):
        assert word in " ".join(outcome.out.split())


def test_json_goes_to_stdout_alone(pirctl) -> None:
    outcome = pirctl(*QUICK, "--json", "--quiet")
    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    assert report["size_px"] == 256
    assert report["frame_ms"] > 0
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "tinny"), "tiny"),
        (("--preset", "tiny", "--set", "renderer.widht=3"), "renderer.widht"),
        (("--preset", "tiny", "--set", "renderer.coarse_chanels=3"), "coarse_channels"),
        (("--preset", "tiny", "--set", "face.plane_size=63"), "power of two"),
        (("--preset", "tiny", "--device", "cuda:99"), "cuda:99"),
    ],
)
def test_a_wrong_setting_names_the_nearest(arguments, words: str, pirctl) -> None:
    outcome = pirctl("bench", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: " in outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_help_has_two_examples(pirctl) -> None:
    outcome = pirctl("bench", "--help")
    assert outcome.status == 0
    assert "\n  pirctl bench\n  pirctl bench --preset tiny" in outcome.out


def test_no_turns_at_all_is_a_wrong_command_line(pirctl) -> None:
    assert pirctl("bench", "--repeats", 0).status == 2
