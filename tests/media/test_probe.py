from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from pirctl.errors import DecodeError
from pirctl.media.probe import expected_frames, probe
from pirctl.media.reader import read_frames
from tests.media.clips import counting_clip, ffmpeg, tone


@pytest.mark.parametrize("rate", ["25", "30000/1001", "24000/1001", "50"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frame_rates_are_exact_fractions(tmp_path: Path, rate: str, suffix: str) -> None:
    info = probe(counting_clip(tmp_path / f"a{suffix}", rate=rate))
    assert info.frame_rate == Fraction(rate)
    assert info.has_steady_rate
    assert (info.width, info.height) == (64, 48)
    assert info.has_video
    assert not info.has_audio
    assert expected_frames(info) in {24, 25, 30, 50}


def test_rotation_is_carried_out_in_the_size(tmp_path: Path) -> None:
    upright = counting_clip(tmp_path / "a.mp4")
    ffmpeg("-display_rotation", 90, "-i", upright, "-c", "copy", tmp_path / "rotated.mp4")
    info = probe(tmp_path / "rotated.mp4")
    assert (info.width, info.height) == (48, 64)


def test_wide_pixels_are_counted_as_square_ones(tmp_path: Path) -> None:
    info = probe(counting_clip(tmp_path / "a.mp4", "-vf", "setsar=2"))
    assert (info.width, info.height) == (128, 48)


def test_sound_is_described_without_video(tmp_path: Path) -> None:
    info = probe(tone(tmp_path / "a.wav"))
    assert (info.has_video, info.has_audio) == (False, True)
    assert (info.sample_rate_hz, info.audio_codec) == (48000, "pcm_s16le")
    assert info.duration_s == pytest.approx(1.0)
    assert info.frame_rate is None


def test_a_cover_image_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", 1, tmp_path / "cover.png")
    cover = ["-i", tmp_path / "cover.png", "-map", 0, "-map", 1, "-disposition:v", "attached_pic"]
    info = probe(tone(tmp_path / "a.m4a", *cover, "-c:v", "png", "-c:a", "aac"))
    assert (info.has_video, info.has_audio) == (False, True)


def test_a_strange_name_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "-i x:y %d 'q'.mp4"
    counting_clip(tmp_path / "a.mp4").rename(path)
    assert probe(path).width == 64


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"this is not a video, but a text\n" * 50, "not a video or sound file"),
    ],
)
def test_what_is_no_media_file_is_said_in_words(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DecodeError, match=words):
        probe(path)


def test_a_text_file_is_no_video_under_its_own_name_either(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n" * 100)
    with pytest.raises(DecodeError):
        probe(tmp_path / "a.txt")


def test_a_folder_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="is a folder"):
        probe(tmp_path)


def test_a_video_cut_off_before_its_index_is_said_in_words(tmp_path: Path) -> None:
    whole = counting_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match="damaged") as caught:
        probe(tmp_path / "cut.mp4")
    assert "cut off" in str(caught.value.hint)


def test_a_still_picture_before_the_video_is_a_cover_though_nobody_says_so(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32", "-frames:v", 1, tmp_path / "cover.png")
    inputs = ["-i", tmp_path / "cover.png", "-i", counting_clip(tmp_path / "a.mp4")]
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-c", "copy", tmp_path / "both.mkv")
    info = probe(tmp_path / "both.mkv")
    assert (info.width, info.video_stream, info.moving_streams) == (64, 1, (1,))
    assert sum(frame.shape == (48, 64, 3) for frame in read_frames(info.path)) == 25


def test_of_two_videos_the_first_is_taken_unless_another_is_asked_for(tmp_path: Path) -> None:
    inputs = ["-i", counting_clip(tmp_path / "a.mp4")]
    inputs += ["-i", counting_clip(tmp_path / "b.mp4", size="32x16", rate="30")]
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-c", "copy", tmp_path / "both.mkv")
    first, second = probe(tmp_path / "both.mkv"), probe(tmp_path / "both.mkv", stream=1)
    assert (first.width, first.video_stream, first.moving_streams) == (64, 0, (0, 1))
    assert (second.width, second.video_stream, second.moving_streams) == (32, 1, (0, 1))
    assert second.frame_rate == 30
    assert [f.shape for f in read_frames(second)] == [(16, 32, 3)] * 30
    with pytest.raises(DecodeError, match="no moving pictures in its stream 2"):
        probe(tmp_path / "both.mkv", stream=2)


def test_a_pipe_that_nobody_writes_to_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(DecodeError, match="pipe"):
        probe(tmp_path / "a.mp4")
