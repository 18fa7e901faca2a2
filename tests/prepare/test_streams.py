from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.drive import DrivingVideo, check_driving
from pirctl.dub.shot import check_source, into_shots
from pirctl.errors import FaceNotFound, MediaError
from pirctl.face.track import MediapipeDetector
from pirctl.media import probe, read_frames
from pirctl.perform.footage import Section
from pirctl.perform.stream import PaintedFrame
from pirctl.prepare.streams import choose_stream
from pirctl.settings import MediaSettings
from pirctl.target import Target
from pirctl.training.bank import _crops
from tests.media.clips import counting_clip, ffmpeg
from tests.prepare.test_preprocess import (
    FRAMES,
    HEIGHT,
    SETTINGS,
    WIDTH,
    KnownFace,
    landmark_file,
    make_clip,
    run,
)

PATTERN_SIZE = "128x96"


def behind_a_pattern(video: Path, path: Path, *, size: str = PATTERN_SIZE) -> Path:
    """The video and its sound as the second and third stream, a colour pattern as the first."""
    pattern = counting_clip(path.parent / "pattern.mp4", size=size)
    ffmpeg("-i", pattern, "-i", video, "-map", "0:v", "-map", "1", "-c", "copy", path)
    return path


def test_the_first_video_with_a_face_is_taken_and_said_and_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    target = run(both, tmp_path).target
    assert "holds 2 videos; stream 1 is taken, the first with a face" in caplog.text
    about = target.about
    assert (about.source_stream, about.source_width, about.source_height) == (1, WIDTH, HEIGHT)
    middle = [int(frame[32, 32, 1]) for frame in read_frames(target.frames_path)]
    np.testing.assert_allclose(middle, 10 * np.arange(FRAMES), atol=4)
    assert run(both, tmp_path).up_to_date


def test_a_first_video_with_a_face_is_taken_and_the_others_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video, both = make_clip(tmp_path), tmp_path / "both.mkv"
    ffmpeg("-i", video, "-map", "0:v", "-map", "0:v", "-map", "0:a", "-c", "copy", both)
    assert run(both, tmp_path).target.about.source_stream == 0
    assert "holds 2 videos; stream 0 is taken, the first with a face" in caplog.text


def test_a_face_that_shows_late_is_found(tmp_path: Path) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    hidden = KnownFace(hidden=tuple(range(FRAMES - 4)))
    assert choose_stream(probe(both), hidden).video_stream == 1


def test_where_no_video_shows_a_face_the_first_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    with pytest.raises(FaceNotFound, match=r"\(128x96 pixels\)"):
        run(both, tmp_path, detector=KnownFace(hidden=tuple(range(FRAMES))))
    assert "stream 0 is taken, the first, for none was seen with a face" in caplog.text


def test_a_file_with_one_video_is_not_searched_and_its_target_names_no_stream(
    tmp_path: Path,
) -> None:
    video, detector = make_clip(tmp_path), KnownFace()
    assert choose_stream(probe(video), detector) == probe(video)
    assert detector.looks == 0
    assert run(video, tmp_path).target.about.source_stream is None


def test_landmarks_choose_the_video_of_their_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    points = landmark_file(tmp_path, Fraction(25))
    assert run(both, tmp_path, landmarks=points).target.about.source_stream == 1
    assert "stream 1 is taken, the first that the landmarks fit" in caplog.text
    small = counting_clip(tmp_path / "small.mp4")
    neither = behind_a_pattern(small, tmp_path / "neither.mkv")
    with pytest.raises(MediaError, match="200x160"):
        run(neither, tmp_path, landmarks=points, with_audio=False)


def test_the_other_parts_read_the_video_that_was_chosen(tmp_path: Path) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    target = run(both, tmp_path).target
    larger = replace(SETTINGS, media=MediaSettings(size_px=80))
    assert run(both, tmp_path, settings=larger).reused == ("track", "sound")
    assert target.about.source_stream == 1
    assert next(read_frames(target.frames_path, start_frame=20))[40, 40, 1] == pytest.approx(
        200, abs=4
    )
    check_source(target)
    crop = np.zeros((80, 80, 3), np.uint8)
    mask = np.zeros((80, 80), np.float32)
    painted = [PaintedFrame(number=n, frame=crop, mask=mask, is_painted=False) for n in (8, 9, 10)]
    shots = into_shots(painted, target.about, Section(first=8, length=4), 3, Fraction(25))
    shown = [int(item.frame[HEIGHT // 2, WIDTH // 2, 1]) for item in shots]
    np.testing.assert_allclose(shown, [80, 90, 100], atol=4)
    side = int(target.about.crop_side)
    bank = list(_crops(target.about, larger, 12))
    assert bank[11].shape == (side, side, 3)
    assert int(bank[11][side // 2, side // 2, 1]) == pytest.approx(110, abs=4)


def test_landmarks_of_a_driving_video_choose_its_video_too(tmp_path: Path) -> None:
    both = behind_a_pattern(make_clip(tmp_path), tmp_path / "both.mkv")
    points = landmark_file(tmp_path, Fraction(25))
    assert check_driving(DrivingVideo(video=both, landmarks=points)).video_stream == 1


def test_a_target_from_before_streams_were_chosen_is_read_as_it_was_made(tmp_path: Path) -> None:
    target = run(make_clip(tmp_path), tmp_path).target
    text = target.about_path.read_text()
    assert "source_stream: null\n" in text
    target.about_path.write_text(text.replace("source_stream: null\n", ""))
    assert Target(target.folder).about.source_stream is None
    assert run(tmp_path / "clip.mp4", tmp_path).up_to_date


def test_a_person_behind_a_moving_pattern_is_found_in_real_footage(
    shared: Path, tmp_path: Path
) -> None:
    clip = shared / "clips" / "fullbody_720x1080_4s.mp4"
    both = behind_a_pattern(clip, tmp_path / "both.mkv", size="640x360")
    detector = MediapipeDetector(shared / "weights" / "face_landmarker.task")
    try:
        chosen = choose_stream(probe(both), detector)
    finally:
        detector.close()
    assert (chosen.video_stream, chosen.width, chosen.height) == (1, 720, 1080)
