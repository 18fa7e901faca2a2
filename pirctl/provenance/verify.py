"""What a file claims about its making, and whether that holds; told in words.

Everything that is read here comes from a file of somebody else: a manifest may be signed by
anyone, hold anything, and be broken in any way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pirctl.errors import DecodeError
from pirctl.media.probe import check_readable
from pirctl.provenance.credentials import local_chain, read_certificates
from pirctl.provenance.fingerprint import Fingerprint, difference, read_fingerprint
from pirctl.provenance.library import context, said, undisturbed
from pirctl.provenance.local import LOCAL_MAKER
from pirctl.provenance.making import LABEL, is_comment, pictures_of
from pirctl.provenance.signing import EMBEDDED

Outcome = Literal["holds", "changed", "cut", "broken", "stripped", "comment", "nothing"]

EXIT_CODES: dict[Outcome, int] = {
    "holds": 0,
    "changed": 3,
    "cut": 3,
    "broken": 3,
    "stripped": 4,
    "comment": 4,
    "nothing": 5,
}
"""What `pirctl verify` ends with: 3 a manifest that does not hold, 4 words without one, 5 none."""

_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # What MP4 names a manifest's box by.
_READ_BYTES = 1 << 20
_MOST_BYTES = 64 << 20  # of a side-car; a day of video has 30 MB of fingerprint.

Vouching = Literal["own", "trusted", "nobody"]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who signed.

    Attributes:
        name: as the certificate says.
        issuer: the organisation in the certificate.
        serial: number of the certificate.
        vouched: "own" is the local certificate of this machine, "trusted" one for which the
            certificates vouch that were given to trust; else "nobody": it may be anyone's.
    """

    name: str
    issuer: str
    serial: str
    vouched: Vouching


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found.

    Attributes:
        outcome: "holds"; "changed", "cut" or "broken" for a manifest that does not hold;
            "stripped" where the comment speaks of a manifest that is not there; "comment" where
            the comment alone says what the file is; "nothing".
        summary: one sentence.
        claims: what the manifest tells, a line each; of a manifest that does not hold, what it
            told of the file as it was.
        signer: who signed, where the signature itself is whole.
        failures: codes of the C2PA specification for what does not hold.
        record: our own assertion, without the pictures' hashes; empty where there is none.
    """

    outcome: Outcome
    summary: str
    claims: tuple[str, ...] = ()
    signer: Signer | None = None
    failures: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


def verify(video: Path, trust: Path | None = None) -> Verdict:
    """Read what a video says about itself, and check it against what is in the file.

    Args:
        video: the file; a side-car `.c2pa` beside it is read where it has no manifest inside.
        trust: certificates in PEM that are trusted to vouch for signers.

    Raises:
        DecodeError: no such file, or neither a video nor a file with a manifest.
        PirctlError: `trust` cannot be read.
    """
    check_readable(video)
    anchors = local_chain() + ("" if trust is None else read_certificates(trust))
    found = undisturbed(lambda: _read_manifest(video, anchors))
    if found is None:
        return _without_manifest(read_fingerprint(video))
    if isinstance(found, str):
        return Verdict(
            outcome="broken",
            summary=f"it has a manifest that cannot be read ({found}), so it proves nothing",
        )
    return _with_manifest(video, found)


def _read_manifest(video: Path, anchors: str) -> dict[str, Any] | str | None:
    """The library's report; its complaint where the manifest is past reading; None without one."""
    import c2pa

    side_car = video.with_suffix(".c2pa")
    media_type = EMBEDDED.get(video.suffix.lower())
    with context(anchors) as made:
        attempts: list[tuple[str | None, bytes | None]] = [(media_type, None)]
        if side_car.is_file():
            if side_car.stat().st_size > _MOST_BYTES:
                return f"{side_car.name} is too large for a manifest"
            attempts.append((media_type or "application/octet-stream", side_car.read_bytes()))
        for kind, data in attempts:
            try:
                with (
                    video.open("rb") as file,
                    c2pa.Reader(kind, file, manifest_data=data, context=made) as reader,
                ):
                    report: dict[str, Any] = json.loads(reader.json())
                    return report
            except (ValueError, RecursionError):
                return "what it says is no list of claims"
            except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
                continue
            except c2pa.C2paError as error:
                if data is not None or _has_box(video):
                    return said(error)
    return None


def _has_box(video: Path) -> bool:
    """Whether a manifest's box is somewhere in a file; else a complaint was of the file itself."""
    with video.open("rb") as file:
        end = b""
        while block := file.read(_READ_BYTES):
            if _BOX in end + block:
                return True
            end = block[-len(_BOX) :]
    return False


def _without_manifest(found: Fingerprint) -> Verdict:
    if not is_comment(found.comment):
        return Verdict(
            outcome="nothing",
            summary="it says nothing about how it was made: no manifest, and no comment of pirctl",
        )
    signed, here = pictures_of(found.comment), len(found.pictures)
    if signed is None:
        return Verdict(
            outcome="comment",
            summary="a comment alone says that pirctl made it and that it is synthetic; it was "
            "made without a manifest, and anyone can write or remove a comment",
        )
    gone = (
        "its comment says that pirctl made it, that it is synthetic, and that it was signed; but "
        "the manifest was taken out, as happens when a file is encoded or put together anew"
    )
    if signed != here:
        gone += f"; it was also cut: {here} of {signed} pictures are here"
    return Verdict(outcome="stripped", summary=gone)


