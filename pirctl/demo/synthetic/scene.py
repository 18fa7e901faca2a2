"""The shot: camera, lights and everything in it, rendered frame by frame.

`Scene` is built once per speaker (geometry, paint, soft light baked per vertex) and renders a
frame from expression and pose alone, without a random draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pirctl.demo.synthetic import raster
from pirctl.demo.synthetic.canvas import Layout
from pirctl.demo.synthetic.colour import display_table
from pirctl.demo.synthetic.head import NECK_LABEL, Head, build_head
from pirctl.demo.synthetic.lighting import KEY
from pirctl.demo.synthetic.openings import Openings
from pirctl.demo.synthetic.room import paint_room
from pirctl.demo.synthetic.shading import Placed, Surface, shade
from pirctl.demo.synthetic.texture import paint_atlas
from pirctl.face.camera import FLIP, intrinsics
from pirctl.face.landmarks import CHIN, EYE_OUTER_CORNERS, INNER_LIP_CENTRES, MESH_POINTS
from pirctl.face.model import FaceModel

FOCAL_SIDES = 2.0
"""Focal length as a multiple of the picture's side."""
FACE_SHARE = 0.385
"""Height of the face, brow to chin, as a fraction of the picture's."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One frame.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, BiSeNet's ids.
        landmarks: (478, 2) float32 pixels: the projected vertices, then both irises.
    """

    picture: np.ndarray
    labels: np.ndarray
    landmarks: np.ndarray


