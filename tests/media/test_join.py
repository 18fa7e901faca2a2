from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError
from pirctl.media import h264, probe, read_format
from pirctl.media.join import Sound
from pirctl.media.sound import read_sound
from pirctl.media.soundtrack import Spoken, write_soundtrack
from tests.media.clips import counting_clip, ffmpeg, tone
from tests.media.remaking import clicking, exact_times, remake
from tests.media.test_video import click_times_s


def said(*parts: Spoken, keep: int | None = None) -> Sound:
    return Sound(spoken=parts, keep_track=keep)


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    return clicking(tmp_path / "clicks.wav", (0.25, 0.75), 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(1, 5), Fraction(-1, 10)])
def test_sound_is_heard_when_it_should_be(
    tmp_path: Path, clicks: Path, suffix: str, start: Fraction
) -> None:
    video = counting_clip(tmp_path / "source.mp4", rate="30000/1001")
    result = tmp_path / f"result{suffix}"
    remake(video, result, (10,), sound=said(Spoken(sound=clicks, start=start)))
    expected = [0.25 + float(start), 0.75 + float(start)]
    assert click_times_s(result) == pytest.approx(expected, abs=1e-3)


def test_sound_keeps_step_with_pictures_that_begin_late(tmp_path: Path, clicks: Path) -> None:
    sound, video = tone(tmp_path / "a.wav"), counting_clip(tmp_path / "a.mp4")
    late = tmp_path / "late.mp4"
    ffmpeg("-i", sound, "-itsoffset", "0.2", "-i", video, "-c:v", "copy", late)
    remake(late, result := tmp_path / "result.mp4", sound=said(Spoken(sound=clicks)))
    assert exact_times(result) == exact_times(late)
    assert click_times_s(result) == pytest.approx([0.25, 0.75], abs=1e-3)


def test_several_sounds_lie_where_they_are_put_and_end_when_they_are_cut(
    tmp_path: Path, clicks: Path
) -> None:
    other = clicking(tmp_path / "other.wav", (0.1,), 0.3)
    write_soundtrack(
        path := tmp_path / "track.wav",
        [
            Spoken(sound=clicks, end=Fraction(1, 2)),
            Spoken(sound=other, start=Fraction(1)),
            Spoken(sound=clicks, start=Fraction(2), end=Fraction(5, 2)),
            Spoken(sound=other, start=Fraction(5, 2)),
            Spoken(sound=clicks, start=Fraction(3)),
        ],
        clicks,
    )
    expected = [0.25, 1.1, 2.25, 2.6, 3.25, 3.75]
    assert click_times_s(path) == pytest.approx(expected, abs=1e-3)


def test_a_kept_track_stays_under_the_speech_at_its_own_level(tmp_path: Path, clicks: Path) -> None:
    video = tmp_path / "source.mkv"
    ffmpeg(
        "-i", counting_clip(tmp_path / "a.mp4"), "-i", tone(tmp_path / "a.wav"),
        "-i", tone(tmp_path / "b.wav", hertz=1000), "-map", 0, "-map", 1, "-map", 2,
        "-c:v", "copy", "-c:a", "flac", video,
    )  # fmt: skip
    write_soundtrack(path := tmp_path / "track.wav", [Spoken(sound=clicks)], video, keep_track=2)
    heard, effects = read_sound(path, 48000)[:12000], read_sound(tmp_path / "b.wav", 48000)[:12000]
    np.testing.assert_allclose(heard, effects, atol=2e-3)
    with pytest.raises(DecodeError, match="no sound track 3, it has 2"):
        write_soundtrack(path, [Spoken(sound=clicks)], video, keep_track=3)


def test_what_the_source_holds_beside_pictures_goes_over(tmp_path: Path, clicks: Path) -> None:
    import av

    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nGuten Tag\n")
    (tmp_path / "meta").write_text(
        ";FFMETADATA1\ntitle=The news\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=First\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Second\n"
    )
    video = tmp_path / "source.mkv"
    ffmpeg(
        "-i", counting_clip(tmp_path / "a.mp4"), "-i", tone(tmp_path / "a.wav"),
        "-i", tone(tmp_path / "b.wav", hertz=1000), "-i", tmp_path / "a.srt",
        "-i", tmp_path / "meta", "-map", 0, "-map", 1, "-map", 2, "-map", 3,
        "-map_metadata", 4, "-c:v", "copy", "-c:a", "aac", "-metadata:s:a:1", "language=fra",
        "-metadata:s:s:0", "language=deu", video,
    )  # fmt: skip
    for suffix in (".mkv", ".mp4"):
        result = tmp_path / f"result{suffix}"
        _, left_out = remake(video, result, sound=said(Spoken(sound=clicks)))
        assert left_out == ()
        with av.open(str(result)) as made:
            kinds = [stream.type for stream in made.streams if stream.type != "data"]
            assert kinds == ["video", "audio", "audio", "subtitle"]
            assert made.streams.audio[1].metadata["language"] == "fra"
            assert made.streams.subtitles[0].metadata["language"] == "deu"
            assert made.metadata["title"] == "The news"
            assert "Synthetic media" in made.metadata.get("comment", made.metadata.get("COMMENT"))
            chapters = made.chapters()
        assert [chapter["metadata"]["title"] for chapter in chapters] == ["First", "Second"]
        assert click_times_s(result) == pytest.approx([0.25, 0.75], abs=1e-3)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_picture_is_turned_alike(tmp_path: Path, turn: int) -> None:
    upright = counting_clip(tmp_path / "a.mp4", size="96x64")
    video = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", turn, "-i", upright, "-c", "copy", video)
    remake(video, result := tmp_path / "result.mp4", (12,))
    old, new = (read_format(probe(path)) for path in (video, result))
    assert new.turn == old.turn != (1, 0, 0, 1)


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "a.mp4", "-vf", "setsar=4/3")
    remake(video, result := tmp_path / "result.mp4", (12,))
    assert read_format(probe(result)).aspect == Fraction(4, 3)


def test_start_codes_in_place_of_lengths_keep_every_unit() -> None:
    units = [b"\x67\x42\x01", b"\x65\x88\x84\x21", b"\x41\x9a"]
    stored = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    again = h264.to_annex_b(stored, 4)
    assert list(h264.nal_units(again, 0)) == units == list(h264.nal_units(stored, 4))
    assert h264.to_annex_b(again, 0) == again
