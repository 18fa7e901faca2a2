"""A sound file to a stream of expressions: speech encoder, decoder, and a mouth that rests.

Three passes over the file: one measures how loud it is and one where a voice is (one float per
frame each), one turns it into expressions, chunk by chunk. Neither the memory nor the cost of a
frame grows with the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from pirctl.media.sound import stream_sound
from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.settings import Settings
from pirctl.speech.encoder import SpeechEncoder
from pirctl.speech.gate import silence_gate
from pirctl.speech.level import FloatArray, Loudness
from pirctl.speech.voice import hear_voice
from pirctl.tensors import check_shape

_MOUTH = ("jaw", "mouth", "tongue", "cheekPuff")
"""How the ARKit names of the axes that speech moves begin; brows, eyes, cheeks and nose stay."""


class SpeechStage(Protocol):
    """What is needed of a trained audio stage."""

    @property
    def encoder(self) -> SpeechEncoder:
        """Sound to features."""

    @property
    def decoder(self) -> Audio2ExpEnsemble:
        """Features to expression."""

    @property
    def settings(self) -> Settings:
        """The settings it was trained with."""


def mouth_axes(names: Sequence[str]) -> tuple[int, ...]:
    """Indices of the expression axes that speech moves.

    Args:
        names: (E,) of the face model; where none of them is an ARKit name, every axis is taken.
    """
    axes = tuple(index for index, name in enumerate(names) if name.startswith(_MOUTH))
    return axes or tuple(range(len(names)))


def frames_of_sound(samples: int, frame_samples: int) -> int:
    """Video frames that cover the samples: the last may be a partial one, and there is one."""
    return max(1, -(-samples // frame_samples))


def speech_expression(
    sound: Path,
    stage: SpeechStage,
    z_id: FloatArray,
    rest: FloatArray | None = None,
) -> Iterator[FloatArray]:
    """What the face does while it says the sound.

    Args:
        sound: any file with sound; it is measured before this returns.
        stage: the trained audio stage, ready for use (evaluation mode).
        z_id: (I,) the target's identity coefficients.
        rest: (E,) the target's closed mouth, shown where nobody speaks; None: never.

    Returns:
        Chunks (t, E), t up to the decoder's window; ceil(samples / samples per frame) rows in all.

    Raises:
        DecodeError: no such file, no sound in it, or not one sample.
    """
    check_shape("z_id", z_id, stage.decoder.identity_width)
    if rest is not None:
        check_shape("rest", rest, stage.decoder.expression_width)
    loudness = _measure(sound, stage)
    chunks = _predict(sound, stage, z_id, loudness)
    return chunks if rest is None else _at_rest(chunks, _silence(sound, stage, loudness), rest)


def speech_silence(sound: Path, stage: SpeechStage) -> FloatArray:
    """How silent each frame is, (T,) in [0, 1]: as many rows as `speech_expression` has."""
    return _silence(sound, stage, _measure(sound, stage))


def _measure(sound: Path, stage: SpeechStage) -> Loudness:
    with closing(stream_sound(sound, stage.settings.media.sample_rate_hz)) as pieces:
        return stage.encoder.measure(pieces)


def _silence(sound: Path, stage: SpeechStage, loudness: Loudness) -> FloatArray:
    rate_hz = stage.settings.media.sample_rate_hz
    with closing(stream_sound(sound, rate_hz)) as pieces:
        voice = hear_voice(pieces, loudness, stage.encoder.frame_samples, rate_hz)
    return silence_gate(loudness, voice)


def _predict(
    sound: Path, stage: SpeechStage, z_id: FloatArray, loudness: Loudness
) -> Iterator[FloatArray]:
    encoder, decoder = stage.encoder, stage.decoder
    frames = frames_of_sound(loudness.samples, encoder.frame_samples)
    identity = torch.from_numpy(np.asarray(z_id, np.float32))[None].to(encoder.device())
    with closing(stream_sound(sound, stage.settings.media.sample_rate_hz)) as pieces:
        features = encoder.stream(pieces, frames, loudness, decoder.window_frames)
        for chunk in decoder.stream(features, identity):
            made: FloatArray = decoder.tempered(chunk[0]).float().cpu().numpy()
            yield made


def _at_rest(
    chunks: Iterator[FloatArray], gate: FloatArray, rest: FloatArray
) -> Iterator[FloatArray]:
    """Blend towards `rest` by the gate (T,)."""
    start = 0
    for made in chunks:
        share = gate[start : start + len(made), None]
        start += len(made)
        yield (1 - share) * made + share * rest