class Scene:
    """A speaker in front of a camera.

    Args:
        model: the face model; only one with MediaPipe's 468 vertices.
        z_id: (I,) identity of the speaker, standard deviations.
        size_px: side of the square picture.
        seed: of paint and hair.

    Attributes:
        K: (3, 3) float32 camera matrix, pixels.
        t_rest: (3,) float32 position of the head at rest, camera axes.
        rest: (E,) float32 coefficients that close the lips of this identity.
        blink: coefficient of the two blink axes at which its lids meet, at least 1.
    """

    def __init__(self, model: FaceModel, z_id: np.ndarray, size_px: int, seed: int) -> None:
        if model.mean.shape[0] != MESH_POINTS:
            raise ValueError(f"the speaker needs {MESH_POINTS} vertices, got {model.mean.shape[0]}")
        self.model = model
        self.size_px = size_px
        self._identity = model.vertices(
            torch.from_numpy(z_id).float(), torch.zeros(model.expression_width)
        ).numpy()
        self._basis = model.expression_basis.numpy()
        self.rest = self._closing()
        self.blink = self._blinking()
        neutral = self.vertices(self.rest)
        rng = np.random.default_rng(seed)
        layout = Layout(side=max(128, round(size_px * 1.25 / 2) * 2))
        origin = neutral[list(EYE_OUTER_CORNERS)].mean(0)
        self.head: Head = build_head(
            neutral,
            model.triangles.numpy(),
            model.mouth_triangles.numpy(),
            layout,
            rng,
        )
        atlas, label_atlas = paint_atlas(layout, neutral, origin, rng)
        room = paint_room(size_px, rng)
        self.K = intrinsics(FOCAL_SIDES * size_px, size_px).numpy()
        brow = neutral[[70, 105, 300, 334], 1].mean()
        height = brow - neutral[CHIN, 1]
        distance = FOCAL_SIDES * height / FACE_SHARE
        # The face a little above the middle of the picture.
        middle = 0.5 * (brow + neutral[CHIN, 1]) - 0.06 * distance / FOCAL_SIDES
        self.t_rest = np.array([0.0, middle, distance + neutral[1, 2] - 0.3], np.float32)
        self._R_rest = FLIP.numpy().astype(np.float32)
        mesh, light = self.head.mesh, self._bake(neutral)
        self._surface = Surface(
            mesh.triangles, mesh.materials, mesh.parts, mesh.uv, light, atlas, label_atlas, room,
            encode=display_table(),
        )  # fmt: skip
        self._buffers(size_px)

    def _buffers(self, size_px: int) -> None:
        self._depth = np.empty((2 * size_px, 2 * size_px), np.float32)
        self._ids = np.empty((2 * size_px, 2 * size_px), np.int32)

    def twin(self) -> Scene:
        """The same scene with buffers of its own, for rendering in another thread."""
        import copy

        other = copy.copy(self)
        other._buffers(self.size_px)
        return other

    def vertices(self, z_exp: np.ndarray) -> np.ndarray:
        """(468, 3) model vertices of this speaker, dm, head space."""
        moved = self._identity + np.tensordot(z_exp, self._basis, 1)
        return np.asarray(moved, np.float32)

    def lip_gap(self, z_exp: np.ndarray) -> float:
        """Signed distance of the lower below the upper inner lip in the middle, dm."""
        vertices = self.vertices(z_exp)
        upper, lower = INNER_LIP_CENTRES
        return float(vertices[upper, 1] - vertices[lower, 1])

    def _closing(self) -> np.ndarray:
        rest = np.zeros(self.model.expression_width, np.float32)
        axis = self.model.axis("mouthClose")
        gap = self.lip_gap(rest)
        rest[axis] = 1.0
        change = self.lip_gap(rest) - gap
        rest[axis] = float(np.clip(-gap / change, -0.1, 1.0)) if change < 0 else 0.0
        # Relaxed lids cover the upper edge of the iris.
        for side in ("Left", "Right"):
            rest[self.model.axis(f"eyeBlink{side}")] = 0.14
        return rest

    def _blinking(self) -> float:
        wanted = []
        for side, upper, lower in (("Left", 386, 374), ("Right", 159, 145)):
            z_exp = self.rest.copy()
            k = self.model.axis(f"eyeBlink{side}")
            heights = []
            for value in (0.0, 1.0):
                z_exp[k] = value
                vertices = self.vertices(z_exp)
                heights.append(float(vertices[upper, 1] - vertices[lower, 1]))
            wanted.append(heights[0] / max(1e-6, heights[0] - heights[1]))
        return float(np.clip(max(wanted), 1.0, 1.5))

    def _bake(self, neutral: np.ndarray) -> np.ndarray:
        """(N, 2) open sky and open key light per vertex, from depth maps seen from the lights."""
        mesh = self.head.mesh
        points = mesh.positions(neutral)
        normals = mesh.tangents.copy()
        raster.vertex_normals(points, mesh.triangles, mesh.is_hair, normals)
        hair = mesh.is_hair == 1
        casts = self.head.casts & (mesh.materials != raster.MOUTH) & (mesh.materials != raster.EYE)
        triangles, materials = mesh.triangles[casts], mesh.materials[casts]
        golden = np.pi * (3 - np.sqrt(5))
        k = np.arange(48)
        z = (k + 0.5) / 48
        ring = np.sqrt(1 - z * z)
        sky = np.stack([ring * np.cos(golden * k), ring * np.sin(golden * k), z], 1)
        # The sky is mostly in front and above: tilt and squeeze the hemisphere.
        sky[:, 1] += 0.35
        sky /= np.linalg.norm(sky, axis=1, keepdims=True)
        key = np.array([KEY[0], -KEY[1], -KEY[2]])
        j = np.arange(16)
        spread = 0.13 * np.sqrt((j + 0.5) / 16)
        side = np.cross(key, [0, 1, 0])
        side /= np.linalg.norm(side)
        upward = np.cross(side, key)
        cone = key + spread[:, None] * (
            np.cos(golden * j)[:, None] * side + np.sin(golden * j)[:, None] * upward
        )
        start = points + np.where(hair[:, None], 0.0, normals * 0.02)
        light = np.zeros((len(points), 2), np.float32)
        weight = np.zeros(len(points), np.float32)
        for direction in sky:
            facing = np.where(hair, 0.6, np.clip(normals @ direction, 0, 1)).astype(np.float32)
            light[:, 0] += facing * _visible(points, start, triangles, materials, direction, hair)
            weight += facing
        light[:, 0] /= np.maximum(weight, 1e-3)
        for direction in cone:
            direction = direction / np.linalg.norm(direction)
            light[:, 1] += _visible(points, start, triangles, materials, direction, hair) / len(
                cone
            )
        for _ in range(3):
            light = _spread(light, mesh.triangles[self.head.casts])
        # Light that bounces between skin and skin never lets a crease go black.
        light[:, 0] = 0.30 + 0.70 * light[:, 0]
        light[:, 1] = 0.06 + 0.94 * light[:, 1]
        # The chin's shadow on the neck moves with the chin; a soft one stands for all of them.
        below = (mesh.parts == NECK_LABEL) & (mesh.materials == raster.SKIN)
        neck = np.unique(mesh.triangles[below])
        depth = np.clip((neutral[CHIN, 1] + 0.05 - points[neck, 1]) / 0.55, 0, 1)
        light[neck] *= (0.35 + 0.65 * depth * depth * (3 - 2 * depth))[:, None]
        self._shade_openings(light, points)
        return np.ascontiguousarray(light, np.float32)

    def _shade_openings(self, light: np.ndarray, points: np.ndarray) -> None:
        """Under the upper lid it is darker than above the lower one."""
        mesh = self.head.mesh
        eye = np.unique(mesh.triangles[mesh.materials == raster.EYE])
        for which in (points[eye, 0] > 0, points[eye, 0] <= 0):
            rows = eye[which]
            third = len(rows) // 3
            light[rows[:third]] = 0.34
            light[rows[third : 2 * third]] = 0.92
            light[rows[2 * third :]] = 0.80

    def render(self, z_exp: np.ndarray, R: np.ndarray, t: np.ndarray) -> Rendering:
        """Render one frame.

        Args:
            z_exp: (E,) expression coefficients (with `rest` already in them).
            R: (3, 3) float32 rotation, model to camera.
            t: (3,) float32 dm.
        """
        head, mesh, size = self.head, self.head.mesh, self.size_px
        face = self.vertices(z_exp)
        local = np.ascontiguousarray(mesh.positions(face), np.float32)
        placed, screen, normals = (np.empty_like(local) for _ in range(3))
        focal = 2.0 * float(self.K[0, 0])
        moved = np.concatenate([R, t[:, None]], 1).astype(np.float32)
        still = np.concatenate([self._R_rest, self.t_rest[:, None]], 1)
        centre = float(self.size_px)
        raster.place(local, mesh.rigidity, moved, still, focal, centre, placed, screen)
        raster.turn(mesh.tangents, moved, normals)
        raster.vertex_normals(placed, mesh.triangles, mesh.is_hair, normals)
        raster.draw(screen, mesh.triangles, mesh.materials, self._depth, self._ids)
        picture = np.empty((size, size, 3), np.uint8)
        labels = np.empty((size, size), np.uint8)
        camera = (-R.T @ t).astype(np.float32)
        in_frame = Placed(self._ids, screen, normals, local, focal)
        openings = Openings(camera, head.eyes, self._mouth(face))
        shade(self._surface, in_frame, openings, picture, labels)
        irises = self._irises(camera)
        points = np.concatenate([face, irises]) @ R.T + t
        pixels = points[:, :2] / points[:, 2:] * self.K[0, 0] + self.K[:2, 2]
        return Rendering(picture=picture, labels=labels, landmarks=pixels.astype(np.float32))

    def _mouth(self, face: np.ndarray) -> np.ndarray:
        """The mouth's numbers for this frame: how far the jaw is turned, how light it is inside."""
        head = self.head
        mouth = head.mouth.copy()
        y, z = head.hinge
        before = np.arctan2(head.chin[1] - y, head.chin[2] - z)
        now = np.arctan2(face[CHIN, 1] - y, face[CHIN, 2] - z)
        mouth[12] = before - now
        upper, lower = INNER_LIP_CENTRES
        gap = max(0.0, float(face[upper, 1] - face[lower, 1]))
        mouth[15] = 0.45 + 0.55 * min(1.0, gap / 0.16)
        mouth[19] = face[upper, 1]
        return mouth

    def _irises(self, camera: np.ndarray) -> np.ndarray:
        """(10, 3) centre and rim of the right, then of the left iris, head space."""
        points = []
        for eye in (self.head.eyes[1], self.head.eyes[0]):
            centre, radius, angle = eye[:3], eye[3], eye[4]
            gaze = (camera - centre) / np.linalg.norm(camera - centre)
            right = np.cross([0.0, 1.0, 0.0], gaze)
            right /= np.linalg.norm(right)
            up = np.cross(gaze, right)
            middle = centre + radius * np.cos(angle) * gaze
            rim = radius * np.sin(angle)
            outer = [middle + rim * d for d in (right, up, -right, -up)]
            points += [centre + radius * gaze, *outer]
        return np.array(points, np.float32)


