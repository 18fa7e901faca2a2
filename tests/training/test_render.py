from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pirctl.face.camera import project
from pirctl.face.model import load_face_model
from pirctl.networks.face import FaceNetwork
from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.training.footage import Footage, read_footage
from pirctl.training.render import RenderTrainer, mask_windows
from tests.targets import SIZE
from tests.training.clip import tiny_settings

CPU = torch.device("cpu")


@pytest.fixture
def footage(target: Target) -> Footage:
    return read_footage(
        target,
        target.track(),
        20,
        load_face_model(),
        tiny_settings().mask,
        maps=("mask", "mouth"),
        device=CPU,
    )


def _windowed(share: float) -> Settings:
    return tiny_settings(render_window=share)


def test_footage_has_the_frames_and_maps_asked_for(footage: Footage) -> None:
    assert footage.frames.shape == (20, SIZE, SIZE, 3)
    assert set(footage.maps) == {"mask", "mouth"}
    assert 3 not in footage.usable
    numbers = torch.tensor([0, 5])
    pictures, mask = footage.pictures(numbers), footage.map("mask", numbers)
    assert pictures.shape == (2, 3, SIZE, SIZE)
    assert -1 <= float(pictures.min()) < float(pictures.max()) <= 1
    # The mouth is inside what is repainted, and both are smaller than the frame.
    assert float((footage.map("mouth", numbers) * (mask < 1)).mean()) < 0.01
    assert 0 < float(mask.mean()) < 0.5


def test_footage_goes_to_the_device_if_it_fits_beside_the_steps_whole_or_not_at_all(
    footage: Footage,
) -> None:
    # The device without memory stands for a GPU: what is moved there can be told by its name.
    gpu = replace(footage, device=torch.device("meta"))
    size = 20 * SIZE * SIZE * (3 + 1 + 1)
    gpu.settle(size - 1)
    assert {gpu.frames.device.type, *(one.device.type for one in gpu.maps.values())} == {"cpu"}
    gpu.settle(size)
    assert {gpu.frames.device.type, *(one.device.type for one in gpu.maps.values())} == {"meta"}
    assert set(gpu.maps) == {"mask", "mouth"}
    assert footage.maps["mask"].device.type == "cpu"


def test_footage_stays_where_it_is_when_the_device_refuses(footage: Footage) -> None:
    class Refusing(torch.Tensor):
        def to(self, *_: object) -> torch.Tensor:  # type: ignore[override]
            raise torch.OutOfMemoryError("CUDA out of memory.")

    footage.maps["mouth"] = footage.maps["mouth"].as_subclass(Refusing)
    gpu = replace(footage, device=torch.device("meta"))
    gpu.settle(10**9)
    assert gpu.frames is footage.frames


def test_windows_hold_the_whole_mask_wherever_they_lie(footage: Footage) -> None:
    footage.maps["mask"][:] = 0
    footage.maps["mask"][:, 30:45, 25:40] = 255
    windows = mask_windows(footage, _windowed(0.6))
    assert windows.side_px < SIZE
    assert windows.side_px % windows.cell_px == 0
    seen = set()
    for _ in range(20):
        corners = windows.draw(footage.usable)
        assert (corners % windows.cell_px == 0).all()
        masks = footage.map("mask", footage.usable)
        inside = windows.cut(masks, corners)
        assert torch.allclose(inside.sum((1, 2, 3)), masks.sum((1, 2, 3)))
        seen |= set(map(tuple, corners.tolist()))
    assert len(seen) > 1


def test_a_mask_larger_than_the_window_widens_it(footage: Footage) -> None:
    footage.maps["mask"][:] = 255
    windows = mask_windows(footage, _windowed(0.3))
    assert windows.side_px == SIZE
    assert (windows.draw(footage.usable) == 0).all()


