"""Several decoders that learnt the same, and the mean of what they say.

Trained on a minute of speech, networks from different starts agree on what there was to learn and
differ in what they made up; the mean keeps the first. Source: Hansen and Salamon 1990;
Lakshminarayanan et al. 2017 (deep ensembles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pirctl.networks.audio2exp import Audio2Exp
from pirctl.settings import Audio2ExpSettings, SpeechSettings


class Audio2ExpEnsemble(nn.Module):
    """One `Audio2Exp` for each head of the speech encoder; its parts are trained side by side.

    Args:
        settings: sizes of each.
        speech: of the encoder; says how many heads it has.
        feature_width: F, of all heads together.
        identity_width: I, identity coefficients.
        expression_width: E, expression coefficients.
    """

    trust: Tensor

    def __init__(
        self,
        settings: Audio2ExpSettings,
        speech: SpeechSettings,
        feature_width: int,
        identity_width: int,
        expression_width: int,
    ) -> None:
        super().__init__()
        width = feature_width // speech.heads
        self.members = nn.ModuleList(
            Audio2Exp(settings, width, identity_width, expression_width)
            for _ in range(speech.heads)
        )
        self.identity_width = identity_width
        self.expression_width = expression_width
        self.window_frames = settings.window_frames
        # Of the checkpoint, not of the network: it is measured on another one.
        self.register_buffer("trust", torch.ones(expression_width), persistent=False)

    @property
    def first(self) -> Audio2Exp:
        """One of the decoders: they share statistics."""
        return self._decoders()[0]

    def parts(self, features: Tensor) -> list[tuple[Audio2Exp, Tensor]]:
        """The decoders, each with its head's share (B, T, F / heads) of features (B, T, F)."""
        shares = features.chunk(len(self.members), dim=-1)
        return list(zip(self._decoders(), shares, strict=True))

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and standard deviation (E,) of the coefficients; see `Audio2Exp`."""
        for decoder in self._decoders():
            decoder.set_statistics(mean, std)

    def standardise(self, expression: Tensor) -> Tensor:
        """Coefficients (..., E) in units of zero mean and about unit variance."""
        return self.first.standardise(expression)

    def tempered(self, expression: Tensor) -> Tensor:
        """What was made (..., E), shrunk towards the mean by what can be trusted of each axis."""
        mean = self.first.expression_mean
        return mean + self.trust * (expression - mean)

    def forward(self, features: Tensor, z_id: Tensor) -> Tensor:
        """Features (B, T, F) and identity (B, I) to expression (B, T, E)."""
        return _mean([decoder(part, z_id) for decoder, part in self.parts(features)])

    def stream(self, features: Iterable[Tensor], z_id: Tensor) -> Iterator[Tensor]:
        """Make frames as features arrive; see `Audio2Exp.stream`."""
        with torch.inference_mode():
            states = [decoder.start(z_id) for decoder in self._decoders()]
        for chunk in features:
            with torch.inference_mode():
                made = [
                    decoder.advance(part, state)
                    for (decoder, part), state in zip(self.parts(chunk), states, strict=True)
                ]
            yield _mean(made)

    def _decoders(self) -> Sequence[Audio2Exp]:
        return cast("Sequence[Audio2Exp]", self.members)


def _mean(made: list[Tensor]) -> Tensor:
    return torch.stack(made).mean(0)
