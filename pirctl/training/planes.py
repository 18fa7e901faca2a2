"""The tri-planes of the training frames, made once while there is room."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from pirctl.device import ASSUMED_BYTES, physical_bytes
from pirctl.networks.face import FaceNetwork
from pirctl.settings import Settings
from pirctl.training.footage import Footage
from pirctl.training.precision import autocast

LOGGER = logging.getLogger(__name__)

_PLANES_SHARE = 0.25
_PLANES_CHUNK = 8


class Planes:
    """The planes of every frame, kept when there is room: the face is frozen, the camera is not.

    They are made in chunks of neighbouring frames, so that a frame's planes are the same to the
    bit whichever frames are asked for first, in a resumed run too.
    """

    def __init__(self, face: FaceNetwork, footage: Footage, settings: Settings) -> None:
        self._face, self._footage, self._train = face, footage, settings.train
        chosen = settings.face
        shape = (3, chosen.plane_channels, chosen.plane_size, chosen.plane_size)
        frames = len(footage.z_exp)
        room = (
            torch.cuda.mem_get_info(footage.device)[0]
            if footage.device.type == "cuda"
            else physical_bytes() or ASSUMED_BYTES
        )
        self._store: Tensor | None = None
        self._known = torch.zeros(frames, dtype=torch.bool)
        if 2 * frames * math.prod(shape) < _PLANES_SHARE * room:
            self._store = torch.empty((frames, *shape), dtype=torch.bfloat16, device=footage.device)
        else:
            LOGGER.info(
                "planes of %d frames do not fit in memory, they are computed anew at every step",
                frames,
            )

    @torch.no_grad()
    def of(self, numbers: Tensor) -> Tensor:
        """Planes (B, 3, C, P, P) of some frames, float32."""
        if self._store is None:
            return self._make(numbers)
        new = (numbers[~self._known[numbers]] // _PLANES_CHUNK).tolist()
        for chunk in sorted(set(new)):
            first, end = chunk * _PLANES_CHUNK, min((chunk + 1) * _PLANES_CHUNK, len(self._known))
            self._store[first:end] = self._make(torch.arange(first, end))
            self._known[first:end] = True
        return self._store[numbers.to(self._store.device)].float()

    def _make(self, numbers: Tensor) -> Tensor:
        chosen = numbers.to(self._footage.device)
        z_id = self._footage.z_id.expand(len(chosen), -1)
        with autocast(self._train, self._footage.device):
            return self._face.planes(z_id, self._footage.z_exp[chosen])
