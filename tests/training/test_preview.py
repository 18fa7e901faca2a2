from __future__ import annotations

import numpy as np
import torch

from pirctl.training.preview import draw_losses, draw_signals, grid, stack


def test_a_grid_has_rows_and_columns_of_the_pictures() -> None:
    black, white = -torch.ones(3, 4, 6), torch.ones(3, 4, 6)
    picture = grid([[black, white], [white, white]])
    assert picture.shape == (8, 12, 3)
    assert picture[:4, :6].max() == 0
    assert picture[4:].min() == picture[:, 6:].min() == 255


def test_narrower_pictures_are_padded_with_white() -> None:
    picture = stack([np.zeros((2, 5, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)])
    assert picture.shape == (5, 5, 3)
    assert picture[2:, 2:].min() == 255
    assert picture[2:, :2].max() == 0


def test_losses_are_drawn_as_wide_as_the_pictures_above() -> None:
    curves = {"photometric": [(1.0, 0.5), (2.0, 0.05)], "adversarial": [(2.0, 0.0)]}
    picture = draw_losses(curves, width=384)
    assert picture.shape[1:] == (384, 3)
    assert picture.dtype == np.uint8
    assert draw_losses({"photometric": [(1.0, 0.0)]}, width=384).shape == picture.shape
    assert draw_losses({}, width=64).shape[1] == 320
    assert not np.array_equal(picture, draw_losses({"photometric": [(1.0, 0.5)]}, width=384))


def test_a_prediction_that_misses_is_seen_beside_the_truth() -> None:
    truth = [0.0, 1.0, 0.0, 1.0]
    right = draw_signals({"jawOpen": (truth, truth)}, width=768)
    wrong = draw_signals({"jawOpen": (truth, [1.0, 0.0, 1.0, 0.0])}, width=768)
    assert right.shape == wrong.shape
    assert right.shape[1] == 768

    def black(picture: np.ndarray) -> int:
        return int((picture.max(-1) < 40).sum())

    # Where the two agree the coloured line lies on the black one.
    assert black(wrong) > black(right) + 100
    both = draw_signals({"jawOpen": (truth, truth), "mouthPucker": (truth, truth)}, width=768)
    assert len(both) == 2 * len(right)
