from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face.track import FaceFollower, MediapipeDetector, follow, track_frames

MARK = {"left": 50, "right": 100}


class SquareDetector:
    """Sees bright squares; like a real detector, only those large enough in their window."""

    name = "square"
    points = 4

    def __init__(self, smallest: float = 0.2, batch: int = 1) -> None:
        self.smallest, self.batch = smallest, batch
        self.calls: list[tuple[int, int]] = []

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        assert len(images) <= self.batch
        return [self.detect(image) for image in images]

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
    track_frames(follow(frames[:1], detector), detector.points)
    first = len(detector.calls)
    track_frames(follow(frames, detector), detector.points)
    assert len(detector.calls) == first + first + 9


def test_frames_seen_in_batches_give_what_they_give_one_by_one() -> None:
    walk = [picture((20 + 9 * i, 300, 40, 9), size=(800, 300)) for i in range(14)]
    frames = walk[:6] + [picture(size=(800, 300))] * 7 + walk[6:] + walk[:2]
    single, batched = SquareDetector(), SquareDetector(batch=8)
    points, valid = track_frames(follow(frames, single), single.points)
    points_8, valid_8 = track_frames(follow(frames, batched), batched.points)
    assert valid.sum() > 12
    np.testing.assert_array_equal(valid_8, valid)
    np.testing.assert_array_equal(points_8, points)
    assert len(batched.calls) < 2.5 * len(single.calls)


def test_the_person_is_kept_when_a_larger_face_comes_in() -> None:
    frames = [picture((20, 80, 50, 9)), picture((25, 80, 50, 9), (180, 50, 100, 8))]
    points, valid = track_frames(follow(frames, SquareDetector()), SquareDetector().points)
    assert valid.all()
    assert left_edges(points) == [20, 25]


def test_nearest_face_wins_when_two_are_in_sight_at_the_start_the_larger() -> None:
    frames = [
        picture((20, 80, 50, 9), (150, 80, 70, 8)),
        picture((90, 80, 70, 9), (150, 80, 70, 8)),
    ]
    points, _ = track_frames(follow(frames, SquareDetector()), SquareDetector().points)
    assert left_edges(points) == [150, 150]


def test_a_gap_is_marked_and_interpolated() -> None:
    frames = [picture((20, 80, 50, 9)), picture(), picture((30, 80, 50, 9)), picture()]
    points, valid = track_frames(follow(frames, SquareDetector()), SquareDetector().points)
    assert valid.tolist() == [True, False, True, False]
    assert left_edges(points) == [20, 25, 30, 30]


def test_a_cut_to_a_far_face_is_not_taken_for_the_person_at_once() -> None:
    frames = [picture((0, 0, 50, 9))] + [picture((240, 140, 50, 9))] * 60
    _, valid = track_frames(follow(frames, SquareDetector()), SquareDetector().points)
    assert not valid[1:10].any()
    assert valid[-1]


def test_no_face_at_all_gives_zeros_and_no_valid_frame() -> None:
    points, valid = track_frames(follow([picture()] * 3, SquareDetector()), SquareDetector().points)
    assert points.shape == (3, 4, 2)
    assert not points.any()
    assert not valid.any()


def test_an_empty_clip_gives_no_rows() -> None:
    points, valid = track_frames([], SquareDetector().points)
    assert points.shape == (0, 4, 2)
    assert valid.shape == (0,)


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
