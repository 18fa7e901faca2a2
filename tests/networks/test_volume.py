from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pirctl.networks.volume import (
    VolumeRenderer,
    box_limits,
    cast_rays,
    importance_depths,
    lookup,
    lookup_grid,
    lookup_table,
    merged_ranks,
    sample_weights,
)
from pirctl.settings import FaceSettings
from tests.reference import volume as slow

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
SETTINGS = FaceSettings(
    plane_channels=4, hidden_width=8, feature_channels=5, coarse_samples=7, fine_samples=6
)


def camera(batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    angles = torch.linspace(-0.3, 0.4, batch)
    turns = torch.stack(
        [
            torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
            for c, s in zip(angles.cos().tolist(), angles.sin().tolist(), strict=True)
        ]
    )
    R = FLIP @ turns
    t = torch.tensor([0.1, -0.2, 12.0]).repeat(batch, 1)
    K = torch.tensor([[300.0, 0.0, 33.0], [0.0, 300.0, 31.0], [0.0, 0.0, 1.0]])
    return R, t, K


def make_planes(batch: int, size: int = 8) -> Tensor:
    image = torch.randn(batch, 12, size, size).contiguous(memory_format=torch.channels_last)
    return image.view(batch, 3, 4, size, size)


def test_every_pair_of_axes_has_its_plane() -> None:
    points = torch.rand(1, 50, 3) * 1.6 - 0.8
    for plane, axes in enumerate(itertools.combinations(range(3), 2)):
        planes = torch.zeros(1, 3, 4, 8, 8)
        planes[:, plane] = torch.randn(4, 8, 8)
        free = ({0, 1, 2} - set(axes)).pop()
        moved = points.clone()
        moved[..., free] = torch.rand(50)
        assert torch.equal(lookup_grid(planes, points), lookup_grid(planes, moved))
        for axis in axes:
            moved = points.clone()
            moved[..., axis] *= -0.5
            assert not torch.allclose(lookup_grid(planes, points), lookup_grid(planes, moved))


@pytest.mark.parametrize("find", [lookup_grid, lookup_table, lookup])
def test_lookup_equals_bilinear_interpolation_written_out(find: object) -> None:
    planes, points = make_planes(3), torch.rand(3, 40, 3) * 2.4 - 1.2
    expected = torch.stack([slow.plane_features(a, b) for a, b in zip(planes, points, strict=True)])
    torch.testing.assert_close(find(planes, points), expected, atol=1e-5, rtol=1e-5)  # type: ignore[operator]


def test_lookup_has_the_gradient_of_bilinear_interpolation() -> None:
    points, weight = torch.rand(2, 40, 3) * 2.4 - 1.2, torch.randn(2, 40, 4)
    ours, theirs = make_planes(2).requires_grad_(), None
    theirs = ours.detach().clone().requires_grad_()
    (lookup(ours, points) * weight).sum().backward()
    expected = torch.stack([slow.plane_features(a, b) for a, b in zip(theirs, points, strict=True)])
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fine", [0, 6])
def test_rendering_equals_the_plain_twin_in_values_and_gradients(fine: int) -> None:
    settings = FaceSettings(
        plane_channels=4,
        hidden_width=8,
        feature_channels=5,
        coarse_samples=7,
        fine_samples=fine,
    )
    renderer = VolumeRenderer(settings)
    R, t, K = camera(2)
    planes = (make_planes(2) * 3).requires_grad_()
    image = renderer(planes, R, t, K, size=4, size_px=64)
    twin = planes.detach().clone().requires_grad_()
    expected = torch.stack(
        [
            slow.render(
                twin[i],
                renderer.decoder,
                R[i],
                t[i],
                K,
                size=4,
                size_px=64,
                side=settings.box_side_dm,
                coarse=7,
                fine=fine,
            )
            for i in range(2)
        ]
    )
    torch.testing.assert_close(image, expected, atol=2e-5, rtol=1e-4)
    weight = torch.randn_like(image)
    (image * weight).sum().backward()
    own = renderer.decoder.hidden.weight.grad.clone()  # type: ignore[union-attr]
    renderer.zero_grad()
    (expected * weight).sum().backward()
    torch.testing.assert_close(planes.grad, twin.grad, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(own, renderer.decoder.hidden.weight.grad, atol=1e-3, rtol=1e-3)


def test_rendering_without_gradients_is_the_same_and_repeats_exactly() -> None:
    renderer = VolumeRenderer(SETTINGS)
    R, t, K = camera(2)
    planes = make_planes(2).requires_grad_()
    trained = renderer(planes, R, t, K, size=8, size_px=64)
    with torch.no_grad():
        first = renderer(planes, R, t, K, size=8, size_px=64)
        second = renderer(planes, R, t, K, size=8, size_px=64)
    torch.testing.assert_close(trained, first, atol=1e-5, rtol=1e-5)
    assert torch.equal(first, second)


def test_rays_pass_the_pixel_centres_of_our_camera() -> None:
    R, t, K = camera(2)
    origins, directions = cast_rays(R, t, K, 8, 64)
    points = origins[:, None] + 11.0 * directions
    seen = (R[:, None] @ points[..., None])[..., 0] + t[:, None]
    pixels = (K @ seen[..., None])[..., 0]
    pixels = pixels[..., :2] / pixels[..., 2:]
    row, column = 5, 3
    expected = torch.tensor([(column + 0.5) * 8, (row + 0.5) * 8])
    torch.testing.assert_close(pixels[:, row * 8 + column], expected.expand(2, 2))


def test_a_blob_appears_where_the_camera_projects_it() -> None:
    renderer = VolumeRenderer(
        FaceSettings(plane_channels=4, hidden_width=8, feature_channels=3, box_side_dm=3.6)
    )

    class Blob(torch.nn.Module):
        def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
            return features[..., 0] * 100 - 260, torch.ones(*features.shape[:-1], 3)

    renderer.decoder = Blob()  # type: ignore[assignment]
    centre = torch.tensor([0.6, -0.9, 0.3])
    size = 64
    texels = ((torch.arange(size) + 0.5) / size * 2 - 1) * 1.8
    planes = torch.zeros(1, 3, 4, size, size)
    for plane, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
        along = torch.exp(-((texels - centre[a]) ** 2) * 20)
        down = torch.exp(-((texels - centre[b]) ** 2) * 20)
        planes[0, plane, 0] = down[:, None] * along[None]
    R, t, K = camera(1)
    image = renderer(planes, R, t, K, size=32, size_px=64)[0, 0]
    lit = ((image + 1) / 2).clamp(min=0)
    assert lit.max() > 0.9
    where = (torch.arange(32) + 0.5) * 2
    found = torch.stack([(lit.sum(0) * where).sum(), (lit.sum(1) * where).sum()]) / lit.sum()
    projected = K @ (R[0] @ centre + t[0])
    torch.testing.assert_close(found, projected[:2] / projected[2], atol=0.5, rtol=0)


def test_rays_beside_the_box_see_nothing() -> None:
    renderer = VolumeRenderer(SETTINGS)
    R, t, K = camera(1)
    aside = t + torch.tensor([[30.0, 0.0, 0.0]])
    image = renderer(make_planes(1), R, aside, K, size=4, size_px=64)
    assert torch.equal(image, torch.full_like(image, -1))


def test_samples_lie_inside_the_box() -> None:
    R, t, K = camera(3)
    wide = K * torch.tensor([[0.4], [0.4], [1.0]])
    origins, directions = cast_rays(R, t, wide, 16, 64)
    near, far = box_limits(origins, directions, 3.6)
    hit = far > near
    assert 0.2 < hit.float().mean() < 1
    for depth in (near, far):
        points = (origins[:, None] + depth[..., None] * directions)[hit]
        assert points.abs().max() <= 1.8 + 1e-4


def test_a_dense_sample_hides_what_is_behind_it() -> None:
    density = torch.tensor([-50.0, -50.0, 500.0, 500.0, 500.0])
    weights = sample_weights(density, torch.arange(5.0))
    assert weights.sum() == pytest.approx(1)
    assert weights[1:4].sum() == pytest.approx(1)
    assert weights[4] < 1e-6


def test_importance_samples_gather_at_the_surface() -> None:
    weights = torch.zeros(1, 20)
    weights[0, 10] = 1
    near, far = torch.tensor([2.0]), torch.tensor([4.0])
    depths = importance_depths(weights, near, far, 50)
    assert (depths.diff() >= 0).all()
    assert depths.min() >= 2
    assert depths.max() <= 4
    near_surface = (depths > 2.9) & (depths < 3.2)
    assert near_surface.float().mean() > 0.7
    even = importance_depths(torch.zeros(1, 20), near, far, 50)
    torch.testing.assert_close(even.diff(), torch.full((1, 49), 0.04), atol=1e-4, rtol=0)


def test_ranks_are_those_of_a_sort() -> None:
    coarse = torch.rand(5, 9).sort(dim=-1).values
    fine = torch.cat([torch.rand(5, 6), coarse[:, 2:4]], dim=-1).sort(dim=-1).values
    both = torch.cat([coarse, fine], dim=-1)
    rank = merged_ranks(coarse, fine)
    placed = torch.empty_like(both).scatter_(-1, rank, both)
    assert torch.equal(placed, both.sort(dim=-1).values)
    assert torch.equal(rank.sort(dim=-1).values, torch.arange(17).expand(5, 17))
