"""What is in front of a face is found where it is, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.face.fit import fit_clip
from pirctl.face.landmarks import LIPS_OUTER
from pirctl.face.masks import MaskPainter
from pirctl.face.model import load_face_model
from pirctl.face.track import FaceFollower, MediapipeDetector
from pirctl.media import probe, read_frames
from pirctl.perform.front import LOOK_FILE, OCCLUSION_FILE, Front
from pirctl.perform.occlusion import NEIGHBOURS
from pirctl.perform.painter import Batch
from pirctl.settings import FitSettings, MaskSettings
from pirctl.target import Target, Track
from tests.perform.actors import make_actor
from tests.prepare.drawn import SIZE, draw, make_track
from tests.targets import face as drawn_face
from tests.targets import make_target, noise

FRAMES = 48
FIRST, STOP = 20, 32
"""Frames that a card passes in front of."""
CARD = np.array([60, 90, 150], np.uint8)
MODEL = load_face_model()

pytest.importorskip("cv2")


def cards(track: Track, side: float = 34.0) -> np.ndarray:
    """Where a card is that moves over the mouth, (T, H, W) bool."""
    shown = np.zeros((track.frames, SIZE, SIZE), bool)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    for number in range(FIRST, STOP):
        x, y = track.landmarks[number][list(LIPS_OUTER)].mean(0)
        x += (number - (FIRST + STOP) / 2) * 2
        shown[number] = (np.abs(columns - x) < side / 2) & (np.abs(rows - y) < side / 2.5)
    return shown


@pytest.fixture(scope="module")
def track() -> Track:
    return make_track(MODEL, FRAMES)


@pytest.fixture(scope="module")
def clean(track: Track) -> np.ndarray:
    return np.stack([draw(points) for points in track.landmarks])


@pytest.fixture(scope="module")
def covered(track: Track, clean: np.ndarray) -> np.ndarray:
    return np.where(cards(track)[..., None], CARD, clean)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """Of the same person; nothing is in front in its footage."""
    return make_target(tmp_path_factory.mktemp("targets") / "anna", drawn_face(FRAMES, MODEL))


@pytest.fixture(scope="module")
def front(target: Target) -> Front:
    return Front(target, MODEL)


def numbered(frames: np.ndarray, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    return iter(enumerate(frames, start=first))


def test_a_card_before_the_mouth_is_found_and_the_face_around_it_stays(
    track: Track, covered: np.ndarray, front: Front
) -> None:
    found = front.find(track, numbered(covered))
    assert set(found.numbers.tolist()) == set(range(FIRST, STOP))
    visible, truth = front.visibility(track, SIZE, found), cards(track)
    for number in range(FIRST, STOP):
        seen = visible(number)
        assert seen is not None
        assert (seen[truth[number]] < 0.5).mean() > 0.9
        far = ~_wider(truth[number], 21)
        assert (seen[far] == 1).mean() > 0.99
    assert visible(FIRST - 3) is None
    assert visible(STOP + 3) is None


def test_footage_with_nothing_in_front_stays_as_it_is(
    track: Track, clean: np.ndarray, front: Front
) -> None:
    assert not len(front.find(track, numbered(clean)).numbers)


def test_a_card_in_the_footage_that_the_look_is_learnt_from_is_found_too(
    track: Track, covered: np.ndarray, tmp_path: Path
) -> None:
    content = replace(drawn_face(FRAMES, MODEL), pictures=iter(covered))
    own = Front(make_target(tmp_path / "anna", content), MODEL).own()
    truth = cards(track)
    for number in range(FIRST, STOP):
        seen = own(number)
        assert seen is not None
        assert (seen[truth[number]] < 0.5).mean() > 0.9
    assert set(own.occlusion.numbers.tolist()) == set(range(FIRST, STOP))


@pytest.mark.parametrize(("first", "stop"), [(22, 27), (0, 21), (31, 48)])
def test_a_frame_s_areas_depend_on_nothing_but_its_neighbours(
    track: Track, covered: np.ndarray, front: Front, first: int, stop: int
) -> None:
    whole = front.find(track, numbered(covered))
    begin, end = max(0, first - NEIGHBOURS), min(FRAMES, stop + NEIGHBOURS)
    part = front.find(track, numbered(covered[begin:end], begin))
    for number in range(first, stop):
        one, other = whole.area(number), part.area(number)
        assert (one is None) == (other is None)
        assert one is None or np.array_equal(one, other)


def test_what_flashes_up_for_a_frame_is_not_in_front_and_a_gap_of_a_frame_is_closed(
    track: Track, clean: np.ndarray, covered: np.ndarray, front: Front
) -> None:
    flash, gap = clean.copy(), covered.copy()
    flash[25] = covered[25]
    gap[25] = clean[25]
    assert not len(front.find(track, numbered(flash)).numbers)
    assert front.find(track, numbered(gap)).area(25) is not None


def test_frames_without_a_known_face_are_left_out(
    track: Track, covered: np.ndarray, front: Front
) -> None:
    valid = np.ones(FRAMES, bool)
    valid[FIRST : FIRST + 6] = False
    found = front.find(replace(track, valid=valid), numbered(covered))
    assert found.numbers.min() >= FIRST + 6 - NEIGHBOURS
    assert not found.area(FIRST + 1)


def test_what_was_found_is_kept_until_the_footage_changes_or_the_file_is_damaged(
    covered: np.ndarray, tmp_path: Path
) -> None:
    content = replace(drawn_face(FRAMES, MODEL), pictures=iter(covered))
    target = make_target(tmp_path / "anna", content)
    first = Front(target, MODEL).own().occlusion
    paths = [target.folder / name for name in (LOOK_FILE, OCCLUSION_FILE)]
    written = [path.stat().st_mtime_ns for path in paths]
    assert np.array_equal(Front(target, MODEL).own().occlusion.areas, first.areas)
    assert [path.stat().st_mtime_ns for path in paths] == written
    for path in paths:
        path.write_bytes(b"damaged")
    assert np.array_equal(Front(target, MODEL).own().occlusion.areas, first.areas)
    target.write_about(replace(target.about, inputs={"frames": "others"}))
    written = [path.stat().st_mtime_ns for path in paths]
    Front(target, MODEL).own()
    assert all(path.stat().st_mtime_ns != old for path, old in zip(paths, written, strict=True))


def test_of_a_few_frames_no_look_is_learnt_and_nothing_is_in_front(tmp_path: Path) -> None:
    content = drawn_face(8, MODEL)
    assert not len(Front(make_target(tmp_path / "anna", content), MODEL).own().occlusion.numbers)


def test_the_painter_leaves_what_is_in_front_to_the_byte_and_hides_it_from_its_brush(
    tmp_path: Path,
) -> None:
    actor = make_actor(make_target(tmp_path / "anna", noise(4)))
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    batch = Batch(numbers=[0, 1], frames=frames, z_exp=actor.track.z_exp[:2])
    before = actor.painter.paint(batch)
    half = np.ones((64, 64), np.float32)
    half[40:] = 0
    painter = replace(actor.painter, visible=lambda number: half if number == 1 else None)
    after = painter.paint(batch)
    assert np.array_equal(after.frames[0], before.frames[0])
    assert np.array_equal(after.frames[1, :40], before.frames[1, :40])
    assert np.array_equal(after.frames[1, 40:], frames[1, 40:])
    assert (before.frames[1, 40:] != frames[1, 40:]).any()
    assert not after.masks[1, 40:].any()


def _wider(area: np.ndarray, side: int) -> np.ndarray:
    import cv2

    return cv2.dilate(area.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


@pytest.mark.shared
def test_a_card_before_a_real_mouth_is_kept_and_the_rest_of_the_clip_is_painted(
    shared: Path, tmp_path: Path
) -> None:
    """Ninety frames of a newsreader; a textured card of skin's brightness passes over twenty."""
    pytest.importorskip("mediapipe")
    torch.set_num_threads(1)
    frames = np.stack(
        list(read_frames(probe(shared / "clips" / "anchor_german_20s.mp4"), frames=90))
    )
    covered, truth = _with_card(frames)
    detector = MediapipeDetector(shared / "weights" / "face_landmarker.task")
    follower = FaceFollower(detector)
    rows = [follower.find(frame) for frame in covered]
    detector.close()
    valid = np.array([row is not None for row in rows])
    points = np.stack([row if row is not None else rows[0] for row in rows]).astype(np.float32)
    fit = fit_clip(points, valid, MODEL, 512, FitSettings())
    track = Track(
        landmarks=points, valid=valid, z_id=fit.z_id, z_exp=fit.z_exp, R=fit.R, t=fit.t, K=fit.K,
        error_px=fit.error_px,
    )  # fmt: skip
    from tests.targets import Content

    content = Content(track=track, pictures=iter(covered), sound=None, model=MODEL)
    visible = Front(make_target(tmp_path / "anna", content), MODEL).own()
    masks = MaskPainter(MODEL, track.z_id, track.K, 512, MaskSettings(region="mouth"))
    kept = shown = 0
    for number in np.flatnonzero(valid):
        expressions = np.repeat(track.z_exp[[number]], 2, axis=0)
        inside = masks.paint(track.R[number], track.t[number], expressions) > 0.5
        seen = visible(int(number))
        card = truth[number] & inside
        shown += card.sum()
        kept += 0 if seen is None else (card & (seen < 0.5)).sum()
        if not truth[max(0, number - 2) : number + 3].any():
            assert seen is None, f"frame {number} has nothing in front"
    assert shown > 20000
    assert kept > 0.9 * shown


def _with_card(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A card that passes before the mouth in frames 40 to 59, and where it is."""
    rng = np.random.default_rng(0)
    texture = np.array([186, 144, 112]) + rng.normal(0, 8, (512, 512, 3))
    covered, truth = frames.copy(), np.zeros(frames.shape[:3], bool)
    for number in range(40, 60):
        left = 380 - 14 * (number - 40)
        truth[number, 250:330, left : left + 90] = True
        card = np.clip(texture, 0, 255).astype(np.uint8)
        covered[number][truth[number]] = card[truth[number]]
    return covered, truth
