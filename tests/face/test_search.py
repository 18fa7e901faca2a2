"""All faces of a picture, near and far."""

from __future__ import annotations

import numpy as np

from pirctl.face.search import CrowdFinder
from tests.face.test_track import SquareDetector, picture

LARGE, SMALL = (20, 20, 160, 9), (500, 200, 60, 7)


def places(faces: list[np.ndarray]) -> list[tuple[float, float]]:
    return sorted(tuple(face[0].tolist()) for face in faces)


def test_a_small_face_beside_a_large_one_is_found_and_followed() -> None:
    frame = picture(LARGE, SMALL, size=(400, 640))
    assert places(SquareDetector().detect(frame)) == [(20, 20)]
    finder = CrowdFinder(SquareDetector())
    for number in range(8):
        moved = picture(LARGE, (500 + 8 * number, 200, 60, 7), size=(400, 640))
        assert places(finder.find(moved)) == [(20, 20), (500 + 8 * number, 200)]


def test_after_a_cut_nobody_is_expected_where_somebody_was() -> None:
    detector = SquareDetector()
    finder = CrowdFinder(detector)
    finder.find(picture(LARGE, SMALL, size=(400, 640)))
    assert places(finder.find(picture(SMALL, size=(400, 640)), begins_shot=True)) == [(500, 200)]
    empty = picture(size=(400, 640))
    assert finder.find(empty, begins_shot=True) == []


def test_a_face_in_several_windows_is_found_once() -> None:
    frame = picture((280, 150, 90, 9), size=(400, 640))
    assert len(CrowdFinder(SquareDetector()).find(frame)) == 1


def test_between_searches_an_empty_picture_costs_one_look() -> None:
    detector = SquareDetector()
    finder = CrowdFinder(detector)
    finder.find(picture(size=(400, 640)))
    detector.calls.clear()
    finder.find(picture(size=(400, 640)))
    assert len(detector.calls) == 1
