"""`pirctl reenact`: success, and every mistake with its status, its words and a clean stdout."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import pytest

from pirctl.cli.reenact import name_ranges
from pirctl.media import probe, read_frames


def test_a_video_as_long_as_the_speech_is_written(pirctl, workspace, speech, tmp_path) -> None:
    outcome = pirctl("reenact", "--target", "anna", "--audio", speech)
    assert (outcome.status, outcome.out) == (0, "anna_speech.mp4\n"), outcome.err
    assert "frames/s" in outcome.err
    video = tmp_path / "anna_speech.mp4"
    assert len(list(read_frames(video))) == 13
    assert probe(video).has_audio


def test_json_goes_to_stdout_alone(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "-o", "made/x.mkv", "--json", "--quiet")
    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    assert (report["output"], report["frames"]) == ("made/x.mkv", 13)
    assert report["skipped_frames"] == []
    assert outcome.err == ""


def test_help_has_two_examples(pirctl) -> None:
    outcome = pirctl("reenact", "--help")
    assert outcome.status == 0
    assert outcome.out.count("\n  pirctl reenact --target obama --audio speech.wav") == 2


def _fails(outcome, message: str, hint: str = "") -> None:
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    assert f"error: {message}" in outcome.err
    assert f"hint: {hint}" in outcome.err if hint else True


def test_a_missing_speech_file(pirctl, workspace) -> None:
    outcome = pirctl("reenact", "-t", "anna", "--audio", "none.wav")
    _fails(outcome, "none.wav does not exist", "check the name")


def test_a_speech_file_that_is_no_sound(pirctl, workspace, tmp_path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    _fails(
        pirctl("reenact", "-t", "anna", "--audio", "text.wav"),
        "text.wav is not a video or sound file",
    )


def test_an_empty_sound(pirctl, workspace, tmp_path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    outcome = pirctl("reenact", "-t", "anna", "--audio", "empty.wav")
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: empty.wav" in outcome.err


def test_a_video_without_sound_as_speech(pirctl, workspace) -> None:
    frames = workspace / "anna" / "frames.mkv"
    _fails(pirctl("reenact", "-t", "anna", "--audio", frames), f"{frames} has no sound")


def test_an_unknown_target_lists_those_there_are(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "--target", "ana", "--audio", speech)
    _fails(outcome, "no target 'ana' in targets; there are: anna, bert", "--target anna")


def test_no_target_named_among_several(pirctl, workspace, speech) -> None:
    _fails(pirctl("reenact", "--audio", speech), "targets has 2 targets: anna, bert", "say which")


@pytest.mark.parametrize("name", ["a/b", "..", "../anna", "", ".hidden"])
def test_a_target_name_that_is_no_name(name: str, pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "--target", name, "--audio", speech)
    _fails(outcome, f"target name {name!r} cannot be used")


def test_an_untrained_stage_says_what_to_type(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "--target", "bert", "--audio", speech)
    _fails(
        outcome, "stage audio of bert is not trained", "pirctl train --stage audio --target bert"
    )


def test_a_missing_middle_stage_is_the_one_named(pirctl, workspace, speech) -> None:
    shutil.rmtree(workspace / "anna" / "stages" / "face")
    outcome = pirctl("reenact", "--target", "anna", "--audio", speech)
    _fails(outcome, "stage face of anna is not trained", "pirctl train --stage face --target anna")


@pytest.mark.parametrize("stage", ["audio", "face", "render"])
def test_a_corrupt_checkpoint(stage: str, pirctl, workspace, speech) -> None:
    weights = workspace / "anna" / "stages" / stage / "checkpoint" / "weights.safetensors"
    damaged = weights.read_bytes()[:2000]
    weights.unlink()  # A hard link to the session's target.
    weights.write_bytes(damaged)
    outcome = pirctl("reenact", "--target", "anna", "--audio", speech)
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    assert "hint: pirctl train --stage" in outcome.err
    assert not list(Path.cwd().glob("*.mp4"))


def test_an_output_that_exists_needs_force(pirctl, workspace, speech, tmp_path) -> None:
    output = tmp_path / "mine.mp4"
    output.write_text("mine")
    arguments = ("reenact", "-t", "anna", "-a", speech, "-o", "mine.mp4")
    outcome = pirctl(*arguments)
    _fails(outcome, "mine.mp4 exists already")
    assert "--force" in outcome.err
    assert output.read_text() == "mine"
    assert pirctl(*arguments, "--force").status == 0
    assert probe(output).has_video


def test_an_output_that_cannot_be_written(pirctl, workspace, speech, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "-o", "file/x.mp4")
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: file/x.mp4 cannot be written" in outcome.err


def test_an_output_of_no_known_container(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "-o", "x.avi")
    _fails(outcome, "x.avi: no video can be written", "use one of .mp4")


def test_a_device_that_is_not_there(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "--device", "abacus")
    _fails(outcome, "'abacus' is not a device")


def test_a_full_shot_without_its_source(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "--frame", "full")
    _fails(outcome, "gone.mp4: the source video is gone")


@pytest.mark.parametrize("wrong", [(), ("--audio", "x.wav", "--frame", "half"), ("--adio", "x")])
def test_a_wrong_command_line_is_status_2(wrong: tuple[str, ...], pirctl) -> None:
    outcome = pirctl("reenact", *wrong)
    assert (outcome.status, outcome.out) == (2, "")
    assert "Usage: pirctl reenact" in outcome.err


def test_runs_of_numbers_are_named_by_their_ends() -> None:
    assert name_ranges((3, 4, 5, 9, 11, 12)) == "3-5, 9, 11-12"
    assert name_ranges(()) == ""
