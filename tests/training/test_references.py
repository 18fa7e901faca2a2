"""Which references a frame is shown in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pirctl.face.model import FaceModel, load_face_model
from pirctl.networks.blend import References
from pirctl.perform.bank import Bank
from pirctl.perform.references import Appearance
from pirctl.target import Track
from pirctl.training.footage import Footage
from pirctl.training.references import APART_FRAMES, ReferenceDraw
from tests.perform.speaking import speaking_track

SIZE = 32
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def _drawing(
    model: FaceModel, frames: int, step: int = 1
) -> tuple[ReferenceDraw, Appearance, Track]:
    """Every `step`th frame is in the bank, its number being its colour."""
    track = speaking_track(model, frames, SIZE)
    numbers = np.arange(0, frames, step)
    pictures = np.zeros((len(numbers), 8, 8, 3), np.uint8) + numbers[:, None, None, None]
    bank = Bank(
        numbers=numbers,
        pictures=pictures.astype(np.uint8),
        corners=np.full((len(numbers), 2), 12, np.float32),
        scale=1.0,
    )
    appearance = Appearance(bank, track, model, CPU)
    z_id, moving, R, t, K = (
        torch.from_numpy(part) for part in (track.z_id, track.z_exp, track.R, track.t, track.K)
    )
    footage = Footage(
        device=CPU,
        usable=torch.arange(frames),
        z_id=z_id,
        z_exp=moving,
        R=R,
        t=t,
        K=K,
        frames=torch.zeros(frames, SIZE, SIZE, 3, dtype=torch.uint8),
    )
    return ReferenceDraw(appearance, footage, 2), appearance, track


def _draw(drawing: ReferenceDraw, numbers: torch.Tensor) -> References:
    return drawing.draw(numbers, torch.full((len(numbers), 2), 8), 16)


def _numbers(drawn: References) -> np.ndarray:
    """(B, K) frames that were drawn, by their colour."""
    colour = (drawn.pictures[:, :, 0, 0, 0] + 1) * 127.5
    return colour.round().long().numpy()


def test_no_frame_is_shown_one_that_is_near_in_time(model: FaceModel) -> None:
    drawing, _, _ = _drawing(model, 60)
    numbers = torch.arange(60)
    seen = set()
    for _ in range(20):
        away = np.abs(_numbers(_draw(drawing, numbers)) - numbers[:, None].numpy())
        assert away.min() >= APART_FRAMES
        seen |= set(away.ravel().tolist())
    assert len(seen) > 10


def test_in_a_clip_without_one_far_enough_the_farthest_is_shown(model: FaceModel) -> None:
    frames = APART_FRAMES + 3
    drawing, _, _ = _drawing(model, frames)
    numbers = torch.arange(frames)
    for _ in range(5):
        for number, drawn in enumerate(_numbers(_draw(drawing, numbers)).tolist()):
            farthest = max(number, frames - 1 - number)
            for one in drawn:
                assert abs(one - number) >= min(APART_FRAMES, farthest)


def test_what_is_drawn_is_near_to_what_is_wanted_and_not_always_the_same(model: FaceModel) -> None:
    drawing, appearance, track = _drawing(model, 90, step=2)
    numbers = torch.arange(90)
    apart = appearance.unlikeness(track.z_exp, track.R)
    drawn = np.stack([_numbers(_draw(drawing, numbers)) for _ in range(8)])
    shown = apart[np.arange(90)[None, :, None], drawn // 2]
    assert shown.mean() < 0.5 * apart.mean()
    assert (drawn.std(0) > 0).mean() > 0.5


def test_weights_are_shares_of_one_in_either_seat(model: FaceModel) -> None:
    drawing, _, _ = _drawing(model, 60)
    weights = _draw(drawing, torch.arange(60)).weight
    np.testing.assert_allclose(weights.sum(1).numpy(), 1, atol=1e-6)
    assert float(weights.min()) >= 0
    alone = (weights == 1).any(1)
    assert 0.2 < float(alone.float().mean()) < 0.8
    assert 0.2 < float((weights[:, 0] > weights[:, 1]).float().mean()) < 0.8


def test_the_draw_follows_from_torch_s_seed_alone(model: FaceModel) -> None:
    drawing, _, _ = _drawing(model, 60)
    numbers = torch.arange(0, 60, 3)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(_draw(drawing, numbers))
    one, same, other = draws
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(same, name))
    assert not torch.equal(one.pictures, other.pictures)
    assert not torch.equal(one.weight, other.weight)


def test_a_reference_is_looked_at_where_its_own_face_lies(model: FaceModel) -> None:
    drawing, appearance, track = _drawing(model, 60)
    drawn = _draw(drawing, torch.tensor([30]))
    # The bank's pictures begin at (12, 12) of the crop, what is wanted at (8, 8).
    there = drawn.pictures[0, 0, 0, 0, 0].add(1).mul(127.5).round().long()
    nose = [
        appearance.warp.place(track.z_exp[[row]], track.R[[row]], track.t[[row]]).points[0, 1, :2]
        for row in (30, int(there))
    ]
    x, y = (round(float(at)) for at in nose[0])
    inside = drawn.source[0, 0, y - 8, x - 8].numpy()
    expected = nose[1] - 12 + [x + 0.5, y + 0.5] - nose[0]
    np.testing.assert_allclose(inside, expected, atol=0.1)
