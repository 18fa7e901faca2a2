"""The paper's face model, made from files that the user has the licence for.

Two ways in: `BFM_model_front.mat`, ready made, or the Basel Face Model 2009
(`01_MorphableModel.mat`) with the expressions of Guo et al. (`Exp_Pca.bin`) and the companions,
small index files that say how the two meshes belong together. Out comes a `FaceModel` with 80
identity and 64 expression axes in standard deviations. Its coordinates are ours already
(decimetres, x to the subject's left, y up, z out of the face); the mean vertex becomes the origin.

The files come from elsewhere and are not trusted: shapes are read before content, arrays of
objects are refused, the companions must have the hashes of `models/weights.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face.bfm_files import COMPANIONS, MESH_MAP, Companions, sort_files
from pirctl.face.landmarks import MESH_POINTS, ring_closure
from pirctl.face.matlab import read_arrays, read_index
from pirctl.face.model import BFM, FaceModel, read_face_model, write_face_model
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.weights.entry import cache_folder

IntArray = npt.NDArray[np.int64]

IDENTITY_AXES, EXPRESSION_AXES = 80, 64
"""Axes kept, as in the paper; of 199 and 79."""
VERTICES, TRIANGLES = 35709, 70789
"""Of the front of the face, the mesh of the paper."""
BASEL_VERTICES, BASEL_AXES = 53490, 199
"""Of the Basel Face Model 2009."""
EXPRESSION_VERTICES, EXPRESSION_SOURCE_AXES = 53215, 79
"""Of the expressions, which lack the Basel model's inner mouth."""
MICROMETRES_PER_DM = 1e5
"""The sources are in micrometres."""

