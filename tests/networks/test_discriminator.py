from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pirctl.networks.discriminator import MultiscaleDiscriminator, PatchDiscriminator
from pirctl.settings import DiscriminatorSettings


def test_default_size_has_the_published_number_of_weights_and_sizes() -> None:
    with torch.device("meta"):
        network = MultiscaleDiscriminator(DiscriminatorSettings())
        outputs = network(torch.empty(1, 3, 512, 512))
    assert sum(weight.numel() for weight in network.parameters()) == 8_294_211
    assert [output.shape[-1] for output in outputs[0]] == [257, 129, 65, 66, 67]
    assert [output.shape[1] for output in outputs[0]] == [64, 128, 256, 512, 1]
    assert [scale[-1].shape[-1] for scale in outputs] == [67, 35, 19]


def test_inner_layers_are_instance_normalised_and_logits_are_raw() -> None:
    network = PatchDiscriminator(DiscriminatorSettings(channels=8))
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    outputs = network(image)
    x = F.leaky_relu(network.convolutions[0](image), 0.2)
    torch.testing.assert_close(outputs[0], x)
    for i in (1, 2, 3):
        x = F.leaky_relu(F.instance_norm(network.convolutions[i](x)), 0.2)
        torch.testing.assert_close(outputs[i], x, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(outputs[4], network.convolutions[4](x), atol=1e-4, rtol=1e-3)
    assert outputs[4].min() < 0 or outputs[4].max() > 1


def test_every_scale_learns_to_tell_two_pictures_apart() -> None:
    network = MultiscaleDiscriminator(DiscriminatorSettings(scales=2, channels=8))
    real = torch.rand(2, 3, 64, 64) * 2 - 1
    fake = F.avg_pool2d(real, 5, stride=1, padding=2)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(25):
        optimiser.zero_grad()
        loss = torch.zeros(())
        for image, sign in ((real, -1), (fake, 1)):
            loss = loss + sum(F.softplus(sign * scale[-1]).mean() for scale in network(image))
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        for judged_real, judged_fake in zip(network(real), network(fake), strict=True):
            assert judged_real[-1].mean() > 0.5
            assert judged_fake[-1].mean() < -0.5


@pytest.mark.parametrize("scales", [1, 3])
def test_scales_are_listed_finest_first(scales: int) -> None:
    network = MultiscaleDiscriminator(DiscriminatorSettings(scales=scales, channels=4))
    sizes = [scale[0].shape[-1] for scale in network(torch.zeros(1, 3, 64, 64))]
    assert sizes == [33, 17, 9][:scales]
