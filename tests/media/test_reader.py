from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.device import peak_bytes
from pirctl.errors import DecodeError
from pirctl.media.crop import Crop
from pirctl.media.probe import probe
from pirctl.media.reader import read_frames
from pirctl.media.video import VideoWriter
from tests.media.clips import counting_clip, ffmpeg, moving_frames, psnr, tone

RATE = Fraction(25)


def archive(path: Path, frames: list[np.ndarray], rate: Fraction = RATE) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, rate, quality="archive") as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("rate", ["25", "30000/1001", "24000/1001"])
def test_every_frame_of_a_clip_is_read(tmp_path: Path, rate: str) -> None:
    path = counting_clip(tmp_path / "a.mp4", rate=rate)
    frames = list(read_frames(path))
    assert len(frames) == round(Fraction(rate))
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    frames[0][:] = 0  # Each frame is the caller's own.


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_seek_gives_the_very_frame_that_reading_through_gives(
    tmp_path: Path, rate: Fraction, suffix: str
) -> None:
    path = archive(tmp_path / f"a{suffix}", moving_frames(60), rate)
    through = list(read_frames(path))
    assert len(through) == 60
    for start in (0, 1, 24, 25, 26, 41, 59):
        piece = list(read_frames(path, start_frame=start, frames=3))
        assert len(piece) == min(3, 60 - start)
        assert all(np.array_equal(a, b) for a, b in zip(piece, through[start:], strict=False))


