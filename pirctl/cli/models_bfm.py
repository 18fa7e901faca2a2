"""`pirctl models import bfm`: the paper's face model from the user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pirctl.cli.output import print_json, print_message, print_result
from pirctl.cli.progress import show_progress


def import_face_model(
    files: Sequence[Path],
    companions: Path | None,
    *,
    pull_missing: bool,
    json_output: bool,
    quiet: bool,
) -> None:
    """Make the face model and say where it is.

    Args:
        files: `BFM_model_front.mat`, or `01_MorphableModel.mat` and `Exp_Pca.bin`.
        companions: folder with the index files.
        pull_missing: fetch index files that are not there.
        json_output: print the result as JSON.
        quiet: no messages.
    """
    from pirctl.face.bfm import import_bfm

    with show_progress(quiet) as on_progress:
        made = import_bfm(files, companions, pull_missing=pull_missing, on_progress=on_progress)
    if not made.mapped_points and not quiet:
        print_message(
            "the map of the 468 mesh points was not there, so faces will be fitted by the 68 "
            "classic points; for all of them import again with --pull, or with "
            "--companions FOLDER, where FOLDER has index_mp468_from_mesh35709_v3.1.npy"
        )
    if json_output:
        print_json(made)
    else:
        print_result(made.path)


def face_model_file() -> Path:
    """The face model that was imported.

    Raises:
        WeightsMissing: none was.
    """
    from pirctl.face.model import BFM, find_face_model

    return find_face_model(BFM)
