"""Signing a real video, and telling apart what may happen to it afterwards."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from pirctl.errors import PirctlError
from pirctl.media import read_frames
from pirctl.provenance import (
    Credentials,
    Ingredient,
    Making,
    Mark,
    Person,
    Signing,
    comment_for,
    mark,
    open_credentials,
)
from pirctl.provenance.local import local_path
from pirctl.provenance.verify import Verdict, verify
from pirctl.target.consent import new_consent
from tests.media.clips import counting_clip, ffmpeg

FRAMES = 25


def clip(path: Path, *, signed: bool = True, fast: bool = False) -> Path:
    codec = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else ["-c:v", "libx264"]
    first = ["-movflags", "+faststart"] if fast else []
    comment = f"comment={comment_for(FRAMES, signed=signed)}"
    return counting_clip(path, *codec, *first, "-metadata", comment)


def signed(path: Path, *, fast: bool = False) -> tuple[Path, Mark]:
    clip(path, fast=fast)
    making = Making(
        command="reenact",
        people=(Person(target="anna", consent=new_consent("Anna, 3 May")),),
        source=Ingredient(name="film.mkv", sha256="a" * 64),
        speech=(Ingredient(name="speech.wav", sha256="b" * 64),),
    )
    return path, mark(path, path, making, open_credentials(Signing()))


def change_a_picture(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.find(b"mdat") + 1000] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".webm"])
def test_a_signed_video_holds_plays_and_tells_what_it_is(tmp_path: Path, suffix: str) -> None:
    path, marked = signed(tmp_path / f"a{suffix}")
    found = verify(path)
    assert found.outcome == "holds", found
    assert found.signer is not None
    assert found.signer.vouched == "own"
    text = "\n".join(found.claims)
    for word in ("compositeWithTrainedAlgorithmicMedia", "film.mkv", "a" * 64, "b" * 64,
                 "anna", "Anna, 3 May", "created", "edited"):  # fmt: skip
        assert word in text
    assert len(list(read_frames(path))) == FRAMES
    beside = suffix in {".mkv", ".webm"}
    assert marked.side_car == (path.with_suffix(".c2pa") if beside else None)
    assert len(list(tmp_path.iterdir())) == 1 + beside


def test_a_file_with_its_index_first_shows_the_same_pictures_after_signing(tmp_path: Path) -> None:
    plain = clip(tmp_path / "plain.mp4", fast=True)
    path, _ = signed(tmp_path / "a.mp4", fast=True)
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")
    for one, two in zip(read_frames(plain), read_frames(path), strict=True):
        assert (one == two).all()


def test_a_changed_picture_is_named(tmp_path: Path) -> None:
    path, _ = signed(tmp_path / "a.mp4")
    change_a_picture(path)
    found = verify(path)
    assert found.outcome == "changed"
    assert f"1 of {FRAMES} pictures were changed" in found.summary


def test_a_cut_is_told_from_a_change(tmp_path: Path) -> None:
    path, _ = signed(tmp_path / "a.mkv")
    short = tmp_path / "b.mkv"
    ffmpeg("-i", path, "-c", "copy", "-frames:v", "10", short)
    shutil.copy(tmp_path / "a.c2pa", tmp_path / "b.c2pa")
    found = verify(short)
    assert found.outcome == "cut"
    assert f"numbers 0 to 9 of {FRAMES}" in found.summary


def test_a_manifest_that_was_taken_out_is_told_from_one_that_never_was(tmp_path: Path) -> None:
    path, _ = signed(tmp_path / "a.mp4")
    ffmpeg("-i", path, tmp_path / "encoded.mp4")
    ffmpeg("-i", path, "-c", "copy", "-frames:v", "10", tmp_path / "cut.mp4")
    assert verify(tmp_path / "encoded.mp4").outcome == "stripped"
    cut = verify(tmp_path / "cut.mp4")
    assert (cut.outcome, f"10 of {FRAMES}" in cut.summary) == ("stripped", True)
    assert verify(clip(tmp_path / "off.mp4", signed=False)).outcome == "comment"
    assert verify(counting_clip(tmp_path / "other.mp4")).outcome == "nothing"


def test_a_changed_manifest_is_broken(tmp_path: Path) -> None:
    path, _ = signed(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"Anna, 3 May", b"Anna, 4 May"))
    found: Verdict = verify(path)
    assert found.outcome == "broken"


def test_the_local_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = open_credentials(Signing()), open_credentials(Signing())
    assert isinstance(first, Credentials)
    assert first == second
    assert first.is_local
    assert "PRIVATE" not in repr(first)
    path = local_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(PirctlError, match="others on this machine can read"):
        open_credentials(Signing())


def test_a_certificate_and_key_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    open_credentials(Signing())
    pair = local_path()
    mine = open_credentials(Signing(certificate=pair, key=pair))
    assert mine is not None
    assert not mine.is_local
    shutil.copy(pair, tmp_path / "old.pem")
    pair.unlink()
    open_credentials(Signing())
    with pytest.raises(PirctlError, match="is not the key of"):
        open_credentials(Signing(certificate=tmp_path / "old.pem", key=pair))
    with pytest.raises(PirctlError, match="without --key"):
        open_credentials(Signing(certificate=pair))
    text = tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(PirctlError, match="not a certificate"):
        open_credentials(Signing(certificate=text, key=pair))


def test_a_video_that_cannot_be_signed_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    credentials = open_credentials(Signing())
    making = Making(command="dub", people=(), source=Ingredient(name="x", sha256="0" * 64))
    with pytest.raises(PirctlError):
        mark(path, path, making, credentials)
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
