"""Painting with references: what is kept, what is the same however it is asked for, and detail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import torch

from pirctl.evaluate.sharpness import laplacian_energy
from pirctl.face.model import FaceModel, load_face_model
from pirctl.face.warp import FaceWarp
from pirctl.media import Crop
from pirctl.networks.blend import Blender, Decisions, References
from pirctl.perform.bank import Bank
from pirctl.perform.blending import Blending
from pirctl.perform.choice import nearest
from pirctl.perform.composite import paste_into_shot
from pirctl.perform.painter import Batch, Painted, Painter
from pirctl.perform.references import Appearance
from pirctl.perform.windows import Windows, mask_boxes
from pirctl.settings import RendererSettings
from pirctl.target import Track
from tests.perform.speaking import speaking_track

SIZE, FRAMES, CHANNELS, CELL = 64, 70, 4, 4
CPU = torch.device("cpu")
INVALID = 11


class PlainFace:
    """I_F whose every channel is the first rotation's sine."""

    def feature_image(self, z_id, z_exp, R, t, K, size=None):
        return R[:, 0, 2].view(-1, 1, 1, 1).expand(-1, CHANNELS, size, size)

    def upsample(self, feature_image):
        raise NotImplementedError


@dataclass(frozen=True)
class TrustsTheFirst:
    """A blender that shows the heaviest reference, shifted, and lit from the right."""

    count: int = 2
    shift: tuple[float, float] = (0.0, 0.0)
    light: float = 0.0

    def __call__(self, masked, mask, feature, references: References) -> Decisions:
        batch, side = len(masked), masked.shape[-1]
        trust = torch.full((batch, self.count + 1, side, side), -40.0)
        trust[:, :-1] += 80 * references.weight[..., None, None]
        flow = torch.tensor(self.shift)[:, None, None].expand(batch, self.count, 2, 3, 3)
        light = torch.linspace(-self.light, self.light, 3)
        return Decisions(
            trust=trust,
            flow=flow,
            light=light.expand(batch, self.count, 3, 3, 3),
            new=torch.zeros(batch, 3, side, side),
        )


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def track(model: FaceModel) -> Track:
    track = speaking_track(model, FRAMES, SIZE)
    track.valid[INVALID] = False
    return track


