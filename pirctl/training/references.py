"""Which references a training frame is shown: such as it will have in use, and never itself.

A frame half a second away is nearly the same picture; shown that, the renderer would learn to copy.
What new speech gets is the nearest of a bank that holds the wanted face only nearly, so that is
what is drawn: one of the nearest, beside another one that is coming in or going out.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pirctl.networks.blend import References
from pirctl.perform.references import Appearance
from pirctl.training.footage import Footage

APART_FRAMES = 13
"""Frames between a frame and its references at least: half a second at 25 frames a second."""
_NEAREST, _BESIDE = 5, 12
_BOTH_SHARE = 0.5


class ReferenceDraw:
    """Draws references for frames of the training part.

    Args:
        appearance: the bank.
        footage: the training part.
        count: references per frame.
    """

    def __init__(self, appearance: Appearance, footage: Footage, count: int) -> None:
        self._appearance = appearance
        self._count = count
        z_exp, R, t = (part.cpu().numpy() for part in (footage.z_exp, footage.R, footage.t))
        self._placed = appearance.warp.place(z_exp, R, t)
        apart = appearance.unlikeness(z_exp, R)
        away = np.abs(np.arange(len(z_exp))[:, None] - appearance.bank.numbers)
        far = np.where(away < APART_FRAMES, np.inf, apart)
        # A clip of less than a second has none far enough: the farthest then.
        last = np.where(away == away.max(axis=1, keepdims=True), apart, np.inf)
        self._apart = np.where(np.isfinite(far).any(1, keepdims=True), far, last)

    def draw(self, numbers: Tensor, corners: Tensor, side: int) -> References:
        """References for windows of some frames.

        Args:
            numbers: (B,) frames.
            corners: (B, 2) upper left corners of the windows, (x, y) in pixels of the crop.
            side: side of the windows.
        """
        rows = numbers.tolist()
        picks = np.stack([self._pick(row) for row in rows])
        weights = np.zeros((len(rows), self._count), np.float32)
        weights[:, 0] = 1
        if self._count > 1:
            share = torch.rand(len(rows)) * (torch.rand(len(rows)) < _BOTH_SHARE)
            weights[:, 1] = share.numpy()
            weights[:, 0] -= weights[:, 1]
            # Neither place is the better one: in use a reference keeps its own while it is shown.
            turned = (torch.rand(len(rows)) < 0.5).numpy()
            picks[turned, :2] = picks[turned, 1::-1]
            weights[turned, :2] = weights[turned, 1::-1]
        places = [(int(x), int(y)) for x, y in corners.tolist()]
        return self._appearance.references(self._placed.of(rows), picks, weights, places, side)

    def _pick(self, row: int) -> np.ndarray:
        """Rows of the bank, (K,): one of the nearest, and others that are near."""
        apart = self._apart[row]
        order = np.argsort(apart, kind="stable")[: int(np.isfinite(apart).sum())]
        reach = [_NEAREST] + [_BESIDE] * (self._count - 1)
        places = [int(torch.randint(min(most, len(order)), ())) for most in reach]
        return order[places]
