"""Painting with references: the person's own pixels, warped onto the wanted face and blended.

Only a window around the mask goes through the networks. Where the bank has more pixels than the
crop, what was decided is carried out a second time, on the pixels of the shot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pirctl.face.warp import FaceWarp
from pirctl.networks.blend import Blender, Decisions, References, assemble, sample
from pirctl.networks.pictures import hide, to_bytes
from pirctl.perform.choice import AHEAD_FRAMES, Chooser, nearest
from pirctl.perform.composite import Patch
from pirctl.perform.painter import Batch, Face, FloatArray
from pirctl.perform.poses import poses_of
from pirctl.perform.references import Appearance
from pirctl.perform.windows import Windows, mask_boxes
from pirctl.target import Track


@dataclass(frozen=True, kw_only=True)
class Blending:
    """The way with references: what the bank shows, shifted, lit and blended.

    Attributes:
        track: the target's fitted face.
        face: the implicit face network, ready for use.
        blender: decides what of the references to show; ready for use on the same device.
        appearance: the references.
        windows: the squares around the masks.
        warp: puts the wanted face into the crop of `track`.
        shot_scale: pixels of the shot per pixel of that crop.
    """

    track: Track
    face: Face
    blender: Blender
    appearance: Appearance
    windows: Windows
    warp: FaceWarp
    shot_scale: float = 1.0

    def plan(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Choose the references of a stream, looking some frames ahead."""
        chooser, ahead = Chooser(self.blender.count), deque[Batch]()
        for batch in batches:
            chooser.see(self._costs(batch))
            ahead.append(batch)
            if chooser.waiting - len(ahead[0].numbers) >= AHEAD_FRAMES:
                yield _chosen(ahead.popleft(), chooser)
        while ahead:
            yield _chosen(ahead.popleft(), chooser)

    def paint(
        self, batch: Batch, images: Tensor, masks: Tensor
    ) -> tuple[Tensor, tuple[Patch, ...]]:
        """Paint a batch; see `Brush.paint`."""
        choices = batch.choices or tuple(nearest(self._costs(batch), self.blender.count))
        picks = np.stack([choice.rows for choice in choices])
        weights = np.stack([choice.weights for choice in choices])
        with_face = torch.from_numpy(np.flatnonzero(self.track.valid[batch.numbers]))
        corners = self.windows.around(mask_boxes(masks, with_face))
        rows, side = batch.numbers, self.windows.side_px
        wanted = self.warp.place(batch.z_exp, self.track.R[rows], self.track.t[rows])
        places = [(int(x), int(y)) for x, y in corners.tolist()]
        shown = self.appearance.references(wanted, picks, weights, places, side)
        mask = self.windows.cut(masks.unsqueeze(1), corners)
        masked = hide(self.windows.cut(images, corners), mask)
        decisions = self.blender(masked, mask, self._feature(batch, corners), shown)
        painted = images.clone()
        pictures = assemble(decisions, shown, "bicubic")
        for image, window, (x, y) in zip(painted, pictures, places, strict=True):
            image[:, y : y + side, x : x + side] = window
        return painted, self._patches(decisions, shown, picks, corners)

    def _costs(self, batch: Batch) -> FloatArray:
        return self.appearance.unlikeness(batch.z_exp, self.track.R[batch.numbers])

    def _feature(self, batch: Batch, corners: Tensor) -> Tensor:
        poses = poses_of(self.track, batch.numbers, self.appearance.device)
        K = self.windows.intrinsics(poses.K.expand(len(corners), 3, 3), corners)
        cells = self.windows.side_px // self.windows.cell_px
        z_exp = torch.from_numpy(batch.z_exp).to(self.appearance.device)
        return self.face.feature_image(poses.z_id, z_exp, poses.R, poses.t, K, cells)

    def _patches(
        self, decisions: Decisions, shown: References, picks: np.ndarray, corners: Tensor
    ) -> tuple[Patch, ...]:
        """What was decided, carried out on the pixels of the shot."""
        scale, finest = self.shot_scale, self.appearance.bank.scale
        if scale <= 1 or finest == 1:
            return ()
        side = self.windows.side_px
        lefts = torch.floor(corners * scale)
        full = int(np.ceil(side * scale))
        # Centres of whole pixels of the shot, in pixels of the window.
        steps = torch.arange(full) + 0.5
        across, down = ((lefts[:, i, None] + steps) / scale - corners[:, i, None] for i in (0, 1))
        grid = torch.stack(
            [across[:, None].expand(-1, full, -1), down[..., None].expand(-1, -1, full)], dim=-1
        )
        places = (2 * grid / side - 1).float().to(self.appearance.device)
        finer = self.appearance.at_full_size(shown, picks, places)
        large = Decisions(
            **{name: sample(value, places) for name, value in vars(decisions).items()}
        )
        pictures = to_bytes(assemble(large, finer, "bicubic", finer=finest)).cpu().numpy()
        return tuple(
            Patch(picture=picture, x=int(x), y=int(y))
            for picture, (x, y) in zip(pictures, lefts.tolist(), strict=True)
        )


def _chosen(batch: Batch, chooser: Chooser) -> Batch:
    return replace(batch, choices=tuple(chooser.choose(len(batch.numbers))))
