"""Files that run code when they are unpickled: what a loader must refuse."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch


class Runs:
    """Makes a folder when it is unpickled by something that runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.mkdir, (str(self.mark),)


def write_hostile(folder: Path) -> list[Path]:
    """Write such files, in each format that torch.load knows; they make `folder`/was-run."""
    content = {"features.0.weight": torch.zeros(1), "state_dict": Runs(folder / "was-run")}
    archive, legacy, plain = (folder / f"hostile-{name}.pth" for name in ("zip", "legacy", "raw"))
    torch.save(content, archive)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    plain.write_bytes(pickle.dumps(content, protocol=2))
    return [archive, legacy, plain]
