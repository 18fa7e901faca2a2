"""Speech features to expression coefficients: a biased causal transformer decoder.

Owns the network, its standardisation and its streaming; not the sound (speech/) and not the
schedule of training. Frame t is made from the features of frame t, the style (z_id) and the frames
made before it: position 0 is the style alone, position t > 0 the encoded frame t - 1 plus the
style. The autoregressive and the teacher-forced forward keep that one convention.

Source: Fan et al. 2022 (FaceFormer), section 3; Huang et al. 2023 (PIR), section 3.2. The sign of
the temporal bias is FaceFormer's: nearer frames weigh more. Attention reaches `window_frames`
back, so that a frame deep inside an hour of speech costs what a frame of a short clip costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from pirctl.settings import Audio2ExpSettings
from pirctl.tensors import check_shape

SMALLEST_SCALE = 0.1
"""Axes that move less than this share of the liveliest one are not blown up to unit variance."""


@dataclass
class DecoderState:
    """What the decoder remembers between two frames; its size is bounded by the window.

    Attributes:
        style: (B, d), the embedded identity.
        position: frames made so far.
        previous: (B, E), the frame made last, standardised; None before the first.
        keys: per layer (B, H, n, d / H), n < window.
        values: per layer (B, H, n, d / H), n < window.
    """

    style: Tensor
    position: int = 0
    previous: Tensor | None = None
    keys: list[Tensor | None] = field(default_factory=list)
    values: list[Tensor | None] = field(default_factory=list)


class Audio2Exp(nn.Module):
    """The decoder.

    Args:
        settings: sizes.
        feature_width: F, width of the speech features.
        identity_width: I, identity coefficients.
        expression_width: E, expression coefficients.
    """

    expression_mean: Tensor
    expression_scale: Tensor
    positions: Tensor
    lag_bias: Tensor

    def __init__(
        self,
        settings: Audio2ExpSettings,
        feature_width: int,
        identity_width: int,
        expression_width: int,
    ) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.heads = settings.heads
        self.window_frames = settings.window_frames
        self.expression_width = expression_width
        self.audio_projection = nn.Linear(feature_width, width)
        self.motion_encoder = nn.Linear(expression_width, width)
        self.style = nn.Linear(identity_width, width, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        # The library's layer holds the weights, so that they have the names every implementation
        # of this decoder has; `_advance` and `_layer` do its arithmetic with a cache.
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, settings.heads, settings.feedforward, settings.dropout, batch_first=True
            )
            for _ in range(settings.layers)
        )
        self.head = nn.Linear(width, expression_width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("expression_mean", torch.zeros(expression_width))
        self.register_buffer("expression_scale", torch.ones(expression_width))
        self.register_buffer(
            "positions", periodic_positions(settings.period_frames, width), persistent=False
        )
        self.register_buffer(
            "lag_bias",
            lag_bias(settings.heads, settings.period_frames, settings.window_frames),
            persistent=False,
        )

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Tell the network what its axes look like; the head then works in standardised units.

        Args:
            mean: (E,), mean of each coefficient over the training frames.
            std: (E,), standard deviation of each coefficient over the training frames.
        """
        check_shape("mean", mean, self.expression_width)
        check_shape("std", std, self.expression_width)
        floor = SMALLEST_SCALE * float(std.max())
        self.expression_mean.copy_(mean)
        self.expression_scale.copy_(std.clamp(min=floor if floor > 0 else 1.0))

    def standardise(self, expression: Tensor) -> Tensor:
        """Coefficients (..., E) in the units of the head: zero mean, about unit variance."""
        return (expression - self.expression_mean) / self.expression_scale

    def loss(self, prediction: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean squared error in standardised units.

        Args:
            prediction: (..., E) coefficients.
            truth: (..., E) coefficients.
            weight: (..., 1) or (E,), weight of each frame or axis, or None.
        """
        error = ((prediction - truth) / self.expression_scale).square()
        return error.mean() if weight is None else (error * weight).mean()

    def forward(self, features: Tensor, z_id: Tensor) -> Tensor:
        """Make every frame from the ones made before it; gradients flow through the rollout.

        Args:
            features: (B, T, F) speech features, one per video frame; T may exceed the window.
            z_id: (B, I) identity coefficients.

        Returns:
            (B, T, E) expression coefficients.
        """
        check_shape("features", features, None, None, self.audio_projection.in_features)
        state = self.start(z_id)
        return self.advance(features, state)

    def teacher_forced(
        self, features: Tensor, z_id: Tensor, expression: Tensor, noise: float = 0.0
    ) -> Tensor:
        """Make every frame from the true previous one, all frames at once.

        Args:
            features: (B, T, F) speech features.
            z_id: (B, I) identity coefficients.
            expression: (B, T, E) the true coefficients.
            noise: standard deviation of the noise on the true frames, in standardised units; it
                keeps the network from just copying the frame before.

        Returns:
            (B, T, E) expression coefficients.
        """
        check_shape("features", features, None, None, self.audio_projection.in_features)
        check_shape("expression", expression, *features.shape[:2], self.expression_width)
        style = self.style(z_id)[:, None]
        previous = self.standardise(expression[:, :-1])
        if noise > 0:
            previous = previous + noise * torch.randn_like(previous)
        hidden = torch.cat([style, self.motion_encoder(previous) + style], dim=1)
        index = torch.arange(hidden.shape[1], device=hidden.device) % len(self.positions)
        hidden = self.dropout(hidden + self.positions[index])
        bias = self.attention_bias(hidden.shape[1])
        heard = self._heard(features)
        for layer, memory in zip(self.layers, heard, strict=True):
            assert isinstance(layer, nn.TransformerDecoderLayer)
            query, key, value = self._project(layer, hidden)
            hidden = self._finish(layer, hidden, _attend(query, key, value, bias, layer), memory)
        return self._expression(self.head(hidden))

    def start(self, z_id: Tensor) -> DecoderState:
        """The state before the first frame, for identity z_id (B, I)."""
        check_shape("z_id", z_id, None, self.style.in_features)
        layers = len(self.layers)
        return DecoderState(style=self.style(z_id), keys=[None] * layers, values=[None] * layers)

    def step(self, feature: Tensor, state: DecoderState) -> Tensor:
        """Make the next frame (B, E) from its feature (B, F); `state` moves on by one frame."""
        return self.advance(feature[:, None], state)[:, 0]

    def attention_bias(self, frames: int) -> Tensor:
        """The additive mask (H, T, T): bias of the lag, -inf for the future and past the window."""
        index = torch.arange(frames, device=self.lag_bias.device)
        lag = index[:, None] - index[None, :]
        reach = min(frames, self.window_frames)
        bias = self.lag_bias[:, lag.clamp(0, reach - 1)]
        return bias.masked_fill((lag < 0) | (lag >= reach), -math.inf)

    def advance(self, features: Tensor, state: DecoderState) -> Tensor:
        """Make the next frames (B, t, E) from their features (B, t, F); `state` moves on by t.

        Memory and cost per frame do not grow; chunk by chunk they equal `forward` of the whole.
        """
        heard = [memory.unbind(1) for memory in self._heard(features)]
        made = []
        for frame in range(features.shape[1]):
            state.previous = self._advance([memory[frame] for memory in heard], state)
            made.append(state.previous)
        return self._expression(torch.stack(made, dim=1))

    def _advance(self, heard: list[Tensor], state: DecoderState) -> Tensor:
        """One frame (B, E), standardised, from what each layer hears (B, d)."""
        hidden = state.style
        if state.previous is not None:
            hidden = hidden + self.motion_encoder(state.previous)
        hidden = self.dropout(hidden + self.positions[state.position % len(self.positions)])
        hidden = hidden[:, None]
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.TransformerDecoderLayer)
            query, key, value = self._project(layer, hidden)
            old_keys, old_values = state.keys[index], state.values[index]
            if old_keys is not None and old_values is not None:
                key = torch.cat([old_keys, key], dim=2)
                value = torch.cat([old_values, value], dim=2)
            bias = self.lag_bias[:, : key.shape[2]].flip(1)[:, None]
            attended = _attend(query, key, value, bias, layer)
            hidden = self._finish(layer, hidden, attended, heard[index][:, None])
            kept = self.window_frames - 1
            first = max(0, key.shape[2] - kept)
            state.keys[index], state.values[index] = key[:, :, first:], value[:, :, first:]
        state.position += 1
        standardised: Tensor = self.head(hidden[:, 0])
        return standardised

    def _heard(self, features: Tensor) -> list[Tensor]:
        """Per layer (B, T, d), what the alignment attention hears: frame t hears feature t alone.

        The softmax over one key is 1, so the cross attention is out_proj(V) of that key, for all
        frames in one product; its query and key weights exist and never matter.
        """
        memory = self.audio_projection(features)
        heard = []
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerDecoderLayer)
            attention = layer.multihead_attn
            width = memory.shape[-1]
            value = functional.linear(
                memory, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :]
            )
            heard.append(attention.out_proj(value))
        return heard

    def _project(self, layer: nn.TransformerDecoderLayer, hidden: Tensor) -> list[Tensor]:
        """Query, key and value of the self attention, each (B, H, T, d / H)."""
        batch, frames, width = hidden.shape
        attention = layer.self_attn
        joint = functional.linear(hidden, attention.in_proj_weight, attention.in_proj_bias)
        joint = joint.view(batch, frames, 3, self.heads, width // self.heads)
        return list(joint.permute(2, 0, 3, 1, 4).unbind(0))

    def _finish(
        self, layer: nn.TransformerDecoderLayer, hidden: Tensor, attended: Tensor, heard: Tensor
    ) -> Tensor:
        """The rest of a post-norm layer after its self attention (B, H, T, d / H)."""
        joined = attended.transpose(1, 2).flatten(2)
        hidden = layer.norm1(hidden + layer.dropout1(layer.self_attn.out_proj(joined)))
        hidden = layer.norm2(hidden + layer.dropout2(heard))
        inner = layer.dropout(functional.relu(layer.linear1(hidden)))
        finished: Tensor = layer.norm3(hidden + layer.dropout3(layer.linear2(inner)))
        return finished

    def _expression(self, standardised: Tensor) -> Tensor:
        return self.expression_mean + self.expression_scale * standardised


def periodic_positions(period_frames: int, width: int) -> Tensor:
    """The positional encoding (p, d) of one period: sine on even channels, cosine on odd ones.

    Source: Fan et al. 2022, eq. 3, with position t mod p.
    """
    time = torch.arange(period_frames, dtype=torch.float64)[:, None]
    pair = torch.arange(width) // 2
    angle = time / 10000 ** (2 * pair / width)
    even = torch.arange(width) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).float()


def lag_bias(heads: int, period_frames: int, window_frames: int) -> Tensor:
    """What each head adds to the attention score of a frame `lag` back: (H, window).

    Source: Fan et al. 2022, eq. 5, with head slopes 2^(-8 h / H), h = 1..H (Press et al. 2022).
    """
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    lag = torch.arange(window_frames)
    return -slopes[:, None] * (lag // period_frames)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, layer: nn.TransformerDecoderLayer
) -> Tensor:
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
    weights = scores.softmax(dim=-1)
    if layer.training:
        weights = functional.dropout(weights, layer.self_attn.dropout)
    return weights @ value
