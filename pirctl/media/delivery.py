"""How a repainted video is encoded: as near to its source as its container allows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction

from pirctl.errors import EncodeError
from pirctl.media import h264
from pirctl.media.picture import PictureFormat
from pirctl.media.probe import MediaInfo
from pirctl.media.process import file_url
from pirctl.settings.choices import Codec

_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
# What players accept inside each container, the first where the source's codec is none of them.
_CODECS = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".m4v": ("h264", "hevc"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
}
# Constant quality, with which footage comes out above 45 dB.
_QUALITY = {"h264": 13, "hevc": 12, "vp9": 12, "av1": 14}
# What hardware encoders call constant quality; the scales are alike.
_HARDWARE_QUALITY = {
    "nvenc": "cq",
    "qsv": "global_quality",
    "vaapi": "qp",
    "amf": "qvbr_quality_level",
}
_PROFILES = {b"apco": 0, b"apcs": 1, b"apcn": 2, b"apch": 3, b"ap4h": 4, b"ap4x": 5}
_THREADS = 4  # Written down, not counted: the encoders' bytes depend on it.
_GROUP_S = 2


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """How a dubbed video is encoded."""

    codec: Codec = "source"
    """The codec; "source" keeps the source's where the container and the encoders allow."""
    quality: int | None = None
    """Constant rate factor, lower is better: 0 to 51, in VP9 and AV1 to 63. None: about 45 dB."""
    preset: str = "veryfast"
    """Speed of x264 and x265, from "ultrafast" to "veryslow"."""
    encoder: str | None = None
    """ffmpeg's name of another encoder for that codec, for example h264_nvenc; None: software."""
    lossless: bool = False
    """Keep every sample exactly, in FFV1 (.mkv)."""

    def __post_init__(self) -> None:
        if self.quality is not None and not 0 <= self.quality <= 63:
            raise ValueError(f"quality {self.quality}: it lies between 0 and 63")


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """All that an encoder is told.

    Attributes:
        codec: name of the codec.
        encoder: ffmpeg's name of the encoder.
        pixel_format: what it is given; another order of the same samples than the source's, if so.
        options: of the encoder.
        copies: whether the source's own packets may stand beside these.
        reason: why not, in words; empty if they may.
    """

    codec: str
    encoder: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)
    copies: bool = False
    reason: str = ""


def choose_encoding(
    info: MediaInfo, form: PictureFormat, suffix: str, settings: DeliverySettings
) -> Encoding:
    """Choose codec, encoder and options for a video's repainted pictures.

    Args:
        info: of the source.
        form: of its pictures.
        suffix: of the result, ".mp4".
        settings: what the user wants.

    Raises:
        EncodeError: no encoder can hold these pictures in such a file.
    """
    if suffix not in _CODECS:
        known = ", ".join(_CODECS)
        raise EncodeError(f"no video can be written with the ending {suffix!r}", hint=known)
    for codec in _candidates(form, suffix, settings):
        encoder = settings.encoder or _ENCODERS[codec]
        if codec == "h264" and form.is_rgb and not settings.encoder:
            encoder = "libx264rgb"
        pixel_format = _accepted(encoder, codec, form)
        if pixel_format is not None:
            options = _options(codec, encoder, form, settings)
            copies, reason, own = _copying(info, form, codec, encoder, pixel_format)
            return Encoding(
                codec=codec, encoder=encoder, pixel_format=pixel_format,
                options=options | own, copies=copies, reason=reason,
            )  # fmt: skip
    raise EncodeError(
        f"{form.pixel_format} pictures of {form.width} x {form.height} cannot be kept in "
        f"{suffix} as they are",
        hint="choose an --output that ends in .mkv",
    )


def _candidates(form: PictureFormat, suffix: str, settings: DeliverySettings) -> list[str]:
    allowed = _CODECS[suffix]
    if settings.lossless:
        wanted = ["ffv1"]
    elif settings.codec != "source":
        wanted = [settings.codec]
    else:
        deep = form.bit_depth > 8 or form.is_high_dynamic_range
        wanted = [form.codec, "hevc" if deep else "h264", *allowed]
    found = [codec for codec in wanted if codec in allowed]
    if not found:
        raise EncodeError(
            f"{wanted[0]} does not go into {suffix}", hint="choose an --output that ends in .mkv"
        )
    return list(dict.fromkeys(found))


