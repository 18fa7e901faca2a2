"""What a finished video says about its own making: a signed C2PA manifest, and how it is read."""

from pirctl.provenance.credentials import Credentials, Signing, open_credentials
from pirctl.provenance.making import Ingredient, Making, Person, comment_for, ingredient_of
from pirctl.provenance.signing import Mark, check_mark, mark

__all__ = [
    "Credentials",
    "Ingredient",
    "Making",
    "Mark",
    "Person",
    "Signing",
    "check_mark",
    "comment_for",
    "ingredient_of",
    "mark",
    "open_credentials",
]
