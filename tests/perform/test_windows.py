"""The squares that the networks see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pirctl.face.masks import MaskPainter
from pirctl.face.model import load_face_model
from pirctl.perform.windows import Windows, mask_boxes
from pirctl.settings import MaskSettings
from tests.perform.speaking import speaking_track

SIZE, CELL = 256, 16


def test_boxes_hold_their_masks_exactly() -> None:
    masks = torch.zeros(3, 10, 12)
    masks[0, 2:5, 3:9] = 0.01
    masks[1, 7, 11] = 1
    masks[2] = 1
    boxes = mask_boxes(masks, torch.tensor([0, 1]))
    assert boxes.tolist() == [[3, 2, 9, 5], [11, 7, 12, 8], [0, 0, 0, 0]]


def test_a_window_lies_around_the_middle_of_its_mask_and_on_cells() -> None:
    boxes = torch.tensor([[100, 120, 150, 160], [0, 5, 40, 50], [206, 200, 256, 256]])
    windows = Windows(boxes, SIZE, CELL)
    corners = windows.around(boxes)
    side = windows.side_px
    assert side % CELL == 0
    assert (corners % CELL == 0).all()
    assert (corners >= 0).all()
    assert (corners + side <= SIZE).all()
    assert (corners <= boxes[:, :2]).all()
    assert (corners + side >= boxes[:, 2:]).all()
    # Where the crop leaves room, there are surroundings on every side, alike to a cell.
    before = boxes[0, :2] - corners[0]
    after = corners[0] + side - boxes[0, 2:]
    assert (torch.minimum(before, after) >= CELL).all()
    assert ((before - after).abs() <= 2 * CELL).all()


@pytest.mark.parametrize(
    "axes",
    [
        {"jawOpen": 0.7},
        {"jawOpen": 0.7, "mouthStretchLeft": 0.6, "mouthStretchRight": 0.6},
        {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
        {"mouthPucker": 1.0},
        {"jawLeft": 1.0, "jawOpen": 0.3},
    ],
    ids=lambda axes: "-".join(axes),
)
def test_the_window_of_a_clip_holds_the_mask_whatever_is_said(axes: dict[str, float]) -> None:
    model = load_face_model()
    track = speaking_track(model, 12, SIZE)
    painter = MaskPainter(model, track.z_id, track.K, SIZE, MaskSettings(region="mouth"))
    boxes = painter.largest_boxes(track.R, track.t, track.z_exp)
    windows = Windows(torch.from_numpy(boxes), SIZE, CELL)
    assert windows.side_px < SIZE
    wanted = np.zeros(model.expression_width, np.float32)
    for name, value in axes.items():
        wanted[model.axis(name)] = value
    masks = np.stack(
        [
            painter.paint(R, t, np.stack([own, wanted]))
            for R, t, own in zip(track.R, track.t, track.z_exp, strict=True)
        ]
    )
    needed = mask_boxes(torch.from_numpy(masks), torch.arange(12))
    corners = windows.around(needed)
    assert (corners <= needed[:, :2]).all()
    assert (corners + windows.side_px >= needed[:, 2:]).all()
