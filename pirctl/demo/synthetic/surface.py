"""Finer meshes that stay linear in the face model's vertices, and the assembly of a whole scene.

A refined vertex is a fixed weighted sum of model vertices, so the picture follows every
expression exactly and the true landmarks lie on the drawn surface. Space: head space is model
space, decimetres.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

TENSION = 0.9
"""Strength of the butterfly's curvature correction; 0 leaves midpoints flat, 1 is the scheme."""


@dataclass(frozen=True, kw_only=True)
class Refined:
    """A subdivided mesh.

    Attributes:
        weights: (N, V) sparse: refined vertices = weights @ coarse vertices; the first V rows are
            the coarse vertices themselves.
        triangles: (F, 3) int32.
        source: (F,) int32, the coarse triangle each one came from.
    """

    weights: sparse.csr_matrix
    triangles: np.ndarray
    source: np.ndarray


def refine(vertices: int, triangles: np.ndarray, creases: np.ndarray, levels: int) -> Refined:
    """Subdivide by an interpolating scheme: old points stay, new ones are put on a smooth surface.

    Args:
        vertices: number V of coarse vertices.
        triangles: (F, 3) coarse triangles.
        creases: (F,) group of each triangle; edges between groups, and of the border, are refined
            as curves of their own, so that a hole's closure does not bend the skin around it.
        levels: number of halvings.

    Source: Dyn, Levin, Gregory 1990, "A butterfly subdivision scheme", with the four-point curve
    scheme (Dyn et al. 1987) along creases; irregular vertices use the regular weights.
    """
    total = sparse.identity(vertices, format="csr")
    source = np.arange(len(triangles), dtype=np.int32)
    count = vertices
    for _ in range(levels):
        step, triangles, source = _halve(count, triangles, creases, source)
        total = (step @ total).tocsr()
        count = step.shape[0]
    return Refined(weights=total, triangles=triangles.astype(np.int32), source=source)


