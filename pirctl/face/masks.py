"""Which pixels belong to the head, and which ones the renderer repaints.

The inpainting mask follows the head but not its expression: its outline encloses the lower face
with the lips closed and with the jaw dropped, so its shape says nothing about the mouth under it,
and new speech fits whatever it needs. The region `mouth` is as small as the change needs instead:
it follows the jaw of the footage and that of the expression to be shown. All masks are of the
square crop.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import ConvexHull

from pirctl.face.camera import project, transform
from pirctl.face.model import FaceModel
from pirctl.face.parsing import HEAD_LABELS
from pirctl.settings import MaskSettings

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

JAW_DROP = 0.7
"""How far the jaw drops in the outline, as a coefficient of `jawOpen`; speech seldom needs more."""
CHIN_DROP, LIPS_APART = 0.09, 0.15
"""What that does to the bundled model, in face heights; for models without such an axis."""
# Rows of the 68 iBUG points, which every face model has.
_CHIN, _BROWS, _NOSE_TIP, _NOSE_BASE, _LIPS = 8, slice(17, 27), 30, 33, slice(48, 60)
_INNER_HIGH, _INNER_LOW = 62, 66
_FRACTION_BITS = 6
_MOUTH_ASIDE = 0.7  # Of the face's half width: how far to the sides the region `mouth` reaches.
_IS_HEAD = np.isin(np.arange(256), HEAD_LABELS)


def head_mask(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where the head is.

    Args:
        labels: (..., H, W) label maps of `parsing`.

    Returns:
        (..., H, W), True on face, ears, hair, hat and glasses.
    """
    mask: npt.NDArray[np.bool_] = _IS_HEAD[labels]
    return mask


class MaskPainter:
    """Paints the inpainting masks of one person.

    What depends on the person only is worked out once; a frame costs a projection of a
    hundred points, a polygon and a blur of its surroundings.

    Attributes:
        follows: whether the mask follows the expressions that `paint` is given.

    Args:
        model: the face model.
        z_id: (I,) the person's identity.
        K: (3, 3) intrinsics in pixels of the crop.
        size_px: side of the crop in pixels.
        settings: region and margins.
    """

    def __init__(
        self,
        model: FaceModel,
        z_id: FloatArray,
        K: FloatArray,
        size_px: int,
        settings: MaskSettings,
    ) -> None:
        self.follows = settings.region == "mouth"
        if self.follows:
            rest, axes = _around_mouth(model, z_id)
            self._hull, self._axes = torch.from_numpy(rest), torch.from_numpy(axes)
        else:
            self._hull = torch.from_numpy(mask_points(model, z_id, settings))
        self._dropped = dropped_jaw(model).numpy()
        self._K = torch.as_tensor(np.asarray(K, np.float32))
        self._size_px = size_px
        self._settings = settings
        # An average face's height: the same for everybody, so that margins are.
        self._height_dm = _face_height_dm(model.mean[model.landmarks_68].numpy())

    def outline(self, R: FloatArray, t: FloatArray, z_exp: FloatArray | None = None) -> FloatArray:
        """The points (P, 2) in pixels of the crop whose hull is the mask without its margin.

        Arguments as for `paint`.
        """
        points = self._hull
        if self.follows:
            if z_exp is None:
                raise ValueError("a mask that follows the expression needs at least one")
            moved = torch.tensordot(torch.as_tensor(z_exp), self._axes, dims=1)
            points = (points + moved).flatten(0, 1)
        rotation = torch.as_tensor(np.asarray(R, np.float32))
        camera = transform(rotation, torch.as_tensor(np.asarray(t, np.float32)), points)
        outline: FloatArray = project(camera, self._K).numpy()
        return outline

    def paint(self, R: FloatArray, t: FloatArray, z_exp: FloatArray | None = None) -> FloatArray:
        """The mask of one frame.

        Args:
            R: (3, 3) rotation.
            t: (3,) translation in dm.
            z_exp: (N, E) the expressions that a mask which follows them has to hide: the one in
                the frame, and the one to be shown.

        Returns:
            (H, W) float32 in [0, 1]: 1 inside, falling to 0 over the feather's width inside the
            outline, exactly 0 from there on.
        """
        points = self.outline(R, t, z_exp)
        face_px = self._face_px(t)
        return paint_hull(
            points,
            self._size_px,
            margin_px=self._settings.margin * face_px,
            feather_px=self._settings.feather * face_px,
        )

    def largest_boxes(self, R: FloatArray, t: FloatArray, z_exp: FloatArray) -> IntArray:
        """Boxes (T, 4), left, top, right, bottom, in which the masks lie whatever is to be shown.

        Args:
            R: (T, 3, 3) rotations.
            t: (T, 3) translations in dm.
            z_exp: (T, E) the frames' own expressions.
        """
        boxes = np.zeros((len(R), 4), np.int64)
        for row, (rotation, place, own) in enumerate(zip(R, t, z_exp, strict=True)):
            points = self.outline(rotation, place, np.stack([own, own + self._dropped]))
            margin = self._settings.margin * self._face_px(place) + 2
            low, high = points.min(0) - margin, points.max(0) + margin
            boxes[row] = [*np.floor(low), *np.ceil(high)]
        return np.clip(boxes, 0, self._size_px)

    def _face_px(self, t: FloatArray) -> float:
        """Height of an average face in pixels of the crop."""
        return self._height_dm * float(self._K[1, 1]) / max(float(t[2]), 1e-3)


