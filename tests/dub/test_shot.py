"""The original shot: its own pixels outside the mask, and what happens when it is gone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.shot import check_source, into_shots
from pirctl.errors import TargetError
from pirctl.files import file_hash
from pirctl.media import VideoWriter, read_frames
from pirctl.perform.footage import Section
from pirctl.perform.stream import PaintedFrame
from pirctl.target import Target
from pirctl.target import folder as target_folder
from tests.reference.footage import ping_pong
from tests.targets import SIZE, make_target, noise

FRAMES = 30


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A target cut out of a shot of 30 frames a second, whose noise differs in every frame."""
    target, source = make_target(tmp_path / "anna", noise(FRAMES)), tmp_path / "film.mp4"
    rng = np.random.default_rng(3)
    with VideoWriter(source, 160, 120, Fraction(30)) as writer:
        for _ in range(36):
            writer.write(rng.integers(0, 255, (15, 20, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    state = source.stat()
    about = replace(
        target.about,
        source=str(source),
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        source_bytes=state.st_size,
        source_mtime_ns=state.st_mtime_ns,
        source_width=160,
        source_height=120,
        crop_x=40.0,
        crop_y=-8.0,
        crop_side=100.0,
    )
    target.write_about(about)
    return target


@pytest.mark.parametrize(
    "section", [Section(first=0, length=FRAMES), Section(first=7, length=11, is_loop=True)]
)
def test_outside_the_mask_every_byte_is_the_source_s(section: Section, target: Target) -> None:
    shots = list(read_frames(Path(target.about.source), rate=Fraction(25)))
    order = list(ping_pong(FRAMES, 50))
    if section.is_loop:
        order = [section.first + number % section.length for number in range(50)]
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[20:40, 20:40] = 1
    red = np.full((SIZE, SIZE, 3), (255, 0, 0), np.uint8)
    painted = [
        PaintedFrame(number=number, frame=red, mask=mask, is_painted=True) for number in order
    ]
    made = list(into_shots(painted, target.about, section, 50, Fraction(25)))
    assert len(made) == 50
    scale = 100 / SIZE
    rows = slice(int(-8 + 19 * scale), int(-8 + 41 * scale) + 1)
    columns = slice(int(40 + 19 * scale), int(40 + 41 * scale) + 1)
    for item, number in zip(made, order, strict=True):
        assert (item.frame[40, 87] == (255, 0, 0)).all()
        outside = item.frame.copy()
        outside[rows, columns] = shots[number][rows, columns]
        np.testing.assert_array_equal(outside, shots[number])


def test_an_unchanged_source_is_not_hashed(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(
        target_folder, "file_hash", lambda path: calls.append("x") or file_hash(path)
    )
    check_source(target)
    assert not calls
    os.utime(target.about.source, ns=(1, 1))
    check_source(target)  # Touched, but the same.
    assert calls == ["x"]


def test_another_or_no_video_in_its_place_is_refused(target: Target) -> None:
    source = Path(target.about.source)
    source.write_bytes(b"another")
    with pytest.raises(TargetError, match="not the video that target 'anna' was made") as caught:
        check_source(target)
    assert "--frame crop" in str(caught.value.hint)
    source.unlink()
    with pytest.raises(TargetError, match="is gone") as caught:
        check_source(target)
    assert "--frame crop" in str(caught.value.hint)
    assert "pirctl preprocess VIDEO --target anna" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_width": 20000}, "notes a source of 20000 x"),
        ({"source_height": 2}, "notes a source of"),
        ({"crop_side": 0.0}, "notes a crop that is not in the picture"),
        ({"crop_x": 1e9}, "notes a crop that is not in the picture"),
        ({"crop_y": -1e9}, "notes a crop that is not in the picture"),
    ],
)
def test_a_record_that_does_not_fit_the_source_is_told(
    changes: dict[str, float], message: str, target: Target
) -> None:
    check_source(target)
    target.write_about(replace(target.about, **changes))
    with pytest.raises(TargetError, match=message):
        check_source(target)
