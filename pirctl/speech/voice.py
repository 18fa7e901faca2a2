"""Where somebody speaks, whatever else is heard: the network of Silero VAD, by its own weights.

The package `silero-vad` brings them as safetensors, which are read here without importing it: that
would set the number of threads of the whole program. Its network, in chunks of 32 ms at 16 kHz with
4 ms of what was before: magnitudes of a short Fourier transform, four convolutions, an LSTM that
carries over from chunk to chunk, and a sigmoid. Source: Silero VAD 6.2 (MIT), its published shapes.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from pirctl.speech.level import FloatArray, Loudness

LOGGER = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 16000
CHUNK_SAMPLES = 512

_BEFORE_SAMPLES = 64
_TRANSFORM_SAMPLES, _HOP_SAMPLES = 256, 128
_BINS = _TRANSFORM_SAMPLES // 2 + 1
_CHUNKS_AT_ONCE = 256  # 8 s


class VoiceDetector(nn.Module):
    """Sound to the probability of speech in every chunk."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _BINS, _TRANSFORM_SAMPLES, _HOP_SAMPLES, bias=False)
        self.conv1 = nn.Conv1d(_BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(
        self, chunks: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Consecutive chunks (N, 64 + 512), each with what was before it.

        Returns:
            (N,) probabilities, and the state that the next chunks start from.
        """
        padded = functional.pad(chunks[:, None], (0, _BEFORE_SAMPLES), mode="reflect")
        waves = self.stft_conv(padded)
        hidden = (waves[:, :_BINS].square() + waves[:, _BINS:].square()).sqrt()
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            hidden = convolution(hidden).relu()
        said, state = self.lstm(hidden[:, :, 0], state)
        probabilities: Tensor = self.final_conv(said.relu()[:, :, None]).sigmoid()
        return probabilities[:, 0, 0], state

    @torch.inference_mode()
    def listen(self, pieces: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Probabilities (n,) of consecutive chunks of sound that arrives in pieces.

        Bounded memory. The last chunk is filled up with silence.
        """
        state = None
        most = _CHUNKS_AT_ONCE * CHUNK_SAMPLES
        waiting = np.zeros(_BEFORE_SAMPLES, np.float32)
        for piece in _with_an_end(pieces):
            rest = piece
            while len(rest):
                waiting, rest = np.concatenate([waiting, rest[:most]]), rest[most:]
                count = (len(waiting) - _BEFORE_SAMPLES) // CHUNK_SAMPLES
                if not count:
                    continue
                samples = torch.from_numpy(waiting[: _BEFORE_SAMPLES + count * CHUNK_SAMPLES])
                chunks = samples.unfold(0, _BEFORE_SAMPLES + CHUNK_SAMPLES, CHUNK_SAMPLES)
                made, state = self(chunks, state)
                waiting = waiting[count * CHUNK_SAMPLES :]
                yield made.numpy()


def hear_voice(
    pieces: Iterable[FloatArray], loudness: Loudness, frame_samples: int, sample_rate_hz: int
) -> FloatArray | None:
    """How sure it is that somebody speaks, frame by frame.

    Args:
        pieces: (any,) float samples in [-1, 1].
        loudness: of the whole sound; it is heard at the reference level.
        frame_samples: samples per video frame.
        sample_rate_hz: of the sound.

    Returns:
        (T,) the largest probability within each of the loudness' frames; None where the detector
        is not there, or hears another sample rate.
    """
    detector = load_detector()
    if detector is None:
        LOGGER.warning(
            "silero-vad is not installed: silence is told by loudness, and the mouth moves to "
            "music; python -m pip install silero-vad"
        )
        return None
    if sample_rate_hz != SAMPLE_RATE_HZ:
        LOGGER.warning(
            "the voice detector hears %d Hz, media.sample_rate_hz is %d: silence is told by "
            "loudness",
            SAMPLE_RATE_HZ,
            sample_rate_hz,
        )
        return None
    LOGGER.info("silence is told by the voice: Silero VAD")
    gain = np.float32(loudness.gain)
    chunks = np.concatenate(
        [np.zeros(0, np.float32), *detector.listen(piece * gain for piece in pieces)]
    )
    return _largest(chunks, frame_samples, len(loudness.frames_db))


@cache
def load_detector() -> VoiceDetector | None:
    """The detector with its weights; None where the package is not there, or is another one."""
    path = _weights_path()
    if path is None:
        return None
    detector = VoiceDetector()
    try:
        weights = load_file(path)
        named = {_renamed(name): tensor for name, tensor in weights.items()}
        detector.load_state_dict(named)
    except (OSError, SafetensorError, RuntimeError) as error:
        LOGGER.info("%s cannot be read: %s", path, error)
        return None
    return detector.eval().requires_grad_(False)


def _weights_path() -> Path | None:
    found = importlib.util.find_spec("silero_vad")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "data" / "silero_vad_16k.safetensors"
        if path.is_file():
            return path
    return None


def _renamed(name: str) -> str:
    """The package's name of a weight as torch's: its LSTM cell is layer 0 here."""
    if name.startswith("lstm_cell."):
        return f"{name.replace('lstm_cell', 'lstm')}_l0"
    return name


def _with_an_end(pieces: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """The pieces, then silence up to a whole chunk."""
    samples = 0
    for piece in pieces:
        samples += len(piece)
        yield np.asarray(piece, np.float32)
    yield np.zeros(-samples % CHUNK_SAMPLES, np.float32)


def _largest(chunks: FloatArray, frame_samples: int, frames: int) -> FloatArray:
    """Of the chunks that overlap each frame, the largest value: (frames,)."""
    start = np.arange(frames) * frame_samples
    first, last = start // CHUNK_SAMPLES, (start + frame_samples - 1) // CHUNK_SAMPLES
    largest = np.zeros(frames, np.float32)
    for offset in range(int((last - first).max(initial=-1)) + 1):
        # A partial frame at the end may have fewer chunks.
        index = np.minimum(np.minimum(first + offset, last), len(chunks) - 1)
        largest = np.maximum(largest, chunks[index])
    return largest
