"""The trainable part of the small encoders: a linear layer, and convolutions over time."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class TemporalBlock(nn.Module):
    """A residual convolution over time, unpadded.

    Args:
        width: channels C.
        reach: frames on either side that it sees, and uses up.
        dropout: of what is added.
    """

    def __init__(self, width: int, reach: int, *, dropout: float) -> None:
        super().__init__()
        self.reach = reach
        self.convolution = nn.Conv1d(width, width, 2 * reach + 1)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T + 2 reach) to (B, C, T)."""
        kept = hidden[:, :, self.reach : hidden.shape[2] - self.reach]
        joined = kept + self.dropout(functional.gelu(self.convolution(hidden)))
        normed: Tensor = self.norm(joined.transpose(1, 2))
        return normed.transpose(1, 2)


class Head(nn.Module):
    """Rows of inputs to features; uses up `context_frames` rows on either side.

    Args:
        input_width: W.
        width: F.
        context_frames: frames on either side that it sees.
        dropout: of what each block adds.
    """

    def __init__(
        self, input_width: int, width: int, context_frames: int, *, dropout: float
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(input_width, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            TemporalBlock(width, reach, dropout=dropout) for reach in reaches(context_frames)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T + 2 context, W) to (B, T, F)."""
        hidden = self.norm(functional.gelu(self.projection(inputs))).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden)
        features: Tensor = hidden.transpose(1, 2)
        return features


def reaches(context_frames: int) -> list[int]:
    """Split a context over blocks of two frames on either side, the last maybe one."""
    return [2] * (context_frames // 2) + [1] * (context_frames % 2)
