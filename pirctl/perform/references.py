"""The person's own appearance: which frames of the bank show what is wanted, and where.

A frame is near to what is wanted when its lips and its face are shaped alike and its head is
turned alike; all of that is known from coefficients and pose. What is near is warped onto the
wanted face with the mesh (`face.warp`); the renderer decides what of it to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pirctl.face.landmarks import LIPS_INNER, LIPS_OUTER
from pirctl.face.model import FaceModel
from pirctl.face.warp import FaceWarp, Placed, WarpMaps
from pirctl.networks.blend import References, sample
from pirctl.networks.pictures import to_network
from pirctl.perform.bank import Bank
from pirctl.target import Track

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

CM_PER_DM = 10.0
TURN_WEIGHT = 1.0
"""What a head turned otherwise counts: the Frobenius distance of rotations beside centimetres of
the mesh."""
_LIPS = sorted({*LIPS_OUTER, *LIPS_INNER})
_THREADS = 2


class Likeness:
    """What frames show, as points whose distance says how unlike they are.

    Root mean square distance of the lips' points and of all points, in cm, and of the axes of the
    head; the mesh is compared in model space, so that it is about expression alone.

    Args:
        warp: of the person.
    """

    def __init__(self, warp: FaceWarp) -> None:
        self._warp = warp

    def of(self, z_exp: FloatArray, R: FloatArray) -> FloatArray:
        """Points (T, F) of expressions (T, E) and rotations (T, 3, 3)."""
        moved = self._warp.moved(z_exp) * CM_PER_DM
        count = len(moved)
        lips = moved[:, _LIPS].reshape(count, -1) / np.sqrt(len(_LIPS))
        face = moved.reshape(count, -1) / np.sqrt(moved.shape[1])
        turn = TURN_WEIGHT * np.asarray(R, np.float32).reshape(count, 9)
        return np.concatenate([lips, face, turn], axis=1)


class Appearance:
    """A bank that can be looked at from any expression and pose.

    Args:
        bank: the frames.
        track: the target's track.
        model: the face model it was fitted with.
        device: where the pictures are wanted.
    """

    def __init__(self, bank: Bank, track: Track, model: FaceModel, device: torch.device) -> None:
        self.bank = bank
        self.warp = FaceWarp(model, track.z_id, track.K)
        self.likeness = Likeness(self.warp)
        rows = bank.numbers
        self._placed = self.warp.place(track.z_exp[rows], track.R[rows], track.t[rows])
        self._points = self.likeness.of(track.z_exp[rows], track.R[rows])
        self.device = device

    def unlikeness(self, z_exp: FloatArray, R: FloatArray) -> FloatArray:
        """How unlike the frames of the bank are to what is wanted, (T, N)."""
        wanted = self.likeness.of(z_exp, R)
        squared = (
            (wanted**2).sum(1)[:, None] + (self._points**2).sum(1) - 2 * wanted @ self._points.T
        )
        apart: FloatArray = np.sqrt(np.maximum(squared, 0))
        return apart

    def references(
        self,
        wanted: Placed,
        picks: IntArray,
        weights: FloatArray,
        corners: Sequence[tuple[int, int]],
        side: int,
    ) -> References:
        """Look at the bank from B wanted faces.

        Args:
            wanted: the mesh of the B faces.
            picks: (B, K) rows of the bank.
            weights: (B, K) in [0, 1], how far each has come in.
            corners: B upper left corners of the windows, (x, y) in pixels of the crop.
            side: side of the windows.

        Returns:
            At the resolution of the crop, on the device.
        """
        maps = self._maps(wanted, picks, corners, side)
        source = np.stack([one.source for one in maps])
        small, scale = self._small
        source = (source - self.bank.corners[picks][:, :, None, None]) * np.float32(scale)
        upload = self._upload
        return References(
            pictures=to_network(upload(small[picks])),
            source=upload(source),
            confidence=upload(np.stack([one.confidence for one in maps])),
            weight=upload(np.asarray(weights, np.float32)),
            mouth=upload(np.stack([one.mouth for one in maps])),
        )

    def at_full_size(self, references: References, picks: IntArray, places: Tensor) -> References:
        """The same look at the bank's own pixels.

        Args:
            references: what `references` gave.
            picks: (B, K) rows of the bank, the same.
            places: (B, H, W, 2) where the pixels wanted lie in the windows, in [-1, 1].
        """
        finer = self.bank.scale / self._small[1]
        source = sample(references.source.movedim(-1, 2), places).movedim(2, -1)
        return References(
            pictures=to_network(self._upload(self.bank.pictures[picks])),
            source=source * finer,
            confidence=sample(references.confidence, places),
            weight=references.weight,
            mouth=sample(references.mouth, places),
        )

    def _maps(
        self, wanted: Placed, picks: IntArray, corners: Sequence[tuple[int, int]], side: int
    ) -> list[WarpMaps]:
        def one(row: int) -> WarpMaps:
            return self.warp.maps(wanted.of([row]), self._placed.of(picks[row]), corners[row], side)

        if len(picks) == 1:
            return [one(0)]
        with ThreadPoolExecutor(_THREADS) as pool:  # Drawing releases the interpreter's lock.
            return list(pool.map(one, range(len(picks))))

    @cached_property
    def _small(self) -> tuple[NDArray[np.uint8], float]:
        """The bank's pictures at the resolution of the crop or near it, and pixels per pixel."""
        import cv2

        bank = self.bank
        if bank.scale == 1:
            return bank.pictures, 1.0
        full = bank.pictures.shape[1]
        side = round(full / bank.scale)
        pictures = [
            cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in bank.pictures
        ]
        return np.stack(pictures), bank.scale * side / full

    def _upload(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
