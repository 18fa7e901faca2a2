from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from pirctl.errors import TargetError
from pirctl.target import Target, TargetAbout, Track

ABOUT = TargetAbout(
    source="clip.mp4",
    source_sha256="0" * 64,
    frame_rate="30000/1001",
    source_width=1080,
    source_height=1920,
    crop_x=-3.5,
    crop_y=10.0,
    crop_side=512.0,
    size_px=256,
    frames=4,
    has_audio=True,
    tracker="mediapipe",
    face_model="generic",
    face_model_hash="abc",
    parser="geometry",
    preset="paper",
    inputs={"track": "12ab", "fit": "1e5"},
    consent="Zoë, in writing",
)


def make_target(workspace: Path, name: str) -> Target:
    target = Target(workspace / name)
    target.folder.mkdir(parents=True)
    target.write_about(ABOUT)
    return target


def make_track(frames: int = 4) -> Track:
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    return Track(
        landmarks=draw(frames, 478, 2),
        valid=np.arange(frames) != 1,
        z_id=draw(10),
        z_exp=draw(frames, 52),
        R=draw(frames, 3, 3),
        t=draw(frames, 3),
        K=draw(3, 3),
        error_px=draw(frames),
    )


def test_about_comes_back_as_written(tmp_path: Path) -> None:
    assert make_target(tmp_path, "obama").about == ABOUT


def test_track_comes_back_as_written(tmp_path: Path) -> None:
    target, track = make_target(tmp_path, "obama"), make_track()
    target.write_track(track)
    back = target.track()
    for name, value in vars(track).items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)
    assert back.valid.dtype == bool
    assert back.frames == 4


def test_a_track_with_rows_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="z_exp"):
        replace(make_track(), z_exp=np.zeros((3, 52), np.float32))


@pytest.mark.parametrize("content", [b"", b"not a track", b"\xff" * 64])
def test_a_broken_track_is_a_target_error(tmp_path: Path, content: bytes) -> None:
    target = make_target(tmp_path, "obama")
    with pytest.raises(TargetError, match="not found"):
        target.track()
    target.track_path.write_bytes(content)
    with pytest.raises(TargetError, match="not a usable track"):
        target.track()


def test_all_problems_of_the_yaml_are_in_one_message(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    content = yaml.safe_load(target.about_path.read_text())
    del content["source"]
    content |= {"frames": "many", "colour": "blue"}
    target.about_path.write_text(yaml.safe_dump(content))
    with pytest.raises(TargetError) as caught:
        _ = target.about
    assert "source is missing" in caught.value.message
    assert "frames: expected a whole number, found the text 'many'" in caught.value.message
    assert "colour: unknown key" in caught.value.message


def test_a_digest_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    about = replace(ABOUT, inputs={"track": "12345e67", "fit": "0123456789", "sound": "10"})
    target.write_about(about)
    assert target.about == about


def test_a_target_written_before_a_field_was_added_keeps_loading(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    content = yaml.safe_load(target.about_path.read_text())
    for name in ("fit", "consent", "source_bytes", "format"):
        del content[name]
    target.about_path.write_text(yaml.safe_dump(content))
    assert target.about == replace(ABOUT, consent="")


def test_a_key_that_stands_twice_in_target_yaml_is_refused(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    with target.about_path.open("a") as file:
        file.write("frames: 7\n")
    with pytest.raises(TargetError, match="'frames' is given twice"):
        _ = target.about


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    target.write_about(replace(ABOUT, format=99))
    with pytest.raises(TargetError, match="format 99 is newer") as caught:
        _ = target.about
    assert caught.value.hint == "update pirctl"


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    target.about_path.write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(TargetError, match="cannot be read"):
        _ = target.about


def test_stages_with_a_checkpoint_are_trained(tmp_path: Path) -> None:
    target = make_target(tmp_path, "obama")
    (target.stage_folder("render") / "checkpoint").mkdir(parents=True)
    (target.stage_folder("audio") / "checkpoint").mkdir(parents=True)
    assert target.trained_stages() == ["audio", "render"]
    with pytest.raises(ValueError, match="must be one of"):
        target.stage_folder("lips")
