"""Who looks at the frames: nothing falls back silently, and every error names the ways out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pirctl.errors import SettingsError, WeightsMissing
from pirctl.face.parsing import GeometryParser
from pirctl.prepare import observers
from pirctl.prepare.options import ParserOptions, TrackerOptions


class Detector:
    """Remembers what it was made from, and whether it was closed."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def _detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "MediapipeDetector", Detector)
    monkeypatch.setattr(observers, "FacexlibDetector", Detector)


@pytest.mark.usefixtures("_detectors")
def test_a_model_file_of_ones_own_is_taken() -> None:
    found = observers.choose_detector(TrackerOptions(model=Path("my.task")), None)
    assert found.given == (Path("my.task"),)


def test_mediapipe_s_model_is_of_no_use_to_facexlib() -> None:
    tracker = TrackerOptions(name="facexlib", model=Path("my.task"))
    with pytest.raises(SettingsError, match="the tracker is facexlib"):
        observers.choose_detector(tracker, None)


def test_a_tracker_without_its_weights_is_an_error_with_every_way_out() -> None:
    with pytest.raises(WeightsMissing) as caught:
        observers.choose_detector(TrackerOptions(name="facexlib"), "cpu")
    for way in ("pirctl models pull retinaface_resnet50 awing", "--tracker mediapipe"):
        assert way in str(caught.value.hint)


def test_a_detector_that_was_given_stays_open() -> None:
    given: Any = Detector()
    with observers.open_points(TrackerOptions(detector=given)) as points:
        assert points is given
    assert not given.is_closed


@pytest.mark.usefixtures("_detectors")
def test_a_detector_that_was_chosen_is_closed_after_an_error() -> None:
    seen: list[Any] = []

    def look() -> None:
        with observers.open_points(TrackerOptions(model=Path("my.task"))) as points:
            seen.append(points)
            raise RuntimeError("the video ends")

    with pytest.raises(RuntimeError):
        look()
    assert seen[0].is_closed


def test_the_parser_that_needs_no_weights_needs_none() -> None:
    parser = observers.choose_parser(ParserOptions(name="geometry"), None)
    assert isinstance(parser, GeometryParser)


def test_a_regressor_without_its_weights_names_the_fit_that_needs_none() -> None:
    with pytest.raises(WeightsMissing) as caught:
        observers.choose_regressor(None, "cpu")
    assert "--fit landmarks" in str(caught.value.hint)
