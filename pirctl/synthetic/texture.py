"""Paint: the speaker's skin, lips, brows, hair, cloth and the room behind, all drawn here.

One atlas holds everything: the unrolled face on the left, tiles of other surfaces on the right.
Colours are sRGB while painting and linear in the result. Owns colours only; shapes are in
`head.py`, light in `raster.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pirctl.face import landmarks

_PAINT_SCALE = 2
"""Paint at twice the atlas's resolution and average down: smooth edges for free."""

# Corners of the face's tile in dm (relative to the point between the eyes) and radians.
_FACE_TOP, _FACE_HEIGHT, _FACE_TURN, _FACE_AXIS_Z = 0.80, 2.2, 3.6, -0.62


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where surfaces find their colour.

    Attributes:
        side: side of the face's tile in texels; the atlas is (side, 2 * side).
    """

    side: int

    def face_uv(self, points: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """(N, 2) texels of face points (N, 3): unrolled around a vertical axis in the head."""
        relative = points - origin
        turn = np.arctan2(relative[:, 0], relative[:, 2] - _FACE_AXIS_Z)
        u = self.side * (0.5 + turn / _FACE_TURN)
        v = self.side * (_FACE_TOP - relative[:, 1]) / _FACE_HEIGHT
        return np.stack([u, v], 1)

    def _tile(self, column: int, row: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        half = self.side // 2
        inner = half - 4
        u = self.side + column * half + 2 + np.clip(x, 0, 1) * inner
        v = row * half + 2 + np.clip(y, 0, 1) * inner
        return np.stack([u, v], -1)

    def skin_uv(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) texels of neck and skull points (N, 3), relative to the point between the eyes."""
        return self._tile(0, 0, points[:, 0] / 2.4 + 0.5, (-0.2 - points[:, 1]) / 2.4)

    def hair_uv(self, shade: np.ndarray, s: np.ndarray) -> np.ndarray:
        """(..., 2) texels of hair: `shade` 0 to 1 picks a hair, `s` runs from root to tip."""
        return self._tile(0, 1, shade, s)

    def cloth_uv(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) texels of cloth points (N, 3)."""
        return self._tile(1, 0, points[:, 0] / 4.4 + 0.5, (-1.4 - points[:, 1]) / 2.3)

    def lash_uv(self) -> np.ndarray:
        """(2,) texel of the lashes' colour."""
        return self._tile(1, 1, np.array(0.5), np.array(0.5))


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells: float, octaves: int = 3
) -> np.ndarray:
    """Value noise (height, width), zero mean and unit deviation; `cells` across the width."""
    import cv2

    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        across = max(2, int(cells * 2**octave))
        down = max(2, int(across * height / width))
        coarse = rng.standard_normal((down + 1, across + 1)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    result: np.ndarray = (total - total.mean()) / (total.std() + 1e-6)
    return result


class Canvas:
    """The face's tile while it is painted: sRGB in [0,1], with a gloss channel and labels."""

    def __init__(self, side: int, neutral: np.ndarray, origin: np.ndarray) -> None:
        self.side = side * _PAINT_SCALE
        layout = Layout(side=self.side)
        self.points = layout.face_uv(neutral, origin)
        self.texel = self.side / _FACE_HEIGHT
        """Texels per dm, down."""
        self.colour = np.zeros((self.side, self.side, 3), np.float32)
        self.gloss = np.full((self.side, self.side), 1.0, np.float32)
        self.labels = np.ones((self.side, self.side), np.uint8)

    def ring(self, indices: tuple[int, ...] | list[int]) -> np.ndarray:
        """Texels (N, 2) of mesh points."""
        return self.points[list(indices)]

    def region(self, polygon: np.ndarray, soft_dm: float) -> np.ndarray:
        """(side, side) mask in [0,1] of a polygon with a soft edge."""
        import cv2

        mask = np.zeros((self.side, self.side), np.float32)
        cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        return self.blur(mask, soft_dm)

    def blur(self, mask: np.ndarray, soft_dm: float) -> np.ndarray:
        """Gaussian blur with a deviation in dm."""
        import cv2

        result: np.ndarray = cv2.GaussianBlur(mask, (0, 0), max(0.3, soft_dm * self.texel))
        return result

    def spot(self, at: np.ndarray, wide_dm: float, high_dm: float) -> np.ndarray:
        """(side, side) Gaussian spot around texel `at` (2,)."""
        y, x = np.mgrid[0 : self.side, 0 : self.side].astype(np.float32) + 0.5
        across = (x - at[0]) / (wide_dm * self.texel)
        down = (y - at[1]) / (high_dm * self.texel)
        result: np.ndarray = np.exp(-0.5 * (across**2 + down**2))
        return result

    def tint(self, mask: np.ndarray, colour: tuple[float, float, float], amount: float) -> None:
        """Mix `colour` in where `mask` is."""
        strength = (mask * amount)[..., None]
        self.colour += strength * (np.array(colour, np.float32) - self.colour)

    def strokes(
        self,
        starts: np.ndarray,
        ends: np.ndarray,
        colour: tuple[float, float, float],
        thickness_dm: float,
        amount: float,
        soft_dm: float = 0.003,
    ) -> None:
        """Hairs painted as lines from starts (N, 2) to ends (N, 2), in texels."""
        import cv2

        mask = np.zeros((self.side, self.side), np.float32)
        thick = max(1, round(thickness_dm * self.texel))
        for start, end in zip(
            np.round(starts * 16).astype(int), np.round(ends * 16).astype(int), strict=True
        ):
            cv2.line(mask, start.tolist(), end.tolist(), 1.0, thick, cv2.LINE_AA, 4)
        self.tint(np.minimum(self.blur(mask, soft_dm), 1.0), colour, amount)


SKIN_TONE = (0.845, 0.655, 0.555)
HAIR_TONE = (0.250, 0.150, 0.095)
CLOTH_TONE = (0.145, 0.265, 0.335)


def paint_atlas(
    layout: Layout, neutral: np.ndarray, origin: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint all surfaces.

    Args:
        layout: sizes of the atlas.
        neutral: (468, 3) the face at rest, dm.
        origin: (3,) point between the outer eye corners.
        rng: draws noise, freckles and single brow hairs.

    Returns:
        (side, 2 * side, 4) float32 linear albedo and gloss; (side, 2 * side) uint8 labels.
    """
    import cv2

    side = layout.side
    canvas = Canvas(side, neutral, origin)
    _paint_skin(canvas, rng)
    _paint_lips(canvas, rng)
    _paint_eye_region(canvas, rng)
    _paint_brows(canvas, rng)
    _label_face(canvas)
    atlas = np.zeros((side, 2 * side, 4), np.float32)
    labels = np.zeros((side, 2 * side), np.uint8)
    size = (side, side)
    shown = cv2.resize(np.clip(canvas.colour, 0, 1), size, interpolation=cv2.INTER_AREA)
    atlas[:, :side, :3] = to_linear(shown)
    atlas[:, :side, 3] = cv2.resize(canvas.gloss, size, interpolation=cv2.INTER_AREA)
    labels[:, :side] = cv2.resize(canvas.labels, size, interpolation=cv2.INTER_NEAREST)
    half = side // 2
    skin = np.array(SKIN_TONE) * (1 + 0.025 * smooth_noise(rng, half, half, 6, 4)[..., None])
    skin = skin * np.array([0.985, 0.965, 0.955])
    atlas[:half, side : side + half, :3] = to_linear(skin)
    atlas[:half, side : side + half, 3] = 0.55
    atlas[half : 2 * half, side : side + half] = _hair_tile(half, rng)
    cloth = np.array(CLOTH_TONE) * (1 + 0.05 * smooth_noise(rng, half, half, 40, 3)[..., None])
    ribs = np.sin(np.arange(half) * 2 * np.pi / 4.0)[None, :, None]
    atlas[:half, side + half : side + 2 * half, :3] = to_linear(cloth * (1 + 0.04 * ribs))
    atlas[:half, side + half : side + 2 * half, 3] = 0.12
    atlas[half:, side + half :, :3] = to_linear(np.array([0.07, 0.05, 0.045]))
    return atlas, labels


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0,1]. Source: IEC 61966-2-1."""
    value = np.clip(srgb, 0, 1)
    result: np.ndarray = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return result.astype(np.float32)


def display_table(entries: int = 4096) -> np.ndarray:
    """(entries,) uint8 sRGB values of evenly spaced linear values in [0,1]."""
    linear = np.linspace(0, 1, entries)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(shown * 255).astype(np.uint8)


def _paint_skin(canvas: Canvas, rng: np.random.Generator) -> None:
    side = canvas.side
    canvas.colour[:] = SKIN_TONE
    blotches = smooth_noise(rng, side, side, 9, 4)[..., None]
    canvas.colour *= 1 + blotches * np.array([0.012, 0.020, 0.022], np.float32)
    for cheek in (50, 280):
        canvas.tint(canvas.spot(canvas.points[cheek], 0.20, 0.16), (0.86, 0.50, 0.43), 0.34)
    canvas.tint(canvas.spot(canvas.points[4], 0.10, 0.10), (0.86, 0.52, 0.45), 0.30)
    canvas.tint(canvas.spot(canvas.points[landmarks.CHIN], 0.20, 0.12), (0.84, 0.55, 0.47), 0.22)
    canvas.tint(canvas.spot(canvas.points[151], 0.45, 0.18), (0.90, 0.72, 0.61), 0.35)
    for wing in (64, 294):
        canvas.tint(canvas.spot(canvas.points[wing], 0.055, 0.06), (0.74, 0.44, 0.38), 0.38)
    pores = smooth_noise(rng, side, side, side / 7, 2)
    canvas.colour *= 1 + 0.016 * pores[..., None]
    canvas.gloss *= 1 + 0.22 * pores + 0.15 * smooth_noise(rng, side, side, 12, 2)
    for oily in (4, 151, 50, 280, 199):
        canvas.gloss += 0.55 * canvas.spot(canvas.points[oily], 0.20, 0.16)
    _paint_freckles(canvas, rng)
    # Nostrils: the mesh has none.
    for nostril, wing in ((98, 97), (327, 326)):
        at = 0.58 * canvas.points[nostril] + 0.42 * canvas.points[wing]
        at = at + np.array([0.0, -0.012 * canvas.texel])
        canvas.tint(canvas.spot(at, 0.042, 0.020), (0.30, 0.13, 0.10), 0.70)
        canvas.gloss *= 1 - 0.9 * canvas.spot(at, 0.06, 0.035)


def _paint_freckles(canvas: Canvas, rng: np.random.Generator) -> None:
    import cv2

    mask = np.zeros((canvas.side, canvas.side), np.float32)
    for cheek in (117, 346, 50, 280, 4):
        for _ in range(26):
            at = canvas.points[cheek] + rng.normal(0, 0.13, 2) * canvas.texel
            radius = rng.uniform(0.003, 0.009) * canvas.texel
            centre = np.round(at * 16).astype(int).tolist()
            cv2.circle(mask, centre, int(radius * 16), rng.uniform(0.2, 0.8), -1, cv2.LINE_AA, 4)
    canvas.tint(canvas.blur(mask, 0.004), (0.62, 0.40, 0.30), 0.30)


def _paint_lips(canvas: Canvas, rng: np.random.Generator) -> None:
    outer = canvas.ring(landmarks.LIPS_OUTER)
    inner = canvas.ring(landmarks.LIPS_INNER)
    lips = canvas.region(outer, 0.008)
    canvas.tint(canvas.region(outer, 0.030), (0.74, 0.45, 0.41), 0.30)
    canvas.tint(lips, (0.735, 0.385, 0.375), 0.85)
    creases = smooth_noise(rng, 24, canvas.side, canvas.side / 14, 2)
    import cv2

    creases = cv2.resize(creases, (canvas.side, canvas.side), interpolation=cv2.INTER_LINEAR)
    canvas.colour *= 1 + 0.05 * (creases * lips)[..., None]
    # Darker towards the line between the lips, lighter in the middle of the lower lip.
    near = canvas.region(inner, 0.022)
    canvas.tint(np.clip(near * 1.6, 0, 1) * lips, (0.46, 0.20, 0.20), 0.55)
    low = 0.5 * (canvas.points[17] + canvas.points[14])
    canvas.tint(canvas.spot(low, 0.10, 0.035) * lips, (0.82, 0.50, 0.48), 0.45)
    canvas.gloss += (0.9 * lips + 0.25 * lips * creases) * (1 - np.clip(2 * near, 0, 1))
    for corner in (61, 291):
        canvas.tint(canvas.spot(canvas.points[corner], 0.025, 0.018), (0.50, 0.26, 0.23), 0.45)
    # The shadow in the dip below the lower lip.
    dip = canvas.points[18] + np.array([0, 0.035 * canvas.texel])
    canvas.tint(canvas.spot(dip, 0.10, 0.022), (0.66, 0.44, 0.37), 0.30)


def _paint_eye_region(canvas: Canvas, rng: np.random.Generator) -> None:
    import cv2

    for ring, crease in (
        (landmarks.EYE_RIGHT, (130, 247, 30, 29, 27, 28, 56, 190, 243)),
        (landmarks.EYE_LEFT, (359, 467, 260, 259, 257, 258, 286, 414, 463)),
    ):
        lids = canvas.ring(ring)
        centre = lids.mean(0)
        canvas.tint(canvas.spot(centre, 0.20, 0.115), (0.71, 0.50, 0.44), 0.42)
        bag = centre + np.array([0, 0.12 * canvas.texel])
        canvas.tint(canvas.spot(bag, 0.15, 0.045), (0.70, 0.50, 0.47), 0.30)
        line = np.zeros((canvas.side, canvas.side), np.float32)
        points = np.round(0.62 * canvas.ring(list(crease)) * 16 + 0.38 * lids[:9] * 16)
        thick = max(1, round(0.012 * canvas.texel))
        cv2.polylines(line, [points.astype(np.int32)], False, 1.0, thick, cv2.LINE_AA, 4)
        canvas.tint(canvas.blur(line, 0.010), (0.45, 0.27, 0.22), 0.55)
        # Lash line: dark above, thin and red-brown below.
        for part, dark, width, amount in (
            (lids[:9], (0.12, 0.07, 0.06), 0.030, 0.85),
            (np.concatenate([lids[8:], lids[:1]]), (0.40, 0.22, 0.19), 0.014, 0.55),
        ):
            line[:] = 0
            thick = max(1, round(width * canvas.texel))
            points = np.round(part * 16).astype(np.int32)
            cv2.polylines(line, [points], False, 1.0, thick, cv2.LINE_AA, 4)
            canvas.tint(canvas.blur(line, 0.005), dark, amount)


def _paint_brows(canvas: Canvas, rng: np.random.Generator) -> None:
    for ring, side in ((landmarks.BROW_RIGHT, -1.0), (landmarks.BROW_LEFT, 1.0)):
        brow = canvas.ring(ring)
        canvas.tint(canvas.region(brow, 0.025), (0.34, 0.20, 0.13), 0.40)
        upper, lower = brow[:5], brow[9:4:-1]
        count = 300
        along = rng.random(count) * 0.97
        across = 0.12 + 0.76 * rng.random(count)
        at = along * 4
        low = np.minimum(at.astype(int), 3)
        mix = (at - low)[:, None]
        top = upper[low] * (1 - mix) + upper[low + 1] * mix
        base = lower[low] * (1 - mix) + lower[low + 1] * mix
        start = base + across[:, None] * (top - base)
        # along runs from the temple (0) inwards (1): hairs point up near the nose, outwards after.
        inward = along[:, None]
        lean = np.concatenate([side * (1.05 - 0.75 * inward**2), -0.18 - 0.75 * inward**2], 1)
        lean[:, 1] += 0.55 * (across - 0.5)
        long = rng.uniform(0.045, 0.085, count)[:, None] * canvas.texel
        end = start + lean * long
        canvas.strokes(start, end, (0.19, 0.115, 0.08), 0.005, 0.66)
        canvas.gloss *= 1 - 0.85 * np.clip(1.5 * canvas.region(brow, 0.03), 0, 1)


def _label_face(canvas: Canvas) -> None:
    """Draw parsing labels: nose, brows, lips; everything else of the face is skin."""
    import cv2

    nose = [168, 193, 245, 188, 174, 198, 49, 48, 64, 98, 97, 2, 326, 327, 294, 278, 279, 420]
    nose += [399, 412, 465, 417]
    corner = landmarks.LIPS_OUTER.index(291)
    outer, inner = list(landmarks.LIPS_OUTER), list(landmarks.LIPS_INNER)
    upper = outer[: corner + 1] + inner[corner::-1]
    lower = [*outer[corner:], outer[0], inner[0], *inner[: corner - 1 : -1]]
    for ring, label in (
        (nose, 10),
        (list(landmarks.BROW_LEFT), 2),
        (list(landmarks.BROW_RIGHT), 3),
        (upper, 12),
        (lower, 13),
    ):
        polygon = np.round(canvas.ring(ring)).astype(np.int32)
        cv2.fillPoly(canvas.labels, [polygon], label)


def _hair_tile(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 4): every column a hair of its own shade, roots at the top."""
    shade = rng.normal(1.0, 0.20, side)
    warm = rng.normal(0.0, 0.05, side)
    along = np.linspace(0, 1, side)[:, None]
    tone = np.array(HAIR_TONE) * np.clip(shade, 0.5, 1.7)[None, :, None]
    tone = tone * (0.82 + 0.42 * along[..., None])
    tone = tone * (1 + warm[None, :, None] * np.array([1.0, 0.2, -0.8]))
    tile = np.empty((side, side, 4), np.float32)
    tile[..., :3] = to_linear(tone)
    tile[..., 3] = np.clip(rng.normal(1.0, 0.3, side), 0.2, 2)[None]
    return tile


def paint_room(size_px: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32, linear: an out-of-focus room with a window, a shelf and a plant."""
    import cv2

    side = 512
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    room = np.empty((side, side, 3), np.float32)
    wall = np.array([0.62, 0.60, 0.57], np.float32)
    room[:] = wall * (1.06 - 0.30 * x - 0.16 * y)[..., None]

    def box(left: float, top: float, right: float, low: float, tone: tuple[float, ...]) -> None:
        corner = (int(left * side), int(top * side))
        cv2.rectangle(room, corner, (int(right * side), int(low * side)), tone, -1)

    # A window on the left, from which the key light comes.
    box(-0.1, 0.03, 0.215, 0.62, (0.83, 0.82, 0.80))
    box(-0.1, 0.06, 0.095, 0.59, (0.97, 0.98, 1.0))
    box(0.115, 0.06, 0.195, 0.59, (0.93, 0.96, 1.0))
    box(-0.1, 0.62, 0.24, 0.66, (0.72, 0.69, 0.65))
    # A shelf with books on the right.
    for top in (0.20, 0.47, 0.74):
        left = 0.76
        while left < 1.0:
            wide = rng.uniform(0.014, 0.034)
            tone = np.clip(np.array([0.46, 0.40, 0.36]) + rng.normal(0, 0.055, 3), 0.15, 0.8)
            box(left, top - rng.uniform(0.12, 0.19), left + wide, top, tuple(tone.tolist()))
            left += wide + rng.uniform(0.001, 0.005)
        box(0.745, top, 1.1, top + 0.018, (0.42, 0.31, 0.23))
    # A plant on the sill.
    for _ in range(60):
        at = np.array([0.10, 0.60]) + rng.normal(0, 1, 2) * np.array([0.045, 0.07])
        tone = np.array([0.20, 0.36, 0.20]) * rng.uniform(0.7, 1.4)
        centre = (int(at[0] * side), int((at[1] - 0.08) * side))
        axes = (int(rng.uniform(4, 8)), int(rng.uniform(10, 20)))
        cv2.ellipse(room, centre, axes, rng.uniform(0, 180), 0, 360, tuple(tone.tolist()), -1)
    light = cv2.GaussianBlur(to_linear(room), (0, 0), 11)
    result: np.ndarray = cv2.resize(light, (size_px, size_px), interpolation=cv2.INTER_AREA)
    if size_px > side:
        result = cv2.resize(light, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(result, np.float32)
