"""Where on one picture of a face lies what is seen on another: the fitted mesh as a map of pixels.

Both pictures are known by coefficients and pose alone, so the map also leads to a face that nobody
has filmed: the wanted expression. Between the vertices it is piecewise linear. Beyond the face the
mesh goes on in rings that move with the head and lose the expression outwards, so that hair, jaw
line and neck follow smoothly; inside the lips a strip goes from one lip to the other.

Spaces as in `camera`: model space in dm, pictures in pixels of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pirctl.face.camera import project, transform
from pirctl.face.landmarks import FACE_OVAL, LIPS_INNER, MESH_POINTS, ring_closure
from pirctl.face.model import GENERIC, FaceModel, load_face_model
from pirctl.face.raster import FAR, draw_values

FloatArray = npt.NDArray[np.float32]

RINGS = ((1.06, 0.8), (1.16, 0.45), (1.35, 0.15), (1.7, 0.0), (2.6, 0.0))
"""Rings around the face: size in faces, and how much of the outline's expression they keep."""
_RING_CONFIDENCE = (0.3, 0.25, 0.2, 0.1, 0.0)
_RING_DEPTH = 0.6  # dm that a ring twice as large lies further back: a head is round.
_LEAST_FACING = 0.15  # Cosine below which a surface seen askew is worth nothing.
_LIPS_APART = 0.04  # Of the mouth's width: gaps that differ by less are alike.

