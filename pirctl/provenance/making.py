"""How a video was made, as it is told: in the file's comment, and in the C2PA manifest.

The manifest has the actions and ingredients that the C2PA specification names, and one assertion
of ours, `org.pirctl.making`, with what it has no words for: target, consent, and a fingerprint of
every picture (`fingerprint`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pirctl import __version__
from pirctl.files import file_hash
from pirctl.media import SYNTHETIC_COMMENT
from pirctl.target.consent import Consent

LABEL = "org.pirctl.making"
"""Name of our own assertion."""

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""The IPTC's term for footage in which a part was made by a trained network."""

_SIGNED = "signed with a C2PA manifest over"
_PICTURES = re.compile(rf"{_SIGNED} (\d+) pictures")
_EDIT = "the mouth was repainted by trained networks to say the speech"


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that went into the video.

    Attributes:
        name: of the file, without its folder: a manifest is published.
        sha256: of its content.
        path: where it is, to carry on a manifest that it has itself; None where it is gone.
    """

    name: str
    sha256: str
    path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whose mouth was repainted.

    Attributes:
        target: name of the target.
        consent: what was recorded about their consent.
    """

    target: str
    consent: Consent | None


@dataclass(frozen=True, kw_only=True)
class Making:
    """All that the manifest of a video tells.

    Attributes:
        command: that made it: "reenact" or "dub".
        people: whose mouths were repainted.
        source: the footage.
        speech: sounds, or driving videos.
        keeps_timeline: whether the result is the source itself, edited, frame for frame; else it
            is a new video composed of the source's frames.
        details: what else to tell, in plain words.
    """

    command: str
    people: tuple[Person, ...]
    source: Ingredient
    speech: tuple[Ingredient, ...] = ()
    keeps_timeline: bool = False
    details: Mapping[str, str] = field(default_factory=dict)


def ingredient_of(path: Path, sha256: str = "") -> Ingredient:
    """A file that is there as an ingredient; hashed here unless its hash is known."""
    return Ingredient(name=path.name, sha256=sha256 or file_hash(path), path=path)


def comment_for(pictures: int, *, signed: bool) -> str:
    """The file's comment; of a signed file it says so, which outlives a manifest taken out."""
    return f"{SYNTHETIC_COMMENT}, {_SIGNED} {pictures} pictures" if signed else SYNTHETIC_COMMENT


def is_comment(comment: str) -> bool:
    """Whether a comment says that pirctl made the file."""
    return "Synthetic media" in comment and "pirctl" in comment


def pictures_of(comment: str) -> int | None:
    """How many pictures a comment says were signed; None where it speaks of no manifest."""
    found = _PICTURES.search(comment)
    return int(found[1]) if found else None


def definition(
    making: Making, title: str, media_type: str, fingerprint: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest as the C2PA library takes it, without the ingredients."""
    speech = [f"speech{number}" for number in range(len(making.speech))]
    agent = {"name": "pirctl", "version": __version__}
    if making.keeps_timeline:
        first = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
        placed = speech
    else:
        first = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}
        placed = ["source", *speech]
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "description": _EDIT,
        "digitalSourceType": SOURCE_TYPE,
    }
    if speech:
        edited["parameters"] = {"ingredientIds": speech}
    actions = [first, edited]
    if placed:
        actions.insert(1, {"action": "c2pa.placed", "parameters": {"ingredientIds": placed}})
    return {
        "claim_generator_info": [agent],
        "title": encodable(title),
        "format": media_type,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{**action, "softwareAgent": agent} for action in actions]},
            },
            {"label": LABEL, "data": _record(making, fingerprint)},
        ],
    }


def ingredients(making: Making) -> list[tuple[dict[str, Any], Ingredient]]:
    """The ingredients as the C2PA library takes them, each with the file it is."""
    role = "parentOf" if making.keeps_timeline else "componentOf"
    listed = [("source", role, making.source)]
    listed += [(f"speech{n}", "componentOf", one) for n, one in enumerate(making.speech)]
    return [
        (
            {
                "label": label,
                "title": encodable(one.name),
                "relationship": relationship,
                "description": f"SHA-256 {one.sha256}",
            },
            one,
        )
        for label, relationship, one in listed
    ]


def _record(making: Making, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tool": "pirctl",
        "version": __version__,
        "command": making.command,
        # The signer's own clock: there is no time-stamping authority.
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "people": [
            {"target": one.target, "consent": None if one.consent is None else asdict(one.consent)}
            for one in making.people
        ],
        "source": _hashed(making.source),
        "speech": [_hashed(one) for one in making.speech],
        "details": dict(making.details),
        "fingerprint": dict(fingerprint),
    }


def _hashed(one: Ingredient) -> dict[str, str]:
    return {"name": encodable(one.name), "sha256": one.sha256}


def encodable(text: str) -> str:
    """`text` with escapes for what a file's name may hold that is no UTF-8."""
    return text.encode(errors="backslashreplace").decode()
