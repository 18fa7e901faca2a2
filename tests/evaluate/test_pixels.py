"""Pixel scores against slow twins and the properties that their names promise."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from pirctl.compat import basicsr_metrics
from pirctl.evaluate.pixels import (
    LEAST_BOX_PX,
    PixelScore,
    PixelScorer,
    Shown,
    psnr_inside,
    seam_gradient,
    ssim,
)

HEIGHT, WIDTH = 120, 160


@pytest.fixture
def truths() -> list[np.ndarray]:
    """Frames with detail, in which something moves."""
    rng = np.random.default_rng(3)
    still = rng.integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    still = cv2.GaussianBlur(still, (0, 0), 0.8)
    return [np.roll(still, 3 * number, axis=1) for number in range(6)]


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[40:100, 50:120] = 1
    return mask


def score(painted: list[np.ndarray], truths: list[np.ndarray], mask: np.ndarray) -> PixelScore:
    scorer = PixelScorer()
    for number, (frame, truth) in enumerate(zip(painted, truths, strict=True)):
        pasted = np.where(mask[..., None] > 0.5, frame, truth)
        scorer.add(number, Shown(painted=pasted, mask=mask, truth=truth))
    return scorer.score()


def test_the_truth_itself_scores_one(truths: list[np.ndarray], mask: np.ndarray) -> None:
    found = score(truths, truths, mask)
    assert (found.sharpness, found.flicker, found.seam) == (1.0, 1.0, 1.0)
    assert (found.psnr_db, found.mouth_psnr_db, found.mouth_ssim) == (100, 100, pytest.approx(1))
    assert found.lpips_alex is found.lpips_vgg is None


def test_a_soft_picture_is_less_sharp_and_a_rough_one_more(
    truths: list[np.ndarray], mask: np.ndarray
) -> None:
    soft = [cv2.GaussianBlur(truth, (0, 0), 1.5) for truth in truths]
    rng = np.random.default_rng(0)
    rough = [
        np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8) for truth in truths
    ]
    assert score(soft, truths, mask).sharpness < 0.1
    assert score(rough, truths, mask).sharpness > 1.5


def test_sharpness_is_the_ratio_of_laplacian_energies_in_plain_sums(
    truths: list[np.ndarray], mask: np.ndarray
) -> None:
    soft = [cv2.GaussianBlur(truth, (0, 0), 0.7) for truth in truths]

    def energy(picture: np.ndarray) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
        total = 0.0
        for y in range(41, 99):
            for x in range(51, 119):
                around = grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1]
                total += (around - 4 * grey[y, x]) ** 2
        return total

    expected = sum(map(energy, soft[:2])) / sum(map(energy, truths[:2]))
    assert score(soft[:2], truths[:2], mask).sharpness == pytest.approx(expected, rel=1e-5)


def test_a_still_mouth_does_not_flicker_and_changing_light_does(
    truths: list[np.ndarray], mask: np.ndarray
) -> None:
    still = [truths[0]] * len(truths)
    flashing = [truth + np.uint8(40 * (number % 2)) for number, truth in enumerate(truths)]
    assert score(still, truths, mask).flicker == 0
    energies = [
        np.square(
            cv2.cvtColor(b, cv2.COLOR_RGB2GRAY)[40:100, 50:120].astype(float)
            - cv2.cvtColor(a, cv2.COLOR_RGB2GRAY)[40:100, 50:120]
        ).sum()
        for frames in (flashing, truths)
        for a, b in pairwise(frames)
    ]
    expected = sum(energies[:5]) / sum(energies[5:])
    assert score(flashing, truths, mask).flicker == pytest.approx(expected, rel=1e-6)
    assert expected > 1.5


def test_flicker_is_not_measured_across_a_gap(truths: list[np.ndarray], mask: np.ndarray) -> None:
    scorer = PixelScorer()
    for number in (0, 2, 4):
        scorer.add(number, Shown(painted=truths[number], mask=mask, truth=truths[number]))
    assert scorer.score().flicker is None


def test_a_step_of_colour_shows_at_a_hard_edge_and_less_at_a_soft_one(
    truths: list[np.ndarray], mask: np.ndarray
) -> None:
    smooth = [cv2.GaussianBlur(truth, (0, 0), 6) for truth in truths]
    feathered = np.clip(cv2.GaussianBlur(mask, (0, 0), 5) * 2 - 1, 0, 1)
    shares = []
    for one in (mask, feathered):
        scorer = PixelScorer()
        for number, truth in enumerate(smooth):
            pasted = np.rint(truth + 20 * one[..., None]).astype(np.uint8)
            scorer.add(number, Shown(painted=pasted, mask=one, truth=truth))
        shares.append(scorer.score().seam)
    assert shares[0] > 4
    assert 1 < shares[1] < 0.6 * shares[0]


def test_the_gradient_across_a_hard_edge_is_the_plain_sum(mask: np.ndarray) -> None:
    grey = np.random.default_rng(0).uniform(0, 255, mask.shape).astype(np.float32)
    expected = 0.0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for other in ((y + 1, x), (y, x + 1)):
                if other[0] < HEIGHT and other[1] < WIDTH and mask[y, x] != mask[other]:
                    expected += abs(float(grey[y, x]) - float(grey[other]))
    assert seam_gradient(grey, mask) == pytest.approx(expected, rel=1e-5)


def test_pictures_of_any_resolution_are_scored(truths: list[np.ndarray], mask: np.ndarray) -> None:
    """A shot at twice the size, half of it soft: the same sizes that a crop is scored with."""
    large = [cv2.resize(truth, None, fx=2, fy=2) for truth in truths]
    large_mask = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    assert score(large, large, large_mask).sharpness == 1.0


def test_a_frame_without_a_mask_counts_in_the_whole_picture_only(
    truths: list[np.ndarray], mask: np.ndarray
) -> None:
    scorer = PixelScorer()
    scorer.add(0, Shown(painted=truths[1], mask=np.zeros_like(mask), truth=truths[0]))
    found = scorer.score()
    assert found.psnr_db < 40
    assert found.mouth_psnr_db is found.sharpness is found.cpbd is None


@pytest.mark.parametrize("corner", [(0, 0), (HEIGHT - 9, WIDTH - 9), (50, 70)])
def test_the_box_of_a_distance_is_large_enough_and_holds_the_mask(
    corner: tuple[int, int], truths: list[np.ndarray]
) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[corner[0] : corner[0] + 9, corner[1] : corner[1] + 9] = 1
    painted = truths[0].copy()
    painted[mask > 0] = 255
    seen = []

    def distance(ours: np.ndarray, true: np.ndarray) -> float:
        seen.append(ours.shape)
        return float((ours != true).any(-1).sum())

    scorer = PixelScorer({"lpips_alex": distance})
    scorer.add(0, Shown(painted=painted, mask=mask, truth=truths[0]))
    assert seen == [(LEAST_BOX_PX, LEAST_BOX_PX, 3)]
    assert scorer.score().lpips_alex == 81


def test_psnr_looks_only_inside_the_mask() -> None:
    truth = np.zeros((8, 8, 3), np.uint8)
    frame = truth.copy()
    frame[0, 0] = 255
    inside = np.zeros((8, 8), bool)
    inside[4:, 4:] = True
    assert psnr_inside(frame, truth, inside) == 100.0
    frame[4:, 4:] = 16
    assert psnr_inside(frame, truth, inside) == pytest.approx(20 * np.log10(255 / 16))


@pytest.mark.parametrize(
    "changed", [np.s_[40:60, 30:50], np.s_[0:5, 0:5], np.s_[70:, 60:], np.s_[:, :], np.s_[:0, :0]]
)
def test_ssim_of_the_differing_part_is_that_of_the_whole(changed: tuple[slice, slice]) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 256, (80, 72, 3), dtype=np.uint8)
    frame = truth.copy()
    frame[changed] = rng.integers(0, 256, frame[changed].shape, dtype=np.uint8)
    _, calculate_ssim = basicsr_metrics()
    assert ssim(frame, truth) == pytest.approx(
        calculate_ssim(frame, truth, crop_border=0), abs=1e-9
    )