def test_the_intrinsics_of_a_window_project_into_it(footage: Footage) -> None:
    windows = mask_windows(footage, _windowed(0.6))
    corners = torch.tensor([[8, 16]])
    K = windows.intrinsics(footage.K[None], corners)
    point = torch.tensor([[[0.2, 0.5, 5.0]]])
    whole, inside = project(point, footage.K), project(point, K[0])
    scale = SIZE / windows.side_px
    assert torch.allclose(inside, (whole - corners) * scale, atol=1e-4)


def test_outside_the_mask_the_result_is_the_frame(footage: Footage) -> None:
    settings = _windowed(1.0)
    face = FaceNetwork(settings.face, len(footage.z_id), footage.z_exp.shape[1], SIZE)
    trainer = RenderTrainer(footage, settings, face, None)
    numbers = footage.usable[:2]
    truth, mask = footage.pictures(numbers), footage.map("mask", numbers)
    K, corners = footage.K.expand(2, 3, 3), torch.zeros(2, 2, dtype=torch.int64)
    with torch.no_grad():
        image, _ = trainer._paint(trainer.renderer, numbers, truth, mask, corners, K)
    outside = (mask == 0).expand_as(truth)
    assert torch.equal(image[outside], truth[outside])
    assert not torch.allclose(image, truth)


def test_the_adversary_may_join_late(footage: Footage) -> None:
    settings = tiny_settings()
    settings = replace(settings, loss=replace(settings.loss, adversary_from=0.5))
    face = FaceNetwork(settings.face, len(footage.z_id), footage.z_exp.shape[1], SIZE)
    trainer = RenderTrainer(footage, settings, face, None)
    positions = torch.arange(2)
    early = [phase.optimiser for phase in trainer.phases(positions, 4, 10)]
    late = [phase.optimiser for phase in trainer.phases(positions, 5, 10)]
    assert early == ["renderer"]
    assert late == ["renderer", "discriminator"]


def test_planes_are_the_same_to_the_bit_whichever_frames_come_first(footage: Footage) -> None:
    settings = tiny_settings()
    face = FaceNetwork(settings.face, len(footage.z_id), footage.z_exp.shape[1], SIZE)
    one = RenderTrainer(footage, settings, face, None).planes
    other = RenderTrainer(footage, settings, face, None).planes
    one.of(torch.tensor([1, 9, 17]))
    assert torch.equal(one.of(torch.tensor([2, 8])), other.of(torch.tensor([2, 8])))


def test_the_camera_shifts_by_no_more_than_asked_wherever_the_face_is(footage: Footage) -> None:
    settings = tiny_settings(jitter_px=8.0, render_window=0.6)
    # The principal point is three crops away from the crop.
    footage.K[:2, 2] = torch.tensor([SIZE / 2, 3.5 * SIZE])
    face = FaceNetwork(settings.face, len(footage.z_id), footage.z_exp.shape[1], SIZE)
    trainer = RenderTrainer(footage, settings, face, None)
    K = trainer._jittered(500)
    zoom = K[:, 0, 0] / footage.K[0, 0]
    assert torch.allclose(zoom, K[:, 1, 1] / footage.K[1, 1])
    assert 0.9 * 8 / 512 < float((zoom - 1).abs().max()) <= 8 / 512 + 1e-5
    # 8 px of a 512 crop are 1 px of a 64 crop; in a window they are as many texels of it.
    middle = torch.tensor([SIZE / 2, SIZE / 2, 1]) @ torch.linalg.inv(footage.K).T
    shift = project(middle[None], K)[:, 0] - SIZE / 2
    assert 0.9 < float(shift.abs().max()) <= 1 + 1e-4
    corners = trainer.windows.draw(footage.usable[torch.zeros(500, dtype=torch.int64)])
    inside = project(middle[None], trainer.windows.intrinsics(K, corners))[:, 0]
    expected = (SIZE / 2 - corners) * SIZE / trainer.windows.side_px
    bound = SIZE / trainer.windows.side_px
    assert 0.9 * bound < float((inside - expected).abs().max()) <= bound + 1e-4