def test_a_seek_past_the_end_gives_no_frame(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.mkv", moving_frames(5))
    assert list(read_frames(path, start_frame=9)) == []
    assert list(read_frames(path, frames=0)) == []


@pytest.mark.parametrize("rate", ["30", "50", "30000/1001"])
def test_a_seek_is_exact_in_a_converted_rate_too(tmp_path: Path, rate: str) -> None:
    options = ["-vf", "loop=2:60", "-c:v", "libx264", "-preset", "ultrafast"]
    path = counting_clip(tmp_path / "a.mp4", *options, rate=rate)
    through = list(read_frames(path, rate=RATE))
    for start in (1, 26, 49, 52, 65):
        piece = list(read_frames(path, rate=RATE, start_frame=start, frames=2))
        assert all(np.array_equal(a, b) for a, b in zip(piece, through[start:], strict=False))


def test_a_variable_frame_rate_becomes_a_steady_one(tmp_path: Path) -> None:
    # Frames 0..9 at 25 fps, then every third: about a second in all.
    select = "select='lt(n,10)+not(mod(n,3))'"
    path = counting_clip(tmp_path / "a.mp4", "-vf", select, "-fps_mode", "vfr")
    assert not probe(path).has_steady_rate
    own = list(read_frames(path))
    converted = list(read_frames(path, rate=RATE))
    assert len(own) == 15
    assert len(converted) == 27  # The last picture stays as long as the one before.
    assert np.array_equal(converted[13], converted[12])
    assert np.array_equal(converted[9], own[9])
    assert np.array_equal(next(read_frames(path, start_frame=12)), own[12])


def test_a_picture_that_starts_late_keeps_its_time(tmp_path: Path) -> None:
    picture = counting_clip(tmp_path / "v.mkv")
    sound = ["-i", tone(tmp_path / "s.wav"), "-map", 0, "-map", 1]
    ffmpeg("-itsoffset", 0.2, "-i", picture, *sound, "-c", "copy", tmp_path / "late.mkv")
    assert probe(tmp_path / "late.mkv").start_s == pytest.approx(0.2)
    frames = list(read_frames(tmp_path / "late.mkv", rate=RATE))
    own = list(read_frames(picture))
    assert len(frames) == 30
    assert np.array_equal(frames[5], own[0])
    assert np.array_equal(frames[20], own[15])
    piece = list(read_frames(tmp_path / "late.mkv", start_frame=7, frames=1))
    assert np.array_equal(piece[0], own[7])


def test_rotation_metadata_is_honoured(tmp_path: Path) -> None:
    upright = counting_clip(tmp_path / "a.mp4")
    ffmpeg("-display_rotation", 90, "-i", upright, "-c", "copy", tmp_path / "rotated.mp4")
    plain, rotated = next(read_frames(upright)), next(read_frames(tmp_path / "rotated.mp4"))
    assert rotated.shape == (64, 48, 3)
    assert psnr(np.rot90(plain, 1), rotated) > 40


@pytest.mark.parametrize(("x", "y", "side"), [(10, 5, 31), (3, 0, 48), (33, 17, 20)])
def test_a_crop_is_that_part_of_the_picture(tmp_path: Path, x: int, y: int, side: int) -> None:
    path = archive(tmp_path / "a.mkv", moving_frames(1))
    whole = next(read_frames(path))
    crop = Crop(x=x + 0.3, y=y - 0.4, side=side + 0.2)
    assert crop.rounded() == Crop(x=x, y=y, side=side)
    np.testing.assert_array_equal(
        next(read_frames(path, crop=crop)), whole[y : y + side, x : x + side]
    )


def test_a_crop_repeats_the_edge_outside_the_picture(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.mkv", moving_frames(1))
    whole = np.pad(next(read_frames(path)), ((9, 30), (9, 30), (0, 0)), mode="edge")
    for x, y, side in ((-9, -9, 40), (40, 20, 50), (-5, -9, 75), (60, -9, 30)):
        expected = whole[y + 9 : y + 9 + side, x + 9 : x + 9 + side]
        read = next(read_frames(path, crop=Crop(x=x, y=y, side=side)))
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("size", ["160x120", "161x121"])
@pytest.mark.parametrize(("x", "y", "side"), [(57, 43, 33), (99, 59, 61), (0, 0, 31)])
def test_a_crop_of_a_subsampled_video_is_that_part_of_the_whole(
    tmp_path: Path, size: str, x: int, y: int, side: int
) -> None:
    # MPEG-4 part 2 takes odd sizes with subsampled colour, H.264 does not.
    path = counting_clip(tmp_path / "a.mp4", "-c:v", "mpeg4", "-q:v", 1, size=size)
    whole = next(read_frames(path)).astype(int)
    piece = next(read_frames(path, crop=Crop(x=x, y=y, side=side)))
    inside = whole[y : y + side, x : x + side]
    # Cutting before and after the colour conversion may round differently.
    assert np.abs(piece - inside).max() <= 1


def test_a_crop_beside_the_picture_is_a_bug(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.mkv", moving_frames(1))
    with pytest.raises(ValueError, match="outside"):
        read_frames(path, crop=Crop(x=64, y=0, side=30))


@pytest.mark.parametrize("size", [(32, 24), (128, 96)])
def test_resampling_keeps_pixel_centres(tmp_path: Path, size: tuple[int, int]) -> None:
    ramp = np.repeat(np.linspace(20, 230, 64)[None, :, None], 48, 0).repeat(3, 2).astype(np.uint8)
    path = archive(tmp_path / "a.mkv", [ramp])
    read = next(read_frames(path, size=size)).astype(float)
    centres = (np.arange(size[0]) + 0.5) * 64 / size[0] - 0.5
    expected = np.interp(centres, np.arange(64), next(read_frames(path))[24, :, 0])
    inner = slice(4, -4)
    np.testing.assert_allclose(read[size[1] // 2, inner, 0], expected[inner], atol=2)


def test_labels_come_back_exactly(tmp_path: Path) -> None:
    labels = [np.random.default_rng(t).integers(0, 19, (48, 64), np.uint8) for t in range(30)]
    with VideoWriter(tmp_path / "a.mkv", 64, 48, RATE, quality="labels") as writer:
        for frame in labels:
            writer.write(frame)
    read = list(read_frames(tmp_path / "a.mkv", gray=True))
    np.testing.assert_array_equal(np.stack(read), np.stack(labels))
    late = next(read_frames(tmp_path / "a.mkv", gray=True, start_frame=27))
    np.testing.assert_array_equal(late, labels[27])
    small = next(read_frames(tmp_path / "a.mkv", gray=True, size=(32, 24)))
    assert set(np.unique(small)) <= set(range(19))


def test_every_grey_level_survives_as_a_label(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with VideoWriter(tmp_path / "a.mkv", 16, 16, RATE, quality="labels") as writer:
        writer.write(levels)
    np.testing.assert_array_equal(next(read_frames(tmp_path / "a.mkv", gray=True)), levels)


def test_a_damaged_tail_gives_what_there_is_and_says_how_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = counting_clip(tmp_path / "a.mp4", "-movflags", "+faststart", size="320x240")
    whole = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with caplog.at_level(logging.WARNING):
        count = len(list(read_frames(tmp_path / "cut.mp4")))
    assert 0 < count < 25
    assert f"{count} frames could be decoded" in caplog.text


def test_a_video_of_one_frame_is_a_video(tmp_path: Path) -> None:
    path = counting_clip(tmp_path / "a.mp4", "-frames:v", 1)
    assert len(list(read_frames(path))) == 1
    assert len(list(read_frames(path, rate=RATE))) == 1


def test_a_video_whose_pictures_are_all_broken_is_said_in_words(tmp_path: Path) -> None:
    path = counting_clip(tmp_path / "a.mp4", "-movflags", "+faststart")
    raw = bytearray(path.read_bytes())
    start = raw.index(b"mdat") + 4
    raw[start:] = bytes(len(raw) - start)
    path.write_bytes(raw)
    with pytest.raises(DecodeError):
        list(read_frames(path))


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="no pictures"):
        read_frames(tone(tmp_path / "a.wav"))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["anchor_german_20s.mp4", "office_22fps_6s.mp4"])
def test_a_seek_in_real_footage_is_exact(shared: Path, name: str) -> None:
    path = shared / "clips" / name
    for rate in (None, RATE):
        through = list(read_frames(path, rate=rate, size=(32, 32)))
        for start in (31, 77, len(through) - 1):
            piece = next(read_frames(path, rate=rate, size=(32, 32), start_frame=start))
            np.testing.assert_array_equal(piece, through[start])


def transport_stream(path: Path, seconds: int = 4) -> bytearray:
    options = ["-vf", f"loop={seconds}:25", "-t", seconds, "-preset", "ultrafast", "-bf", 0]
    return bytearray(counting_clip(path, *options).read_bytes())


def picture_times(stream: bytearray) -> list[int]:
    """Where in an MPEG-TS the time stamps of pictures stand: after 00 00 01 Ex, 14 bytes in."""
    heads = (at for at in range(len(stream) - 14) if stream[at : at + 4] == b"\0\0\1\xe0")
    return [at + 9 for at in heads if stream[at + 7] & 0x80]


@pytest.mark.parametrize("rate", [None, RATE])
@pytest.mark.parametrize(("first", "last"), [(50, 100), (50, 51), (0, 1)])
def test_time_stamps_that_jump_by_hours_make_neither_frames_nor_memory(
    tmp_path: Path, rate: Fraction | None, first: int, last: int
) -> None:
    path = tmp_path / "a.ts"
    stream = transport_stream(path)
    times = picture_times(stream)
    assert len(times) == 100
    for at in times[first:last]:
        stream[at] ^= 4  # bit 31 of 33 at 90 kHz: six hours and a half
    path.write_bytes(stream)
    said: list[tuple[int, str]] = []
    # The largest child so far may be another test's.
    before = peak_bytes(with_children=True) - peak_bytes()
    frames = read_frames(path, rate=rate, on_damage=lambda *what: said.append(what))
    count = sum(1 for _ in frames)
    left = 100 - (last - first)
    assert left <= count <= 100 + 25
    assert said == [(count, "its time stamps jump by more than 5 seconds")]
    # A child is a copy of this process until it is ffmpeg, and counts as large as that.
    largest = peak_bytes(with_children=True) - peak_bytes()
    assert largest <= max(before, peak_bytes() + (1 << 30))


@pytest.mark.parametrize("seed", range(4))
def test_a_transport_stream_with_flipped_bytes_gives_a_bounded_number_of_frames(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "a.ts"
    stream = transport_stream(path)
    random = np.random.default_rng(seed)
    for at in random.choice(np.arange(2000, len(stream)), len(stream) // 100, replace=False):
        stream[at] ^= 1 << random.integers(8)
    path.write_bytes(stream)
    said: list[str] = []
    count = sum(1 for _ in read_frames(path, rate=RATE, on_damage=lambda _, why: said.append(why)))
    assert 0 < count <= 2 * 100 + 100
    assert len(said) == 1
    assert "h264" not in said[0]


def test_more_frames_than_twice_the_length_are_cut_and_said(tmp_path: Path) -> None:
    path = counting_clip(tmp_path / "a.mp4", "-vf", "loop=9:25")
    lying = replace(probe(path), frames=None, duration_s=1.0)
    said: list[tuple[int, str]] = []
    assert sum(1 for _ in read_frames(lying, on_damage=lambda *what: said.append(what))) == 150
    assert said == [(150, "it holds more than twice the frames of its length")]


def test_a_transport_stream_that_was_cut_off_is_said_in_one_clear_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.ts"
    stream = transport_stream(path)
    # Behind the first packet of 188 bytes of a picture that takes several.
    path.write_bytes(stream[: picture_times(stream)[75] // 188 * 188 + 188])
    with caplog.at_level(logging.WARNING):
        count = sum(1 for _ in read_frames(path))
    assert caplog.messages == [
        f"{path} is damaged: parts of it cannot be decoded, as in a copy that was cut off; "
        f"{count} frames could be decoded"
    ]
