"""Which files the paper's face model is made from, and where they are.

The licensed files are known by their content, the companions (small index files, free to fetch)
by name and hash: beside the user's files, in a folder named, or in the cache.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pirctl.errors import WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.face.matlab import HDF5, variable_names
from pirctl.files import file_hash
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights import catalog
from pirctl.weights.entry import WeightsEntry
from pirctl.weights.pull import pull

_log = logging.getLogger(__name__)

MESH_MAP = "index_mp468_from_mesh35709_v3.1.npy"
COMPANIONS = ("BFM_exp_idx.mat", "BFM_front_idx.mat", "facemodel_info.mat", "std_exp.txt")
"""What is needed beside the Basel model and the expressions; for `BFM_model_front.mat` nothing."""
_EXPRESSIONS = (79).to_bytes(4, "little")
"""How `Exp_Pca.bin` begins: the number of its axes. No MATLAB file does."""


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Where the companion files are looked for, and what they must be.

    Attributes:
        folders: in this order; the cache comes after them.
        digests: SHA-256 by file name; None takes those of `models/weights.yaml`.
        pull: fetch into the cache what is nowhere.
        on_progress: receives the bytes fetched.
    """

    folders: tuple[Path, ...] = ()
    digests: Mapping[str, str] | None = None
    pull: bool = False
    on_progress: OnProgress = ignore_progress

    def find(self, file: str) -> Path | None:
        """The companion of that name, its hash checked; None when it is nowhere.

        Raises:
            WeightsCorrupt: there is one, and it is not the one that is meant.
        """
        entry = _entry(file)
        places = (*(folder / file for folder in self.folders), entry.path)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return None
        expected = entry.sha256 if self.digests is None else self.digests.get(file)
        found = file_hash(path)
        if expected and found != expected:
            raise WeightsCorrupt(
                f"{path} has the hash {found[:12]}..., {file} has {expected[:12]}...",
                hint=f"delete it, then {entry.mend}",
            )
        return path

    def find_or_pull(self, file: str) -> Path | None:
        """As `find`, and fetched if that is allowed; None when it cannot be, which is logged."""
        path = self.find(file)
        if path is None and self.pull:
            try:
                return pull(_entry(file), on_progress=self.on_progress)
            except WeightsError as error:
                _log.warning("%s", error)
        return path

    def need(self, file: str) -> Path:
        """As `find`, and fetched if that is allowed.

        Raises:
            WeightsMissing: it is nowhere.
            WeightsError: it could not be fetched.
        """
        path = self.find(file)
        if path is None and self.pull:
            return pull(_entry(file), on_progress=self.on_progress)
        if path is None:
            names = " ".join(_entry(name).name for name in COMPANIONS)
            folders = ", ".join(map(str, self.folders))
            raise WeightsMissing(
                f"{file} is needed to make the face model from its sources, and is neither in "
                f"{folders} nor in the cache",
                hint=f"pirctl models pull {names}, or --companions FOLDER, or --pull",
            )
        return path


def _entry(file: str) -> WeightsEntry:
    """The entry of `models/weights.yaml` with that file."""
    return next(entry for entry in catalog.weights_entries().values() if entry.file == file)


def sort_files(files: Sequence[Path]) -> tuple[Path | None, Path | None, Path | None]:
    """Which file is which, by content.

    Args:
        files: what the user gave; what is left out is looked for in the cache.

    Returns:
        Ready-made model, Basel model, expressions; either the first or both others.

    Raises:
        WeightsMissing: not enough to make a model of.
        WeightsCorrupt: a file is none of these.
    """
    front = basel = expressions = None
    for path in files:
        if not _is_matlab(path):
            expressions = path
            continue
        names = variable_names(path)
        if "idBase" in names:
            front = path
        elif "shapePC" in names:
            basel = path
        else:
            raise WeightsCorrupt(
                f"{path} is neither BFM_model_front.mat nor 01_MorphableModel.mat: it has neither "
                "idBase nor shapePC",
                hint="give one of these two files",
            )
    if front is None and basel is None and expressions is None:
        front = _in_cache("bfm_model_front")
    if front is None:
        basel = basel or _in_cache("bfm_2009")
        expressions = expressions or _in_cache("exp_pca")
    if front is None and (basel is None or expressions is None):
        missing = "Exp_Pca.bin" if basel is not None else "01_MorphableModel.mat"
        raise WeightsMissing(
            f"{missing} is missing: the Basel model and the expressions are made into one",
            hint="pirctl models import bfm 01_MorphableModel.mat Exp_Pca.bin, "
            "or pirctl models import bfm BFM_model_front.mat",
        )
    return front, basel, expressions


def _is_matlab(path: Path) -> bool:
    """Whether a file is one of MATLAB's, and not `Exp_Pca.bin`, which has no name in itself."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_EXPRESSIONS):
        return False
    return start.startswith((b"MATLAB", HDF5)) or path.suffix.lower() == ".mat"


def _in_cache(name: str) -> Path | None:
    """The file of an entry that the user imported before, checked; None when it is not there."""
    try:
        return catalog.find_weights(name)
    except WeightsMissing:
        return None
