from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError
from pirctl.media.probe import probe
from pirctl.media.reader import read_frames
from pirctl.media.timeline import read_timeline
from tests.media.clips import counting_clip, ffmpeg, tone

RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"]


@pytest.mark.parametrize("rate", RATES)
def test_every_frame_has_its_exact_time(tmp_path: Path, rate: str) -> None:
    timeline = read_timeline(counting_clip(tmp_path / "a.mp4", "-bf", 2, rate=rate))
    assert list(timeline.times()) == [n / Fraction(rate) for n in range(len(timeline))]
    assert len(timeline) == len(list(read_frames(timeline.path)))
    assert timeline.mean_rate == Fraction(rate)
    assert np.allclose(timeline.seconds, [float(time) for time in timeline.times()], atol=1e-9)


def test_a_variable_rate_keeps_each_frames_own_duration(tmp_path: Path) -> None:
    select = "select='lt(n,10)+not(mod(n,3))'"
    timeline = read_timeline(counting_clip(tmp_path / "a.mp4", "-vf", select, "-fps_mode", "vfr"))
    numbers = [*range(10), 12, 15, 18, 21, 24]
    assert list(timeline.times()) == [Fraction(n, 25) for n in numbers]
    assert timeline.duration(9) == Fraction(3, 25)
    assert timeline.duration(14) > 0
    assert timeline.end == Fraction(24, 25) + timeline.duration(14)


def test_times_count_from_the_start_of_the_file_where_the_picture_comes_later(
    tmp_path: Path,
) -> None:
    sound = tone(tmp_path / "a.wav")
    video = counting_clip(tmp_path / "a.mp4")
    late = tmp_path / "late.mp4"
    ffmpeg("-i", sound, "-itsoffset", "0.2", "-i", video, "-c:v", "copy", late)
    timeline = read_timeline(late)
    assert abs(timeline.time(0) - Fraction(1, 5)) < Fraction(1, 20)
    assert float(timeline.time(0)) == pytest.approx(probe(late).start_s, abs=2e-6)


def test_frames_that_an_edit_list_hides_are_none(tmp_path: Path) -> None:
    whole = counting_clip(tmp_path / "a.mp4", "-g", 10, "-bf", 0)
    ffmpeg("-ss", "0.52", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    timeline = read_timeline(tmp_path / "cut.mp4")
    assert len(timeline) == len(list(read_frames(timeline.path))) == 12


def test_a_stream_that_begins_between_key_frames_begins_with_its_first(tmp_path: Path) -> None:
    whole = counting_clip(tmp_path / "a.h264", "-g", 10, "-bf", 0, "-aud", 1)
    text = whole.read_bytes()
    second = text.index(b"\0\0\0\1\x09", 2000)
    ts = tmp_path / "a.ts"
    ffmpeg("-i", whole, "-c", "copy", ts)
    packets = ts.read_bytes()
    (tmp_path / "cut.ts").write_bytes(packets[188 * (second // 188 // 2) :])
    timeline = read_timeline(tmp_path / "cut.ts")
    assert timeline.key_frames[0] == 0
    assert len(timeline) < 25


def test_key_frames_are_found_in_the_order_of_showing(tmp_path: Path) -> None:
    options = ["-g", 10, "-bf", 3, "-sc_threshold", 0, "-c:v", "libx264"]
    closed = read_timeline(counting_clip(tmp_path / "a.mp4", *options))
    assert closed.key_frames == closed.clean_frames == (0, 10, 20)
    assert [closed.key_frame_before(n) for n in (0, 9, 10, 24)] == [0, 0, 10, 20]


def test_frames_that_refer_across_an_open_groups_key_frame_make_it_unclean(tmp_path: Path) -> None:
    options = ["-g", 10, "-bf", 3, "-c:v", "libx264"]
    options += ["-x264-params", "open-gop=1:scenecut=0:b-adapt=0"]
    timeline = read_timeline(counting_clip(tmp_path / "a.mp4", *options))
    assert len(timeline) == 25
    assert timeline.clean_frames[0] == 0
    assert len(timeline.clean_frames) < len(timeline.key_frames)


def test_two_frames_of_one_time_are_refused_with_the_command_that_mends_them(
    tmp_path: Path,
) -> None:
    path = counting_clip(tmp_path / "a.mp4", "-bf", 0)
    later = "setts=pts=if(eq(N\\,7)\\,PTS+round(0.04/TB)\\,PTS):dts=DTS"
    ffmpeg("-i", path, "-c", "copy", "-bsf:v", later, tmp_path / "b.nut")
    with pytest.raises(DecodeError, match=r"one time stamp, at 0\.32") as caught:
        read_timeline(tmp_path / "b.nut")
    assert "-c:v libx264" in (caught.value.hint or "")


def test_sound_has_no_timeline(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="only sound"):
        read_timeline(tone(tmp_path / "a.wav"))
