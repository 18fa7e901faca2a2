"""How a video stores its pictures: size, samples, colours, and how they are turned to be shown.

Numbers of matrix, primaries and transfer are those of ITU-T H.273, as ffmpeg has them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.media.probe import MediaInfo, probe_video
from pirctl.media.process import file_url

# H.273 table 4: weights of red and blue in luma. What says nothing is BT.601, as for swscale.
_LUMA = {
    1: (0.2126, 0.0722),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_RGB = 0
PQ, HLG = 16, 18
"""Transfers of a high dynamic range."""
_FULL = 2
_PLANAR = re.compile(r"(yuvj?|yuva)(420|422|444|440|411|410)p(\d+)?(?:le)?$")
_GRAY = re.compile(r"gray(\d+)?(?:le)?$")
_PLANAR_RGB = re.compile(r"gbr(a?)p(\d+)?(?:le)?$")
_PAIRED = {"nv12": "420", "nv16": "422", "nv24": "444"}
_PACKED = {
    name: tuple(name[:4].index(letter) for letter in "rgb")
    for name in ("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb0", "bgr0", "0rgb", "0bgr")
}
_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}


@dataclass(frozen=True, kw_only=True)
class Component:
    """Where the samples of one colour component lie in a decoded frame.

    Attributes:
        plane: number of the plane.
        offset: samples before its first in each row of the plane.
        step: samples from one of its own to the next.
        across: log2 of the columns of the picture that share a sample.
        down: log2 of the rows that do.
    """

    plane: int
    offset: int = 0
    step: int = 1
    across: int = 0
    down: int = 0


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """The form of a video's pictures, the same for all of them.

    Attributes:
        codec: ffmpeg's name of the codec ("h264").
        tag: four letters by which the container calls it ("avc1", "apch").
        width: stored columns.
        height: stored rows.
        pixel_format: ffmpeg's name ("yuv420p10le").
        matrix: matrix coefficients; 0 RGB, 1 BT.709, 2 not said, 5 and 6 BT.601, 9 BT.2020.
        is_full_range: whether samples use all values, not the studio's 16 to 235.
        range_tag: 0 not said, 1 studio, 2 full.
        primaries: colour primaries; 1 BT.709, 2 not said, 9 BT.2020.
        transfer: transfer characteristics; 1 BT.709, 2 not said, 16 PQ, 18 HLG.
        aspect: width of a pixel over its height.
        turn: (a, b, c, d), each -1, 0 or 1: what is stored in direction (x, y) from the middle is
            shown at (a x + c y, b x + d y); y points down.
        mastering: the mastering display's colours and luminance, as ffmpeg's 10 fractions: x and y
            of red, green, blue, white; least and greatest luminance in cd/m². None: not said.
        light_level: greatest and mean light level in cd/m². None: not said.
    """

    codec: str
    tag: str
    width: int
    height: int
    pixel_format: str
    matrix: int
    is_full_range: bool
    range_tag: int
    primaries: int
    transfer: int
    aspect: Fraction
    turn: tuple[int, int, int, int]
    mastering: tuple[Fraction, ...] | None = None
    light_level: tuple[int, int] | None = None

    @property
    def shown_size(self) -> tuple[int, int]:
        """(width, height) as shown: turned, with square pixels; what `probe` gives."""
        width = max(1, int(self.width * self.aspect + Fraction(1, 2)))
        return (width, self.height) if self.turn[0] else (self.height, width)

    @property
    def has_square_pixels(self) -> bool:
        """Whether the shown size is the stored one, maybe turned."""
        return self.aspect == 1

    @property
    def is_rgb(self) -> bool:
        """Whether red, green and blue are stored, not luma and chroma."""
        return self.pixel_format in _PACKED or bool(_PLANAR_RGB.match(self.pixel_format))

    @property
    def is_high_dynamic_range(self) -> bool:
        """Whether the transfer is PQ or HLG."""
        return self.transfer in {PQ, HLG}

    @cached_property
    def bit_depth(self) -> int:
        """Bits of a sample: 8 to 16."""
        return _layout(self.pixel_format)[1]

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Where luma, Cb, Cr lie (or luma alone; or red, green, blue)."""
        return _layout(self.pixel_format)[0]

    @cached_property
    def differences(self) -> NDArray[np.float32]:
        """(C, 3): by how much a step of one 8-bit grey level in R, G, B moves each component."""
        top = float((1 << self.bit_depth) - 1)
        if self.is_rgb:
            return (np.eye(3) * (top / 255)).astype(np.float32)
        red, blue = _LUMA[self.matrix]
        luma = np.array([red, 1 - red - blue, blue])
        rows = [luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * blue)]
        rows.append((np.array([1, 0, 0]) - luma) / (2 - 2 * red))
        steps = [top / 255] * 3
        if not self.is_full_range:
            studio = 2.0 ** (self.bit_depth - 8) / 255
            steps = [219 * studio, 224 * studio, 224 * studio]
        matrix = np.stack(rows) * np.array(steps)[:, None]
        moves: NDArray[np.float32] = matrix[: len(self.components)].astype(np.float32)
        return moves


