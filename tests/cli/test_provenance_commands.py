"""What `dub` and `reenact` sign, what `verify` says of it, and `consent` with its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pirctl.provenance.local import local_path
from pirctl.target import Target
from tests.cli.conftest import Command


def _make(pirctl: Command, command: str, speech: Path, output: str, *more: object) -> str:
    first = ["anna"] if command == "reenact" else [more[0], "--target", "anna"]
    rest = more if command == "reenact" else more[1:]
    outcome = pirctl(command, *first, "--audio", speech, "-o", output, *rest)
    assert (outcome.status, outcome.out) == (0, f"{output}\n"), outcome.err
    return outcome.err


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("command", ["reenact", "dub"])
def test_what_is_made_is_signed_and_verify_says_so_in_words(
    command: str, suffix: str, pirctl: Command, workspace: Path, speech: Path, trained: Target
) -> None:
    film = [trained.about.source] if command == "dub" else []
    said = _make(pirctl, command, speech, f"made{suffix}", *film)
    assert "signed with a certificate of your own machine (self-signed)" in said
    assert ("the manifest lies beside it: made.c2pa" in said) == (suffix == ".mkv")
    outcome = pirctl("verify", f"made{suffix}")
    assert (outcome.status, outcome.err) == (0, ""), outcome.out
    assert outcome.out.startswith(f"made{suffix}: it holds: nothing in it has changed")
    for words in (
        f"command {command}", "made from film.mkv", "made from speech.wav",
        "compositeWithTrainedAlgorithmicMedia", "shows the target anna; nobody's consent",
        "it was made here",
    ):  # fmt: skip
        assert words in outcome.out


def test_without_provenance_the_comment_stays_and_the_report_says_so(
    pirctl: Command, workspace: Path, speech: Path, trained: Target
) -> None:
    film = trained.about.source
    arguments = ("--audio", speech, "-t", "anna", "-o", "a.mp4", "--json", "--no-provenance")
    outcome = pirctl("dub", film, *arguments, "--quiet")
    assert json.loads(outcome.out)["provenance"]["manifest"] == "none"
    outcome = pirctl("verify", "a.mp4")
    assert outcome.status == 4
    assert "a comment alone says that pirctl made it" in outcome.out
    assert not local_path().exists()


def test_a_replaced_video_leaves_no_manifest_of_the_one_before(
    pirctl: Command, workspace: Path, speech: Path, tmp_path: Path
) -> None:
    _make(pirctl, "reenact", speech, "a.mkv")
    (tmp_path / "a.mkv").unlink()
    outcome = pirctl("reenact", "anna", "--audio", speech, "-o", "a.mkv", "--no-provenance")
    assert (outcome.status, "error: a.c2pa exists already" in outcome.err) == (1, True)
    _make(pirctl, "reenact", speech, "a.mkv", "--no-provenance", "--force")
    assert not (tmp_path / "a.c2pa").exists()
    assert pirctl("verify", "a.mkv").status == 4


def test_a_wrong_certificate_is_told_before_the_work(
    pirctl: Command, workspace: Path, speech: Path, trained: Target, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("hello")
    commands = [["reenact", "anna"], ["dub", trained.about.source, "-t", "anna"]]
    wrong = [
        (["--certificate", "no.pem"], "--certificate is given without --key", "add --key FILE"),
        (["--certificate", "no.pem", "--key", "no.pem"], "no.pem: not a certificate in PEM", "---"),
        (["--certificate", "none.pem", "--key", "no.pem"], "none.pem: no such file", "check"),
    ]
    for command in commands:
        for options, message, hint in wrong:
            outcome = pirctl(*command, "--audio", speech, "-o", "a.mp4", *options)
            assert (outcome.status, outcome.out) == (1, "")
            assert f"error: {message}" in outcome.err
            assert f"hint: {hint}" in outcome.err
    assert not (tmp_path / "a.mp4").exists()
    assert not (workspace / "anna" / "dub").exists()


def test_the_certificate_comes_from_the_environment_too(
    pirctl: Command,
    workspace: Path,
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _make(pirctl, "reenact", speech, "first.mp4")
    pair = tmp_path / "mine.pem"
    local_path().rename(pair)
    monkeypatch.setenv("PIRCTL_CERTIFICATE", str(pair))
    monkeypatch.setenv("PIRCTL_KEY", str(pair))
    assert "signed by pirctl local signer" in _make(pirctl, "reenact", speech, "a.mp4")
    # Another machine, which has never seen this certificate, and then trusts it.
    outcome = pirctl("verify", "a.mp4")
    assert (outcome.status, "nobody vouches" in outcome.out) == (0, True)
    outcome = pirctl("verify", "a.mp4", "--trust", pair)
    assert (outcome.status, "a certificate you trust vouches" in outcome.out) == (0, True)
    outcome = pirctl("verify", "a.mp4", "--trust", speech)
    assert (outcome.status, f"error: {speech}: not PEM" in outcome.err) == (1, True)
    _make(pirctl, "reenact", speech, "b.mp4", "--no-provenance")


def test_the_exit_status_tells_what_was_found(
    pirctl: Command, workspace: Path, speech: Path, tmp_path: Path, trained: Target
) -> None:
    _make(pirctl, "reenact", speech, "a.mp4")
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    data[data.find(b"mdat") + 1000] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    outcome = pirctl("verify", "changed.mp4")
    assert outcome.status == 3
    assert "it was changed after it was signed" in outcome.out
    assert "what it said of itself when it was signed:" in outcome.out
    outcome = pirctl("verify", "changed.mp4", "--json")
    report = json.loads(outcome.out)
    assert (outcome.status, report["exit"], report["outcome"]) == (3, 3, "changed")
    assert report["record"]["people"] == [{"target": "anna", "consent": None}]
    assert pirctl("verify", trained.about.source).status == 5
    outcome = pirctl("verify", "none.mp4")
    assert (outcome.status, "error: none.mp4 does not exist" in outcome.err) == (1, True)
    (tmp_path / "text.mp4").write_text("hello")
    outcome = pirctl("verify", "text.mp4")
    assert (outcome.status, outcome.out) == (1, "")
    assert "error: text.mp4 cannot be read as a video" in outcome.err
    os.mkfifo(tmp_path / "pipe.mp4")
    outcome = pirctl("verify", "pipe.mp4")
    assert (outcome.status, "is no regular file" in outcome.err) == (1, True)


def test_consent_is_set_shown_published_withdrawn_and_given_again(
    pirctl: Command, workspace: Path, speech: Path, trained: Target
) -> None:
    outcome = pirctl("consent", "anna")
    assert (outcome.status, outcome.out) == (0, "")
    assert "nobody's consent to the use of anna is recorded" in outcome.err
    outcome = pirctl("consent", "anna", "--set", "J. Doe, 3 May")
    assert (outcome.status, "J. Doe, 3 May (recorded 2" in outcome.out) == (0, True)
    film = trained.about.source
    assert "consent to the use of anna: J. Doe" in _make(pirctl, "dub", speech, "a.mp4", film)
    assert "consent: J. Doe, 3 May, recorded 2" in pirctl("verify", "a.mp4").out
    assert pirctl("consent", "anna", "--withdraw").status == 0
    assert json.loads(pirctl("consent", "anna", "--json").out)["consent"]["withdrawn"]
    for command in (
        ("reenact", "anna", "--audio", speech),
        ("train", "anna"),
        ("evaluate", "anna"),
        ("dub", film, "-t", "anna", "--audio", speech),
    ):
        outcome = pirctl(*command)
        assert (outcome.status, outcome.out) == (1, ""), command
        assert "error: the consent to use 'anna' was withdrawn on 2" in outcome.err
        assert "hint: delete the target's folder; or, if the person has agreed again: pirctl" in (
            outcome.err
        )
    _make(pirctl, "dub", speech, "b.mp4", film, "--consent", "J. Doe again")
    assert "J. Doe again" in pirctl("consent", "anna").out
    _make(pirctl, "reenact", speech, "c.mp4")


def test_a_file_of_consent_is_recorded_by_name_and_hash(
    pirctl: Command, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "release.pdf").write_bytes(b"I agree.")
    out = pirctl("consent", "anna", "--set", "release.pdf").out
    assert out.startswith("release.pdf (recorded 2")
    outcome = pirctl("consent", "anna", "--set", "papers/none.pdf")
    assert (outcome.status, "error: papers/none.pdf: no such file" in outcome.err) == (1, True)
    outcome = pirctl("consent", "anna", "--set", "x" * 501)
    assert (outcome.status, "at most 500 are recorded" in outcome.err) == (1, True)
    assert pirctl("consent", "anna", "--set", "x", "--withdraw").status == 2
    assert pirctl("consent", "anna").out == out


def test_training_without_consent_says_so(pirctl: Command, workspace: Path) -> None:
    wrong = ("--set", "media.size_px=1")
    outcome = pirctl("train", "anna", *wrong)
    assert "nobody's consent to the use of anna is recorded: pirctl consent anna" in outcome.err
    assert "consent" not in pirctl("train", "anna", *wrong, "--quiet").err


def test_help_does_not_wait_for_the_libraries_of_signing() -> None:
    program = (
        "import sys; from pirctl.cli import main; main(['--help']); main(['verify', '--help'])\n"
        "main(['dub', '--help'])\n"
        "assert not {'torch', 'c2pa', 'cryptography'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
