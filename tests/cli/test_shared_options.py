"""What the commands share: how a target is named, and choices by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITH_TARGET = ("train", "reenact", "evaluate", "inspect")
FORMS = [("carl",), ("--target", "carl"), ("-t", "carl"), ("carl", "--target", "carl")]
CHOICES = [
    ("preprocess", "--tracker", "mediapipe|facexlib"),
    ("preprocess", "--parser", "bisenet|bisenet-v2|geometry"),
    ("preprocess", "--face-model", "generic|bfm"),
    ("preprocess", "--fit", "landmarks|deep3d"),
    ("train", "--stage", "audio|face|render|all"),
    ("reenact", "--frame", "full|crop"),
    ("reenact", "--pose", "original|loop|still"),
    ("reenact", "--upper-face", "video|speech"),
    ("evaluate", "--tracker", "own|mediapipe"),
]


def _more(command: str) -> tuple[str, ...]:
    return ("--audio", "speech.wav") if command == "reenact" else ()


@pytest.mark.parametrize("command", WITH_TARGET)
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_a_target_is_named_as_an_argument_or_as_an_option(
    command: str, form: tuple[str, ...], pirctl, workspace
) -> None:
    # A name that is not there shows that it arrived, without training anything.
    outcome = pirctl(command, *form, *_more(command))
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: no target 'carl' in targets; there are: anna, bert" in outcome.err


@pytest.mark.parametrize("command", WITH_TARGET)
def test_two_different_targets_are_a_wrong_command_line(command: str, pirctl, workspace) -> None:
    outcome = pirctl(command, "anna", "--target", "bert", *_more(command))
    assert (outcome.status, outcome.out) == (2, "")
    assert "two targets are named, 'anna' and 'bert'; name one of them" in outcome.err


@pytest.mark.parametrize(("command", "option", "choices"), CHOICES)
def test_choices_are_in_the_help_and_a_wrong_one_lists_them(
    command: str, option: str, choices: str, pirctl
) -> None:
    outcome = pirctl(command, "--help")
    assert outcome.status == 0
    assert f"{option} <{choices}>" in outcome.out
    outcome = pirctl(command, option, "nonsense", *(["x.mp4"] if command == "preprocess" else []))
    assert (outcome.status, outcome.out) == (2, "")
    assert "'nonsense' is not one of" in outcome.err
    assert all(f"'{choice}'" in outcome.err for choice in choices.split("|"))


def test_the_help_of_a_command_imports_no_torch() -> None:
    code = (
        "import sys; from pirctl.cli import main\n"
        "for command in ('preprocess', 'train', 'reenact', 'evaluate', 'inspect'):\n"
        "    assert main([command, '--help']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
