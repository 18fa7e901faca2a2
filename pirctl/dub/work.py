"""The work folder of a dubbing: what is finished of it, so that the same command goes on.

    TARGET/dub/KEY/
      about.json           what is being made, for people
      plan.safetensors     what every frame shows
      segments/            the finished ones, each whole or not there

KEY is a hash of all that decides the pictures: other inputs work in another folder. It is removed
when the result has its name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.dub.division import Segment
from pirctl.files import atomic_file, disk_errors
from pirctl.target import Target

FORMAT = 2
"""Counted up whenever the same inputs give other pictures."""
FOLDER = "dub"
"""Name of the folder of all such work in a target."""
_KEY_DIGITS = 16

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """One work folder.

    Args:
        folder: `TARGET/dub/KEY`.
        suffix: of the files of segments.
    """

    folder: Path
    suffix: str

    @property
    def plan_path(self) -> Path:
        """What every frame shows."""
        return self.folder / "plan.safetensors"

    def segment_path(self, segment: Segment) -> Path:
        """Where a finished segment lies."""
        name = f"{segment.first:08d}-{segment.stop:08d}{self.suffix}"
        return self.folder / "segments" / name

    def open(self, about: Mapping[str, Any]) -> None:
        """Make the folder, or clear away what a killed run left half-written."""
        (self.folder / "segments").mkdir(parents=True, exist_ok=True)
        for path in (*self.folder.glob(".*.part*"), *(self.folder / "segments").glob(".*.part*")):
            path.unlink(missing_ok=True)
        with atomic_file(self.folder / "about.json") as temporary:
            temporary.write_text(json.dumps(about, indent=2, sort_keys=True), encoding="utf-8")

    def write_plan(self, arrays: Arrays) -> None:
        """Write the plan, whole or not at all."""
        from safetensors.numpy import save

        with atomic_file(self.plan_path) as temporary:
            temporary.write_bytes(save({n: np.ascontiguousarray(a) for n, a in arrays.items()}))

    def read_plan(self) -> Arrays | None:
        """The plan of an earlier run; None: there is none that can be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(self.plan_path) if self.plan_path.is_file() else None
        except (SafetensorError, OSError):
            return None

    def remove(self) -> None:
        """Remove the folder, and that of all such work if nothing else is in it."""
        with disk_errors(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.parent.is_dir() and not any(self.folder.parent.iterdir()):
                self.folder.parent.rmdir()


def work_folder(target: Target, inputs: Mapping[str, Any]) -> Path:
    """The work folder for these inputs.

    Args:
        target: beside which it lies.
        inputs: all that decides the pictures, as plain values for JSON.
    """
    return target.folder / FOLDER / digest_of({"format": FORMAT, **inputs})


def digest_of(inputs: object) -> str:
    """A short hash of plain values."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
