"""Say any expression with a person's own: networks can paint what they were trained on.

A combination of axes that the person never shows lies outside what was learnt, and comes out as
stains. What is asked for by hand or by a driving video is therefore replaced by the most likely of
the person's own expressions that looks the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pirctl.face.model import FaceModel
from pirctl.face.solve import EFFECTIVE_POINTS
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]

LIKENESS_DM = 0.05
"""How far a point of the face may be from where it was asked to be, standard deviation."""
LIP_LIKENESS_DM = 0.01
"""The same for the distance between the lips: whether a mouth is shut is seen at once."""

_INNER_LIP_PAIRS = ((61, 67), (62, 66), (63, 65))  # of the 68 points, upper and lower


class OwnExpressions:
    """What one person does, as a normal distribution, and how it looks.

    Args:
        track: the person's track.
        model: the face model it was fitted with.
        frames: look at the first so many frames only (the training part).

    Source: Bishop 2006, eqs. 2.116 and 2.117 (the mean of a Gaussian given a linear observation).
    """

    def __init__(self, track: Track, model: FaceModel, frames: int | None = None) -> None:
        shown = track.z_exp[:frames][track.valid[:frames]].astype(np.float64)
        axes = model.expression_basis.double().numpy()  # (E, V, 3)
        upper, lower = (
            model.landmarks_68[[pair[side] for pair in _INNER_LIP_PAIRS]].numpy() for side in (0, 1)
        )
        points = axes.reshape(len(axes), -1)
        lips = (axes[:, upper] - axes[:, lower]).reshape(len(axes), -1)
        # Neighbouring points move together, so that all of them are worth as few as in the fit.
        weight = EFFECTIVE_POINTS / axes.shape[1] / LIKENESS_DM**2
        look = weight * points @ points.T + lips @ lips.T / LIP_LIKENESS_DM**2
        self._mean = shown.mean(0)
        offsets = shown - self._mean
        covariance = offsets.T @ offsets / len(shown)
        self._follow = np.linalg.solve(np.eye(len(axes)) + covariance @ look, covariance @ look)
        self._points = points

    def say(self, z_exp: FloatArray) -> FloatArray:
        """The most likely expressions (T, E) of this person that look like `z_exp` (T, E).

        An expression of the person's own nearly stays as it is.
        """
        check_shape("z_exp", z_exp, None, len(self._mean))
        said = self._mean + (z_exp - self._mean) @ self._follow.T
        return np.asarray(said, np.float32)

    def say_change(self, change: FloatArray) -> FloatArray:
        """Of a change of expression (T, E) what this person's own expressions can say."""
        said: FloatArray = (change @ self._follow.T).astype(np.float32)
        return said

    def share(self, axis: int) -> float:
        """How much of what an axis does to the face this person can say, from 0 to about 1."""
        wanted, said = self._points[axis], self._follow[:, axis] @ self._points
        return max(0.0, float(said @ wanted / max(wanted @ wanted, 1e-12)))
