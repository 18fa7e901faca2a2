"""As much of H.264's syntax as copying between encodings needs: NAL units and parameter sets.

Two encodings share a stream when each keeps its own parameter sets under its own number; then a
decoder takes the right ones by itself. Source: ITU-T H.264, 7.3 and annex B; ISO/IEC 14496-15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_START = b"\x00\x00\x00\x01"
_START_CODE = re.compile(rb"\x00\x00\x01")
_IDR, _SEQUENCE, _PICTURE = 5, 7, 8
_IDS = 32  # Of sequence parameter sets; picture parameter sets have 256.


def length_size(extradata: bytes) -> int:
    """Bytes of the length before each NAL unit; 0: start codes are between them (annex B)."""
    return (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0


def nal_units(packet: bytes, size: int) -> Iterator[bytes]:
    """The NAL units of a packet, whose lengths have `size` bytes (0: annex B)."""
    if size:
        at = 0
        while at + size <= len(packet):
            length = int.from_bytes(packet[at : at + size], "big")
            yield packet[at + size : at + size + length]
            at += size + length
        return
    starts = [match.end() for match in _START_CODE.finditer(packet)]
    for start, stop in zip(starts, [*(one - 3 for one in starts[1:]), len(packet)], strict=True):
        yield packet[start:stop].rstrip(b"\x00")


def parameter_sets(extradata: bytes) -> list[bytes]:
    """Sequence and picture parameter sets of a stream, each a NAL unit."""
    if not length_size(extradata):
        return [unit for unit in nal_units(extradata, 0) if _kind(unit) in {_SEQUENCE, _PICTURE}]
    sets, at = list[bytes](), 5
    for mask in (0x1F, 0xFF):
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            length = int.from_bytes(extradata[at : at + 2], "big")
            sets.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    return sets


def free_id(extradata: bytes) -> int | None:
    """The smallest number that no parameter set of a stream has; None: all are taken."""
    taken = {_set_id(unit) for unit in parameter_sets(extradata)}
    return next((number for number in range(_IDS) if number not in taken), None)


def joined_sets(extradatas: list[bytes]) -> bytes:
    """The parameter sets of several encodings as one extradata (annex B), each once."""
    sets = dict.fromkeys(unit for data in extradatas for unit in parameter_sets(data))
    by_kind = sorted(sets, key=_kind)
    return b"".join(_START + unit for unit in by_kind)


def to_annex_b(packet: bytes, size: int) -> bytes:
    """A packet with start codes in place of lengths."""
    if not size:
        return packet
    return b"".join(_START + unit for unit in nal_units(packet, size))


def has_idr(packet: bytes, size: int) -> bool:
    """Whether nothing after this packet refers to anything before it."""
    return any(_kind(unit) == _IDR for unit in nal_units(packet, size))


def _kind(unit: bytes) -> int:
    return unit[0] & 31 if unit else 0


def _set_id(unit: bytes) -> int:
    """Number of a parameter set: the first Exp-Golomb code, after the profile's three bytes."""
    start = 4 if _kind(unit) == _SEQUENCE else 1
    # A number below 256 ends within 17 bits; emulation prevention cannot come before it.
    bits = "".join(f"{byte:08b}" for byte in unit[start : start + 4])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
