from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.media.cuts import SMALL_PX, difference, find_cuts, read_small_gray, shots, small_gray
from pirctl.media.probe import probe
from tests.media.clips import ffmpeg

WIDE = 3 * SMALL_PX


def scene(seed: int) -> np.ndarray:
    """A picture of soft blotches, larger than what is seen of it."""
    coarse = np.random.default_rng(seed).uniform(20, 235, (9, 9))
    return np.kron(coarse, np.ones((WIDE // 9, WIDE // 9)))


def view(picture: np.ndarray, x: float = 0, gain: float = 1, plus: float = 0) -> np.ndarray:
    left = WIDE // 3 + round(x)
    seen = picture[WIDE // 3 : 2 * WIDE // 3, left : left + SMALL_PX]
    return np.clip(gain * seen + plus, 0, 255).astype(np.uint8)


def still(seed: int, count: int, grain: float = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = view(scene(seed)).astype(float)
    return [np.clip(frame + rng.normal(0, grain, frame.shape), 0, 255).astype(np.uint8)
            for _ in range(count)]  # fmt: skip


def test_every_cut_between_scenes_is_found_at_its_frame() -> None:
    frames = still(1, 12) + still(2, 9) + still(1, 20) + still(3, 8)
    assert find_cuts(frames) == [12, 21, 41]


@pytest.mark.parametrize("lead", [1, 2, 5, 30])
@pytest.mark.parametrize("tail", [1, 2, 5, 30])
def test_a_cut_near_either_end_is_found(lead: int, tail: int) -> None:
    assert find_cuts(still(1, lead) + still(2, tail)) == [lead]


def test_a_shot_without_a_cut_and_nothing_at_all_have_none() -> None:
    assert find_cuts(still(1, 40)) == []
    assert find_cuts(still(1, 1)) == []
    assert find_cuts([]) == []


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("plus", [60, 255, -255])
def test_a_flash_is_no_cut(length: int, plus: float) -> None:
    flash = [view(scene(1), plus=plus)] * length
    assert find_cuts(still(1, 15) + flash + still(1, 15)) == []


def test_a_cut_right_after_a_flash_is_found() -> None:
    flash = [view(scene(1), plus=255)] * 2
    assert find_cuts(still(1, 15) + flash + still(1, 1) + still(2, 15)) == [18]


def test_light_that_fades_out_and_in_is_no_cut() -> None:
    gains = np.concatenate([np.linspace(1, 0.1, 20), np.linspace(0.1, 1, 20)])
    assert find_cuts([view(scene(4), gain=gain) for gain in gains]) == []


def test_a_pan_is_no_cut_and_a_cut_within_it_is_found() -> None:
    pan = [view(scene(5), x=1.5 * t) for t in range(30)]
    assert find_cuts(pan) == []
    other = [view(scene(6), x=-1.5 * t) for t in range(30)]
    assert find_cuts(pan[:15] + other) == [15]


def test_pictures_that_change_all_the_time_have_no_cuts() -> None:
    assert find_cuts([view(scene(seed)) for seed in range(30)]) == []


def test_pictures_shown_twice_do_not_hide_a_cut_or_make_one() -> None:
    moving = [view(scene(5), x=2 * t) for t in range(20)]
    twice = [frame for frame in moving for _ in range(2)]
    assert find_cuts(twice + still(2, 20)) == [40]


def test_two_dark_frames_are_alike_whatever_their_grain() -> None:
    rng = np.random.default_rng(0)
    dark = [rng.integers(0, 3, (SMALL_PX, SMALL_PX)).astype(np.uint8) for _ in range(2)]
    assert difference(*dark) < 0.14
    assert difference(view(scene(1)), dark[0]) > 0.9


def test_the_difference_does_not_depend_on_the_order_or_the_light() -> None:
    a, b = view(scene(1)), view(scene(2))
    assert difference(a, a) < 1e-5
    assert difference(a, b) == pytest.approx(difference(b, a), abs=0.1)
    assert difference(a, view(scene(1), plus=-15)) < 0.02
    assert difference(view(scene(1)), view(scene(1), x=2)) < 0.01  # It is searched for.


def test_a_grey_picture_is_the_mean_of_what_it_covers() -> None:
    frame = np.zeros((2 * SMALL_PX, 3 * SMALL_PX, 3), np.uint8)
    frame[:, ::3] = (90, 90, 90)
    assert np.abs(small_gray(frame).astype(int) - 30).max() <= 1


def test_cuts_of_a_file_are_found_in_whatever_shape_it_has(tmp_path: Path) -> None:
    sources = ["testsrc2=d=1:s=320x90:r=30", "mandelbrot=s=320x90:r=30", "smptebars=d=1:s=320x90"]
    given: list[object] = []
    for source in sources:
        given += ["-f", "lavfi", "-t", "1", "-i", source]
    clip = tmp_path / "cuts.mp4"
    ffmpeg(*given, "-filter_complex", "concat=n=3,fps=30", clip)
    assert find_cuts(read_small_gray(probe(clip))) == [30, 60]


def test_shots_are_what_lies_between_cuts() -> None:
    assert shots([], 5) == [range(5)]
    assert shots([2, 4], 5) == [range(2), range(2, 4), range(4, 5)]
    assert shots([2, 9], 5) == [range(2), range(2, 5)]
    assert shots([], 0) == []
