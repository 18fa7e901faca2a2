"""Retarget any expression to a person's own: networks can paint what they were trained on.

A combination of axes that the person never shows lies outside what was learnt, and comes out as
stains. What is asked for by hand or by a driving video is therefore replaced by the most likely of
the person's own expressions that looks the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.face.model import FaceModel
from pirctl.face.solve import EFFECTIVE_POINTS
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]

LIKENESS_DM = 0.02
"""How far a point of the face may be from where it was asked to be, standard deviation."""
GAP_LIKENESS_DM = 0.01
"""The same for the distances between lips and between lids: what is shut is seen at once."""

LEAST_SPREAD = 0.05
"""Directions in which the person varies less than this part of the most count as that."""

# Of the 68 points, upper and lower: inner lips, lids of either eye.
_GAPS = ((61, 67), (62, 66), (63, 65), (37, 41), (38, 40), (43, 47), (44, 46))


class OwnExpressions:
    """What one person does, as a normal distribution, and how it looks.

    Args:
        track: the person's track.
        model: the face model it was fitted with.
        frames: look at the first so many frames only (the training part).

    Source: Bishop 2006, eqs. 2.116 and 2.117 (the mean of a Gaussian given a linear observation);
    Mahalanobis 1936 (the distance).
    """

    def __init__(self, track: Track, model: FaceModel, frames: int | None = None) -> None:
        shown = track.z_exp[:frames][track.valid[:frames]].astype(np.float64)
        axes = model.expression_basis.double().numpy()  # (E, V, 3)
        upper, lower = model.landmarks_68.numpy()[np.transpose(_GAPS)]
        points = axes.reshape(len(axes), -1)
        gaps = (axes[:, upper] - axes[:, lower]).reshape(len(axes), -1)
        # Neighbouring points move together, so that all of them are worth as few as in the fit.
        weight = EFFECTIVE_POINTS / axes.shape[1] / LIKENESS_DM**2
        self._gram = points @ points.T
        look = weight * self._gram + gaps @ gaps.T / GAP_LIKENESS_DM**2
        self._mean = shown.mean(0)
        offsets = shown - self._mean
        covariance = offsets.T @ offsets / len(shown)
        self._follow = np.linalg.solve(np.eye(len(axes)) + covariance @ look, covariance @ look)
        floor = max(LEAST_SPREAD**2 * float(np.linalg.eigvalsh(covariance)[-1]), 1e-12)
        self._precision = np.linalg.inv(covariance + floor * np.eye(len(axes)))
        # As far from the mean as the person goes; learnt is what lies within.
        self._reach = float(np.quantile(self._distance(offsets @ self._follow.T), 0.99))

    def retarget(self, z_exp: FloatArray) -> FloatArray:
        """The most likely expressions (T, E) of this person that look like `z_exp` (T, E).

        An expression of the person's own nearly stays as it is; one that goes further than they
        go is shown as far as that.
        """
        check_shape("z_exp", z_exp, None, len(self._mean))
        return np.asarray(self._mean + self._within(z_exp - self._mean), np.float32)

    def retarget_change(self, change: FloatArray) -> FloatArray:
        """Of a change of expression (T, E) what this person's own expressions can show."""
        check_shape("change", change, None, len(self._mean))
        return np.asarray(self._within(change), np.float32)

    def share(self, axis: int, strength: float) -> float:
        """How much of what an axis does to the face this person can show, from 0 to about 1.

        Args:
            axis: its index.
            strength: coefficient that is asked for; the more, the less of it may be learnt.
        """
        asked = np.zeros((1, len(self._mean)))
        asked[0, axis] = strength
        moved = self._gram @ asked[0]
        return max(0.0, float(self._within(asked)[0] @ moved / max(asked[0] @ moved, 1e-12)))

    def _within(self, offsets: NDArray[Any]) -> NDArray[np.float64]:
        retargeted: NDArray[np.float64] = offsets.astype(np.float64) @ self._follow.T
        distance = np.maximum(self._distance(retargeted), 1e-12)
        return retargeted * np.minimum(1, self._reach / distance)[:, None]

    def _distance(self, offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many of the person's standard deviations offsets (T, E) are long: (T,)."""
        squared: NDArray[np.float64] = ((offsets @ self._precision) * offsets).sum(1)
        distance: NDArray[np.float64] = np.sqrt(squared.clip(min=0))
        return distance