# Rows of the 68 points: outer eye corners, nose tip, mouth corners; right before left.
_FIVE = (36, 45, 30, 48, 54)
_INNER_LIPS = tuple(range(60, 68))


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import made.

    Attributes:
        path: the face model's file, in the user's cache.
        version: hash by which targets and checkpoints know it again.
        vertices: of the mesh.
        mapped_points: how many of the 468 mesh points have a vertex; 0 without the map.
    """

    path: Path
    version: str
    vertices: int
    mapped_points: int


def import_bfm(
    files: Sequence[Path],
    companions: Path | None = None,
    *,
    pull_missing: bool = False,
    digests: Mapping[str, str] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Imported:
    """Make the face model "bfm" in the user's cache.

    Args:
        files: `BFM_model_front.mat`, or `01_MorphableModel.mat` and `Exp_Pca.bin`; known by
            their content, so the names do not matter. One that is left out is looked for in the
            cache, where `pirctl models import bfm_2009` and `exp_pca` put them.
        companions: folder with the companion files; those beside `files` and in the cache are
            found without it.
        pull_missing: fetch companions that are nowhere.
        digests: hashes of the companions by file name; None takes those of the catalog.
        on_progress: called after each file.

    Raises:
        WeightsMissing: a file, or a companion, is not there.
        WeightsCorrupt: a file is not what it should be.
        WeightsError: a companion could not be fetched.
    """
    for path in files:
        if path.is_dir():
            raise WeightsMissing(f"{path} is a folder", hint="give the files in it that are meant")
        if not path.is_file():
            raise WeightsMissing(f"{path} does not exist", hint="check the path")
    folders = dict.fromkeys(([companions] if companions else []) + [path.parent for path in files])
    if companions is not None and not companions.is_dir():
        raise WeightsMissing(f"{companions} is not a folder", hint="check --companions")
    beside = Companions(
        folders=tuple(folders), digests=digests, pull=pull_missing, on_progress=on_progress
    )
    front, basel, expressions = sort_files(files)
    step = "importing the face model"
    on_progress(Progress(step=step, done=0, total=2, unit="steps"))
    if front is not None:
        model = from_front(front, _mesh_map(beside))
    else:
        assert basel is not None
        assert expressions is not None
        model = from_sources(basel, expressions, beside)
    on_progress(Progress(step=step, done=1, total=2, unit="steps"))
    path = cache_folder() / "face" / f"{BFM}.safetensors"
    write_face_model(model, path, half=False)
    written = read_face_model(path)
    on_progress(Progress(step=step, done=2, total=2, unit="steps"))
    return Imported(
        path=path,
        version=written.version,
        vertices=len(written.mean),
        mapped_points=int((written.mesh_vertices >= 0).sum()),
    )


def from_front(path: Path, mesh_map: IntArray | None) -> FaceModel:
    """The face model of `BFM_model_front.mat`, which has the axes in decimetres per deviation.

    Args:
        path: the file.
        mesh_map: (468,) vertices of the mesh points, -1 for none; None where that is not known.
    """
    values = 3 * VERTICES
    arrays = read_arrays(
        path,
        {
            "meanshape": (1, values),
            "idBase": (values, IDENTITY_AXES),
            "exBase": (values, EXPRESSION_AXES),
            "tri": (TRIANGLES, 3),
            "keypoints": (1, 68),
        },
    )
    return _assemble(
        arrays["meanshape"].reshape(-1, 3),
        _axes(arrays["idBase"]),
        _axes(arrays["exBase"]),
        read_index(path, "tri", arrays["tri"], VERTICES),
        read_index(path, "keypoints", arrays["keypoints"], VERTICES).reshape(-1),
        mesh_map,
    )


def from_sources(basel: Path, expressions: Path, companions: Companions) -> FaceModel:
    """The face model from the Basel model and the expressions.

    Source: Deng et al. 2019 (Deep3DFaceRecon), their making of the model; the mean of the
    expressions is left out, as there.

    Args:
        basel: `01_MorphableModel.mat`.
        expressions: `Exp_Pca.bin`.
        companions: the index files.
    """
    paths = {name: companions.need(name) for name in COMPANIONS}
    trim = read_index(
        paths["BFM_exp_idx.mat"],
        "trimIndex",
        read_arrays(paths["BFM_exp_idx.mat"], {"trimIndex": (EXPRESSION_VERTICES, 1)})["trimIndex"],
        BASEL_VERTICES,
    ).reshape(-1)
    front = read_index(
        paths["BFM_front_idx.mat"],
        "idx",
        read_arrays(paths["BFM_front_idx.mat"], {"idx": (VERTICES, 1)})["idx"],
        EXPRESSION_VERTICES,
    ).reshape(-1)
    mesh = read_arrays(paths["facemodel_info.mat"], {"tri": (TRIANGLES, 3), "keypoints": (1, 68)})
    values = 3 * BASEL_VERTICES
    shapes = read_arrays(
        basel,
        {"shapeMU": (values, 1), "shapePC": (values, BASEL_AXES), "shapeEV": (BASEL_AXES, 1)},
    )
    chosen = trim[front]
    scale = shapes["shapeEV"].reshape(-1)[:IDENTITY_AXES] / MICROMETRES_PER_DM
    components = shapes["shapePC"].reshape(BASEL_VERTICES, 3, BASEL_AXES)
    identity = components[chosen, :, :IDENTITY_AXES] * scale
    where = paths["facemodel_info.mat"]
    return _assemble(
        shapes["shapeMU"].reshape(-1, 3)[chosen] / MICROMETRES_PER_DM,
        np.moveaxis(identity, 2, 0),
        _read_expressions(expressions, paths["std_exp.txt"])[:, front],
        read_index(where, "tri", mesh["tri"], VERTICES),
        read_index(where, "keypoints", mesh["keypoints"], VERTICES).reshape(-1),
        _mesh_map(companions),
    )


def _read_expressions(path: Path, deviations: Path) -> npt.NDArray[Any]:
    """Expression axes (64, 53215, 3) in decimetres per deviation.

    The file: int32 number of axes, float32 mean, float32 axes one after the other.
    """
    values = 3 * EXPRESSION_VERTICES
    expected = 4 + 4 * values * (1 + EXPRESSION_SOURCE_AXES)
    size = path.stat().st_size
    if size != expected:
        raise WeightsCorrupt(
            f"{path} has {size} bytes, Exp_Pca.bin has {expected}", hint="copy or fetch it again"
        )
    count = int(np.fromfile(path, "<i4", 1)[0])
    if count != EXPRESSION_SOURCE_AXES:
        raise WeightsCorrupt(f"{path} has {count} axes, Exp_Pca.bin has {EXPRESSION_SOURCE_AXES}")
    axes = np.fromfile(path, "<f4", EXPRESSION_AXES * values, offset=4 + 4 * values)
    try:
        deviation = np.loadtxt(deviations, max_rows=EXPRESSION_SOURCE_AXES).reshape(-1)
    except ValueError as error:
        raise WeightsCorrupt(f"{deviations} is not a list of numbers: {error}") from error
    if len(deviation) != EXPRESSION_SOURCE_AXES:
        raise WeightsCorrupt(
            f"{deviations} has {len(deviation)} numbers, expected {EXPRESSION_SOURCE_AXES}"
        )
    scale = (deviation[:EXPRESSION_AXES] / MICROMETRES_PER_DM).astype(np.float32)
    return axes.reshape(EXPRESSION_AXES, EXPRESSION_VERTICES, 3) * scale[:, None, None]


def _mesh_map(companions: Companions) -> IntArray | None:
    """(468,) vertices of the mesh points, -1 for none; None without the companion."""
    path = companions.find_or_pull(MESH_MAP)
    if path is None:
        return None
    try:
        index = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise WeightsCorrupt(f"{path} is not an array of numbers: {error}") from error
    if index.shape != (MESH_POINTS,) or index.dtype.kind not in "iu" or index.max() >= VERTICES:
        raise WeightsCorrupt(
            f"{path} has {index.dtype} {index.shape}, expected {MESH_POINTS} whole numbers "
            f"below {VERTICES}"
        )
    vertices: IntArray = np.where(index < 0, -1, index).astype(np.int64)
    return vertices


def _axes(basis: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(3V, N) with x, y, z of a vertex in successive rows, as (N, V, 3)."""
    return np.moveaxis(basis.reshape(-1, 3, basis.shape[1]), 2, 0)