def _with_manifest(video: Path, report: dict[str, Any]) -> Verdict:
    manifests = _mapping(report.get("manifests"))
    active = _mapping(manifests.get(_text(report.get("active_manifest"))))
    results = _mapping(_mapping(report.get("validation_results")).get("activeManifest"))
    codes = [_text(_mapping(one).get("code")) for one in _list(results.get("failure"))]
    # Nobody vouching for the signer is told of the signer; it is nothing about the file.
    failures = tuple(code for code in codes if code != "signingCredential.untrusted")
    told = {
        _text(_mapping(one).get("label")): _mapping(one).get("data")
        for one in _list(active.get("assertions"))
    }
    record = _mapping(told.get(LABEL))
    signer = _signer(_mapping(active.get("signature_info")), report.get("validation_state"))
    outcome, summary = _judge(
        video, failures, report, Fingerprint.from_mapping(record.get("fingerprint"))
    )
    return Verdict(
        outcome=outcome,
        summary=summary,
        claims=tuple(_claims(active, told, record)),
        signer=signer,
        failures=failures,
        record={name: value for name, value in record.items() if name != "fingerprint"},
    )


def _judge(
    video: Path, failures: tuple[str, ...], report: dict[str, Any], signed: Fingerprint | None
) -> tuple[Outcome, str]:
    if not failures and report.get("validation_state") in {"Valid", "Trusted"}:
        return "holds", "it holds: nothing in it has changed since it was signed"
    content = [code for code in failures if code.endswith(("Hash.mismatch", "Hash.malformed"))]
    if len(content) < len(failures) or not failures:
        return "broken", (
            "its manifest itself was changed or is not rightly signed, so nothing that it says "
            f"is proven ({', '.join(failures) or 'not valid'})"
        )
    start = "it was changed after it was signed"
    if signed is None:
        return "changed", start
    try:
        found = difference(signed, read_fingerprint(video))
    except DecodeError:
        return "changed", f"{start}: it is not a whole video any more"
    return ("cut" if found.is_cut else "changed"), f"{start}: {found.words}"


def _signer(info: Mapping[str, Any], state: object) -> Signer | None:
    if not info:
        return None
    serial = _text(info.get("cert_serial_number"))
    vouched: Vouching = "trusted" if state == "Trusted" else "nobody"
    if serial and serial == _local_serial():
        vouched = "own"
    return Signer(
        name=_text(info.get("common_name")),
        issuer=_text(info.get("issuer")),
        serial=serial,
        vouched=vouched,
    )


def _local_serial() -> str:
    from cryptography import x509

    chain = local_chain()
    return str(x509.load_pem_x509_certificates(chain.encode())[0].serial_number) if chain else ""


def signer_words(signer: Signer) -> str:
    """One line about who signed, and what that is worth."""
    name = signer.name or signer.issuer or "a certificate without a name"
    if signer.vouched == "own":
        return "signed with the certificate of this machine (self-signed): it was made here"
    if signer.vouched == "trusted":
        return f"signed by {name} ({signer.issuer}), for whom a certificate you trust vouches"
    if signer.issuer == LOCAL_MAKER:
        return "signed with a self-signed certificate of pirctl; nobody vouches for whose it is"
    return f"signed by {name} ({signer.issuer}), as it says; nobody you trust vouches for that"


def _claims(
    active: Mapping[str, Any], told: Mapping[str, Any], record: Mapping[str, Any]
) -> list[str]:
    tools = [
        f"{_text(_mapping(one).get('name'))} {_text(_mapping(one).get('version'))}".strip()
        for one in _list(active.get("claim_generator_info"))
    ]
    lines = [f"made by {', '.join(tools) or 'an unnamed tool'}"]
    if record:
        lines[0] += f", command {_text(record.get('command'))}, on {_text(record.get('made'))}"
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        for action in map(_mapping, _list(_mapping(told.get(label)).get("actions"))):
            lines.append(_action(action))
    for one in map(_mapping, _list(active.get("ingredients"))):
        line = f"made from {_text(one.get('title'))}, {_text(one.get('description'))}"
        if one.get("active_manifest"):
            line += ", which has a manifest of its own"
        lines.append(line.rstrip(", "))
    lines += [_person(_mapping(one)) for one in _list(record.get("people"))]
    return lines


def _action(action: Mapping[str, Any]) -> str:
    kind = _text(action.get("digitalSourceType")).rsplit("/", 1)[-1]
    description = _text(action.get("description"))
    said_more = [text for text in (description, kind and f"kind: {kind}") if text]
    name = _text(action.get("action")).removeprefix("c2pa.")
    return f"{name}: {'; '.join(said_more)}" if said_more else name


def _person(person: Mapping[str, Any]) -> str:
    consent = _mapping(person.get("consent"))
    start = f"shows the target {_text(person.get('target'))}"
    if not consent:
        return f"{start}; nobody's consent is recorded"
    when = _text(consent.get("recorded"))
    return (
        f"{start}; consent: {_text(consent.get('text'))}"
        f"{f', recorded {when}' if when else ''}, SHA-256 {_text(consent.get('sha256'))}"
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """One line of any value; what is not text is shown as it is, and never long."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())  # A second line could pass for one of ours.
    return text if len(text) <= 1000 else text[:1000] + "..."
