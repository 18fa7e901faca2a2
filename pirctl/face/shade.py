"""A face model drawn as a lit surface, for pictures that show what its axes do.

For people only: the paper's networks never see these pictures. Spaces as in `camera`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pirctl.face.camera import project
from pirctl.face.draw import Image
from pirctl.face.landmarks import LIPS_INNER, LIPS_OUTER, MESH_POINTS
from pirctl.face.model import FaceModel

FloatArray = npt.NDArray[np.float32]

SKIN, LIPS, EYEBALL, MOUTH = (225, 190, 165), (200, 105, 100), (235, 235, 235), (60, 15, 20)
"""Colours of the surface in full light."""
LIGHT = (-0.35, -0.45, -0.82)
"""Direction towards the lamp, camera space: above the camera and to its left."""
AMBIENT = 0.35
"""Light where the lamp does not reach."""
SUPERSAMPLING = 2
"""The picture is drawn this many times larger, for smooth edges."""


def draw_surface(image: Image, model: FaceModel, vertices_camera: Tensor, K: Tensor) -> Image:
    """Draw a face model over a picture, lit and opaque, far triangles first.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: its triangles, and where its lips, mouth and eyes are.
        vertices_camera: (V, 3) decimetres, camera space.
        K: (3, 3) intrinsics in pixels of the picture.
    """
    import cv2

    triangles, colours = _parts(model)
    corners = vertices_camera.numpy()[triangles]  # (F, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    towards = np.asarray(LIGHT) / np.linalg.norm(LIGHT)
    light = np.clip((normals / np.maximum(lengths, 1e-12)) @ towards, 0, 1)
    lit = colours * (AMBIENT + (1 - AMBIENT) * light[:, None])
    height, width = image.shape[:2]
    size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    canvas = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    pixels = SUPERSAMPLING * project(vertices_camera, K).numpy() - 0.5
    polygons = np.clip(pixels, -1e4, 1e4).round().astype(np.int32)[triangles]
    for number in np.argsort(-corners[..., 2].mean(1), kind="stable"):
        cv2.fillConvexPoly(canvas, polygons[number], lit[number].tolist())
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA))


def _parts(model: FaceModel) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """All triangles (F, 3), the closures of mouth and eyes among them, and their colours (F, 3)."""
    skin = model.triangles
    lips = _lip_vertices(model)[skin].all(1)
    groups = (
        (skin[~lips], SKIN),
        (skin[lips], LIPS),
        (model.mouth_triangles, MOUTH),
        (model.eye_triangles, EYEBALL),
    )
    triangles = torch.cat([part for part, _ in groups]).numpy()
    colours = np.concatenate([np.tile(colour, (len(part), 1)) for part, colour in groups])
    return triangles, colours.astype(np.float32)


def _lip_vertices(model: FaceModel) -> Tensor:
    """(V,) True on the lips: what is reached from their inner ring without crossing the outer."""
    chosen = torch.zeros(len(model.mean), dtype=torch.bool)
    if len(model.mean) != MESH_POINTS:
        return chosen  # Rings are known as points of the mesh only; a denser one has no colour.
    border, chosen[list(LIPS_INNER)] = list(LIPS_OUTER), True
    for _ in range(len(LIPS_OUTER)):  # More rows than lips have.
        touched = chosen[model.triangles].any(1)
        chosen[model.triangles[touched].flatten()] = True
        chosen[border] = False
    chosen[border] = True
    return chosen
