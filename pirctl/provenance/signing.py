"""The last step of making a video: it is signed as a whole, and read back.

The manifest goes into MP4, M4V and MOV; into Matroska and WebM the library can write none, so it
lies beside them as a side-car file, `result.c2pa` for `result.mkv`.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pirctl.errors import PirctlError
from pirctl.files import atomic_file, check_writable
from pirctl.provenance.credentials import Credentials, new_signer
from pirctl.provenance.fingerprint import read_fingerprint
from pirctl.provenance.library import WITHOUT, context, signing_errors, undisturbed
from pirctl.provenance.making import LABEL, Ingredient, Making, definition, ingredients

EMBEDDED = {".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime"}
"""Media types of the files that a manifest is written into."""
_BESIDE = {".mkv": "video/x-matroska", ".webm": "video/webm"}
# Files of these kinds may carry a manifest of their own into ours.
_READABLE = EMBEDDED | {
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".flac": "audio/flac",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a video was marked.

    Attributes:
        manifest: "embedded", "side-car", or "none": then the comment alone says what it is.
        side_car: the file beside the video, where there is one.
        signer: the name in the certificate; empty without a manifest.
        is_self_signed: whether the certificate is the local one, for which nobody vouches.
    """

    manifest: str
    side_car: Path | None = None
    signer: str = ""
    is_self_signed: bool = False

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        side_car = None if self.side_car is None else str(self.side_car)
        return vars(self) | {"side_car": side_car}

    def words(self) -> str:
        """One line for people."""
        if self.manifest == "none":
            return "no manifest was made (--no-provenance); the comment says that it is synthetic"
        who = f"signed by {self.signer}"
        if self.is_self_signed:
            who = "signed with a certificate of your own machine (self-signed)"
        where = "" if self.side_car is None else f"; the manifest lies beside it: {self.side_car}"
        return f"{who}{where}"


def side_car_of(video: Path) -> Path | None:
    """Where the manifest of a video goes that cannot hold it; None if the video can."""
    return None if video.suffix.lower() in EMBEDDED else video.with_suffix(".c2pa")


def check_mark(name: Path, *, force: bool) -> None:
    """Raise unless the side-car of a video to be, if it needs one, can be written or replaced.

    Also for a video that is not signed: whatever lay there would be read as its manifest.

    Raises:
        PirctlError: it exists (without `force`), or cannot be written.
    """
    side_car = side_car_of(name)
    if side_car is not None:
        check_writable(side_car, force=force)


def mark(video: Path, name: Path, making: Making, credentials: Credentials | None) -> Mark:
    """Sign a whole video in place, and read it back; call it before the file gets its name.

    A file that has its name is then a file that holds. The source's own manifest, if it has one,
    goes along.

    Args:
        video: the finished file, under its temporary name.
        name: the name it will get; a side-car goes beside it.
        making: what the manifest tells.
        credentials: who signs, from `open_credentials`; None signs nothing.

    Raises:
        PirctlError: it could not be signed, does not read back, or the disk is full.
    """
    suffix, side_car = name.suffix.lower(), side_car_of(name)
    if credentials is None:
        if side_car is not None:
            side_car.unlink(missing_ok=True)  # Of the video that is replaced.
        return Mark(manifest="none")
    check_writable(video, needed_bytes=video.stat().st_size)
    fingerprint = read_fingerprint(video).to_mapping()
    media_type = (EMBEDDED | _BESIDE).get(suffix, "application/octet-stream")
    manifest = definition(making, name.name, media_type, fingerprint)
    with signing_errors(name.name), ExitStack() as stack:
        signed = stack.enter_context(atomic_file(video))
        data = undisturbed(
            lambda: _sign(video, signed, manifest, making, credentials, embed=side_car is None)
        )
        beside = None if side_car is None else data
        undisturbed(lambda: _read_back(signed, media_type, beside, manifest, name))
        if side_car is not None:
            stack.enter_context(atomic_file(side_car)).write_bytes(data)
    return Mark(
        manifest="embedded" if side_car is None else "side-car",
        side_car=side_car,
        signer=credentials.signer,
        is_self_signed=credentials.is_local,
    )


def _sign(
    video: Path,
    signed: Path,
    manifest: dict[str, Any],
    making: Making,
    credentials: Credentials,
    *,
    embed: bool,
) -> bytes:
    import c2pa

    plain, carried = [], []
    for described, one in ingredients(making):
        own = _own_manifest(one)
        if own is None:
            plain.append({**described, "format": _media_type(one)})
        else:
            carried.append((described, own, one))
    with (
        context(credentials.chain, new_signer(credentials)) as made,
        c2pa.Builder({**manifest, "ingredients": plain}, made) as builder,
    ):
        for described, media_type, one in carried:
            assert one.path is not None
            with one.path.open("rb") as file:
                builder.add_ingredient(described, media_type, file)
        if not embed:
            builder.set_no_embed()
        with video.open("rb") as source, signed.open("w+b") as target:
            return bytes(builder.sign(manifest["format"], source, target))


def _media_type(one: Ingredient) -> str:
    known = _READABLE | _BESIDE
    return known.get(Path(one.name).suffix.lower(), "application/octet-stream")


def _own_manifest(one: Ingredient) -> str | None:
    """The media type of an ingredient that has a manifest of its own, whole or not; else None."""
    import c2pa

    suffix = Path(one.name).suffix.lower()
    if one.path is None or suffix not in _READABLE:
        return None
    try:
        with (
            context() as made,
            one.path.open("rb") as file,
            c2pa.Reader(_READABLE[suffix], file, context=made) as reader,
        ):
            return _READABLE[suffix] if reader.get_active_manifest() else None
    except (c2pa.C2paError, OSError):
        return None  # None, or one that is past reading.


def _read_back(
    video: Path, media_type: str, data: bytes | None, manifest: dict[str, Any], name: Path
) -> None:
    """Raise unless the library's reader finds in the file what was to be written, and it holds."""
    import c2pa

    with (
        context() as made,
        video.open("rb") as file,
        c2pa.Reader(media_type, file, manifest_data=data, context=made) as reader,
    ):
        found = json.loads(reader.json())
    active = found["manifests"][found["active_manifest"]]
    told = {one["label"]: one["data"] for one in active["assertions"]}.get(LABEL)
    wanted = next(one["data"] for one in manifest["assertions"] if one["label"] == LABEL)
    state = found.get("validation_state")
    if state not in {"Valid", "Trusted"} or told != wanted:
        codes = [one["code"] for one in found["validation_results"]["activeManifest"]["failure"]]
        raise PirctlError(
            f"{name.name}: its manifest does not read back as it was written "
            f"({', '.join(codes) or 'the assertion differs'})",
            hint=WITHOUT,
        )
