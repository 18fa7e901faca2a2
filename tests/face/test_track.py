from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError, MediaError, WeightsCorrupt, WeightsMissing
from pirctl.face.track import (
    FaceFollower,
    Landmarks,
    MediapipeDetector,
    check_landmarks,
    fill_gaps,
    read_landmark_file,
    resample_landmarks,
    track_frames,
    write_landmark_file,
)

MARK = {"left": 50, "right": 100}


class SquareDetector:
    """Sees bright squares; like a real detector, only those large enough in their window."""

    name = "square"
    points = 4

    def __init__(self, smallest: float = 0.2) -> None:
        self.smallest = smallest
        self.calls: list[tuple[int, int]] = []

    def detect(self, image: np.ndarray) -> list[np.ndarray]:
        self.calls.append(image.shape[:2])
        faces = []
        for value in np.unique(image[..., 0]):
            rows, columns = np.nonzero(image[..., 0] == value)
            size = columns.max() + 1 - columns.min()
            if value == 0 or size < self.smallest * max(image.shape[:2]):
                continue
            left, top = columns.min(), rows.min()
            right, bottom = columns.max() + 1, rows.max() + 1
            faces.append(
                np.array([(left, top), (right, top), (left, bottom), (right, bottom)], np.float32)
            )
        return faces

    def close(self) -> None:
        pass


def picture(*squares: tuple[int, int, int, int], size: tuple[int, int] = (200, 300)) -> np.ndarray:
    frame = np.zeros((*size, 3), np.uint8)
    for x, y, side, value in squares:
        frame[y : y + side, x : x + side] = value
    return frame


def left_edges(points: np.ndarray) -> list[float]:
    return points[:, 0, 0].tolist()


def test_points_are_in_pixels_of_the_whole_picture() -> None:
    points = FaceFollower(SquareDetector()).find(picture((120, 70, 60, 9)))
    assert points is not None
    np.testing.assert_array_equal(points[0], (120, 70))
    np.testing.assert_array_equal(points[3], (180, 130))


def test_a_face_too_small_for_the_whole_frame_is_found_in_a_part_of_it() -> None:
    frame = picture((40, 500, 40, 9), size=(800, 300))
    assert SquareDetector().detect(frame) == []
    points = FaceFollower(SquareDetector()).find(frame)
    assert points is not None
    np.testing.assert_array_equal(points[0], (40, 500))


def test_a_known_face_costs_one_look_per_frame() -> None:
    detector = SquareDetector()
    frames = [picture((40 + i, 500, 40, 9), size=(800, 300)) for i in range(10)]
    track_frames(frames[:1], detector)
    first = len(detector.calls)
    track_frames(frames, detector)
    assert len(detector.calls) == first + first + 9


def test_the_person_is_kept_when_a_larger_face_comes_in() -> None:
    frames = [picture((20, 80, 50, 9)), picture((25, 80, 50, 9), (180, 50, 100, 8))]
    points, valid = track_frames(frames, SquareDetector())
    assert valid.all()
    assert left_edges(points) == [20, 25]


def test_nearest_face_wins_when_two_are_in_sight_at_the_start_the_larger() -> None:
    frames = [
        picture((20, 80, 50, 9), (150, 80, 70, 8)),
        picture((90, 80, 70, 9), (150, 80, 70, 8)),
    ]
    points, _ = track_frames(frames, SquareDetector())
    assert left_edges(points) == [150, 150]


def test_a_gap_is_marked_and_interpolated() -> None:
    frames = [picture((20, 80, 50, 9)), picture(), picture((30, 80, 50, 9)), picture()]
    points, valid = track_frames(frames, SquareDetector())
    assert valid.tolist() == [True, False, True, False]
    assert left_edges(points) == [20, 25, 30, 30]


def test_a_cut_to_a_far_face_is_not_taken_for_the_person_at_once() -> None:
    frames = [picture((0, 0, 50, 9))] + [picture((240, 140, 50, 9))] * 60
    _, valid = track_frames(frames, SquareDetector())
    assert not valid[1:10].any()
    assert valid[-1]


def test_no_face_at_all_gives_zeros_and_no_valid_frame() -> None:
    points, valid = track_frames([picture()] * 3, SquareDetector())
    assert points.shape == (3, 4, 2)
    assert not points.any()
    assert not valid.any()


def test_an_empty_clip_gives_no_rows() -> None:
    points, valid = track_frames([], SquareDetector())
    assert points.shape == (0, 4, 2)
    assert valid.shape == (0,)


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
    write_landmark_file(path, landmarks(count=68))
    with pytest.raises(DecodeError, match="68 points per frame, expected 468 or 478"):
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


def test_a_missing_tracker_model_names_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        MediapipeDetector(tmp_path / "face_landmarker.task")
    assert "pirctl models pull face_landmarker" in (caught.value.hint or "")
    assert "--landmarks" in (caught.value.hint or "")


def test_a_file_that_is_no_tracker_model_is_called_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"no model")
    with pytest.raises(WeightsCorrupt, match="cannot load it"):
        MediapipeDetector(path)


@pytest.mark.shared
def test_mediapipe_finds_a_small_face_and_says_nothing_on_the_terminal(shared: Path) -> None:
    code = f"""
import sys
from pathlib import Path
import av, numpy as np
from pirctl.face.track import FaceFollower, MediapipeDetector
frame = next(av.open({str(shared / "clips/garden_1080x1920_10s.mp4")!r}).decode(video=0))
detector = MediapipeDetector(Path({str(shared / "weights/face_landmarker.task")!r}))
points = FaceFollower(detector).find(frame.to_ndarray(format="rgb24"))
detector.close()
assert points.shape == (478, 2), points.shape
assert 150 < np.ptp(points, axis=0).max() < 300
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert run.stdout == ""
