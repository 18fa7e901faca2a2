"""Several decoders: the mean of what they say, streamed or whole, and each on its own head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.settings import Audio2ExpSettings, SpeechSettings

SIZES = Audio2ExpSettings(width=16, heads=4, feedforward=16, window_frames=20, period_frames=5)


@pytest.fixture
def ensemble() -> Audio2ExpEnsemble:
    torch.manual_seed(0)
    made = Audio2ExpEnsemble(SIZES, SpeechSettings(encoder="mel", heads=3), 18, 3, 4)
    for decoder in made.members:
        nn.init.normal_(decoder.head.weight, std=0.3)
    made.set_statistics(torch.tensor([0.1, 0.2, 0.0, -0.1]), torch.tensor([0.5, 0.2, 0.3, 0.1]))
    return made.eval()


def test_it_says_the_mean_of_what_each_says_of_its_own_head(ensemble: Audio2ExpEnsemble) -> None:
    features, z_id = torch.randn(2, 7, 18), torch.randn(2, 3)
    said = [
        decoder(features[..., 6 * k : 6 * k + 6], z_id)
        for k, decoder in enumerate(ensemble.members)
    ]
    torch.testing.assert_close(ensemble(features, z_id), sum(said) / 3)
    assert not torch.allclose(said[0], said[1], atol=1e-2)


@pytest.mark.parametrize("chunks", [[1] * 50, [50], [3, 30, 17]])
def test_streaming_equals_the_whole(ensemble: Audio2ExpEnsemble, chunks: list[int]) -> None:
    features, z_id = torch.randn(1, 50, 18), torch.randn(1, 3)
    streamed = torch.cat(list(ensemble.stream(features.split(chunks, 1), z_id)), 1)
    torch.testing.assert_close(streamed, ensemble(features, z_id), rtol=1e-5, atol=1e-5)


def test_a_decoder_hears_its_own_head_alone(ensemble: Audio2ExpEnsemble) -> None:
    features = torch.randn(1, 4, 18, requires_grad=True)
    for k, (decoder, part) in enumerate(ensemble.parts(features)):
        (slope,) = torch.autograd.grad(decoder(part, torch.zeros(1, 3)).sum(), features)
        heard = slope.abs().sum((0, 1)) > 0
        assert heard.nonzero().flatten().tolist() == list(range(6 * k, 6 * k + 6))


def test_what_can_be_trusted_shrinks_towards_the_mean(ensemble: Audio2ExpEnsemble) -> None:
    ensemble.trust.copy_(torch.tensor([1.0, 0.5, 0.0, 0.25]))
    mean = ensemble.first.expression_mean
    made = mean + torch.ones(4)
    torch.testing.assert_close(ensemble.tempered(made) - mean, ensemble.trust)


def test_wav2vec_has_one_head() -> None:
    with pytest.raises(ValueError, match="heads is 2, encoder wav2vec2 has one"):
        SpeechSettings(encoder="wav2vec2", heads=2)