def _halve(
    count: int, triangles: np.ndarray, creases: np.ndarray, source: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    wings: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for triangle, group in zip(triangles.tolist(), creases[source].tolist(), strict=True):
        for k in range(3):
            a, b, c = triangle[k], triangle[(k + 1) % 3], triangle[(k + 2) % 3]
            wings.setdefault((min(a, b), max(a, b)), []).append((c, group))
    sharp = {edge for edge, sides in wings.items() if len(sides) != 2 or sides[0][1] != sides[1][1]}
    along: dict[int, list[int]] = {}
    for a, b in sharp:
        along.setdefault(a, []).append(b)
        along.setdefault(b, []).append(a)
    rows: list[dict[int, float]] = []
    number: dict[tuple[int, int], int] = {}
    for a, b in sorted(wings):
        number[a, b] = count + len(rows)
        row = {a: 0.5, b: 0.5}
        if (a, b) in sharp:
            ends = [n for v, o in ((a, b), (b, a)) for n in along[v] if n != o]
            if len(along[a]) == 2 and len(along[b]) == 2:
                for v, weight in ((a, 1), (b, 1), (ends[0], -1), (ends[1], -1)):
                    row[v] = row.get(v, 0.0) + weight * TENSION / 16
        else:
            _bend(row, (a, b), wings, sharp)
        rows.append(row)
    entries = [(k, v, w) for k, row in enumerate(rows) for v, w in row.items()]
    lower = sparse.csr_matrix(
        ([e[2] for e in entries], ([e[0] for e in entries], [e[1] for e in entries])),
        shape=(len(rows), count),
    )
    step = sparse.vstack([sparse.identity(count), lower]).tocsr()
    finer = []
    for a, b, c in triangles.tolist():
        ab, bc, ca = (number[min(p, q), max(p, q)] for p, q in ((a, b), (b, c), (c, a)))
        finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return step, np.array(finer), np.repeat(source, 4)


def _bend(
    row: dict[int, float],
    edge: tuple[int, int],
    wings: dict[tuple[int, int], list[tuple[int, int]]],
    sharp: set[tuple[int, int]],
) -> None:
    """Add the butterfly's correction to the midpoint of an inner edge, where all wings exist."""
    a, b = edge
    tips = []
    for c, _ in wings[edge]:
        for v in (a, b):
            side = (min(v, c), max(v, c))
            far = [d for d, _ in wings[side] if d not in (a, b)]
            if side in sharp or len(far) != 1:
                return
            tips.append(far[0])
    for c, _ in wings[edge]:
        row[c] = row.get(c, 0.0) + TENSION / 8
    for tip in tips:
        row[tip] = row.get(tip, 0.0) - TENSION / 16


@dataclass
class Assembly:
    """Collects parts into one list of vertices and triangles; `finish` freezes them."""

    weights: list[sparse.csr_matrix] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    rigidity: list[np.ndarray] = field(default_factory=list)
    uv: list[np.ndarray] = field(default_factory=list)
    tangents: list[np.ndarray] = field(default_factory=list)
    triangles: list[np.ndarray] = field(default_factory=list)
    materials: list[np.ndarray] = field(default_factory=list)
    parts: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        weights: sparse.spmatrix,
        offsets: np.ndarray,
        triangles: np.ndarray,
        uv: np.ndarray,
        material: int | np.ndarray,
        part: int | np.ndarray,
        *,
        rigidity: float | np.ndarray = 1.0,
        tangents: np.ndarray | None = None,
    ) -> int:
        """Add a part and return the number of its first vertex.

        Args:
            weights: (N, 468) weights of the model's vertices.
            offsets: (N, 3) dm, added to the weighted sum.
            triangles: (F, 3) into vertices of this part; negative entries -1-k name vertex k of
                the whole assembly, to share a border.
            uv: (N, 2) texels.
            material: of raster.py.
            part: parsing label, 0 for the label atlas.
            rigidity: (N,) 1 moves with the head, 0 stays with the shoulders.
            tangents: (N, 3) unit tangents of hairs in head space; None for surfaces.
        """
        first, size = self.count, len(offsets)
        self.weights.append(weights)
        self.offsets.append(offsets.astype(np.float32))
        self.rigidity.append(np.broadcast_to(np.float32(rigidity), (size,)))
        self.uv.append(uv.astype(np.float32))
        self.tangents.append(np.zeros((size, 3), np.float32) if tangents is None else tangents)
        self.triangles.append(np.where(triangles < 0, -1 - triangles, triangles + first))
        self.materials.append(np.broadcast_to(np.uint8(material), (len(triangles),)))
        self.parts.append(np.broadcast_to(np.uint8(part), (len(triangles),)))
        self.count += size
        return first

    def finish(self) -> Mesh:
        """The assembled mesh."""
        tangents = np.concatenate(self.tangents).astype(np.float32)
        return Mesh(
            weights=sparse.vstack(self.weights).astype(np.float32).tocsr(),
            offsets=np.concatenate(self.offsets),
            rigidity=np.concatenate(self.rigidity),
            uv=np.ascontiguousarray(np.concatenate(self.uv)),
            tangents=tangents,
            is_hair=(np.abs(tangents).sum(1) > 0).astype(np.uint8),
            triangles=np.ascontiguousarray(np.concatenate(self.triangles).astype(np.int32)),
            materials=np.concatenate(self.materials),
            parts=np.concatenate(self.parts),
        )


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Everything that is drawn, see `Assembly.add` for the fields; N vertices, F triangles."""

    weights: sparse.csr_matrix
    offsets: np.ndarray
    rigidity: np.ndarray
    uv: np.ndarray
    tangents: np.ndarray
    is_hair: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    parts: np.ndarray

    def positions(self, face: np.ndarray) -> np.ndarray:
        """(N, 3) positions in head space for the model's vertices `face` (468, 3)."""
        result: np.ndarray = self.weights @ face.astype(np.float32) + self.offsets
        return result


Border = dict[int, list[int]]
"""Vertices on the border of the face and of its holes, each with its two neighbours there."""


def border_of(triangles: np.ndarray) -> Border:
    """The border of a mesh."""
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border: Border = {}
    for a, b in unique[count == 1].tolist():
        border.setdefault(a, []).append(b)
        border.setdefault(b, []).append(a)
    return border


def ring_rows(border: Border, ring: tuple[int, ...]) -> list[int]:
    """Vertices of the refined face along a closed ring of coarse vertices, in order."""
    path = [ring[0]]
    # Walk from the first towards the second coarse point: the right way is the one on which it
    # comes up within a few steps.
    for start in sorted(border[ring[0]]):
        trail = [ring[0], start]
        while trail[-1] != ring[0]:
            following = [v for v in border[trail[-1]] if v != trail[-2]]
            trail.append(following[0])
        if trail.index(ring[1]) < trail.index(ring[-1]):
            path = trail[:-1]
    return path


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> np.ndarray:
    """Triangles (F, 3) of a grid of vertices numbered row by row; `closed` joins the columns."""
    cells = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1))
    r, c = cells[0].ravel(), cells[1].ravel()
    d = (c + 1) % columns
    a, b = r * columns + c, r * columns + d
    e, f = a + columns, b + columns
    return np.concatenate([np.stack([a, b, f], 1), np.stack([a, f, e], 1)])
