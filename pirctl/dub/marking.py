"""What the manifest of a video tells: of a take that `reenact` made, and of a dubbing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pirctl.dub.scenes import Footage
from pirctl.dub.script import Script
from pirctl.provenance import Ingredient, Making, Person, ingredient_of
from pirctl.settings.choices import Picture
from pirctl.target import Target, TargetAbout
from pirctl.target.consent import consent_of


def making_of_take(target: Target, picture: Picture, speech: Path) -> Making:
    """Of a new video, composed of the target's footage and as long as the speech.

    Call it before the work: what is hashed is then what is heard.
    """
    about = target.about
    source = Path(about.source)
    path = source if picture == "full" else None  # Else the source may be gone, or another one.
    return Making(
        command="reenact",
        people=(_person(target, about),),
        source=Ingredient(name=source.name, sha256=about.source_sha256, path=path),
        speech=(ingredient_of(speech),),
        details={"picture": picture, "preset": about.preset},
    )


def making_of_dub(footage: Footage, script: Script, targets: Iterable[Target]) -> Making:
    """Of a video that is the source itself, frame for frame, with other mouths."""
    source = footage.info.path
    return Making(
        command="dub",
        people=tuple(_person(target, target.about) for target in targets),
        source=Ingredient(name=source.name, sha256=footage.sha256, path=source),
        speech=tuple(ingredient_of(path) for path in script.sounds),
        keeps_timeline=True,
    )


def _person(target: Target, about: TargetAbout) -> Person:
    return Person(target=target.name, consent=consent_of(about))