def _accepted(encoder: str, codec: str, form: PictureFormat) -> str | None:
    """The pixel format in which an encoder takes these pictures without loss; None: it cannot."""
    import av

    try:
        known = av.Codec(encoder, "w").video_formats or []
    except ValueError as error:
        raise EncodeError(
            f"{encoder} is no encoder of this ffmpeg", hint="pirctl doctor"
        ) from error
    names = {one.name for one in known}
    one = form.components[-1]
    if codec in {"h264", "hevc"} and (
        form.width % (1 << one.across) or form.height % (1 << one.down)
    ):
        return None
    if "yuva" in form.pixel_format and codec not in {"prores", "ffv1"}:
        return None
    same = [form.pixel_format]
    if form.is_rgb and form.bit_depth == 8:
        same += ["gbrp", "bgr0", "rgb24"]  # The same bytes in another order.
    return next((name for name in same if name in names), None)


def _options(
    codec: str, encoder: str, form: PictureFormat, settings: DeliverySettings
) -> dict[str, str]:
    quality = str(settings.quality if settings.quality is not None else _QUALITY.get(codec, 0))
    match encoder:
        case "libx264" | "libx264rgb":
            # With macroblock trees its bytes differ from run to run where pictures are RGB.
            steady = {"x264-params": "mbtree=0"} if form.is_rgb else {}
            base = {"preset": settings.preset, "crf": quality, "bf": "2"}
            return {**base, "threads": str(_THREADS), **steady}
        case "libx265":
            parameters = f"log-level=none:frame-threads=2:pools={_THREADS}:repeat-headers=1"
            return {
                "preset": settings.preset,
                "crf": quality,
                "x265-params": ":".join([parameters, *_hdr_parameters(form)]),
            }
        case "libvpx-vp9":
            fast = {"deadline": "good", "cpu-used": "4", "row-mt": "0", "threads": str(_THREADS)}
            return {"crf": quality, "b:v": "0", "lag-in-frames": "16", **fast}
        case "libsvtav1":
            return {"crf": quality, "preset": "8", "svtav1-params": "lp=4"}
        case "prores_ks":
            return {"profile": str(_prores_profile(form)), "vendor": "apl0"}
        case "ffv1":
            return {"level": "3", "slices": "4", "slicecrc": "1", "threads": "1"}
    kind = encoder.rsplit("_", 1)[-1]
    return {_HARDWARE_QUALITY.get(kind, "crf"): quality}


def _hdr_parameters(form: PictureFormat) -> list[str]:
    """x265's words for the mastering display and the light level."""
    found = []
    if form.mastering is not None:
        numbers = [round(value * 50000) for value in form.mastering[:8]]
        red, green, blue, white = (f"({numbers[n]},{numbers[n + 1]})" for n in range(0, 8, 2))
        least, greatest = (round(value * 10000) for value in form.mastering[8:])
        found.append(f"master-display=G{green}B{blue}R{red}WP{white}L({greatest},{least})")
    if form.light_level is not None:
        found.append(f"max-cll={form.light_level[0]},{form.light_level[1]}")
    return found


def _prores_profile(form: PictureFormat) -> int:
    known = _PROFILES.get(form.tag.encode(), 3)
    return max(4, known) if "444" in form.pixel_format else min(3, known)


def _copying(
    info: MediaInfo, form: PictureFormat, codec: str, encoder: str, pixel_format: str
) -> tuple[bool, str, dict[str, str]]:
    """Whether the source's packets may stand beside ours, why not, and options for it."""
    if form.codec != codec:
        return False, f"the source is {form.codec}, the result {codec}", {}
    if codec == "prores" and encoder == "prores_ks":
        return True, "", {}
    if codec != "h264" or encoder != "libx264":
        return False, f"pieces of {codec} of different encoders do not go into one stream", {}
    number = h264.free_id(_extradata(info))
    if number is None or number == 0:
        return False, "the source uses every parameter set", {}
    return True, "", {"x264-params": f"sps-id={number}"}


def _extradata(info: MediaInfo) -> bytes:
    import av

    with av.open(file_url(info.path), metadata_errors="replace") as container:
        return bytes(container.streams[info.video_stream].codec_context.extradata or b"")


def group_frames(rate: Fraction) -> int:
    """Frames from one key frame to the next at a mean frame rate."""
    return max(1, round(_GROUP_S * rate))


def quiet() -> None:
    """Keep SVT-AV1 from writing its settings to stderr; it has no other way to be told."""
    os.environ.setdefault("SVT_LOG", "1")
