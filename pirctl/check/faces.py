"""The face in single pictures: how large, how sharp, how lit, how turned, and who else is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pirctl.face.crop import face_height
from pirctl.face.landmarks import CHIN, FACE_OVAL, FOREHEAD, MESH_POINTS, mouth_opening
from pirctl.face.looks import Look
from pirctl.face.search import FaceDetector, FloatArray, Frame
from pirctl.face.track import FaceFollower

_FOCAL = 1.5
"""Assumed focal length in long sides of the picture: a common lens; angles hardly depend on it."""
_SMALLER = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_NOISE, _DETAIL_SHARE = 0.6, 0.035
"""What a picture may lose and still show the same: grey levels, or a share of its contrast. Found
on the shared clips and the same ones blurred: between them lies a factor of two to three."""
_BURNT = 235
_LOWER_OVAL = FACE_OVAL[8:29]  # From one cheek over the chin to the other.


@dataclass(frozen=True, kw_only=True)
class FaceLook:
    """The most prominent face of one picture.

    Attributes:
        height_px: from the middle of the brows to the chin, in pixels of the video.
        detail_px: height of the smallest picture of this face that has all its detail.
        yaw_deg: turned to the side, positive to the right of the picture.
        pitch_deg: positive is looking down.
        is_whole: whether cheeks, mouth and chin lie inside the picture; foreheads may not.
        brightest: grey level that a twentieth of the face exceeds, 0 to 255: dark skin too has
            highlights, so it tells the light and not the person.
        burnt: share of the face that is white.
        one_sided: grey level of the lighter half over that of the darker.
        mouth: opening of the lips in distances of the eyes.
        others: faces beside it that are at least half as large.
    """

    height_px: float
    detail_px: float
    yaw_deg: float
    pitch_deg: float
    is_whole: bool
    brightest: float
    burnt: float
    one_sided: float
    mouth: float
    others: int


class _Noticing:
    """A detector that remembers the faces of the first picture it is shown: the whole one."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self.name, self.points, self.batch = detector.name, detector.points, detector.batch
        self.first: list[FloatArray] | None = None

    def detect_all(self, images: Sequence[Frame]) -> list[list[FloatArray]]:
        """Points of the faces in each picture."""
        found = self._detector.detect_all(images)
        if self.first is None and found:
            self.first = found[0]
        return found

    def close(self) -> None:
        """The detector stays open: it is its owner's."""


def find_face(look: Look, detector: FaceDetector) -> FaceLook | None:
    """The most prominent face of a picture; None without one.

    Args:
        look: the picture.
        detector: of mesh points, 468 or more.
    """
    import cv2

    noticing = _Noticing(detector)
    # With a fresh eye: pictures so far apart do not follow one another.
    points = FaceFollower(noticing).find(look.picture)
    if points is None:
        return None
    height, width = look.picture.shape[:2]
    oval = points[list(FACE_OVAL)]
    left, top = np.maximum(np.floor(oval.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(oval.max(0)) + 1, (width, height)).astype(int)
    grey = cv2.cvtColor(look.picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    lower = points[list(_LOWER_OVAL)]
    outline = np.rint(oval - (left, top)).astype(np.int32)
    inside = cv2.fillPoly(np.zeros(grey.shape, np.uint8), [outline], 1).astype(bool)
    yaw, pitch = _turned(points, width, height)
    tall = float(face_height(points))
    values = grey[inside] if inside.any() else np.zeros(1, np.uint8)
    return FaceLook(
        height_px=tall / look.scale,
        detail_px=tall / look.scale * _detail(grey),
        yaw_deg=yaw,
        pitch_deg=pitch,
        is_whole=bool((lower >= 0).all() and (lower <= (width, height)).all()),
        brightest=float(np.percentile(values, 95)),
        burnt=float((values >= _BURNT).mean()),
        one_sided=_one_sided(grey, inside, points - (left, top)),
        mouth=float(mouth_opening(points)),
        others=_others(noticing.first or [], tall),
    )


def _others(faces: list[FloatArray], tall: float) -> int:
    return max(0, sum(float(face_height(face)) > tall / 2 for face in faces) - 1)


@cache
def _mean_face() -> NDArray[np.float64]:
    import torch

    from pirctl.face.model import load_face_model

    model = load_face_model("generic")
    still = torch.zeros(model.identity_width), torch.zeros(model.expression_width)
    return model.vertices(*still).numpy().astype(np.float64)


def _turned(points: FloatArray, width: int, height: int) -> tuple[float, float]:
    """Yaw and pitch in degrees, of the mean face laid onto the points."""
    import cv2

    focal = _FOCAL * max(width, height)
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    seen = points[:MESH_POINTS].astype(np.float64)
    done, turn, _ = cv2.solvePnP(_mean_face(), seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not done:
        return 0.0, 0.0
    forward = cv2.Rodrigues(turn)[0] @ np.array([0.0, 0.0, 1.0])
    yaw = np.degrees(np.arctan2(forward[0], -forward[2]))
    return float(yaw), float(np.degrees(np.arcsin(np.clip(forward[1], -1, 1))))


def _detail(grey: NDArray[np.uint8]) -> float:
    """The share of its size to which a picture can be made smaller without losing detail: (0, 1].

    It loses none as long as enlarging it again gives the same picture, but for noise and what
    encoding leaves. Where that is so at a third of the size, it is out of focus or was enlarged.
    """
    import cv2

    height, width = grey.shape
    picture = grey.astype(np.float32)
    bearable = max(_NOISE, _DETAIL_SHARE * float(picture.std()))
    shares, losses = [1.0], [0.0]
    for smaller in _SMALLER:
        size = max(1, round(width / smaller)), max(1, round(height / smaller))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        again = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        shares.append(1 / smaller)
        losses.append(max(losses[-1] + 1e-6, float(np.sqrt(np.square(again - picture).mean()))))
        if losses[-1] >= bearable:
            break
    # At the smallest size that was tried, at least, where even that loses nothing.
    return 1.0 if len(losses) == 2 else float(np.interp(bearable, losses, shares))


def _one_sided(grey: NDArray[np.uint8], inside: NDArray[np.bool_], points: FloatArray) -> float:
    """Lighter half of the face over the darker, left and right of the line from brow to chin."""
    top, chin = points[FOREHEAD], points[CHIN]
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    side = (chin[0] - top[0]) * (y - top[1]) - (chin[1] - top[1]) * (x - top[0])
    halves = [grey[inside & (side > 0)], grey[inside & (side < 0)]]
    if min(len(half) for half in halves) < 20:
        return 1.0
    low, high = sorted(float(half.mean()) for half in halves)
    return (high + 1) / (low + 1)
