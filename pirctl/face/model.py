"""The linear face model: a mean, identity axes and named expression axes over one mesh.

Owns what a model is, how its file looks and what an unknown axis name answers; `build` makes the
bundled one, `fit` finds its coefficients in a clip. Coordinates are model space: decimetres, x to
the subject's left, y up, z out of the face.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pirctl.config import models_folder
from pirctl.errors import PirctlError, SettingsError, WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.face.landmarks import LANDMARKS_68, MESH_POINTS
from pirctl.files import atomic_file
from pirctl.weights.entry import cache_folder

GENERIC = "generic"
"""Name of the bundled face model."""
BFM = "bfm"
"""Name of the paper's face model, which `pirctl.face.bfm` imports."""

ARKIT_NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
    "tongueOut",
)  # fmt: skip
"""The 52 names of Apple's ARKit face tracking, the names of the generic model's axes."""
ARKIT_SET = frozenset(ARKIT_NAMES)


@dataclass(frozen=True, kw_only=True)
class FaceModel:
    """A morphable model: vertices = mean + z_id * identity axes + z_exp * expression axes.

    Attributes:
        name: "generic", "bfm".
        version: first 16 hex digits of the SHA-256 of the tensors; recorded in targets.
        mean: (V, 3) decimetres, the average face at rest.
        identity_basis: (I, V, 3) decimetres per standard deviation.
        expression_basis: (E, V, 3) decimetres at full strength (coefficient 1), or per standard
            deviation where the axes have no ARKit names.
        triangles: (F, 3) int64, counter-clockwise seen from outside; mouth and eyes are holes.
        expression_names: E names, one per axis.
        landmarks_68: (68,) int64 vertices of the 68 iBUG points.
        landmarks_5: (5,) int64 vertices near right eye, left eye, nose tip, right and left mouth
            corner. Eyes are their outer corners: the mesh has no irises.
        mouth_triangles: (G, 3) int64, the closure of the hole inside the lips.
        eye_triangles: (H, 3) int64, the closure of the two holes inside the lids.
        mesh_vertices: (468,) int64, the vertex of each point of the MediaPipe mesh, -1 where there
            is none; in the generic model the points are the vertices.
    """

    name: str
    version: str
    mean: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    triangles: Tensor
    expression_names: tuple[str, ...]
    landmarks_68: Tensor
    landmarks_5: Tensor
    mouth_triangles: Tensor
    eye_triangles: Tensor
    mesh_vertices: Tensor = field(default_factory=lambda: torch.arange(MESH_POINTS))

    @property
    def has_named_axes(self) -> bool:
        """Whether the expression axes are the ARKit ones: named, 0 to 1, mouth apart from brows.

        Otherwise they are principal components: numbered, in standard deviations, each of them
        moving the whole face.
        """
        return not ARKIT_SET.isdisjoint(self.expression_names)

    @property
    def identity_width(self) -> int:
        """Number of identity axes I."""
        return self.identity_basis.shape[0]

    @property
    def expression_width(self) -> int:
        """Number of expression axes E."""
        return self.expression_basis.shape[0]

    def vertices(self, z_id: Tensor, z_exp: Tensor) -> Tensor:
        """The mesh for given coefficients.

        Args:
            z_id: (..., I) in standard deviations.
            z_exp: (..., E), 1 is full strength; batch dimensions broadcast with those of z_id.

        Returns:
            (..., V, 3) decimetres, model space.
        """
        identity: Tensor = torch.tensordot(z_id, self.identity_basis, dims=1)
        expression: Tensor = torch.tensordot(z_exp, self.expression_basis, dims=1)
        return self.mean + identity + expression

    def mesh_points(self, vertices: Tensor) -> Tensor:
        """The 468 points of the MediaPipe mesh on this model.

        Points without a vertex that are among the 68 classic ones take the vertex of these.

        Args:
            vertices: (..., V, 3) or (..., V, 2).

        Returns:
            (..., 468, 3) or (..., 468, 2).

        Raises:
            WeightsError: the model does not know where the points are.
        """
        chosen = self.mesh_vertices.clone()
        for row, point in enumerate(LANDMARKS_68):
            if chosen[point] < 0:
                chosen[point] = self.landmarks_68[row]
        if bool((chosen < 0).any()):
            raise WeightsError(
                f"the face model {self.name!r} was imported without the map of the 468 mesh points",
                hint=f"pirctl models import {self.name} FILE... --companions FOLDER",
            )
        return vertices[..., chosen, :]

    def axis(self, name: str) -> int:
        """Index of the expression axis `name`.

        Raises:
            PirctlError: no such axis; the message lists near names.
        """
        return find_axis(self.expression_names, name, self.name)

    def to(self, device: str | torch.device) -> FaceModel:
        """The same model with its tensors on `device`."""
        moved: dict[str, Any] = {k: value.to(device) for k, value in self._tensors().items()}
        return replace(self, **moved)

    def _tensors(self) -> dict[str, Tensor]:
        return {key: value for key, value in vars(self).items() if isinstance(value, Tensor)}


