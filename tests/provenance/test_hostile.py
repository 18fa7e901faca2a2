"""Files of others: whatever is in them, `verify` ends with a verdict or one clear error."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pirctl.errors import PirctlError
from pirctl.media import VideoWriter
from pirctl.provenance import Making, Signing, comment_for, mark, open_credentials
from pirctl.provenance import ingredient_of as ingredient
from pirctl.provenance.fingerprint import read_fingerprint
from pirctl.provenance.verify import Verdict, verify
from tests.media.clips import counting_clip

_MEMORY = 3 << 30  # Address space, of which most is libraries.
_ENDS = {"changed", "cut", "broken", "stripped", "comment", "nothing"}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed clip of 25 pictures, with its side-car's twin beside it."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIRCTL_HOME", str(folder / "home"))
        for name in ("a.mp4", "b.mkv"):
            path = folder / name
            comment = f"comment={comment_for(25, signed=True)}"
            counting_clip(path, "-c:v", "libx264", "-metadata", comment)
            making = Making(command="dub", people=(), source=ingredient(path))
            mark(path, path, making, open_credentials(Signing()))
    return folder


def outcome_of(path: Path) -> str:
    """What `verify` ends with: its outcome, or "error" for an error in words."""
    try:
        return verify(path).outcome
    except PirctlError:
        return "error"


def test_a_file_cut_off_anywhere_never_holds(signed: Path, tmp_path: Path) -> None:
    data = (signed / "a.mp4").read_bytes()
    seen = set()
    for part in range(1, 60):
        (tmp_path / "a.mp4").write_bytes(data[: len(data) * part // 60])
        seen.add(outcome_of(tmp_path / "a.mp4"))
    assert "holds" not in seen
    assert seen <= _ENDS | {"error"}


@pytest.mark.parametrize("seed", range(6))
def test_with_flipped_bytes_only_what_was_signed_holds(
    seed: int, signed: Path, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    whole = (signed / "a.mp4").read_bytes()
    claims, content = verify(signed / "a.mp4").claims, read_fingerprint(signed / "a.mp4")
    manifest = whole.find(b"jumb")
    for _ in range(10):
        data = bytearray(whole)
        # One in the manifest, where the structures are, and one anywhere.
        places = [manifest + chance.randrange(6000), chance.randrange(len(data))]
        for place in places[: chance.randint(1, 2)]:
            data[place] ^= 1 << chance.randrange(8)
        (tmp_path / "a.mp4").write_bytes(data)
        if outcome_of(tmp_path / "a.mp4") == "holds":
            # C2PA leaves out the file's brand, and what fills up the manifest's own box.
            assert verify(tmp_path / "a.mp4").claims == claims
            assert read_fingerprint(tmp_path / "a.mp4") == content


@pytest.mark.parametrize("size", [0, 1, 7, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("box", [b"uuid", b"jumb", b"moov", b"mdat", b"stsz", b"stco"])
def test_lying_sizes_of_boxes(box: bytes, size: int, signed: Path, tmp_path: Path) -> None:
    data = bytearray((signed / "a.mp4").read_bytes())
    place = data.find(box)
    assert place > 4
    data[place - 4 : place] = size.to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    # The outermost box of the manifest lies in one whose size is the true one.
    assert (outcome_of(tmp_path / "a.mp4") != "holds") or box == b"jumb"


def test_a_declared_number_of_pictures_is_not_believed(signed: Path, tmp_path: Path) -> None:
    data = bytearray((signed / "a.mp4").read_bytes())
    place = data.find(b"stsz") + 12
    data[place : place + 4] = (10**9).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    assert outcome_of(tmp_path / "a.mp4") in _ENDS | {"error"}


def test_side_cars_of_any_content(signed: Path, tmp_path: Path) -> None:
    shutil.copy(signed / "b.mkv", tmp_path)
    side_car = tmp_path / "b.c2pa"
    whole = (signed / "b.c2pa").read_bytes()
    contents = [
        b"",
        b"\0" * 1000,
        os.urandom(5000),
        whole[:500],
        whole[:-1],
        whole + b"more",
        whole,
    ]
    for content in contents[:-2]:
        side_car.write_bytes(content)
        assert outcome_of(tmp_path / "b.mkv") in {"broken", "stripped"}
    side_car.write_bytes(contents[-2])
    assert outcome_of(tmp_path / "b.mkv") in {"broken", "holds"}  # What follows is not read.
    side_car.write_bytes(whole)
    assert outcome_of(tmp_path / "b.mkv") == "holds"
    with side_car.open("wb") as file:
        file.truncate(1 << 33)  # Eight gigabytes of nothing.
    assert verify(tmp_path / "b.mkv").outcome == "broken"
    side_car.unlink()
    os.mkfifo(side_car)
    assert outcome_of(tmp_path / "b.mkv") == "stripped"


def test_the_manifest_of_another_video_is_not_this_one_s(signed: Path, tmp_path: Path) -> None:
    counting_clip(tmp_path / "other.mkv", "-t", "0.5")
    shutil.copy(signed / "b.c2pa", tmp_path / "other.c2pa")
    assert verify(tmp_path / "other.mkv").outcome in {"changed", "cut"}


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile real.mp4\n",
        "<?xml version='1.0'?><MPD><Period/></MPD>",
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.mp4"])
def test_a_list_that_names_other_files_is_no_video(
    content: str, name: str, signed: Path, tmp_path: Path
) -> None:
    shutil.copy(signed / "a.mp4", tmp_path / "real.mp4")
    (tmp_path / name).write_text(content)
    assert outcome_of(tmp_path / name) == "error"


@pytest.mark.parametrize(
    "name", ["-i.mp4", "%03d.mp4", "a:b.mp4", "http:x.mp4", "new\nline.mp4", "‏עברית.mp4", "a.MP4"]
)
def test_odd_names_are_names(
    name: str, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(signed / "a.mp4", name)
    assert verify(Path(name)).outcome == "holds"


def report(**changes: Any) -> dict[str, Any]:
    """What the library reports of a manifest that is hostile but well signed."""
    active: dict[str, Any] = {
        "claim_generator_info": [{"name": "evil\nit holds"}],
        "assertions": [],
        "ingredients": [],
        "signature_info": {"common_name": "A\x1b[2J", "issuer": ["x"], "cert_serial_number": 1},
    }
    return {
        "active_manifest": "m",
        "manifests": {"m": active | changes},
        "validation_state": "Valid",
        "validation_results": {"activeManifest": {"failure": []}},
    }


HOSTILE: list[dict[str, Any]] = [
    {"claim_generator_info": "text"},
    {"claim_generator_info": [None, 3, {"name": {"a": 1}}]},
    {"assertions": [None, {"label": ["x"], "data": 3}, {"label": "c2pa.actions", "data": []}]},
    {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [1, {"action": 5}]}}]},
    {"assertions": [{"label": "org.pirctl.making", "data": "text"}]},
    {"assertions": [{"label": "org.pirctl.making", "data": {"people": {"a": 1}, "made": [1]}}]},
    {"assertions": [{"label": "org.pirctl.making", "data": {"command": "x" * 10**6}}]},
    {"assertions": [{"label": "org.pirctl.making", "data": {"fingerprint": {"pictures": "%%"}}}]},
    {"ingredients": [None, {"title": "a\nb\tc", "description": {"x": "y"}}]},
    {"ingredients": [{"title": "\ud800"}]},
    {"signature_info": [1]},
]  # fmt: skip


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: json.dumps(changes)[:40])
def test_claims_of_any_kind_are_single_short_lines(
    changes: dict[str, Any], signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.provenance.verify._read_manifest", lambda *_: report(**changes))
    found: Verdict = verify(signed / "a.mp4")
    for claim in found.claims:
        assert "\n" not in claim
        assert len(claim) < 5000


def test_what_steers_a_terminal_is_shown_and_not_obeyed(
    signed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pirctl.cli import main

    changes = {"ingredients": [{"title": "\x1b[2J\u202e\ud800"}]}
    monkeypatch.setattr("pirctl.provenance.verify._read_manifest", lambda *_: report(**changes))
    assert main(["verify", str(signed / "a.mp4")]) == 0
    out = capfd.readouterr().out
    assert r"\x1b[2J\u202e\ud800" in out
    assert main(["verify", str(signed / "a.mp4"), "--json"]) == 0
    out = capfd.readouterr().out
    assert not {"\x1b", "\u202e"} & set(out)
    assert json.loads(out)["signer"]["name"] == "A\x1b[2J"


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def test_huge_numbers_take_no_memory(signed: Path, tmp_path: Path) -> None:
    whole = (signed / "a.mp4").read_bytes()
    for number, (box, offset) in enumerate([(b"stsz", 12), (b"stco", 8), (b"stts", 8)]):
        data = bytearray(whole)
        place = data.find(box) + offset
        data[place : place + 4] = b"\xff\xff\xff\xf0"
        (tmp_path / f"{number}.mp4").write_bytes(data)
    place = (data := bytearray(whole)).find(b"jumb")
    data[place - 4 : place] = b"\x7f\xff\xff\xff"
    (tmp_path / "3.mp4").write_bytes(data)
    program = (
        "import sys; from pirctl.cli import main\n"
        "print([main(['verify', name]) for name in sys.argv[1:]])"
    )
    names = [str(tmp_path / f"{number}.mp4") for number in range(4)]
    ended = subprocess.run(
        [sys.executable, "-c", program, *names],
        capture_output=True, text=True, preexec_fn=_limit,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    codes = json.loads(ended.stdout.splitlines()[-1])
    # The outermost box of the manifest lies in one whose size is the true one.
    assert set(codes[:3]) <= {1, 3, 4}, ended.stdout
    assert codes[3] in {0, 3}
    assert "Traceback" not in ended.stderr


def test_writing_has_no_help_from_a_disk_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "file"))  # No folder can be made in a file.
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 32, 32, 25, quality="delivery") as writer:
        import numpy as np

        for _ in range(5):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    credentials = open_credentials(Signing())
    assert credentials is not None
    assert credentials.is_local
    mark(path, path, Making(command="dub", people=(), source=ingredient(path)), credentials)
    found = verify(path)
    assert found.outcome == "holds"
    assert found.signer is not None
    assert found.signer.vouched == "nobody"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp4", "file"]
