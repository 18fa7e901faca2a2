"""Files laid out exactly as the paper's face model comes, with random numbers in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

from pirctl.face.bfm import (
    BASEL_AXES,
    BASEL_VERTICES,
    EXPRESSION_SOURCE_AXES,
    EXPRESSION_VERTICES,
    TRIANGLES,
    VERTICES,
)
from pirctl.face.bfm_files import MESH_MAP
from pirctl.face.landmarks import LANDMARKS_68, MESH_POINTS
from pirctl.face.model import FaceModel, load_face_model

UNMATCHED = (93, 127, 132, 234, 323, 356, 361, 454)
"""The mesh points that the real map leaves out: the face's edge beside the ears."""


def noise(shape: tuple[int, ...], scale: float, seed: int) -> np.ndarray:
    """Random numbers, a few of them over and over: millions of new ones take seconds."""
    drawn = np.random.default_rng(seed).normal(0, scale, 100_003).astype(np.float32)
    return np.resize(drawn, shape)


@dataclass(frozen=True)
class Mesh:
    """Triangles and keypoints, both from 1 as in the files, and the map of the mesh points."""

    triangles: np.ndarray
    keypoints: np.ndarray
    mesh_map: np.ndarray


def make_mesh() -> Mesh:
    rng = np.random.default_rng(5)
    mesh_map = rng.choice(VERTICES, MESH_POINTS, replace=False).astype(np.int64)
    mesh_map[list(UNMATCHED)] = -999
    return Mesh(
        triangles=rng.integers(1, VERTICES + 1, (TRIANGLES, 3)),
        keypoints=rng.choice(np.arange(1, VERTICES + 1), 68, replace=False),
        mesh_map=mesh_map,
    )


def write_front(path: Path, mesh: Mesh, **changes: object) -> dict[str, np.ndarray]:
    """`BFM_model_front.mat`; `changes` replaces variables, None leaves one out."""
    content: dict[str, object] = {
        "meanshape": noise((1, 3 * VERTICES), 0.5, 1) + np.float32(0.25),
        "idBase": noise((3 * VERTICES, 80), 0.03, 2),
        "exBase": noise((3 * VERTICES, 64), 0.02, 3),
        "tri": mesh.triangles.astype(np.float32),
        "keypoints": mesh.keypoints[None].astype(np.float32),
        "meantex": np.zeros((1, 12)),  # Not read, so its shape does not matter.
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    savemat(path, content)
    return content  # type: ignore[return-value]


def write_sources(folder: Path) -> dict[str, np.ndarray]:
    """`01_MorphableModel.mat` and `Exp_Pca.bin`."""
    content = {
        "shapeMU": noise((3 * BASEL_VERTICES, 1), 5e4, 1),
        "shapePC": noise((3 * BASEL_VERTICES, BASEL_AXES), 1.0, 2),
        "shapeEV": np.linspace(9e3, 1e2, BASEL_AXES, dtype=np.float32)[:, None],
    }
    savemat(folder / "01_MorphableModel.mat", content)
    axes = noise((EXPRESSION_SOURCE_AXES, 3 * EXPRESSION_VERTICES), 0.01, 4)
    with (folder / "Exp_Pca.bin").open("wb") as file:
        file.write(np.int32(EXPRESSION_SOURCE_AXES).tobytes())
        file.write(np.full(3 * EXPRESSION_VERTICES, 1e9, np.float32).tobytes())  # To be dropped.
        file.write(axes.tobytes())
    return {**content, "expressions": axes}


def write_companions(folder: Path, mesh: Mesh) -> dict[str, np.ndarray]:
    """The index files, of the types that the real ones have."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    trim = np.sort(rng.choice(BASEL_VERTICES, EXPRESSION_VERTICES, replace=False)) + 1
    front = rng.choice(EXPRESSION_VERTICES, VERTICES, replace=False) + 1
    deviations = np.linspace(4.5e5, 2.7e2, EXPRESSION_SOURCE_AXES)
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": trim[:, None].astype(np.uint16)})
    savemat(folder / "BFM_front_idx.mat", {"idx": front[:, None].astype(np.float32)})
    savemat(
        folder / "facemodel_info.mat",
        {
            "tri": mesh.triangles.astype(np.float32),
            "keypoints": mesh.keypoints[None].astype(np.float32),
        },
    )
    (folder / "std_exp.txt").write_text(" ".join(map(str, deviations)))
    np.save(folder / MESH_MAP, mesh.mesh_map)
    return {"trim": trim - 1, "front": front - 1, "deviations": deviations}


def basel_like(*, per_point: int = 3, mapped: bool = True) -> FaceModel:
    """A model with the widths and names of the paper's, but a face: the generic one in disguise.

    Its vertices are those of the generic model, each followed by `per_point` - 1 copies nearby;
    its axes are random mixtures of the generic ones in standard deviations.
    """
    generic = load_face_model("generic")
    generator = torch.Generator().manual_seed(3)

    def spread(points: torch.Tensor) -> torch.Tensor:
        return points.repeat_interleave(per_point, dim=-2)

    mix_id = torch.randn(80, generic.identity_width, generator=generator) / 9
    mix_exp = torch.randn(64, generic.expression_width, generator=generator) / 40
    mesh_map = per_point * torch.arange(MESH_POINTS)
    mesh_map[list(UNMATCHED)] = -1
    return FaceModel(
        name="bfm",
        version="basel-like",
        mean=spread(generic.mean),
        identity_basis=spread(torch.einsum("ni,ivx->nvx", mix_id, generic.identity_basis)),
        expression_basis=spread(torch.einsum("ne,evx->nvx", mix_exp, generic.expression_basis)),
        triangles=per_point * generic.triangles,
        expression_names=tuple(f"exp{index:02d}" for index in range(64)),
        landmarks_68=per_point * torch.tensor(LANDMARKS_68),
        landmarks_5=per_point * generic.landmarks_5,
        mouth_triangles=per_point * generic.mouth_triangles,
        eye_triangles=torch.empty(0, 3, dtype=torch.int64),
        mesh_vertices=mesh_map if mapped else torch.full((MESH_POINTS,), -1),
    )
