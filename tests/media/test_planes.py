from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pirctl.errors import DecodeError
from pirctl.media.crop import Crop
from pirctl.media.picture import read_format
from pirctl.media.planes import Planes, read_planes
from pirctl.media.probe import probe
from pirctl.media.reader import read_frames
from tests.media.clips import ffmpeg

COLOURS = "c0=0x806050:c1=0x507080:c2=0xa08870:c3=0x607058"
SOURCE = f"gradients=s=160x120:d=0.2:r=25:seed=3:nb_colors=4:{COLOURS},format=yuv420p,noise=c0s=9"
SIZED = f"{SOURCE},scale=160:120"
FFV1 = ["-c:v", "ffv1"]
# Name: filters and encoder. Every matrix, range, depth and sampling that comes in the wild.
FORMS: dict[str, tuple[str, list[str]]] = {
    "bt601": (f"{SIZED}:out_color_matrix=bt601", ["-colorspace", "smpte170m"]),
    "bt709": (f"{SIZED}:out_color_matrix=bt709", ["-colorspace", "bt709"]),
    "full": (f"{SIZED}:out_color_matrix=bt709:out_range=pc",
             ["-colorspace", "bt709", "-color_range", "pc"]),
    "hlg": (f"{SIZED}:out_color_matrix=bt2020nc,format=yuv420p10le,gblur=0.7",
            [*FFV1, "-colorspace", "bt2020nc", "-color_primaries", "bt2020",
             "-color_trc", "arib-std-b67"]),
    "422 10 bit": (SOURCE, ["-c:v", "prores_ks"]),
    "444": (SOURCE, ["-pix_fmt", "yuv444p"]),
    "411": (SOURCE, [*FFV1, "-pix_fmt", "yuv411p"]),
    "16 bit": (SOURCE, [*FFV1, "-pix_fmt", "yuv420p16le"]),
    "alpha": (SOURCE, [*FFV1, "-pix_fmt", "yuva420p"]),
    "odd": (f"{SOURCE},scale=161:119,setsar=1", [*FFV1, "-pix_fmt", "yuv420p"]),
    "odd 422": (f"{SOURCE},scale=161:119,setsar=1", [*FFV1, "-pix_fmt", "yuv422p10le"]),
    "wide pixels": (f"{SOURCE},scale=120:120,setsar=4/3", []),
    "narrow pixels": (f"{SOURCE},scale=200:120,setsar=4/5", []),
    "rgb": (SOURCE, ["-c:v", "libx264rgb", "-qp", "0"]),
    "packed rgb": (SOURCE, [*FFV1, "-pix_fmt", "bgr0"]),
    "paired": (SOURCE, ["-c:v", "rawvideo", "-pix_fmt", "nv12"]),
    "mjpeg": (SOURCE, ["-c:v", "mjpeg", "-q:v", "2"]),
    "vp9": (SOURCE, ["-c:v", "libvpx-vp9", "-b:v", "1M"]),
}  # fmt: skip
BOXES = [
    (Crop(x=31, y=17, side=70), None),
    (Crop(x=30, y=20, side=71), 48),
    (Crop(x=-23, y=9, side=97), 128),
    (Crop(x=101, y=51, side=88), None),
    (None, None),
]


def clip(folder: Path, name: str) -> Path:
    filters, options = FORMS[name]
    path = folder / ("a.nut" if name == "paired" else "a.mkv")
    ffmpeg("-f", "lavfi", "-i", filters, *(options or ["-c:v", "libx264"]), path)
    return path


def first(path: Path) -> Planes:
    return next(read_planes(probe(path)))


