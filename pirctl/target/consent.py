"""Who agreed to the use of a person's likeness: recorded with a target, and withdrawn.

The record lies in `target.yaml` and goes into the manifest of every video that is made of the
target: words as they were given; of a file its name and its hash, never its content.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pirctl.errors import PirctlError, TargetError
from pirctl.files import file_hash
from pirctl.target.folder import Target, TargetAbout

_MOST_CHARACTERS = 500  # It is published with every video.


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Somebody's agreement, as it was recorded.

    Attributes:
        text: who agreed, in the user's words; or the name of the file that says so.
        sha256: of the words in UTF-8, or of the file's content.
        recorded: the day it was recorded, 2026-05-03 in UTC; empty where that is not known.
        withdrawn: the day it was withdrawn; empty while it stands.
    """

    text: str
    sha256: str
    recorded: str = ""
    withdrawn: str = ""

    def words(self) -> str:
        """One line for people."""
        said = f"{self.text} ({f'recorded {self.recorded}, ' if self.recorded else ''}"
        said += f"SHA-256 {self.sha256[:12]}...)"
        return f"{said}, withdrawn {self.withdrawn}" if self.withdrawn else said


def new_consent(given: str) -> Consent:
    """Make the record of what `--consent` was given: a file that is there, else words.

    Raises:
        PirctlError: nothing, too much to publish, or the name of a file that is not there.
    """
    file, given = Path(given), _encodable(given.strip())
    if not given:
        raise PirctlError("the consent is empty", hint='say who agreed: --consent "who, when"')
    if _is_file(file):
        return Consent(text=_encodable(file.name), sha256=file_hash(file), recorded=_today())
    if os.sep in given and not any(character.isspace() for character in given):
        raise PirctlError(f"{given}: no such file", hint="name a file, or say it in words")
    if len(given) > _MOST_CHARACTERS:
        raise PirctlError(
            f"the consent has {len(given)} characters, and at most {_MOST_CHARACTERS} are recorded",
            hint="put it into a file, and name the file: its hash is recorded",
        )
    digest = hashlib.sha256(given.encode()).hexdigest()
    return Consent(text=given, sha256=digest, recorded=_today())


def consent_of(about: TargetAbout) -> Consent | None:
    """The consent that is recorded with a target; None where nobody's is."""
    if not about.consent:
        return None
    # A record of before hashes and dates were kept.
    digest = about.consent_sha256 or hashlib.sha256(about.consent.encode()).hexdigest()
    return Consent(
        text=about.consent,
        sha256=digest,
        recorded=about.consent_date,
        withdrawn=about.consent_withdrawn,
    )


def consent_note(name: str, about: TargetAbout) -> str:
    """Whose agreement there is to the use of a target, in a sentence for the user."""
    consent = consent_of(about)
    if consent is None:
        return (
            f"nobody's consent to the use of {name} is recorded: "
            f'pirctl consent {name} --set "who, when"'
        )
    return f"consent to the use of {name}: {consent.words()}"


def with_consent(about: TargetAbout, consent: Consent | None) -> TargetAbout:
    """The same target with another record."""
    kept = consent or Consent(text="", sha256="")
    return replace(
        about,
        consent=kept.text,
        consent_sha256=kept.sha256,
        consent_date=kept.recorded,
        consent_withdrawn=kept.withdrawn,
    )


def record_consent(target: Target, given: str) -> None:
    """Write down what `--consent` was given with a target that is there.

    Raises:
        PirctlError: as `new_consent`.
        TargetError: the target cannot be read.
    """
    target.write_about(with_consent(target.about, new_consent(given)))


def withdraw(target: Target) -> Consent:
    """Note that the consent of a target is withdrawn; from now on it refuses to perform.

    Raises:
        TargetError: the target cannot be read.
    """
    about = target.about
    consent = consent_of(about) or Consent(text="nobody's consent was recorded", sha256=_EMPTY)
    if not consent.withdrawn:
        consent = replace(consent, withdrawn=_today())
        target.write_about(with_consent(about, consent))
    return consent


def check_consent(name: str, about: TargetAbout) -> None:
    """Raise if the person does not agree any more.

    Raises:
        TargetError: the consent was withdrawn.
    """
    if about.consent_withdrawn:
        raise TargetError(
            f"the consent to use {name!r} was withdrawn on {about.consent_withdrawn}, so it does "
            "not perform",
            hint=f"delete the target's folder; or, if the person has agreed again: "
            f'pirctl consent {name} --set "who, when"',
        )


_EMPTY = hashlib.sha256(b"").hexdigest()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _encodable(text: str) -> str:
    """`text` with escapes for what is no UTF-8 on the command line or in a file's name."""
    return text.encode(errors="backslashreplace").decode()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A text may be longer than a name can be.
        return False