def _visible(
    points: np.ndarray,
    start: np.ndarray,
    triangles: np.ndarray,
    materials: np.ndarray,
    direction: np.ndarray,
    hair: np.ndarray,
) -> np.ndarray:
    """(N,) 1 where nothing lies between a vertex and a far light in `direction`, else 0."""
    across = np.cross([0.0, 1.0, 0.1], direction)
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(direction, across), direction], 1)
    side = 224
    scale = side / 5.2
    offset = np.array([side / 2, side / 2 + 0.35 * scale, 0.0])

    def seen(where: np.ndarray) -> np.ndarray:
        result = np.empty((len(where), 3), np.float32)
        raster.turn(where, frame.T, result)
        result[:, :2] *= np.float32(scale)
        result[:, 2] += 10.0
        result += offset.astype(np.float32)
        return result

    depth = np.empty((side, side), np.float32)
    ids = np.empty((side, side), np.int32)
    raster.draw(seen(points), triangles, materials, depth, ids)
    at = seen(start)
    column = np.clip(at[:, 0].astype(int), 0, side - 1)
    row = np.clip(at[:, 1].astype(int), 0, side - 1)
    slack = np.where(hair, 0.09, 0.035)
    return np.asarray(at[:, 2] >= depth[row, column] - slack)


def _spread(values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Average every vertex with the triangles around it."""
    total = values.copy()
    count = np.ones(len(values), np.float32)
    mean = values[triangles].mean(1)
    for k in range(3):
        np.add.at(total, triangles[:, k], mean)
        np.add.at(count, triangles[:, k], 1.0)
    result: np.ndarray = total / count[:, None]
    return result