def disc(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.clip((0.42 * side - np.hypot(x, y)) / 6, 0, 1).astype(np.float32)


def tinted(shown: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: shown.shape[0], : shown.shape[1]][:, ..., None]
    tint = 15 * np.sin(x / 17) * [1, -0.5, 0.3] + 10 * np.cos(y / 23) * [-0.4, 0.6, 1]
    return np.clip(shown * 0.8 + 25 + tint, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", FORMS)
def test_the_picture_shown_is_what_reading_gives(tmp_path: Path, name: str) -> None:
    info = probe(clip(tmp_path, name))
    for box, size in BOXES:
        read = list(read_frames(info, crop=box, size=(size, size) if size else None))
        shown = [planes.rgb(box, size) for planes in read_planes(info)]
        assert len(shown) == len(read) == 5
        worst = max(np.abs(a.astype(int) - b).max() for a, b in zip(shown, read, strict=True))
        assert worst <= 2, (box, size)


@pytest.mark.parametrize("name", FORMS)
def test_a_painting_is_shown_where_its_weight_is_and_nothing_else_changes(
    tmp_path: Path, name: str
) -> None:
    planes, box = first(clip(tmp_path, name)), Crop(x=31, y=17, side=70)
    shown, weight = planes.rgb(box), disc(70)
    painted = tinted(shown)
    pasted = planes.paste(box, painted, weight)
    error = pasted.rgb(box).astype(float) - (shown + weight[..., None] * (painted - shown * 1.0))
    # Colour is as coarse as it is stored, and 8-bit steps of luma and chroma are not those of RGB.
    assert np.abs(error[weight == 1]).mean() < (2.0 if name == "411" else 1.0)
    assert np.abs(error[weight == 1].mean(0)).max() < 0.5
    assert all((a != b).any() for a, b in zip(planes.samples, pasted.samples, strict=True))
    whole = np.abs(planes.rgb().astype(int) - pasted.rgb()).max(-1)
    near = np.zeros(whole.shape, bool)
    near[17 : 17 + 70, 31 : 31 + 70] = True
    grown = near.copy()
    grown[13:91, 27:105] = True  # A shared colour sample reaches as far as it is interpolated.
    assert whole[~grown].max() == 0


@pytest.mark.parametrize(("x", "y"), list(product((30, 31), (20, 21))))
@pytest.mark.parametrize("name", ["bt709", "odd", "odd 422", "444"])
def test_samples_change_only_where_their_weight_is_above_zero(
    tmp_path: Path, name: str, x: int, y: int
) -> None:
    planes = first(clip(tmp_path, name))
    weight = np.zeros((60, 60), np.float32)
    weight[11:40, 13:44] = 1
    pasted = planes.paste(Crop(x=x, y=y, side=60), np.full((60, 60, 3), 255, np.uint8), weight)
    luma = np.zeros((planes.form.height, planes.form.width), bool)
    luma[y + 11 : y + 40, x + 13 : x + 44] = True
    for component, before, after in zip(
        planes.form.components, planes.samples, pasted.samples, strict=True
    ):
        rows, columns = 1 << component.down, 1 << component.across
        padded = np.pad(luma, ((0, luma.shape[0] % rows), (0, luma.shape[1] % columns)))
        blocks = padded.reshape(padded.shape[0] // rows, rows, -1, columns)
        weighted = blocks.any((1, 3))
        assert np.array_equal(before[~weighted], after[~weighted])
        assert (before[weighted] != after[weighted]).mean() > 0.9


def test_a_chroma_sample_moves_by_the_mean_weight_of_its_pixels(tmp_path: Path) -> None:
    planes = first(clip(tmp_path, "bt709"))
    weight = np.zeros((40, 40), np.float32)
    weight[10, 10] = 1  # One pixel of the four that share a sample.
    box = Crop(x=20, y=20, side=40)
    picture = planes.rgb(box)
    picture[10, 10] = picture[10, 10] ^ 0x80  # Far from what is there.
    change = picture[10, 10].astype(float) - planes.rgb(box)[10, 10]
    pasted = planes.paste(box, picture, weight)
    for n in (1, 2):
        expected = planes.samples[n][15, 15] + planes.form.differences[n] @ change / 4
        assert pasted.samples[n][15, 15] == pytest.approx(expected, abs=0.51)
        assert (pasted.samples[n] != planes.samples[n]).sum() <= 1


def test_what_eight_bits_cannot_hold_survives_where_nothing_new_is_painted(tmp_path: Path) -> None:
    planes, box = first(clip(tmp_path, "hlg")), Crop(x=31, y=17, side=70)
    shown = planes.rgb(box)
    pasted = planes.paste(box, shown, np.ones((70, 70), np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(planes.samples, pasted.samples, strict=True))
    brighter = planes.paste(box, np.minimum(shown, 250) + np.uint8(4), np.ones((70, 70)))
    steps = np.unique(brighter.samples[0][30:60, 40:80].astype(int) % 4)
    assert len(steps) == 4  # Not only whole steps of 8 bits.


def test_the_decoders_own_memory_is_never_written(tmp_path: Path) -> None:
    info, box = probe(clip(tmp_path, "bt709")), Crop(x=31, y=17, side=70)
    untouched = [[s.copy() for s in planes.samples] for planes in read_planes(info)]
    for planes, before in zip(read_planes(info), untouched, strict=True):
        planes.paste(box, np.zeros((70, 70, 3), np.uint8), np.ones((70, 70), np.float32))
        assert all(np.array_equal(a, b) for a, b in zip(planes.samples, before, strict=True))
        with pytest.raises(ValueError, match="read-only"):
            planes.samples[0][0, 0] = 1


def test_painting_of_another_size_is_resampled_to_the_box(tmp_path: Path) -> None:
    planes, box = first(clip(tmp_path, "444")), Crop(x=31, y=17, side=70)
    flat = np.full((140, 140, 3), (200, 90, 60), np.uint8)
    pasted = planes.paste(box, flat, np.ones((35, 35), np.float32))
    assert np.abs(pasted.rgb(box).astype(int) - (200, 90, 60)).max() <= 2


def test_nothing_is_copied_where_no_weight_is(tmp_path: Path) -> None:
    planes = first(clip(tmp_path, "bt709"))
    box = Crop(x=31, y=17, side=70)
    nothing = planes.paste(box, np.zeros((70, 70, 3), np.uint8), np.zeros((70, 70), np.float32))
    assert nothing is planes


@pytest.mark.parametrize("flip", [[], ["-display_hflip"], ["-display_vflip"]])
@pytest.mark.parametrize("degrees", ["0", "90", "180", "270"])
def test_a_turned_video_is_painted_as_it_is_shown(
    tmp_path: Path, degrees: str, flip: list[str]
) -> None:
    ffmpeg("-f", "lavfi", "-i", SIZED, "-c:v", "libx264", tmp_path / "a.mp4")
    path = tmp_path / "turned.mp4"
    options = ["-display_rotation", degrees, *(item for name in flip for item in (name,))]
    ffmpeg(*options, "-i", tmp_path / "a.mp4", "-c", "copy", path)
    info, box = probe(path), Crop(x=27, y=15, side=70)
    assert read_format(info).shown_size == (info.width, info.height)
    planes = first(path)
    assert np.array_equal(planes.rgb(box), next(read_frames(info, crop=box)))
    assert np.array_equal(planes.rgb(), next(read_frames(info)))
    painted, weight = tinted(planes.rgb(box)), disc(70)
    painted[:30, :20] = 255  # Not symmetrical in any way.
    shown = planes.rgb(box).astype(float)
    error = planes.paste(box, painted, weight).rgb(box) - (
        shown + weight[..., None] * (painted - shown)
    )
    assert np.abs(error[weight == 1]).mean() < 1.0


@pytest.mark.parametrize("options", [["-bf", "3", "-g", "12"], ["-g", "250"]])
def test_reading_from_any_frame_gives_what_reading_through_gives(
    tmp_path: Path, options: list[str]
) -> None:
    for suffix in (".mp4", ".mkv", ".ts"):
        path = tmp_path / f"a{suffix}"
        source = "testsrc2=s=64x48:d=1.6:r=30000/1001"
        ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", *options, path)
        info = probe(path)
        through = [planes.samples[0].copy() for planes in read_planes(info)]
        assert len(through) == 48
        for start in (1, 11, 12, 13, 30, 47):
            piece = list(read_planes(info, first=start, count=2))
            assert [planes.number for planes in piece] == list(range(start, min(48, start + 2)))
            for planes in piece:
                assert np.array_equal(planes.samples[0], through[planes.number])
        assert list(read_planes(info, first=48)) == []


def test_interlaced_pictures_are_refused_with_the_command_that_mends_them(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", SIZED, "-vf", "setfield=tff", "-c:v", "mpeg2video",
           "-flags", "+ildct+ilme", path)  # fmt: skip
    for read in (read_format, lambda info: next(read_planes(info))):
        with pytest.raises(DecodeError, match="interlaced") as caught:
            read(probe(path))
        assert f"ffmpeg -i {path} -vf bwdif" in (caught.value.hint or "")


def test_pictures_that_change_their_size_midway_are_refused(tmp_path: Path) -> None:
    for name, size in (("a", "64x48"), ("b", "80x64")):
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:d=0.2", "-c:v", "libx264",
               tmp_path / f"{name}.ts")  # fmt: skip
    joined = tmp_path / "c.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "ab"))
    ffmpeg("-i", joined, "-c", "copy", tmp_path / "d.mkv")
    with pytest.raises(DecodeError, match="changes its pictures"):
        list(read_planes(probe(tmp_path / "d.mkv")))


def test_a_frame_that_is_lost_stops_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-c:v", "ffv1", path)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 3000] = bytes(3000)
    path.write_bytes(whole)
    with pytest.raises(DecodeError, match=r"damaged|cannot be"):
        list(read_planes(probe(path)))


def test_the_form_says_all_that_an_encoder_must_keep(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    master = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    ffmpeg("-f", "lavfi", "-i", f"{SIZED},format=yuv420p10le", "-c:v", "libx265", "-x265-params",
           f"log-level=none:{tags}:master-display={master}:max-cll=900,350", path)  # fmt: skip
    form = read_format(path)
    assert (form.codec, form.pixel_format, form.bit_depth) == ("hevc", "yuv420p10le", 10)
    assert (form.primaries, form.transfer, form.matrix) == (9, 16, 9)
    assert form.is_high_dynamic_range
    assert form.light_level == (900, 350)
    assert form.mastering is not None
    assert [float(n) for n in form.mastering[:2]] == [0.708, 0.292]
    assert float(form.mastering[9]) == 1000