_OVAL = list(FACE_OVAL)
_INNER = list(LIPS_INNER)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The mesh of some frames in their pictures.

    Attributes:
        points: (T, V, 3) float32; x, y in pixels of the crop, depth in dm.
        facing: (T, V) cosine between surface and camera, 1 seen from the front; 0 but on the skin.
        gaps: (T, L) distance between the inner lips along the ring, as a share of their width.
    """

    points: FloatArray
    facing: FloatArray
    gaps: FloatArray

    def of(self, frames: Sequence[int] | npt.NDArray[np.int64]) -> Placed:
        """Those of some of the frames."""
        rows = np.asarray(frames, np.int64)
        return Placed(points=self.points[rows], facing=self.facing[rows], gaps=self.gaps[rows])


@dataclass(frozen=True, kw_only=True)
class WarpMaps:
    """Where the pixels of a wanted face lie on N references.

    Attributes:
        source: (N, S, S, 2) float32, x and y in pixels of the references' crop.
        confidence: (N, S, S) in [0, 1]: how well the reference shows what is there; low where its
            surface was turned away, where its lips were apart otherwise, and beyond the face.
        mouth: (S, S) in [0, 1], 1 inside the lips of the wanted face.
    """

    source: FloatArray
    confidence: FloatArray
    mouth: FloatArray


class FaceWarp:
    """Maps between the pictures of one person.

    Args:
        model: the face model; it must know the 468 points of the mesh.
        z_id: (I,) the person's identity.
        K: (3, 3) intrinsics in pixels of the crop.

    Raises:
        WeightsError: the model does not know where the points are.
    """

    def __init__(self, model: FaceModel, z_id: FloatArray, K: FloatArray) -> None:
        identity = torch.as_tensor(np.asarray(z_id, np.float32))
        rest = model.vertices(identity, torch.zeros(model.expression_width))
        self._rest = model.mesh_points(rest)
        self._axes = model.mesh_points(model.expression_basis)  # (E, 468, 3)
        self._K = torch.as_tensor(np.asarray(K, np.float32))
        topology = model if model.name == GENERIC else load_face_model(GENERIC)
        self._faces = topology.triangles
        self._triangles = _triangles(topology)
        centre = self._rest[_OVAL].mean(0)
        outline = self._rest[_OVAL] - centre
        rings = []
        for size, _ in RINGS:
            ring = outline.clone()
            ring[:, :2] *= size
            ring[:, 2] -= _RING_DEPTH * (size - 1)
            rings.append(ring + centre)
        self._rings = torch.cat(rings)
        self._kept = torch.tensor([kept for _, kept in RINGS]).repeat_interleave(len(_OVAL))

    def moved(self, z_exp: FloatArray) -> FloatArray:
        """How far the expressions (T, E) move the 468 points, (T, 468, 3) in dm."""
        coefficients = torch.as_tensor(np.asarray(z_exp, np.float32))
        moved: FloatArray = torch.tensordot(coefficients, self._axes, dims=1).numpy()
        return moved

    def place(self, z_exp: FloatArray, R: FloatArray, t: FloatArray) -> Placed:
        """Put the mesh into the pictures of some frames.

        Args:
            z_exp: (T, E) expression.
            R: (T, 3, 3) rotations.
            t: (T, 3) translations in dm.
        """
        rotations, places = (torch.as_tensor(np.asarray(part, np.float32)) for part in (R, t))
        moved = torch.from_numpy(self.moved(z_exp))
        skin = self._rest + moved
        rings = self._rings + self._kept[:, None] * moved[:, _OVAL].repeat(1, len(RINGS), 1)
        vertices = torch.cat([skin, rings, skin[:, _INNER]], dim=1)
        camera = transform(rotations, places, vertices)
        points = torch.cat([project(camera, self._K), camera[..., 2:]], dim=-1)
        upper, lower = skin[:, _INNER], skin[:, _opposite()]
        width = (skin[:, _INNER[0]] - skin[:, _INNER[len(_INNER) // 2]]).norm(dim=-1)
        gaps = (upper - lower).norm(dim=-1) / width[:, None]
        facing = torch.zeros(vertices.shape[:2])
        facing[:, :MESH_POINTS] = _facing(camera[:, :MESH_POINTS], self._faces)
        return Placed(points=points.numpy(), facing=facing.numpy(), gaps=gaps.numpy())

    def maps(
        self, wanted: Placed, references: Placed, corner: tuple[int, int], side: int
    ) -> WarpMaps:
        """Map a square of the wanted picture to the references.

        Args:
            wanted: one frame's mesh.
            references: N frames' meshes.
            corner: x and y of the square's upper left corner in the crop.
            side: S, side of the square in pixels.
        """
        count = len(references.points)
        screen = wanted.points[0] - np.array([*corner, 0], np.float32)
        values = np.empty((len(screen), 3 * count + 1), np.float32)
        values[:, : 2 * count] = (
            references.points[:, :, :2].transpose(1, 0, 2).reshape(-1, 2 * count)
        )
        values[:, 2 * count : -1] = _confidence(wanted, references).T
        values[:, -1] = 0
        values[-len(_INNER) :, -1] = 1
        picture = np.zeros((side, side, values.shape[1]), np.float32)
        depth = np.full((side, side), FAR, np.float32)
        draw_values(screen, values, self._triangles, picture, depth)
        _stay_beyond(picture, depth, corner, count)
        source = picture[..., : 2 * count].reshape(side, side, count, 2).transpose(2, 0, 1, 3)
        confidence = picture[..., 2 * count : -1].transpose(2, 0, 1)
        return WarpMaps(
            source=np.ascontiguousarray(source),
            confidence=np.ascontiguousarray(confidence),
            mouth=np.ascontiguousarray(picture[..., -1]),
        )


def _stay_beyond(
    picture: FloatArray, depth: FloatArray, corner: tuple[int, int], count: int
) -> None:
    """Beyond the outermost ring a pixel is where it was, and nothing is known of it."""
    rows, columns = np.nonzero(depth >= FAR)
    for k in range(count):
        picture[rows, columns, 2 * k] = columns + corner[0] + 0.5
        picture[rows, columns, 2 * k + 1] = rows + corner[1] + 0.5


def _confidence(wanted: Placed, references: Placed) -> FloatArray:
    """How well each reference shows each vertex, (N, V) in [0, 1]."""
    least = _LEAST_FACING
    seen = np.clip((references.facing - least) / (1 - least), 0, 1)
    needed = np.clip((wanted.facing - least) / (1 - least), 0.1, 1)
    confidence = np.minimum(seen / needed, 1)
    for k, value in enumerate(_RING_CONFIDENCE):
        first = MESH_POINTS + k * len(_OVAL)
        confidence[:, first : first + len(_OVAL)] = value
    wider = np.maximum(references.gaps, wanted.gaps) + _LIPS_APART
    narrower = np.minimum(references.gaps, wanted.gaps) + _LIPS_APART
    confidence[:, -len(_INNER) :] = narrower / wider
    return np.asarray(confidence, np.float32)


def _facing(vertices_camera: Tensor, faces: Tensor) -> Tensor:
    """Cosine between the surface at every vertex and the ray to it, (T, V); below 0 as 0."""
    a, b, c = (vertices_camera[:, faces[:, i]] for i in range(3))
    flat = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices_camera)
    for i in range(3):
        normals.index_add_(1, faces[:, i], flat)
    rays = torch.nn.functional.normalize(vertices_camera, dim=-1)
    return -(torch.nn.functional.normalize(normals, dim=-1) * rays).sum(-1).clamp(max=0)


def _opposite() -> list[int]:
    """For every point of the inner ring the one on the other lip; a corner is its own."""
    half = len(_INNER) // 2
    return [_INNER[0], *(_INNER[-i] for i in range(1, half)), _INNER[half],
            *(_INNER[half - i] for i in range(1, half))]  # fmt: skip


def _triangles(model: FaceModel) -> npt.NDArray[np.int32]:
    """Skin, lids and rings, and the strip inside the lips on vertices of its own, (F, 3)."""
    ring_of = [_OVAL]
    for k in range(len(RINGS)):
        first = MESH_POINTS + k * len(_OVAL)
        ring_of.append(list(range(first, first + len(_OVAL))))
    skirt = []
    for inner, outer in pairwise(ring_of):
        for i in range(len(_OVAL)):
            j = (i + 1) % len(_OVAL)
            skirt += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
    strip_first = MESH_POINTS + len(RINGS) * len(_OVAL)
    place = {point: strip_first + i for i, point in enumerate(_INNER)}
    strip = [[place[point] for point in triangle] for triangle in ring_closure(_INNER)]
    parts = [model.triangles.numpy(), model.eye_triangles.numpy(), np.array(skirt), np.array(strip)]
    return np.concatenate(parts).astype(np.int32)