def find_axis(names: Sequence[str], name: str, model_name: str) -> int:
    """Index of the expression axis `name` among the axes of a face model.

    Raises:
        PirctlError: no such axis; the hint lists near names.
    """
    if name in names:
        return list(names).index(name)
    folded = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    guesses = ", ".join(folded[match] for match in near)
    raise PirctlError(
        f"the face model {model_name!r} has no expression axis {name!r}",
        hint=f"did you mean {guesses}?" if near else f"axes: {', '.join(names)}",
    )


def face_model_path(name: str = "generic") -> Path:
    """The file of a face model: a shipped one, or one the user imported into the cache.

    Raises:
        SettingsError: there is none of this name; names those that are.
    """
    folders = (models_folder() / "face", cache_folder() / "face")
    for folder in folders if Path(name).name == name else ():  # A name, not a way elsewhere.
        path = folder / f"{name}.safetensors"
        if path.is_file():
            return path
    found = sorted(path.stem for folder in folders for path in folder.glob("*.safetensors"))
    raise SettingsError(
        f"there is no face model {name!r}", hint=f"face models: {', '.join(found) or 'none'}"
    )


def load_face_model(name: str = GENERIC) -> FaceModel:
    """The face model `name`, from the package or the user's own files.

    Raises:
        SettingsError: no face model has this name.
        WeightsError: the file is missing or corrupt.
    """
    return read_face_model(find_face_model(name))


def find_face_model(name: str) -> Path:
    """The file of the face model `name`; errors as `load_face_model`."""
    try:
        return face_model_path(name)
    except SettingsError as error:
        if name != BFM:
            raise
        raise WeightsMissing(
            "the face model 'bfm' is made from your own licensed files, and none was imported yet",
            hint="pirctl models import bfm BFM_model_front.mat, or stay with --face-model generic",
        ) from error


def read_face_model(path: Path) -> FaceModel:
    """Read a face model file (safetensors; see `write_face_model`).

    Raises:
        WeightsCorrupt: not a face model, or its parts do not fit each other.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            about = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        names = tuple(json.loads(about["expression_names"]))
        fields: dict[str, Any] = {
            key: value.float() if value.is_floating_point() else value.long()
            for key, value in tensors.items()
        }
        version = _digest(tensors, names)
        model = FaceModel(name=about["name"], version=version, expression_names=names, **fields)
        _check(model)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise WeightsCorrupt(f"{path} is not a face model: {error}") from error
    return model


def write_face_model(model: FaceModel, path: Path, *, half: bool = True) -> None:
    """Write a face model: float16 bases, int32 indices, names as JSON in the metadata.

    The mean stays float32, and with `half` false the bases do. `model.version` is not stored,
    reading computes it from the content.
    """
    from safetensors.torch import save_file

    _check(model)
    tensors = {
        key: value.half() if half and key.endswith("basis") else value
        for key, value in model._tensors().items()
    }
    if torch.equal(model.mesh_vertices, torch.arange(MESH_POINTS)):
        del tensors["mesh_vertices"]  # As the default, it says nothing.
    tensors = {
        key: (value if value.is_floating_point() else value.to(torch.int32)).contiguous()
        for key, value in tensors.items()
    }
    about = {"name": model.name, "expression_names": json.dumps(model.expression_names)}
    with atomic_file(path) as temporary:
        save_file(tensors, str(temporary), metadata=about)
        temporary.chmod(0o644)  # safetensors writes for the owner alone


def _digest(tensors: dict[str, Tensor], names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(json.dumps(names).encode())
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _check(model: FaceModel) -> None:
    vertices = model.mean.shape[0]
    wanted = {
        "mean": (vertices, 3),
        "identity_basis": (model.identity_width, vertices, 3),
        "expression_basis": (len(model.expression_names), vertices, 3),
        "landmarks_68": (68,),
        "landmarks_5": (5,),
        "mesh_vertices": (MESH_POINTS,),
    }
    for key, shape in wanted.items():
        if tuple(getattr(model, key).shape) != shape:
            raise ValueError(f"{key} has shape {tuple(getattr(model, key).shape)}, not {shape}")
    for key in ("triangles", "mouth_triangles", "eye_triangles", "landmarks_68", "landmarks_5"):
        index = getattr(model, key)
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < vertices:
            raise ValueError(f"{key} points outside the {vertices} vertices")
    if not -1 <= int(model.mesh_vertices.min()) <= int(model.mesh_vertices.max()) < vertices:
        raise ValueError(f"mesh_vertices points outside the {vertices} vertices")