def mask_points(model: FaceModel, z_id: FloatArray, settings: MaskSettings) -> FloatArray:
    """The points of the face that the mask encloses, whatever the expression.

    The lower face at rest and with the jaw dropped, and the chin line lowered by `chin_margin`.

    Returns:
        (P, 3) in dm, model space.
    """
    identity = torch.as_tensor(np.asarray(z_id, np.float32))
    still = torch.zeros(model.expression_width)
    rest = model.vertices(identity, still).numpy()
    shapes = [rest, model.vertices(identity, dropped_jaw(model)).numpy()]
    marks = rest[model.landmarks_68.numpy()]
    chosen = _lower_face(rest, marks) if settings.region == "lower" else np.ones(len(rest), bool)
    chin_line = rest[:, 1] < (marks[_LIPS, 1].min() + marks[_CHIN, 1]) / 2
    lowered = rest[chosen & chin_line].copy()
    lowered[:, 1] -= settings.chin_margin * _face_height_dm(marks)
    points = np.concatenate([*(shape[chosen] for shape in shapes), lowered]).astype(np.float32)
    # What is inside the hull in space is inside its outline in every picture.
    corners: FloatArray = points[ConvexHull(points).vertices]
    return corners


def _around_mouth(model: FaceModel, z_id: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Vertices of the region `mouth` at rest (P, 3), and how the expression moves them (E, P, 3).

    The lower face without its sides: there the outline of the face does not move when it speaks,
    and what lies behind it is not the face's.
    """
    identity = torch.as_tensor(np.asarray(z_id, np.float32))
    rest = model.vertices(identity, torch.zeros(model.expression_width)).numpy()
    marks = rest[model.landmarks_68.numpy()]
    aside = np.abs(rest[:, 0]) / np.abs(rest[:, 0]).max()
    chosen = _lower_face(rest, marks, from_row=_NOSE_BASE) & (aside < _MOUTH_ASIDE)
    return rest[chosen], model.expression_basis.numpy()[:, chosen]


def dropped_jaw(model: FaceModel) -> torch.Tensor:
    """The expression (E,) of a dropped jaw.

    Where no axis is named after it: the smallest coefficients that move the chin and part the
    lips as far.
    """
    dropped = torch.zeros(model.expression_width)
    if "jawOpen" in model.expression_names:
        dropped[model.axis("jawOpen")] = JAW_DROP
        return dropped
    marks = model.landmarks_68
    upward = model.expression_basis[:, marks, 1]
    moves = torch.stack([upward[:, _CHIN], upward[:, _INNER_LOW] - upward[:, _INNER_HIGH]])
    wanted = torch.tensor([-CHIN_DROP, -LIPS_APART]) * _face_height_dm(model.mean[marks].numpy())
    # A little damping: axes that hardly move the chin must not be driven far for it.
    gram = moves @ moves.T
    damped = gram + 1e-3 * gram.trace() * torch.eye(2)
    dropped[:] = moves.T @ torch.linalg.solve(damped, wanted)
    return dropped


def _lower_face(
    rest: FloatArray, marks: FloatArray, from_row: int = _NOSE_TIP
) -> npt.NDArray[np.bool_]:
    """Vertices below a point of the nose; towards the ears, which never move, lower still."""
    tip, mouth = marks[from_row, 1], marks[_LIPS, 1].mean()
    aside = np.abs(rest[:, 0]) / np.abs(rest[:, 0]).max()
    limit = tip - (tip - mouth) * np.clip((aside - 0.45) / 0.55, 0, 1)
    below: npt.NDArray[np.bool_] = rest[:, 1] <= limit
    return below


def _face_height_dm(marks: FloatArray) -> float:
    """Brows to chin."""
    return float(marks[_BROWS, 1].mean() - marks[_CHIN, 1])


def paint_hull(
    points: FloatArray, size_px: int, *, margin_px: float, feather_px: float
) -> FloatArray:
    """The convex hull of points, widened, with an edge that is soft towards the inside.

    Args:
        points: (P, 2) pixels.
        size_px: side of the mask.
        margin_px: how far the mask reaches beyond the hull; corners become round.
        feather_px: width of the soft edge, inside of that outline.

    Returns:
        (size_px, size_px) float32 in [0, 1].
    """
    import cv2

    # A box blur of odd width k reaches (k - 1) / 2 pixels; twice gives a smooth slope.
    reach = max(1, round(feather_px / 4))
    solid_px = max(margin_px - 2 * reach - 1, 0.0)  # A drawn line covers a pixel more.
    low = np.floor(points.min(0) - margin_px).astype(int) - 2
    high = np.ceil(points.max(0) + margin_px).astype(int) + 3
    low, high = np.clip(low, 0, size_px), np.clip(high, 0, size_px)
    mask = np.zeros((size_px, size_px), np.float32)
    if (high <= low).any():
        return mask
    hull = cv2.convexHull(np.ascontiguousarray(points, np.float32))[:, 0]
    # OpenCV puts the centre of pixel 0 at 0, we at 0.5. Room at the border keeps the blur from
    # seeing an edge where the hull goes on outside.
    room = 2 * reach + 1
    local = (hull - low + room - 0.5) * (1 << _FRACTION_BITS)
    fixed = [np.round(local).astype(np.int32)]
    width, height = high - low + 2 * room
    patch = np.zeros((height, width), np.uint8)
    cv2.fillPoly(patch, fixed, 255, shift=_FRACTION_BITS)
    if solid_px >= 0.5:
        thick = max(1, int(2 * solid_px))
        cv2.polylines(patch, fixed, True, 255, thickness=thick, shift=_FRACTION_BITS)
    soft = patch.astype(np.float32)
    for _ in range(2):
        soft = cv2.blur(soft, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_CONSTANT)
    soft *= 1 / 255
    # Moving sums leave dust, and a square window reaches further diagonally: cut off what 8 bits
    # would not show.
    soft[soft < 1 / 255] = 0
    np.clip(soft, 0, 1, out=soft)
    soft[soft > 1 - 1e-4] = 1
    inner = soft[room : height - room, room : width - room]
    mask[low[1] : high[1], low[0] : high[0]] = inner
    return mask