def _mask(number: int, z_exp: np.ndarray) -> np.ndarray:
    """A mask with a soft upper edge that moves a little."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    left = 20 + number % 4
    mask[34:50, left : left + 22] = 1
    mask[33, left : left + 22] = 0.5
    return mask


def _painter(track: Track, model: FaceModel, bank: Bank, blender) -> Painter:
    masks = np.stack([_mask(number, track.z_exp[number]) for number in range(len(track.valid))])
    usable = torch.from_numpy(np.flatnonzero(track.valid))
    brush = Blending(
        track=track,
        face=PlainFace(),
        blender=blender,
        appearance=Appearance(bank, track, model, CPU),
        windows=Windows(mask_boxes(torch.from_numpy(masks), usable), SIZE, CELL),
        warp=FaceWarp(model, track.z_id, track.K),
        shot_scale=bank.scale,
    )
    return Painter(track=track, face=PlainFace(), brush=brush, mask_of=_mask, device=CPU)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(one, (0, 0), 1.0) for one in noise])


@pytest.fixture(scope="module")
def painter(track: Track, model: FaceModel, frames: np.ndarray) -> Painter:
    torch.manual_seed(0)
    settings = RendererSettings(
        references=2, coarse_channels=8, coarse_blocks=1, feature_size=SIZE // CELL
    )
    blender = Blender(settings, CHANNELS, SIZE).eval().requires_grad_(False)
    # Decisions that differ from place to place, as those of a trained one do.
    blender.leave.weight.mul_(100)
    blender.smooth.weight.mul_(100)
    numbers = np.arange(0, FRAMES, 6)
    corners = np.tile(np.float32([12, 24]), (len(numbers), 1))
    pictures = frames[numbers, 24:60, 12:48]
    bank = Bank(numbers=numbers, pictures=pictures, corners=corners, scale=1.0)
    return _painter(track, model, bank, blender)


def _batches(painter: Painter, frames: np.ndarray, size: int) -> list[Batch]:
    spoken = painter.track.z_exp[::-1].copy()
    rows = [list(range(k, min(k + size, FRAMES))) for k in range(0, FRAMES, size)]
    return [Batch(numbers=some, frames=frames[some], z_exp=spoken[some]) for some in rows]


def _paint_all(painter: Painter, batches: list[Batch]) -> tuple[list[Batch], list[Painted]]:
    planned = list(painter.brush.plan(batches))
    return planned, [painter.paint(batch) for batch in planned]


def test_outside_the_mask_and_without_a_face_the_bytes_are_the_frame_s(
    painter: Painter, frames: np.ndarray
) -> None:
    _, painted = _paint_all(painter, _batches(painter, frames, 16))
    made = np.concatenate([one.frames for one in painted])
    masks = np.concatenate([one.masks for one in painted])
    np.testing.assert_array_equal(made[masks == 0], frames[masks == 0])
    np.testing.assert_array_equal(made[INVALID], frames[INVALID])
    assert (made != frames)[masks == 1].mean() > 0.9
    assert all(one.patches == () for one in painted)


@pytest.mark.parametrize("size", [1, 7, FRAMES])
def test_the_size_of_a_batch_changes_nothing(
    painter: Painter, frames: np.ndarray, size: int
) -> None:
    one, other = (_paint_all(painter, _batches(painter, frames, some)) for some in (16, size))
    choices = [
        [choice for batch in planned for choice in batch.choices] for planned in (one[0], other[0])
    ]
    assert len(choices[0]) == FRAMES
    for mine, theirs in zip(*choices, strict=True):
        np.testing.assert_array_equal(mine.rows, theirs.rows)
        np.testing.assert_array_equal(mine.weights, theirs.weights)
    pictures = [np.concatenate([part.frames for part in made]) for _, made in (one, other)]
    # Sums are rounded in another order.
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


def test_the_plan_gives_back_the_batches_in_their_order(
    painter: Painter, frames: np.ndarray
) -> None:
    batches = _batches(painter, frames, 9)
    planned = list(painter.brush.plan(iter(batches)))
    assert [batch.numbers for batch in planned] == [batch.numbers for batch in batches]
    assert [len(batch.choices) for batch in planned] == [len(batch.numbers) for batch in batches]
    assert list(painter.brush.plan(iter([]))) == []


def test_a_still_is_painted_with_the_nearest_reference(
    painter: Painter, frames: np.ndarray
) -> None:
    brush = painter.brush
    assert isinstance(brush, Blending)
    (batch, *_) = _batches(painter, frames, 5)
    costs = brush.appearance.unlikeness(batch.z_exp, painter.track.R[batch.numbers])
    chosen = replace(batch, choices=tuple(nearest(costs, 2)))
    np.testing.assert_array_equal(painter.paint(batch).frames, painter.paint(chosen).frames)
    farthest = replace(batch, choices=tuple(nearest(-costs, 2)))
    assert (painter.paint(batch).frames != painter.paint(farthest).frames).any()


def _textured(side: int, seed: int) -> np.ndarray:
    """A face-coloured picture with shade and pores, (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    shade = 150 + 40 * np.cos(3 * (x - 0.4)) - 30 * y
    pores = cv2.GaussianBlur(rng.normal(0, 60, (side, side)).astype(np.float32), (0, 0), 1.0)
    colour = (shade + pores)[..., None] * np.array([1.0, 0.8, 0.7])
    return np.clip(colour, 0, 255).astype(np.uint8)


def _grey(picture: np.ndarray) -> np.ndarray:
    grey: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


def _large(side: int, source: np.ndarray, number: int) -> Bank:
    """A bank at the resolution of a source of that side: another frame, and the one given."""
    scale = side / SIZE
    left = np.floor(np.float32([12, 20]) * scale).astype(int)
    full = int(np.ceil(40 * scale))
    square = (slice(left[1], left[1] + full), slice(left[0], left[0] + full))
    return Bank(
        numbers=np.array([3, number]),
        pictures=np.stack([_textured(side, 1)[square], source[square]]),
        corners=np.tile((left / scale).astype(np.float32), (2, 1)),
        scale=scale,
    )


@pytest.mark.parametrize("side", [4 * SIZE, 250], ids=["4 times", "3.9 times"])
def test_in_a_large_shot_the_painted_part_is_as_sharp_as_the_source(
    track: Track, model: FaceModel, side: int
) -> None:
    number = 20
    source = _textured(side, 0)
    # The frame to be painted is in the bank too: what is shown is known to the pixel.
    bank = _large(side, source, number)
    painter = _painter(track, model, bank, TrustsTheFirst())
    crop = cv2.resize(source, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    batch = Batch(numbers=[number], frames=crop[None], z_exp=track.z_exp[[number]])
    painted = painter.paint(batch)
    (patch,) = painted.patches
    shot = np.full((2160, 3840, 3), 60, np.uint8)
    box = Crop(x=1500, y=700, side=side)
    shot[700 : 700 + side, 1500 : 1500 + side] = source
    pasted, enlarged = (
        paste_into_shot(shot, painted.frames[0], painted.masks[0], box, one)
        for one in (patch, None)
    )
    mask = cv2.resize(painted.masks[0], (side, side), interpolation=cv2.INTER_LINEAR)
    inside = mask > 0.99
    place = np.s_[700 : 700 + side, 1500 : 1500 + side]
    truth = laplacian_energy(_grey(source), inside)
    assert 0.9 < laplacian_energy(_grey(pasted[place]), inside) / truth < 1.1
    assert laplacian_energy(_grey(enlarged[place]), inside) / truth < 0.3
    # And not only as sharp: it is the source, to the pixel.
    error = np.abs(pasted[place].astype(int) - source)[inside]
    assert error.mean() < 1
    np.testing.assert_array_equal(pasted[place][mask == 0], source[mask == 0])
    outside = np.ones(shot.shape[:2], bool)
    outside[place] = False
    assert (pasted[outside] == 60).all()


@pytest.mark.parametrize("side", [4 * SIZE, 250], ids=["4 times", "3.9 times"])
def test_the_patch_is_the_painted_picture_with_more_pixels(
    track: Track, model: FaceModel, side: int
) -> None:
    number, scale = 20, side / SIZE
    smooth = cv2.GaussianBlur(_textured(side, 0), (0, 0), 8).astype(int)
    smooth = (150 + 3 * (smooth - smooth.mean((0, 1)))).clip(0, 255).astype(np.uint8)
    bank = _large(side, smooth, number)
    painter = _painter(track, model, bank, TrustsTheFirst(shift=(2.0, -1.5), light=0.3))
    crop = cv2.resize(smooth, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    batch = Batch(numbers=[number], frames=crop[None], z_exp=track.z_exp[[number]])
    painted = painter.paint(batch)
    (patch,) = painted.patches
    shown = np.zeros((side, side, 3), np.uint8)
    full = len(patch.picture)
    shown[patch.y : patch.y + full, patch.x : patch.x + full] = patch.picture
    shrunk = cv2.resize(shown, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    inside = cv2.erode(painted.masks[0], np.ones((5, 5))) == 1
    apart = np.abs(shrunk.astype(int) - painted.frames[0])[inside].mean()
    moved = np.abs(painted.frames[0].astype(int) - crop)[inside].mean()
    assert apart < 1
    assert moved > 8
    assert full == np.ceil(painter.brush.windows.side_px * scale)
