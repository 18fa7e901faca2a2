"""The base of all encoders, by one that shows what it is given: loudness in, loudness out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pirctl.errors import SettingsError
from pirctl.speech.encoder import SpeechEncoder, samples_per_frame
from pirctl.speech.level import Loudness

SAMPLES = 4


class Echo(SpeechEncoder):
    """A row is a frame's own samples; a feature is the mean row of the frame and its context."""

    feature_width = input_width = SAMPLES
    frame_samples = SAMPLES
    margin_samples = 3
    block_frames = 5

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context_frames = context
        self.weight = nn.Parameter(torch.ones(()))
        self.blocks: list[int] = []

    def level(self, loudness: Loudness) -> tuple[float, float]:
        return 1.0, 2.0

    def block_inputs(self, sound: np.ndarray, loudness: Loudness) -> Tensor:
        own = sound[self.margin_samples : len(sound) - self.margin_samples]
        self.blocks.append(len(own) // SAMPLES)
        return torch.from_numpy(own.reshape(-1, SAMPLES).copy())

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.unfold(1, 2 * self.context_frames + 1, 1).mean(-1)
        return self.weight * rows

    def architecture(self) -> dict[str, object]:
        return {}


def sound_of(frames: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, frames * SAMPLES).astype(np.float32)


def test_a_row_per_frame_with_silence_on_either_side() -> None:
    encoder, sound = Echo(context=2), sound_of(3)
    rows = encoder.prepare(sound, 3)
    assert rows.shape == (3 + 2 * 2, SAMPLES)
    assert rows[:2].eq(0).all()
    assert rows[-2:].eq(0).all()
    # The offset is taken off, then the factor applied.
    np.testing.assert_allclose(rows[2:5].numpy().ravel(), (sound - 1) * 2, atol=1e-6)


def test_inputs_are_made_in_blocks_counted_from_the_first_row() -> None:
    encoder = Echo(context=1)
    encoder.prepare(sound_of(11), 11)
    assert encoder.blocks == [5, 5, 3]


def test_sound_that_is_too_short_is_followed_by_silence() -> None:
    rows = Echo(context=0).prepare(sound_of(2), 4)
    assert rows.shape == (4, SAMPLES)
    assert rows[:2].ne(0).all()
    assert rows[2:].eq(0).all()


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("window", [1, 4, 100])
@pytest.mark.parametrize("context", [0, 3])
def test_a_stream_gives_what_the_whole_file_gives(piece: int, window: int, context: int) -> None:
    encoder, sound = Echo(context), sound_of(13)
    loudness = encoder.measure([sound])
    pieces = [sound[at : at + piece] for at in range(0, len(sound), piece)]
    chunks = list(encoder.stream(pieces, 13, loudness, window))
    with torch.no_grad():
        whole = encoder(encoder.prepare(sound, 13)[None])
    torch.testing.assert_close(torch.cat(chunks, 1), whole)
    assert all(chunk.shape[1] <= window for chunk in chunks)


def test_a_frame_that_is_no_whole_number_of_samples_is_refused() -> None:
    assert samples_per_frame(16000, 25) == 640
    with pytest.raises(SettingsError, match="does not divide") as caught:
        samples_per_frame(16000, 30)
    assert "25 frames" in str(caught.value.hint)
