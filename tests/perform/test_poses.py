"""Which of the footage's frames a pose shows, and what drives which axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.perform.footage import Section
from pirctl.perform.poses import choose_section, drive
from pirctl.target import Track
from tests.targets import make_target, noise


@pytest.fixture
def track(tmp_path: Path) -> Track:
    """A head that goes sideways in circles of 17 frames, and forwards all the time but little."""
    track = make_target(tmp_path / "anna", noise(60)).track()
    angle = 2 * np.pi * np.arange(60) / 17
    track.t[:, 0], track.t[:, 1] = np.cos(angle), np.sin(angle)
    track.t[:, 2] += 1e-3 * np.arange(60)
    track.z_exp[:] = 0
    return track


def test_the_original_is_the_whole_clip(track: Track) -> None:
    assert choose_section(track, "original") == Section(first=0, length=60)


def test_a_loop_ends_where_the_head_is_where_it_began(track: Track) -> None:
    section = choose_section(track, "loop")
    assert section.is_loop
    # Whole circles, as few as a third of the clip allows: less drift.
    assert section.length == 34
    assert section.first + section.length <= 60


def test_a_loop_does_not_begin_or_end_without_a_face(track: Track) -> None:
    track.valid[:10] = False
    section = choose_section(track, "loop")
    assert section.first >= 10
    assert section.length % 17 == 0
    track.valid[:] = False
    assert choose_section(track, "loop") == Section(first=0, length=60)


def test_the_still_frame_is_the_one_most_like_all_others(track: Track) -> None:
    track.t[23] = np.median(track.t, axis=0)
    assert choose_section(track, "still") == Section(first=23, length=1)
    track.valid[23] = False
    still = choose_section(track, "still")
    assert still.length == 1
    assert still.first != 23


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("pose", ["loop", "still"])
def test_short_clips_have_a_section_too(pose, frames: int, tmp_path: Path) -> None:
    section = choose_section(make_target(tmp_path / "short", noise(frames)).track(), pose)
    assert 0 <= section.first < section.first + section.length <= frames


def test_the_mouth_s_axes_come_from_the_speech_and_the_others_from_the_footage() -> None:
    own, speech = np.zeros((2, 4), np.float32), np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(drive(own, speech, (0, 2)), [[1, 0, 1, 0]] * 2)
    assert not own.any()
