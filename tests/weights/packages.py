"""A registry made on the spot: packages in a folder for pip, an archive for npm."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pirctl.weights.entry import WeightsEntry
from pirctl.weights.package import Package
from tests.weights.server import CONTENT, toy_entry

MEMBER = "toy/models/toy.bin"
MARK = "ran.txt"
"""What the packages write beside the tests' home if anything of them is run."""


def wheel(folder: Path, members: Mapping[str, bytes] | None = None) -> Path:
    """A wheel `toy` 1.0 that carries the model file."""
    about = {
        "toy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        "toy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
        "toy-1.0.dist-info/RECORD": b"",
    }
    path = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({MEMBER: CONTENT} if members is None else members).items():
            archive.writestr(name, content)
        for name, content in about.items():
            archive.writestr(name, content)
    return path


def tarball(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar.gz with these files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path


def sdist(folder: Path, mark: Path) -> Path:
    """A source archive `toy` 1.0 that carries the model file; its build writes `mark`."""
    setup = f"open({str(mark)!r}, 'w').write('setup.py ran')\n"
    members = {
        "toy-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        "toy-1.0/setup.py": setup.encode(),
        f"toy-1.0/{MEMBER}": CONTENT,
    }
    return tarball(folder / "toy-1.0.tar.gz", members)


def index(folder: Path, archive: Path) -> str:
    """An index in a folder, as PEP 503 has it, with one file; its address."""
    page = folder / "toy" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><a href="{archive.as_uri()}#sha256=0">{archive.name}</a>')
    return folder.as_uri()


def package_of(archive: Path, **changes: object) -> Package:
    """What weights.yaml would say of an archive."""
    content = archive.read_bytes()
    facts: dict[str, object] = {
        "registry": "pypi",
        "name": "toy",
        "version": "1.0",
        "archive": archive.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "member": MEMBER if archive.suffix == ".whl" else f"toy-1.0/{MEMBER}",
        "licence": "MIT",
    }
    return Package(**(facts | changes))  # type: ignore[arg-type]


def entry_of(*packages: Package, **changes: object) -> WeightsEntry:
    """A model file `toy` that these packages carry."""
    return toy_entry(packages=packages, **changes)
