from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pirctl.networks.face import FaceNetwork
from pirctl.networks.inference import prepare_inference
from pirctl.settings import FaceSettings
from tests.networks.tiny import FACE, SIZE_PX, make_face, make_inputs, make_pictures, psnr


def test_face_returns_the_feature_image_and_the_picture() -> None:
    face = make_face()
    feature_image, image = face(*make_inputs(2))
    assert feature_image.shape == (2, 8, 16, 16)
    assert image.shape == (2, 3, SIZE_PX, SIZE_PX)
    assert feature_image.dtype == image.dtype == torch.float32


def test_the_picture_may_be_smaller_than_the_crop_and_costs_less() -> None:
    small = FaceNetwork(replace(FACE, picture_size=SIZE_PX // 2), 6, 5, SIZE_PX)
    feature_image, image = small(*make_inputs(2))
    assert feature_image.shape == (2, 8, 16, 16)
    assert image.shape == (2, 3, SIZE_PX // 2, SIZE_PX // 2)
    weights = [sum(w.numel() for w in one.upsampler.parameters()) for one in (small, make_face())]
    assert weights[0] < weights[1]
    with pytest.raises(ValueError, match=r"face\.feature_size is 16"):
        FaceNetwork(replace(FACE, picture_size=24), 6, 5, SIZE_PX)


def test_face_overfits_a_batch_and_its_picture_passes_through_the_feature_image() -> None:
    face, inputs, truth = make_face(), make_inputs(3), make_pictures(3)
    face.set_statistics(inputs[1].mean(dim=0), inputs[1].std(dim=0))
    optimiser = torch.optim.Adam(face.parameters(), lr=5e-3, betas=(0.9, 0.99))
    for _ in range(60):
        optimiser.zero_grad()
        _, image = face(*inputs)
        (image - truth).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        feature_image, image = face(*inputs)
    assert psnr(image, truth) > 24
    moved, wanted = (picture[2] - picture[0] for picture in (image, truth))
    assert torch.cosine_similarity(moved.flatten(), wanted.flatten(), dim=0) > 0.6
    assert (feature_image[0] - feature_image[2]).abs().max() > 0.05


def test_picture_starts_without_a_chequerboard() -> None:
    face = make_face()
    with torch.no_grad():
        _, image = face(*make_inputs(1))
    step = (image[..., 1:] - image[..., :-1]).abs()[..., 8:-8, 8:-8]
    within, between = step[..., ::2].mean(), step[..., 1::2].mean()
    assert 0.2 < within / between < 5


def test_any_size_of_feature_image_shows_the_same_picture() -> None:
    face, inputs = make_face(), make_inputs(2)
    with torch.no_grad():
        small, large = (face.feature_image(*inputs, size) for size in (8, 32))
    assert large.shape == (2, 8, 32, 32)
    shrunk = torch.nn.functional.avg_pool2d(large, 4)
    assert psnr(small, shrunk) > 30


def test_planes_computed_before_give_the_same_feature_image() -> None:
    face, inputs = make_face(), make_inputs(2)
    with torch.no_grad():
        planes = face.planes(*inputs[:2])
        given = face.feature_image(*inputs, planes=planes)
        assert torch.equal(given, face.feature_image(*inputs))


def test_intrinsics_may_differ_between_samples() -> None:
    face, (z_id, z_exp, R, t, K) = make_face(), make_inputs(2)
    shifted = K + torch.tensor([[0.0, 0, 4], [0, 0, 0], [0, 0, 0]])
    with torch.no_grad():
        both = face.feature_image(z_id, z_exp, R, t, torch.stack([K, shifted]))
        plain = face.feature_image(z_id, z_exp, R, t, K)
    torch.testing.assert_close(both[0], plain[0])
    # 4 px of the crop are one pixel of I_F.
    torch.testing.assert_close(both[1][..., 1:], plain[1][..., :-1], atol=1e-3, rtol=1e-3)


def test_statistics_of_a_still_axis_do_not_make_it_loud() -> None:
    face = make_face()
    face.set_statistics(torch.zeros(5), torch.tensor([0.4, 0.2, 0.0, 0.0, 1e-6]))
    deviation = face.generator.mapping.deviation
    assert deviation[:6].tolist() == [1.0] * 6
    assert deviation[6:].tolist() == pytest.approx([0.4, 0.2, 0.04, 0.04, 0.04])
    with pytest.raises(ValueError, match="expected shape"):
        face.set_statistics(torch.zeros(4), torch.ones(4))


def test_feature_size_that_does_not_double_to_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"face\.feature_size is 24"):
        FaceNetwork(FaceSettings(feature_size=24), 6, 5, 512)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch", [1, 2])
def test_prepared_for_inference_it_shows_the_same(precision: str, batch: int) -> None:
    face, inputs = make_face(), make_inputs(batch)
    with torch.no_grad():
        expected, picture = face(*inputs)
        prepared = prepare_inference(face, torch.device("cpu"), precision)  # type: ignore[arg-type]
        found, found_picture = prepared(*inputs)
    assert found.dtype == torch.float32
    assert psnr(found, expected) > (40 if precision == "bfloat16" else 100)
    assert psnr(found_picture, picture) > (40 if precision == "bfloat16" else 100)


def test_in_bfloat16_the_planes_and_densities_stay_float32_and_the_colours_do_not() -> None:
    face, (z_id, z_exp, R, t, K) = make_face(), make_inputs(1)
    prepared = prepare_inference(face, torch.device("cpu"), "bfloat16")
    made: list[tuple[torch.Tensor, torch.Tensor]] = []
    prepared.volume.decoder.register_forward_hook(lambda *call: made.append(call[2]))
    with torch.no_grad():
        planes = prepared.planes(z_id, z_exp)
        prepared.feature_image(z_id, z_exp, R, t, K, planes=planes)
    assert planes.dtype == torch.float32
    assert {density.dtype for density, _ in made} == {torch.float32}
    assert {colour.dtype for _, colour in made} == {torch.bfloat16}


@pytest.mark.slow
def test_paper_size_runs_once() -> None:
    face = FaceNetwork(FaceSettings(), 80, 64, 512)
    backbone = sum(weight.numel() for weight in face.generator.blocks.parameters())
    assert backbone == 28_207_533
    assert sum(weight.numel() for weight in face.volume.parameters()) == 4_257
    prepare_inference(face, torch.device("cpu"), "bfloat16")
    _, _, R, t, K = make_inputs(1)
    with torch.no_grad():
        planes = face.planes(torch.zeros(1, 80), torch.zeros(1, 64))
        image = face.feature_image(
            torch.zeros(1, 80), torch.zeros(1, 64), R, t, 8 * K, planes=planes
        )
    assert planes.shape == (1, 3, 32, 256, 256)
    assert image.shape == (1, 32, 64, 64)
    assert image.isfinite().all()


def test_settings_of_the_tests_are_small() -> None:
    face = make_face()
    assert sum(weight.numel() for weight in face.parameters()) < 300_000
    assert FACE.feature_size * 4 == SIZE_PX
