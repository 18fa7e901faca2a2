"""What is said of a video before anything costs time: facts, findings, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pirctl.check.check import CheckReport, check
from pirctl.check.faces import find_face
from pirctl.check.finding import Finding, worst_first
from pirctl.check.footage import FaceFacts, PictureFacts, judge_face, judge_length, judge_pictures
from pirctl.face.looks import LOOKS, Look, look_at
from pirctl.face.model import load_face_model
from pirctl.media import probe, read_frames
from tests.media.clips import ffmpeg
from tests.prepare.drawn import SIZE, draw, make_track

GOOD = FaceFacts(
    seen_share=1.0,
    usable_share=1.0,
    whole_share=1.0,
    height_px=300.0,
    detail_px=250.0,
    turned_share=0.0,
    brightest=180.0,
    burnt=0.0,
    one_sided=1.2,
    mouth=0.2,
    others_share=0.0,
)
PICTURES = PictureFacts(
    width=1920,
    height=1080,
    frame_rate=25.0,
    has_steady_rate=True,
    duration_s=60.0,
    bit_depth=8,
    dynamic_range="standard",
    is_interlaced=False,
    looks=32,
    cuts=0,
)


class Fixed:
    """Finds the same faces in every picture."""

    name, points, batch = "fixed", 468, 1

    def __init__(self, *faces: np.ndarray) -> None:
        self.faces = list(faces)

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        return [list(self.faces) for _ in images]

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    track = make_track(load_face_model("generic"), 1)
    return track.landmarks[0, :468]


def clip(path: Path, seconds: float = 3, picture: str = "testsrc2=s=192x192:r=25") -> Path:
    """Pictures of no one, with a tone."""
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=300", "-t", seconds, path)
    return path


def check_with(video: Path, *faces: np.ndarray, speech: Path | None = None) -> CheckReport:
    return check(video, speech, preset="tiny", detector=Fixed(*faces), device="cpu")


def found(findings: object) -> dict[str, str]:
    return {finding.about: finding.level for finding in findings}  # type: ignore[attr-defined]


def test_the_worst_comes_first_and_equals_keep_their_order() -> None:
    made = [Finding(level, name, "") for level, name in
            (("note", "a"), ("warning", "b"), ("stop", "c"), ("warning", "d"))]  # fmt: skip
    assert [finding.about for finding in worst_first(made)] == ["c", "b", "d", "a"]


def test_of_good_footage_nothing_is_said() -> None:
    assert list(judge_pictures(PICTURES, "a.mp4")) == []
    assert list(judge_face(GOOD, PICTURES)) == []
    assert list(judge_length(300)) == []


@pytest.mark.parametrize(
    ("change", "about", "level"),
    [
        ({"seen_share": 0.05}, "face", "stop"),
        ({"seen_share": 0.5}, "face", "warning"),
        ({"whole_share": 0.05, "usable_share": 0.0}, "face", "stop"),
        ({"whole_share": 0.8}, "face", "warning"),
        ({"height_px": 20.0}, "face", "stop"),
        ({"height_px": 50.0, "detail_px": 50.0}, "face", "warning"),
        ({"detail_px": 40.0}, "blur", "warning"),
        ({"turned_share": 0.3}, "turned head", "warning"),
        ({"brightest": 50.0}, "light", "warning"),
        ({"burnt": 0.4}, "light", "warning"),
        ({"one_sided": 4.0}, "light", "warning"),
        ({"mouth": 0.01}, "mouth", "warning"),
        ({"others_share": 0.5}, "people", "warning"),
    ],
)
def test_each_fault_of_a_face_is_named(change: dict[str, float], about: str, level: str) -> None:
    assert found(judge_face(replace(GOOD, **change), PICTURES))[about] == level


@pytest.mark.parametrize(
    ("change", "about", "level"),
    [
        ({"is_interlaced": True}, "pictures", "stop"),
        ({"frame_rate": 12.0}, "pictures", "warning"),
        ({"has_steady_rate": False}, "pictures", "note"),
        ({"dynamic_range": "PQ", "bit_depth": 10}, "pictures", "note"),
        ({"cuts": 2}, "cuts", "note"),
    ],
)
def test_each_fault_of_pictures_is_named(change: dict[str, object], about: str, level: str) -> None:
    made = replace(PICTURES, **change)  # type: ignore[arg-type]
    assert found(judge_pictures(made, "a.mp4")) == {about: level}


def test_the_command_that_mends_interlaced_pictures_quotes_the_name() -> None:
    (finding,) = judge_pictures(replace(PICTURES, is_interlaced=True), "my video.mp4")
    assert "-i 'my video.mp4' -vf bwdif" in finding.do


@pytest.mark.parametrize(("seconds", "level"), [(1, "stop"), (9, "warning"), (20, "note")])
def test_little_footage_is_said_with_what_was_measured(seconds: float, level: str) -> None:
    (finding,) = judge_length(seconds)
    assert (finding.level, finding.about) == (level, "footage")


def test_a_video_without_a_face_cannot_be_dubbed(tmp_path: Path) -> None:
    report = check_with(clip(tmp_path / "a.mp4"))
    assert not report.ready
    assert report.findings[0].level == "stop"
    assert report.face is None
    assert report.cost is None


def test_a_face_is_measured_in_pixels_of_the_video(face: np.ndarray) -> None:
    picture = draw(face)
    one = find_face(look_of(picture), Fixed(face))
    half = find_face(look_of(picture, scale=0.5), Fixed(face))
    assert one is not None
    assert half is not None
    assert half.height_px == pytest.approx(2 * one.height_px)
    assert abs(one.yaw_deg) < 15
    assert abs(one.pitch_deg) < 15
    assert one.is_whole
    assert one.others == 0


def test_a_face_whose_chin_is_cut_off_is_not_whole(face: np.ndarray) -> None:
    low = face + np.array([0, SIZE - face[:, 1].max() + 20], np.float32)
    seen = find_face(look_of(draw(low)), Fixed(low))
    assert seen is not None
    assert not seen.is_whole


def test_a_blurred_picture_has_less_detail(face: np.ndarray) -> None:
    import cv2

    picture = draw(face)
    sharp = find_face(look_of(picture), Fixed(face))
    soft = find_face(look_of(cv2.GaussianBlur(picture, (0, 0), 4)), Fixed(face))
    assert sharp is not None
    assert soft is not None
    assert soft.detail_px < 0.6 * sharp.detail_px


def look_of(picture: np.ndarray, scale: float = 1.0) -> Look:
    return Look(
        time_s=0.0, picture=picture, scale=scale, is_interlaced=False, bit_depth=8, transfer=1
    )


def test_pictures_are_looked_at_all_over_the_length(tmp_path: Path) -> None:
    info = probe(clip(tmp_path / "a.mp4", 8, "testsrc2=s=64x48:r=25"))
    looks = list(look_at(info))
    assert len(looks) == LOOKS
    steps = np.diff([look.time_s for look in looks])
    assert steps.min() > 0.1
    assert steps.max() < 0.5
    frames = np.stack(list(read_frames(info))).astype(np.float32)
    for look in looks[::7]:
        apart = np.abs(frames - look.picture).mean((1, 2, 3))
        assert int(apart.argmin()) == round(look.time_s * 25)


def test_a_silent_video_and_a_speech_without_sound_are_said(tmp_path: Path) -> None:
    silent, pictures = tmp_path / "silent.mp4", tmp_path / "pictures.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25", "-t", "2", silent)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25", "-t", "2", pictures)
    report = check_with(silent, speech=pictures)
    stops = {finding.about for finding in report.findings if finding.level == "stop"}
    assert {"face", "sound of the video", "speech"} <= stops
