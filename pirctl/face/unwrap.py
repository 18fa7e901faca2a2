"""The lower face of every frame laid out in one fixed square, so that pixels of frames compare.

The square shows the person's mesh from the front, at rest: a freckle is at one place of it whatever
the head does and the mouth says. Lips are closed there, so what is inside the mouth has no place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pirctl.face.camera import FLIP
from pirctl.face.landmarks import FACE_OVAL
from pirctl.face.model import FaceModel
from pirctl.face.warp import FaceWarp, Placed
from pirctl.target import Track

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

SIDE_PX = 96
"""Side of the square."""
_NOSE_TIP, _CHIN, _BROW = 1, 152, 9  # Points of the mesh.
_ABOVE, _BELOW = 0.08, 0.32  # Of the face's height: room over the tip of the nose, under the chin.


@dataclass(frozen=True, kw_only=True)
class Sheets:
    """Unwrapped faces.

    Attributes:
        pixels: (B, S, S, 3) uint8, RGB.
        seen: (B, S, S) in [0, 1]: how well the camera sees the surface there; 0 beyond the frame.
    """

    pixels: ByteArray
    seen: FloatArray


class Unwrap:
    """Maps between the frames of a track and the square.

    Args:
        model: the face model of the track.
        track: the frames.
    """

    def __init__(self, model: FaceModel, track: Track) -> None:
        self._track = track
        self._warp = FaceWarp(model, track.z_id, track.K)
        rest = np.zeros((1, model.expression_width), np.float32)
        distance = np.median(track.t[track.valid, 2]) if track.valid.any() else 10.0
        place = np.array([[0, 0, distance]], np.float32)
        flat = self._warp.place(rest, FLIP.numpy()[None], place)
        points = flat.points[0, :, :2]
        oval = points[list(FACE_OVAL)]
        height = points[_CHIN, 1] - points[_BROW, 1]
        top = points[_NOSE_TIP, 1] - _ABOVE * height
        bottom = points[_CHIN, 1] + _BELOW * height
        left, right = oval[:, 0].min(), oval[:, 0].max()
        corner = np.array([left, top, 0], np.float32)
        scale = np.array([SIDE_PX / (right - left), SIDE_PX / (bottom - top), 1], np.float32)
        self._flat = replace(flat, points=(flat.points - corner) * scale)
        self._beyond = _outside(self._flat.points[0, list(FACE_OVAL), :2])
        self.face = self._beyond == 0
        """(S, S) where the face is on the square; else what is around it."""

    def lay_out(self, frames: npt.NDArray[np.uint8], numbers: list[int]) -> Sheets:
        """Unwrap the lower faces of some frames.

        Args:
            frames: (B, H, W, 3) uint8, crops of the track.
            numbers: B rows of the track.
        """
        import cv2

        maps = self._warp.maps(self._flat, self._placed(numbers), (0, 0), SIDE_PX)
        height, width = frames.shape[1:3]
        pixels = np.empty((len(numbers), SIDE_PX, SIDE_PX, 3), np.uint8)
        for row, (frame, source) in enumerate(zip(frames, maps.source, strict=True)):
            cv2.remap(
                frame, source[..., 0] - 0.5, source[..., 1] - 0.5, cv2.INTER_LINEAR,
                dst=pixels[row], borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        inside = (maps.source >= 0).all(-1) & (maps.source <= (width, height)).all(-1)
        # What hangs together with the face around it is seen whenever it is in the picture.
        return Sheets(pixels=pixels, seen=np.maximum(maps.confidence, self._beyond) * inside)

    def on_frame(self, sheet: FloatArray, number: int, size_px: int) -> FloatArray:
        """What a square (S, S) says, in the frame: (size_px, size_px), 0 beyond the square."""
        import cv2

        placed = self._placed([number])
        within = self._on_square()
        low = np.clip(np.floor(placed.points[0, within, :2].min(0)).astype(int), 0, size_px - 1)
        high = np.clip(np.ceil(placed.points[0, within, :2].max(0)).astype(int), 1, size_px)
        side = int(max(high - low))
        maps = self._warp.maps(placed, self._flat, (int(low[0]), int(low[1])), side)
        source = maps.source[0] - 0.5
        part = cv2.remap(sheet, source[..., 0], source[..., 1], cv2.INTER_LINEAR)
        part[maps.confidence[0] <= 0] = 0
        result = np.zeros((size_px, size_px), np.float32)
        target = result[low[1] : low[1] + side, low[0] : low[0] + side]
        target[:] = part[: target.shape[0], : target.shape[1]]
        return result

    def _on_square(self) -> npt.NDArray[np.bool_]:
        points = self._flat.points[0, :, :2]
        margin = SIDE_PX * 0.25
        return np.asarray(((points > -margin) & (points < SIDE_PX + margin)).all(1))

    def _placed(self, numbers: list[int]) -> Placed:
        track = self._track
        return self._warp.place(track.z_exp[numbers], track.R[numbers], track.t[numbers])


def _outside(outline: FloatArray) -> FloatArray:
    """1 outside of an outline (P, 2), else 0; (S, S)."""
    import cv2

    result = np.ones((SIDE_PX, SIDE_PX), np.float32)
    cv2.fillPoly(result, [np.round(outline - 0.5).astype(np.int32)], 0.0)
    return result
