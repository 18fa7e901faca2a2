"""A short hash of every coded picture, so that a file that changed can be told what changed.

The manifest's own hash says only that something did. The coded pictures stay what they are when
a file is cut or put into another container without being encoded anew.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pirctl.errors import DecodeError
from pirctl.media.process import file_url
from pirctl.progress import name_ranges

_MOST_RANGES = 6
# Containers of video. Playlists are none of them: they name other files, also far away.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mxf,ogg"
_BYTES = 4  # A picture that changed is missed once in four thousand million.


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What is in a file.

    Attributes:
        pictures: of each coded picture, in the order of the file, the start of its SHA-256.
        sound: SHA-256 of the first sound as it is coded; empty without any.
        comment: the file's comment.
    """

    pictures: tuple[bytes, ...]
    sound: str = ""
    comment: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """For the manifest; without the comment."""
        return {
            "method": f"SHA-256 of each coded picture, {_BYTES} bytes of it; SHA-256 of the sound",
            "count": len(self.pictures),
            "pictures": base64.b64encode(b"".join(self.pictures)).decode(),
            "sound": self.sound,
        }

    @classmethod
    def from_mapping(cls, mapping: object) -> Fingerprint | None:
        """Read what a manifest holds; None where it holds nothing of the kind."""
        if not isinstance(mapping, Mapping):
            return None
        text, sound = mapping.get("pictures"), mapping.get("sound")
        if not isinstance(text, str) or not isinstance(sound, str):
            return None
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            return None
        parts = (data[start : start + _BYTES] for start in range(0, len(data), _BYTES))
        return cls(pictures=tuple(parts), sound=sound)


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a file's packets, and its comment; nothing is decoded.

    Raises:
        DecodeError: it cannot be read as a video.
    """
    import av

    pictures: list[bytes] = []
    sound = hashlib.sha256()
    try:
        with av.open(file_url(path), options={"format_whitelist": _CONTAINERS}) as file:
            tags = {name.lower(): value for name, value in file.metadata.items()}
            chosen = [*file.streams.video[:1], *file.streams.audio[:1]]
            for packet in file.demux(chosen) if chosen else ():
                if packet.size and packet.stream.type == "video":
                    pictures.append(hashlib.sha256(memoryview(packet)).digest()[:_BYTES])
                elif packet.size:
                    sound.update(memoryview(packet))
            has_sound = bool(file.streams.audio)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"{path} cannot be read as a video", hint="check the file") from error
    return Fingerprint(
        pictures=tuple(pictures),
        sound=sound.hexdigest() if has_sound else "",
        comment=str(tags.get("comment", "")),
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a file differs from what was signed.

    Attributes:
        words: a sentence about it.
        is_cut: whether all that is here was signed, and something is missing.
        changed: numbers of the pictures that are others, where none is missing.
    """

    words: str
    is_cut: bool = False
    changed: tuple[int, ...] = ()


def difference(signed: Fingerprint, found: Fingerprint) -> Difference:
    """Say what happened to the pictures and the sound of a file since it was signed."""
    before, now = signed.pictures, found.pictures
    sound = "" if signed.sound == found.sound else "; its sound is another one"
    if before == now:
        if sound:
            return Difference(words="every picture is as it was signed, but the sound is not")
        return Difference(
            words="picture and sound are as they were signed; something around them is not"
        )
    if len(before) == len(now):
        others = tuple(n for n, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
        where = name_ranges(others, most=_MOST_RANGES)
        what = f"{len(others)} of {len(now)} pictures were changed: {where}"
        return Difference(words=what + sound, changed=others)
    if now and _is_subsequence(now, before):
        start = before.index(now[0])
        whole = before[start : start + len(now)] == now
        where = f"numbers {start} to {start + len(now) - 1} of" if whole else f"{len(now)} of"
        return Difference(words=f"it was cut: {where} {len(before)} pictures are here", is_cut=True)
    known = set(before)
    kept = sum(picture in known for picture in now)
    return Difference(
        words=f"{kept} of its {len(now)} pictures are among the {len(before)} that were signed"
        + sound
    )


def _is_subsequence(part: Sequence[bytes], whole: Sequence[bytes]) -> bool:
    rest = iter(whole)
    return all(picture in rest for picture in part)
