from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError, MediaError
from pirctl.face.landmark_file import (
    Landmarks,
    check_landmarks,
    fill_gaps,
    read_landmark_file,
    resample_landmarks,
    write_landmark_file,
)


def test_filled_gaps_lie_on_the_line_between_their_neighbours() -> None:
    rows = np.array([9, 1, 9, 9, 4, 9], np.float32)[:, None]
    valid = np.array([0, 1, 0, 0, 1, 0], bool)
    np.testing.assert_allclose(fill_gaps(rows, valid)[:, 0], [1, 1, 2, 3, 4, 4], rtol=1e-6)


def landmarks(frames: int = 6, rate: str = "30000/1001", count: int = 478) -> Landmarks:
    points = np.random.default_rng(0).random((frames, count, 2)).astype(np.float32)
    points[:, 0, 0] = np.arange(frames)
    return Landmarks(
        points=points,
        valid=np.arange(frames) != 2,
        width=640,
        height=360,
        frame_rate=Fraction(rate),
    )


def test_a_landmark_file_comes_back_as_written(tmp_path: Path) -> None:
    path, wrote = tmp_path / "points.safetensors", landmarks()
    write_landmark_file(path, wrote)
    read = read_landmark_file(path)
    np.testing.assert_array_equal(read.points[read.valid], wrote.points[wrote.valid])
    np.testing.assert_array_equal(read.valid, wrote.valid)
    assert (read.width, read.height, read.frame_rate) == (640, 360, Fraction(30000, 1001))


def test_rows_of_a_landmark_file_that_are_no_numbers_are_not_valid(tmp_path: Path) -> None:
    path, wrote = tmp_path / "points.safetensors", landmarks()
    wrote.points[4, 7] = np.nan
    write_landmark_file(path, wrote)
    read = read_landmark_file(path)
    assert read.valid.tolist() == [True, True, False, True, False, True]
    assert np.isfinite(read.points).all()


def test_a_wrong_landmark_file_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "points.safetensors"
    with pytest.raises(DecodeError, match="not found"):
        read_landmark_file(path)
    path.write_bytes(b"x,y\n1,2\n")
    with pytest.raises(DecodeError, match="not a landmark file"):
        read_landmark_file(path)
    write_landmark_file(path, landmarks(count=106))
    with pytest.raises(DecodeError, match="106 points per frame, expected 68, 98, 468 or 478"):
        read_landmark_file(path)


def test_landmarks_of_another_video_are_refused() -> None:
    path = Path("points.safetensors")
    check_landmarks(landmarks(6), path, width=640, height=360, frames=7)
    check_landmarks(landmarks(6), path, width=640, height=360, frames=None)
    with pytest.raises(MediaError, match="made for 640x360 pixels, the video has 360x640"):
        check_landmarks(landmarks(6), path, width=360, height=640, frames=6)
    with pytest.raises(MediaError, match="6 frames, the video has 8"):
        check_landmarks(landmarks(6), path, width=640, height=360, frames=8)


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    wrote = landmarks(6, "25")
    read = resample_landmarks(wrote, Fraction(25), 6)
    np.testing.assert_array_equal(read.points, wrote.points)
    np.testing.assert_array_equal(read.valid, wrote.valid)


@pytest.mark.parametrize("rate", ["30", "30000/1001", "1350/61", "24", "50", "12"])
def test_resampling_picks_the_frames_that_ffmpeg_picks(rate: str, tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    count = 40
    gray = np.repeat(np.arange(count, dtype=np.uint8) * 5 + 20, 16 * 16)
    command = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "16x16"]
    command += ["-r", rate, "-i", "-", "-vf", "fps=25", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    out = subprocess.run(command, input=gray.tobytes(), capture_output=True, check=True).stdout
    picked = (np.frombuffer(out, np.uint8).reshape(-1, 256)[:, 0].astype(int) - 20) // 5
    ours = resample_landmarks(landmarks(count, rate), Fraction(25), len(picked))
    assert ours.points[:, 0, 0].astype(int).tolist() == picked.tolist()
