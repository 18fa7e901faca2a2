"""What a person's lower face looks like, and how far a picture of it may differ.

Learnt from unwrapped faces (`face.unwrap`): the mean, the directions in which they vary (light,
wrinkles, shadows under the lip), and for every pixel a tolerance, from how far faces that were not
learnt from lie beside these directions. A face is compared by a fit that what is in front of it
does not pull: pixels that disagree lose their say, again and again.

Source: iteratively reweighted least squares with the weights of Geman and McClure 1987; principal
components with missing pixels filled in as in Roweis 1998.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pirctl.face.unwrap import SIDE_PX, Sheets

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

AXES = 14
"""Directions in which a face varies, at most."""
_BLUR_PX = 0.8  # Noise and the encoder's blocks are no disagreement.
_WIDE_PX = 1.6  # What is in front is an area: its pixels disagree together.
_STEP_PX = 3  # The fit looks at every so manieth pixel.
_ROUNDS, _FITS, _FILLS = 3, 4, 2
_ORDINARY = 0.98  # Share of the differences in clean footage that a tolerance covers.
_LEAST = np.float32(4.0)  # Of 255: tolerance at least.
_OUTSIDE = 2.0  # Tolerances beyond which a pixel is strange, for learning.
_FREE, _FREEST = (
    0.01,
    0.5,
)  # Share of such pixels in a frame that is learnt from; of all, at least so many.
_SEEN = 0.2
_RUN = 4  # Neighbours in time are alike: a tolerance is measured on others.


@dataclass(frozen=True, kw_only=True)
class Look:
    """A person's look.

    Attributes:
        mean: (P,) features of the mean face, P = S * S * 3.
        axes: (D, P) directions in which faces vary, orthonormal.
        spread: (D,) standard deviation along each.
        tolerance: (P,) differences that are ordinary.
        range: (P,) how far faces are from the mean ordinarily.
    """

    mean: FloatArray
    axes: FloatArray
    spread: FloatArray
    tolerance: FloatArray
    range: FloatArray

    def __post_init__(self) -> None:
        size = SIDE_PX * SIDE_PX * 3
        shapes = [(size,), (len(self.spread), size), (size,), (size,)]
        found = [one.shape for one in (self.mean, self.axes, self.tolerance, self.range)]
        if found != shapes:
            raise ValueError(f"a look of shapes {found}")

    def disagreement(self, sheets: Sheets) -> FloatArray:
        """How far faces differ from what the person may look like, in tolerances, (B, S, S)."""
        features, seen = features_of(sheets), sheets.seen.reshape(len(sheets.seen), -1)
        strange = _strangeness(features - self.mean, self.range, seen)
        for _ in range(_FITS):
            shown = self._explain(features, strange, seen)
            strange = _strangeness(features - shown, self.tolerance, seen)
        return strange

    def _explain(self, features: FloatArray, strange: FloatArray, seen: FloatArray) -> FloatArray:
        """What is likely behind (B, P) where pixels are as strange as (B, S, S) says."""
        chosen = _GRID
        weight = seen / (1 + strange.reshape(len(strange), -1) ** 2) ** 2
        weight = np.repeat(weight[:, _GRID_PIXELS], 3, axis=1) / self.tolerance[chosen] ** 2
        axes, wanted = self.axes[:, chosen], (features - self.mean)[:, chosen]
        # One answer of the prior weighs as much as one pixel's three numbers do together.
        prior = np.diag(_PRIOR / self.spread**2)
        pairs = (axes[:, None] * axes).reshape(-1, axes.shape[1])
        known = (weight @ pairs.T).reshape(-1, *prior.shape) + prior
        right = (weight * wanted) @ axes.T
        place = np.linalg.solve(known, right[..., None])[..., 0]
        # Nobody looks like ten of the footage's extremes at once.
        place = np.clip(place, -3 * self.spread, 3 * self.spread).astype(np.float32)
        return np.asarray(self.mean + place @ self.axes, np.float32)


_PRIOR = 20.0
_GRID_PIXELS = (
    np.arange(SIDE_PX * SIDE_PX)
    .reshape(SIDE_PX, SIDE_PX)[_STEP_PX // 2 :: _STEP_PX, _STEP_PX // 2 :: _STEP_PX]
    .ravel()
)
_GRID = (_GRID_PIXELS[:, None] * 3 + np.arange(3)).ravel()


def features_of(sheets: Sheets) -> FloatArray:
    """Luma and colour of unwrapped faces, a little blurred: (B, P) of 0 to 255."""
    import cv2

    features = np.empty((len(sheets.pixels), SIDE_PX * SIDE_PX * 3), np.float32)
    for row, pixels in enumerate(sheets.pixels):
        colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        features[row] = cv2.GaussianBlur(colours, (0, 0), _BLUR_PX).ravel()
    return features


def learn_look(sheets: Sheets, face: BoolArray) -> Look:
    """Learn a look; faces with something in front of them may be among many without.

    Args:
        sheets: unwrapped faces, tens to hundreds, spread over the footage.
        face: (S, S) where the face is; neck and hair around it move otherwise when it turns, so
            they say nothing about which frames are free.
    """
    features = features_of(sheets)
    seen = sheets.seen.reshape(len(sheets.seen), -1)
    middle = np.median(features, axis=0)
    deviation = _LEAST + 3 * np.median(np.abs(features - middle), axis=0)
    strange = _strangeness(features - middle, _smooth(deviation), seen)
    for _ in range(_ROUNDS):
        # A whole frame is left out: what is in front of it casts shadows and bends the fit beside.
        free = _freest(strange[:, face])
        look = _fit(features[free], seen[free])
        strange = look.disagreement(sheets)
    return look


def _freest(strange: FloatArray) -> NDArray[np.int64]:
    """Frames in which nothing is strange, or the least of it."""
    area = (strange > _OUTSIDE).mean(axis=1)
    limit = max(_FREE, float(np.quantile(area, _FREEST)))
    return np.flatnonzero(area <= limit)


def _fit(features: FloatArray, seen: FloatArray) -> Look:
    """A look from faces with nothing in front; tolerances from halves."""
    shown = np.repeat(seen >= _SEEN, 3, axis=1)
    half = np.arange(len(features)) // _RUN % 2 == 0
    residuals = np.empty_like(features)
    for learnt, tried in ((half, ~half), (~half, half)):
        mean, axes, _ = _components(features[learnt], shown[learnt])
        apart = (features[tried] - mean) * shown[tried]
        residuals[tried] = apart - apart @ axes.T @ axes
    mean, axes, spread = _components(features, shown)
    return Look(
        mean=mean, axes=axes, spread=spread,
        tolerance=_tolerance(residuals, shown), range=_tolerance(features - mean, shown),
    )  # fmt: skip


def _components(
    features: FloatArray, shown: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, axes and spread of faces with hidden pixels."""
    mean = (features * shown).sum(0) / np.maximum(shown.sum(0), 1)
    filled = np.where(shown, features - mean, 0)
    axes = spread = np.empty(0, np.float32)
    for _ in range(_FILLS):
        values, vectors = np.linalg.eigh(filled @ filled.T)
        count = min(AXES, max(1, len(filled) // 4))
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        scale = np.sqrt(np.maximum(values, 1e-3))
        axes = (vectors.T @ filled) / scale[:, None]
        spread = scale / np.sqrt(len(filled))
        filled = np.where(shown, filled, (filled @ axes.T) @ axes)
    return (mean.astype(np.float32), axes.astype(np.float32), spread.astype(np.float32))


def _tolerance(differences: FloatArray, shown: BoolArray) -> FloatArray:
    sizes = np.sort(np.where(shown, np.abs(differences), np.inf), axis=0)
    counts = shown.sum(0)
    row = np.maximum(np.ceil(_ORDINARY * counts).astype(int) - 1, 0)
    found = np.take_along_axis(sizes, row[None], axis=0)[0]
    found[counts < max(4, len(shown) // 10)] = 255.0  # Hardly ever seen: anything may be there.
    return np.asarray(np.maximum(_smooth(found), _LEAST), np.float32)


def _smooth(values: FloatArray) -> FloatArray:
    """Of pixels and their neighbours the mean or their own, whichever is more, (P,)."""
    import cv2

    image = values.astype(np.float32).reshape(SIDE_PX, SIDE_PX, 3)
    return np.asarray(np.maximum(image, cv2.GaussianBlur(image, (0, 0), 2.0)).ravel())


def _strangeness(differences: FloatArray, tolerance: FloatArray, seen: FloatArray) -> FloatArray:
    """Differences (B, P) in tolerances, over a small area, (B, S, S)."""
    import cv2

    squared = (differences / tolerance) ** 2
    squared = (squared[:, 0::3] + squared[:, 1::3] + squared[:, 2::3]) * (seen / 3)
    images = np.minimum(squared, 100).reshape(-1, SIDE_PX, SIDE_PX).astype(np.float32)
    return np.stack([np.sqrt(cv2.GaussianBlur(one, (0, 0), _WIDE_PX)) for one in images])
