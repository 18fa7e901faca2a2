"""`pirctl dub`: one command from a video to its dubbing, stopped and gone on with, and mistakes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.media import probe, read_planes, read_timeline, write_sound
from tests.cli.conftest import FRAMES, Command
from tests.prepare.test_preprocess import landmark_file, make_clip

_QUICK = (
    "--preset", "tiny", "--parser", "geometry", "--set", "train.holdout_s=0.2",
    *(f"--set=train.{stage}.max_steps=1" for stage in ("audio", "face", "render")),
)  # fmt: skip


@pytest.fixture
def film(trained) -> Path:
    """The video that the target `anna` was made from."""
    return Path(trained.about.source)


def _same_times(one: Path, other: Path) -> bool:
    return list(read_timeline(one).times()) == list(read_timeline(other).times())


def test_a_trained_target_is_taken_and_every_frame_keeps_its_time(
    pirctl: Command, workspace: Path, speech: Path, film: Path, tmp_path: Path
) -> None:
    outcome = pirctl("dub", film, "--audio", speech, "--target", "anna", "-o", "out.mkv")
    assert (outcome.status, outcome.out) == (0, "out.mkv\n"), outcome.err
    assert f"{FRAMES} frames: " in outcome.err
    assert _same_times(film, tmp_path / "out.mkv")
    assert probe(tmp_path / "out.mkv").has_audio
    assert "no voice is heard" in outcome.err  # In noise.
    assert not list((workspace / "anna" / "dub").glob("*/segments"))  # The work is cleared away.


def test_json_goes_to_stdout_alone(
    pirctl: Command, workspace: Path, speech: Path, film: Path
) -> None:
    arguments = ("--audio", speech, "--target", "anna", "-o", "out.mp4", "--json", "--quiet")
    outcome = pirctl("dub", film, *arguments, "--pauses", "closed")
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert (report["frames"], report["output"]) == (FRAMES, "out.mp4")
    assert report["targets"] == {"speaker": "anna"}
    # Half a second is said, and what follows passes.
    assert 0 < report["painted_frames"] < 20


def test_from_nothing_but_a_video_and_speech(pirctl: Command, tmp_path: Path, speech: Path) -> None:
    (place := tmp_path / "place").mkdir()
    shutil.move(make_clip(place), tmp_path / "video.mp4")
    points = landmark_file(place, Fraction(25))
    command = ("dub", "video.mp4", "--audio", speech, "--landmarks", points, *_QUICK)
    outcome = pirctl(*command)
    assert outcome.status == 0, outcome.err
    assert outcome.out == "video_dubbed.mp4\n"
    assert "left for all" in outcome.err
    assert _same_times(tmp_path / "video.mp4", tmp_path / "video_dubbed.mp4")
    again = pirctl(*command, "--force")
    assert again.status == 0
    assert "training" not in again.err
    assert "cropping" not in again.err


def test_an_offset_moves_the_speech(
    pirctl: Command, workspace: Path, speech: Path, film: Path, tmp_path: Path
) -> None:
    command = ("dub", film, "--audio", speech, "--target", "anna", "--offset", "1.6")
    command += ("--pauses", "closed")  # Noise is no voice.
    assert pirctl(*command, "-o", "out.mkv").status == 0
    old, new = (
        [planes.rgb() for planes in read_planes(probe(path))] for path in (film, Path("out.mkv"))
    )
    apart = [float(np.abs(a.astype(int) - b).mean()) for a, b in zip(old, new, strict=True)]
    # It is said from frame 40 to 52; before that nothing but encoding happens.
    assert max(apart[:35]) < 1.5
    assert min(apart[42:50]) > 2 * max(apart[:35])


def test_a_killed_run_goes_on_and_gives_the_same_pictures(
    workspace: Path, tmp_path: Path, film: Path
) -> None:
    speech = tmp_path / "long.wav"
    rng = np.random.default_rng(0)
    write_sound(speech, rng.uniform(-0.4, 0.4, 3 * 16000).astype(np.float32), 16000)
    program = "from pirctl.dub import division; division.SEGMENT_S = 0.2\n"
    program += "from pirctl.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable, "-c", program, "dub", str(film), "--audio", str(speech),
        "--target", "anna", "--workspace", str(workspace), "--batch-size", "1",
        "--pauses", "closed",
    ]  # fmt: skip
    whole = subprocess.run([*command, "-o", str(tmp_path / "whole.mkv")], capture_output=True)
    assert whole.returncode == 0, whole.stderr
    broken = [*command, "-o", str(tmp_path / "broken.mkv")]
    process = subprocess.Popen(broken, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(workspace.glob("anna/dub/*/segments/0*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "broken.mkv").exists()
    finished = len(list(workspace.glob("anna/dub/*/segments/0*")))
    assert finished
    again = subprocess.run([*broken, "--json"], capture_output=True)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["reused_segments"] == finished
    one, other = (
        np.stack([planes.rgb() for planes in read_planes(probe(tmp_path / name))])
        for name in ("whole.mkv", "broken.mkv")
    )
    np.testing.assert_array_equal(one, other)


def _fails(outcome, message: str, hint: str) -> None:
    assert (outcome.status, outcome.out) == (1, ""), outcome.err
    assert "Traceback" not in outcome.err
    assert f"error: {message}" in outcome.err
    assert f"hint: {hint}" in outcome.err


def test_mistakes_are_told_before_anything_is_made(
    pirctl: Command, workspace: Path, speech: Path, film: Path, tmp_path: Path
) -> None:
    anna = ("--target", "anna")
    (tmp_path / "there.mkv").write_bytes(b"")
    (tmp_path / "cues.csv").write_text("start,end,face\n0,1,2\n")
    said = ("--audio", speech)
    _fails(pirctl("dub", "none.mp4", *said), "none.mp4 does not exist", "check the name")
    _fails(pirctl("dub", speech, *said), f"{speech} has no picture", "give the video")
    _fails(
        pirctl("dub", film, *said, *anna, "-o", "there.mkv"), "there.mkv exists already", "choose"
    )
    _fails(pirctl("dub", film, *said, *anna, "--offset", "9"), "nothing is said within", "look at")
    outcome = pirctl("dub", film, *said, *anna, "--keep-sound", "1")
    assert (outcome.status, f"error: {film} has no sound track 1" in outcome.err) == (1, True)
    points = ("--landmarks", tmp_path / "points.npz")
    _fails(
        pirctl("dub", film, *said, *anna, "--cues", "cues.csv", *points),
        "--landmarks has the points of one face",
        "leave out --face",
    )
    assert not (workspace / "anna" / "dub").exists()


def test_neither_audio_nor_cues_is_a_wrong_command_line(pirctl: Command, film: Path) -> None:
    assert pirctl("dub", film).status == 2


def test_a_target_of_other_footage_must_be_trained(
    pirctl: Command, workspace: Path, speech: Path, tmp_path: Path
) -> None:
    video = make_clip(tmp_path)
    _fails(
        pirctl("dub", video, "--audio", speech, "--target", "bert"),
        "target 'bert' was made from another video",
        "pirctl train bert",
    )
