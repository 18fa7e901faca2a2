from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import EncodeError
from pirctl.media import probe, read_planes
from pirctl.media.delivery import DeliverySettings
from pirctl.media.join import join
from pirctl.media.segments import Piece, SegmentWriter
from tests.media.clips import counting_clip, ffmpeg
from tests.media.remaking import all_planes, encode, exact_times, film_of, luma_psnr, remake
from tests.media.test_timeline import RATES

LOSSLESS = DeliverySettings(lossless=True)
SHOT = "mandelbrot=s=192x160:r=25:start_scale=2:end_pts=60,gblur=1.2,format=yuv420p"
# What the result must keep, and how footage of that kind is made.
COLOURS = {
    "bt601": ("scale=out_color_matrix=bt601", ["-c:v", "libx264", "-colorspace", "smpte170m"]),
    "bt709": ("scale=out_color_matrix=bt709", ["-c:v", "libx264", "-colorspace", "bt709"]),
    "full range": (
        "scale=out_color_matrix=bt709:out_range=pc",
        ["-c:v", "libx264", "-colorspace", "bt709", "-color_range", "pc"],
    ),
    "10 bit": ("format=yuv420p10le", ["-c:v", "libx265", "-x265-params", "log-level=none"]),
    "hlg": (
        "scale=out_color_matrix=bt2020nc,format=yuv420p10le",
        ["-c:v", "libx265", "-x265-params", "log-level=none", "-colorspace", "bt2020nc",
         "-color_primaries", "bt2020", "-color_trc", "arib-std-b67"],
    ),
}  # fmt: skip


def variable_clip(path: Path) -> Path:
    select = "select='lt(n,10)+not(mod(n,3))'"
    return counting_clip(path, "-vf", select, "-fps_mode", "vfr", "-bf", 2)


@pytest.mark.parametrize("rate", [*RATES, "variable"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_joined_pieces_have_every_frame_at_its_time(tmp_path: Path, rate: str, suffix: str) -> None:
    source = tmp_path / "source.mp4"
    video = (
        variable_clip(source) if rate == "variable" else counting_clip(source, "-bf", 2, rate=rate)
    )
    remake(video, result := tmp_path / f"result{suffix}", (5, 11))
    # Matroska counts milliseconds; everything else keeps the very ticks.
    allowed = Fraction(0) if suffix == ".mp4" else Fraction(1, 1000)
    old, new = exact_times(video), exact_times(result)
    assert len(new) == len(old)
    assert max(abs(a - b) for a, b in zip(old, new, strict=True)) <= allowed
    assert min(map(luma_psnr, all_planes(video), all_planes(result))) > 38


def test_a_lossless_result_has_the_decoders_own_samples(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "source.mp4", "-bf", 2, "-pix_fmt", "yuv420p")
    remake(video, result := tmp_path / "result.mkv", (7, 8, 20), settings=LOSSLESS)
    for old, new in zip(all_planes(video), all_planes(result), strict=True):
        for a, b in zip(old.samples, new.samples, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", COLOURS)
def test_a_delivered_file_is_near_its_source_and_tagged_as_it(tmp_path: Path, name: str) -> None:
    filters, options = COLOURS[name]
    video = tmp_path / "source.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{SHOT},{filters}", "-t", 1, *options, video)
    film, _ = remake(video, result := tmp_path / "result.mp4", (9,))
    old, new = all_planes(video), all_planes(result)
    assert np.mean([luma_psnr(a, b) for a, b in zip(old, new, strict=True)]) > 45
    one, other = film.form, new[0].form
    for tag in ("matrix", "range_tag", "primaries", "transfer", "pixel_format", "aspect", "codec"):
        assert getattr(other, tag) == getattr(one, tag), tag


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "source.mp4", "-bf", 2, size="320x240")
    film = film_of(video, ".mp4")
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    second.mkdir()
    one, other = (encode(film, folder, 3, 19).path for folder in (first, second))
    assert one is not None
    assert other is not None
    assert one.read_bytes() == other.read_bytes()


def test_stretches_of_the_source_are_copied_as_they_are_stored(tmp_path: Path) -> None:
    # Short groups with references to both sides, as cameras and sites make them.
    video = counting_clip(tmp_path / "source.mp4", "-g", 5, "-keyint_min", 5, "-bf", 2, rate="30")
    film = film_of(video, ".mp4")
    clean = [n for n in film.timeline.clean_frames if n]
    assert film.encoding.copies
    assert len(clean) >= 4
    borders = (clean[0], clean[2])
    remake(video, result := tmp_path / "result.mp4", borders, copied=(0, 2))
    assert exact_times(result) == exact_times(video)
    for old, new in zip(all_planes(video), all_planes(result), strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(old.samples, new.samples, strict=True))
        assert same == (not borders[0] <= old.number < borders[1]), old.number
        assert luma_psnr(old, new) > 36


def test_an_encoder_that_this_machine_cannot_run_is_named(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "source.mp4")
    absent = DeliverySettings(encoder="h264_nothing")
    with pytest.raises(EncodeError, match="h264_nothing is no encoder"):
        film_of(video, ".mp4", absent)
    film = film_of(video, ".mp4")
    unable = replace(film.encoding, options={"profile": "none such"})
    with pytest.raises(EncodeError, match="libx264 does not start") as caught:
        encode(replace(film, encoding=unable), tmp_path, 0, 5)
    assert "--encoder" in str(caught.value.hint)


def test_a_piece_that_is_left_in_the_middle_has_no_name(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "source.mp4")
    film, path = film_of(video, ".mp4"), tmp_path / "made" / "0.piece"
    path.parent.mkdir()
    frames = read_planes(probe(video))

    def stopped() -> None:
        with SegmentWriter(path, film.form, film.timeline, film.encoding) as writer:
            writer.write(next(frames))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(path.parent.iterdir()) == []


def test_pieces_that_do_not_make_a_whole_are_refused(tmp_path: Path) -> None:
    video = counting_clip(tmp_path / "source.mp4")
    film = film_of(video, ".mp4")
    whole = encode(film, tmp_path, 0, 25)
    half = Piece(first=0, stop=12, path=whole.path)
    output = tmp_path / "result.mp4"
    with pytest.raises(ValueError, match="does not follow"):
        join(film, [Piece(first=3, stop=25, path=whole.path)], output, None)
    with pytest.raises(ValueError, match="12"):
        join(film, [half], output, None)
    with pytest.raises(EncodeError, match="cannot be joined"):
        join(film, [half, Piece(first=12, stop=25, path=whole.path)], output, None)
    assert not output.exists()