def _assemble(
    mean: npt.NDArray[Any],
    identity: npt.NDArray[Any],
    expression: npt.NDArray[Any],
    triangles: IntArray,
    keypoints: IntArray,
    mesh_map: IntArray | None,
) -> FaceModel:
    for name, array in (("mean", mean), ("identity", identity), ("expression", expression)):
        if not np.isfinite(array).all():
            raise WeightsCorrupt(f"the {name} of the face model has values that are no numbers")
    # In double precision: single would move the origin by the rounding of 35709 sums.
    centred = mean.astype(np.float64) - mean.astype(np.float64).mean(0)
    inner = keypoints[list(_INNER_LIPS)].tolist()
    return FaceModel(
        name=BFM,
        version="",
        mean=_tensor(centred),
        identity_basis=_tensor(identity),
        expression_basis=_tensor(expression),
        triangles=torch.from_numpy(triangles),
        expression_names=tuple(f"exp{index:02d}" for index in range(len(expression))),
        landmarks_68=torch.from_numpy(keypoints),
        landmarks_5=torch.from_numpy(keypoints[list(_FIVE)]),
        mouth_triangles=torch.tensor(ring_closure(inner)),
        eye_triangles=torch.empty(0, 3, dtype=torch.int64),  # Its eyes are closed surfaces.
        mesh_vertices=torch.full((MESH_POINTS,), -1)
        if mesh_map is None
        else torch.from_numpy(mesh_map),
    )


def _tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