def read_format(video: Path | str | MediaInfo) -> PictureFormat:
    """Describe the pictures of a video from its first.

    Raises:
        DecodeError: not a video, or its pictures cannot be repainted as they are: interlaced,
            turned by an odd angle, or of a rare pixel format; the hint has the command.
    """
    import av

    info = probe_video(video)
    try:
        with av.open(file_url(info.path), metadata_errors="replace") as container:
            stream = container.streams[info.video_stream]
            frame = next(container.decode(stream), None)
            if frame is None:
                raise DecodeError(f"{info.path}: no picture could be decoded")
            return describe(frame, stream.codec_context, info.path)
    except (av.error.FFmpegError, OSError) as error:
        raise DecodeError(f"{info.path}: no picture could be decoded: {error}") from error


def describe(frame: Any, codec: Any, path: Path) -> PictureFormat:
    """The format of a decoded frame of PyAV, made by this codec context.

    Raises:
        DecodeError: see `read_format`.
    """
    check_progressive(frame, path)
    name = frame.format.name
    try:
        _layout(name)
    except KeyError as error:
        raise DecodeError(
            f"{path} has the pixel format {name}, which cannot be repainted as it is",
            hint=f"ffmpeg -i {path} -pix_fmt yuv444p -c:v libx264 -crf 10 -c:a copy mended.mkv",
        ) from error
    is_rgb = name in _PACKED or bool(_PLANAR_RGB.match(name))
    matrix = _RGB if is_rgb else frame.colorspace
    if not is_rgb and matrix not in _LUMA:
        raise DecodeError(
            f"{path} has colours of a rare kind (matrix {matrix} of H.273)",
            hint=f"ffmpeg -i {path} -vf scale=out_color_matrix=bt709 -colorspace bt709 mended.mkv",
        )
    aspect = codec.sample_aspect_ratio
    return PictureFormat(
        codec=codec.codec.canonical_name,
        tag=codec.codec_tag,
        width=frame.width,
        height=frame.height,
        pixel_format=name,
        matrix=matrix,
        is_full_range=is_rgb or frame.color_range == _FULL or name.startswith("yuvj"),
        range_tag=frame.color_range,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        aspect=Fraction(aspect) if aspect else Fraction(1),
        turn=_turn(frame, path),
        mastering=_mastering(frame),
        light_level=_light_level(frame),
    )


def check_progressive(frame: Any, path: Path) -> None:
    """Raise DecodeError if a decoded frame is made of two fields."""
    if frame.interlaced_frame:
        raise DecodeError(
            f"{path} is interlaced: every frame holds two moments, which cannot be repainted",
            hint=f"ffmpeg -i {path} -vf bwdif -c:v libx264 -crf 12 -c:a copy progressive.mkv, "
            "and go on with progressive.mkv",
        )


def _layout(name: str) -> tuple[tuple[Component, ...], int]:
    """Components and bit depth of a pixel format; KeyError: it is none of those known."""
    if found := _PLANAR.match(name):
        across, down = _SHIFTS[found[2]]
        chroma = [Component(plane=n, across=across, down=down) for n in (1, 2)]
        return (Component(plane=0), *chroma), int(found[3] or 8)
    if found := _GRAY.match(name):
        return (Component(plane=0),), int(found[1] or 8)
    if found := _PLANAR_RGB.match(name):
        return tuple(Component(plane=n) for n in (2, 0, 1)), int(found[2] or 8)
    if name in _PACKED:
        step = 3 if name.endswith("24") else 4
        return tuple(Component(plane=0, offset=n, step=step) for n in _PACKED[name]), 8
    across, down = _SHIFTS[_PAIRED[name]]
    chroma = [Component(plane=1, offset=n, step=2, across=across, down=down) for n in (0, 1)]
    return (Component(plane=0), *chroma), 8


def _side_data(frame: Any, kind: str) -> bytes | None:
    found = frame.side_data.get(kind)
    return None if found is None else bytes(found)


def _turn(frame: Any, path: Path) -> tuple[int, int, int, int]:
    raw = _side_data(frame, "DISPLAYMATRIX")
    if raw is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(raw, "<i4", 5)
    near = [round(float(value) / (1 << 16)) for value in (a, b, c, d)]
    if [abs(value) for value in near] not in ([1, 0, 0, 1], [0, 1, 1, 0]):
        raise DecodeError(
            f"{path} is to be shown turned by {frame.rotation} degrees; only quarter "
            "turns are kept",
            hint=f"ffmpeg -i {path} -c:v libx264 -crf 12 -c:a copy turned.mkv",
        )
    return near[0], near[1], near[2], near[3]


def _mastering(frame: Any) -> tuple[Fraction, ...] | None:
    raw = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if raw is None:
        return None
    # AVMasteringDisplayMetadata: ten rationals, then which of them are said.
    numbers = np.frombuffer(raw, "<i4", 22)
    if not numbers[20] or not numbers[21] or not numbers[1:20:2].all():
        return None
    return tuple(Fraction(int(numbers[n]), int(numbers[n + 1])) for n in range(0, 20, 2))


def _light_level(frame: Any) -> tuple[int, int] | None:
    raw = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if raw is None:
        return None
    greatest, mean = np.frombuffer(raw, "<u4", 2)
    return int(greatest), int(mean)
