"""`pirctl reenact`: success, and every mistake with its status, its words and a clean stdout."""

from __future__ import annotations

import json
import shutil
import struct
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.face.landmark_file import Landmarks, write_landmark_file
from pirctl.media import probe, read_frames
from pirctl.progress import name_ranges
from pirctl.target import Target
from tests.prepare.drawn import SIZE


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
    assert outcome.out.count("\n  pirctl reenact obama --audio speech.wav") == 2
    assert "--drive actress.mp4" in outcome.out


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


def test_a_sound_of_numbers_that_are_none_is_named(pirctl, workspace, tmp_path) -> None:
    samples = np.full(8000, np.inf, "<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 3, 1,
                       16000, 64000, 4, 32)  # fmt: skip
    (tmp_path / "inf.wav").write_bytes(head + struct.pack("<4sI", b"data", len(samples)) + samples)
    outcome = pirctl("reenact", "-t", "anna", "--audio", "inf.wav")
    _fails(outcome, "inf.wav has samples that are no numbers", "write it anew in whole numbers")
    assert not list(tmp_path.glob("*.mp4"))


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
    target = Target(workspace / "anna")
    target.write_about(replace(target.about, source="/films/gone.mp4"))
    arguments = ("reenact", "-t", "anna", "-a", speech)
    outcome = pirctl(*arguments)
    _fails(outcome, "/films/gone.mp4: the source video is gone", "--frame crop")
    assert "pirctl preprocess VIDEO --target anna" in outcome.err
    assert pirctl(*arguments, "--frame", "crop").status == 0


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("--audio", "x.wav", "--frame", "half"),
        ("--adio", "x"),
        ("--audio", "x.wav", "--drive", "x.mp4"),
        ("--audio", "x.wav", "--landmarks", "x.safetensors"),
        ("--audio", "x.wav", "--pose", "lying"),
    ],
)
def test_a_wrong_command_line_is_status_2(wrong: tuple[str, ...], pirctl) -> None:
    outcome = pirctl("reenact", *wrong)
    assert (outcome.status, outcome.out) == (2, "")
    assert "Usage: pirctl reenact" in outcome.err


def _frames(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path)))


def test_the_expression_shown_is_exported_and_gives_the_same_frames(
    pirctl, workspace, speech
) -> None:
    base = ("reenact", "-t", "anna", "-a", speech, "--quiet")
    edits = ("--expression", "jawOpen=1.2+0.1", "--expression", "mouthSmileLeft=1-0.3")
    table = ("--export-expression", "out.csv")
    first = pirctl(*base, *edits, *table, "-o", "one.mkv")
    assert (first.status, first.out) == (0, "one.mkv\nout.csv\n"), first.err
    # The smile goes below rest in every frame.
    assert "mouthSmileLeft: clamped to 0 to 1 in 13 of 13 frames" in first.err
    second = pirctl(*base, "--expression-file", "out.csv", "-o", "two.mkv")
    assert (second.status, second.err) == (0, "")
    plain = pirctl(*base, "-o", "three.mkv")
    assert plain.status == 0
    one, two, three = (_frames(Path(name)) for name in ("one.mkv", "two.mkv", "three.mkv"))
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_an_axis_that_is_not_there_lists_near_ones(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "--expression", "jawopen=2")
    _fails(outcome, "the face model 'generic' has no expression axis 'jawopen'", "did you mean jaw")
    Path("curves.csv").write_text("time,smileLeft\n0,1\n")
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "--expression-file", "curves.csv")
    _fails(outcome, "the face model 'generic' has no expression axis 'smileLeft'", "did you mean")
    assert "mouthSmileLeft" in outcome.err
    assert not list(Path.cwd().glob("*.mp4"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--expression", "jawOpen"), "--expression jawOpen: expected NAME=GAIN"),
        (
            ("--expression", "jawOpen=1", "--expression", "jawOpen=2"),
            "--expression jawOpen is given twice",
        ),
        (("--expression-file", "none.csv"), "none.csv: no such file"),
        (("--export-expression", "speech.wav"), "speech.wav is the speech itself"),
        (("--export-expression", "anna_speech.mp4"), "anna_speech.mp4 is the video"),
        (("--export-expression", "targets", "--force"), "targets is a folder"),
        (("--expression", "jawOpen=1", "--expression-file", "targets"), "targets: no such file"),
    ],
)
def test_wrong_controls(options, error: str, pirctl, workspace, speech) -> None:
    _fails(pirctl("reenact", "-t", "anna", "-a", speech, *options), error)
    assert not list(Path.cwd().glob("*.mp4"))


def test_eyes_outside_the_mask_are_said(pirctl, workspace, speech) -> None:
    outcome = pirctl("reenact", "-t", "anna", "-a", speech, "--expression", "eyeBlinkLeft=0+1")
    assert outcome.status == 0
    assert "eyeBlinkLeft: hardly seen, for the mask covers the lower face only" in outcome.err


def test_a_driving_video_needs_a_tracker_or_landmarks(pirctl, workspace) -> None:
    film = workspace / "anna" / "frames.mkv"
    outcome = pirctl("reenact", "-t", "anna", "--drive", film)
    assert (outcome.status, outcome.out) == (1, "")
    assert "--landmarks FILE" in outcome.err
    assert not list(Path.cwd().glob("*.mp4"))


def test_a_driving_video_moves_the_face(pirctl, workspace, tmp_path) -> None:
    # The target drives itself; two frames of it are said to have no face.
    track = Target(workspace / "anna").track()
    valid = np.ones(track.frames, bool)
    valid[4:6] = False
    points = Landmarks(
        points=track.landmarks, valid=valid, width=SIZE, height=SIZE, frame_rate=Fraction(25)
    )
    write_landmark_file(tmp_path / "points.safetensors", points)
    film = workspace / "anna" / "frames.mkv"
    outcome = pirctl(
        "reenact", "-t", "anna", "--drive", film, "--landmarks", "points.safetensors",
        "--export-expression", "shown.csv",
    )  # fmt: skip
    assert (outcome.status, outcome.out) == (0, "anna_frames.mp4\nshown.csv\n"), outcome.err
    assert "2 of 60 frames of the driving video have no usable face" in outcome.err
    assert "hold the last expression: 4-5" in outcome.err
    assert not probe(Path("anna_frames.mp4")).has_audio
    assert len(Path("shown.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize("pose", ["still", "loop"])
def test_poses(pose: str, pirctl, workspace, speech) -> None:
    outcome = pirctl(
        "reenact", "-t", "anna", "-a", speech, "--pose", pose, "--upper-face", "speech"
    )
    assert outcome.status == 0, outcome.err
    assert "upper face: hardly seen" in outcome.err
    assert len(_frames(Path("anna_speech.mp4"))) == 13


def test_runs_of_numbers_are_named_by_their_ends() -> None:
    assert name_ranges((3, 4, 5, 9, 11, 12)) == "3-5, 9, 11-12"
    assert name_ranges(()) == ""
