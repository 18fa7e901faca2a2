"""Where surfaces find their colour in the atlas, and the brush that paints the face's tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PAINT_SCALE = 2
"""Paint at twice the atlas's resolution and average down: smooth edges for free."""

# Corners of the face's tile in dm (relative to the point between the eyes) and radians.
_FACE_TOP, _FACE_HEIGHT, _FACE_TURN, _FACE_AXIS_Z = 0.80, 2.2, 3.6, -0.62

_SOFT_DM = 0.003
"""How far the edge of a painted hair is blurred."""


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
    ) -> None:
        """Hairs painted as lines from starts (N, 2) to ends (N, 2), in texels."""
        import cv2

        mask = np.zeros((self.side, self.side), np.float32)
        thick = max(1, round(thickness_dm * self.texel))
        for start, end in zip(
            np.round(starts * 16).astype(int), np.round(ends * 16).astype(int), strict=True
        ):
            cv2.line(mask, start.tolist(), end.tolist(), 1.0, thick, cv2.LINE_AA, 4)
        self.tint(np.minimum(self.blur(mask, _SOFT_DM), 1.0), colour, amount)
