"""What every speech encoder does: sound to one feature vector per video frame, exactly.

Frame n lasts from n to n + 1 frame durations and its feature is centred at (n + 1/2) durations.
An encoder works in two steps. The first has nothing to learn and is done once: sound to *inputs*,
one row per frame, with `context_frames` rows of what is heard before the first and after the last
frame; what must be known of the whole sound for that, `measure` finds out beforehand. The second
is the network's `forward`, which uses up that context. So the features of frames [a, b) are
`forward(inputs[None, a : b + 2 * context_frames])`, in training and in use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pirctl.errors import SettingsError
from pirctl.speech.level import Loudness, measure

FloatArray = NDArray[np.float32]


class SpeechEncoder(nn.Module, ABC):
    """Sound to features.

    Attributes:
        feature_width: F, width of a feature.
        input_width: width of a row of inputs.
        context_frames: frames on either side that influence a frame (or are given to it).
        frame_samples: samples per video frame.
        margin_samples: samples beyond either end of a block that its inputs depend on.
        block_frames: inputs are made in blocks of this many frames, counted from the first row, so
            that a streamed file and a whole one give the same rows.
    """

    feature_width: int
    input_width: int
    context_frames: int
    frame_samples: int
    margin_samples: int
    block_frames: int

    @abstractmethod
    def block_inputs(self, sound: FloatArray, loudness: Loudness) -> Tensor:
        """Rows (n, input_width) for n frames, with `margin_samples` of sound on either side.

        Args:
            sound: levelled samples, as `level` says; zero where there is no sound.
            loudness: of the whole sound.
        """

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Rows (B, T + 2 context, input_width) to features (B, T, F)."""

    @abstractmethod
    def architecture(self) -> dict[str, object]:
        """What `build_encoder` needs to make this encoder again, as plain JSON values."""

    def adapt(self, inputs: Tensor) -> None:
        """Get used to the rows (N, input_width) of the training part, once, before training."""

    def measure(self, pieces: Iterable[FloatArray]) -> Loudness:
        """What has to be known of a whole piece of sound before its features are made."""
        return measure(pieces, self.frame_samples)

    def level(self, loudness: Loudness) -> tuple[float, float]:
        """What is taken off every sample of a piece of sound, and the factor on the rest."""
        return 0.0, loudness.gain

    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def prepare(self, sound: FloatArray, frames: int) -> Tensor:
        """Inputs of a whole file, brought to the encoder's level; training caches them.

        Args:
            sound: (S,) float samples in [-1, 1]; silence follows where it is too short.
            frames: T, video frames to make features for.

        Returns:
            (T + 2 context, input_width) on the CPU.
        """
        rows = self._rows([sound], frames, self.measure([sound]))
        return torch.cat([block.cpu() for block in rows])

    def stream(
        self, pieces: Iterable[FloatArray], frames: int, loudness: Loudness, window_frames: int
    ) -> Iterator[Tensor]:
        """Features of sound that arrives in pieces, in bounded memory.

        Args:
            pieces: (any,) float samples in [-1, 1].
            frames: T, frames to make in all.
            loudness: of the whole file, from this encoder's `measure`.
            window_frames: frames per window of the network; the last one is shorter.

        Yields:
            (1, t, F) features of consecutive frames, T in all.
        """
        context = 2 * self.context_frames
        waiting = torch.zeros(0, self.input_width)
        made = 0
        for rows in self._rows(pieces, frames, loudness):
            waiting = torch.cat([waiting.to(rows), rows])
            while made < frames:
                wanted = min(window_frames, frames - made)
                if len(waiting) < wanted + context:
                    break
                with torch.inference_mode():
                    features = self(waiting[None, : wanted + context].to(self.device()))
                yield features
                waiting = waiting[wanted:]
                made += wanted

    def _rows(
        self, pieces: Iterable[FloatArray], frames: int, loudness: Loudness
    ) -> Iterator[Tensor]:
        """The T + 2 context rows, block by block."""
        total = frames + 2 * self.context_frames
        sizes = [self.block_frames] * (total // self.block_frames)
        if total % self.block_frames:
            sizes.append(total % self.block_frames)
        before = self.context_frames * self.frame_samples + self.margin_samples
        offset, factor = self.level(loudness)
        source = (
            (np.asarray(piece, np.float32) - np.float32(offset)) * np.float32(factor)
            for piece in pieces
        )
        buffer = np.zeros(before, np.float32)
        for size in sizes:
            needed = size * self.frame_samples + 2 * self.margin_samples
            buffer = _filled(buffer, source, needed)
            yield self.block_inputs(buffer[:needed], loudness)
            buffer = buffer[size * self.frame_samples :]


def _filled(buffer: FloatArray, source: Iterator[FloatArray], needed: int) -> FloatArray:
    """At least `needed` samples: what is there, then from the source, then silence."""
    parts = [buffer]
    have = len(buffer)
    while have < needed:
        piece = next(source, None)
        if piece is None:
            piece = np.zeros(needed - have, np.float32)
        parts.append(piece)
        have += len(piece)
    return np.concatenate(parts)


def samples_per_frame(sample_rate_hz: int, frame_rate: int) -> int:
    """Samples per video frame; SettingsError unless it is a whole number."""
    if sample_rate_hz % frame_rate:
        raise SettingsError(
            f"media.frame_rate {frame_rate} does not divide media.sample_rate_hz {sample_rate_hz}",
            hint="use 25 frames per second and 16000 Hz, as the presets do",
        )
    return sample_rate_hz // frame_rate
