from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from pirctl.networks.inference import prepare_inference
from pirctl.networks.renderer import Renderer
from pirctl.settings import RendererSettings
from tests.networks.tiny import SIZE_PX, make_pictures, make_renderer, psnr


def make_batch(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth, masked frame, mask, and an I_F that shows the truth small and blurred."""
    truth = make_pictures(batch)
    mask = torch.zeros(1, 1, SIZE_PX, SIZE_PX)
    mask[..., 30:62, 12:52] = 1
    small = F.avg_pool2d(truth, 4)
    feature = torch.cat([small, torch.zeros(batch, 5, 16, 16)], dim=1)
    return truth, truth * (1 - mask) - mask, mask, feature


def test_frame_has_the_size_of_its_input_and_begins_as_the_picture_in_the_feature_image() -> None:
    truth, masked, _, feature = make_batch(2)
    image = make_renderer()(masked, feature).detach()
    assert image.shape == (2, 3, SIZE_PX, SIZE_PX)
    assert image.dtype == torch.float32
    assert psnr(image, truth) > 15


def test_training_comes_back_from_wherever_it_went() -> None:
    """A saturated output would have no gradient: it stayed one flat colour to the end."""
    renderer = make_renderer()
    truth, masked, _, feature = make_batch(2)
    assert renderer.leave.bias is not None
    with torch.no_grad():
        renderer.leave.bias += 50.0
    (renderer(masked, feature) - truth).square().mean().backward()
    assert renderer.leave.bias.grad is not None
    assert renderer.leave.bias.grad.min() > 1


def test_renderer_overfits_a_batch_with_exact_colours() -> None:
    renderer = make_renderer()
    truth, masked, mask, feature = make_batch(4)
    optimiser = torch.optim.Adam(renderer.parameters(), lr=4e-3)
    for _ in range(120):
        optimiser.zero_grad()
        ((renderer(masked, feature) - truth).square() * mask).mean().backward()
        optimiser.step()
    with torch.no_grad():
        image = renderer(masked, feature)
    inside = mask.bool().expand_as(truth)
    assert psnr(image[inside], truth[inside]) > 25
    colours = [((a * mask).sum((0, 2, 3)) / mask.sum() / 4) for a in (image, truth)]
    torch.testing.assert_close(colours[0], colours[1], atol=0.03, rtol=0)


def test_feature_image_and_frame_both_matter() -> None:
    renderer = make_renderer()
    _, masked, _, feature = make_batch(2)
    with torch.no_grad():
        image = renderer(masked, feature)
        assert not torch.allclose(image, renderer(masked, feature.flip(2)), atol=1e-3)
        assert not torch.allclose(image, renderer(masked.flip(2), feature), atol=1e-3)


def test_a_pixel_does_not_depend_on_far_corners_of_the_frame() -> None:
    # No statistic over the frame: a change in one corner leaves the opposite corner alone.
    renderer = Renderer(
        RendererSettings(
            coarse_channels=8, fine_channels=8, coarse_blocks=1, fine_blocks=1, feature_size=64
        ),
        8,
        256,
    )
    masked, feature = torch.rand(1, 3, 256, 256), torch.rand(1, 8, 64, 64)
    changed = masked.clone()
    changed[..., :32, :32] = -1
    with torch.no_grad():
        difference = (renderer(masked, feature) - renderer(changed, feature)).abs()
    assert difference[..., :32, :32].max() > 1e-3
    assert difference[..., 192:, 192:].max() == 0


@pytest.mark.parametrize("feature_size", [64, 32])
def test_paper_size_brings_the_frame_to_the_feature_image(feature_size: int) -> None:
    with FakeTensorMode():
        renderer = Renderer(RendererSettings(feature_size=feature_size), 32, 512)
        image = renderer(torch.empty(1, 3, 512, 512), torch.empty(1, 32, *2 * [feature_size]))
    assert image.shape == (1, 3, 512, 512)


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"renderer\.feature_size is 48"):
        Renderer(RendererSettings(feature_size=48), 32, 512)
    renderer = make_renderer()
    with pytest.raises(ValueError, match="feature_image: expected shape"):
        renderer(torch.zeros(1, 3, SIZE_PX, SIZE_PX), torch.zeros(1, 8, 8, 8))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_prepared_for_inference_it_paints_the_same(precision: str) -> None:
    renderer = make_renderer()
    _, masked, _, feature = make_batch(2)
    with torch.no_grad():
        expected = renderer(masked, feature)
        prepare_inference(renderer, torch.device("cpu"), precision)  # type: ignore[arg-type]
        found = renderer(masked, feature)
    assert psnr(found, expected) > (45 if precision == "bfloat16" else 100)
