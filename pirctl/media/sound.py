"""Sound out of any file and into WAV: float32 mono in [-1, 1], blocks rather than whole hours."""

from __future__ import annotations

import logging
import wave
from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import DecodeError
from pirctl.files import atomic_file
from pirctl.media.damage import describe_damage, without_jumps
from pirctl.media.probe import MediaInfo, probe
from pirctl.media.process import command_of, file_url, running
from pirctl.settings import MediaSettings

_log = logging.getLogger(__name__)

Samples = NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 18


def stream_sound(
    path: Path | str,
    rate_hz: int = MediaSettings.sample_rate_hz,
    block_samples: int = _BLOCK_SAMPLES,
) -> Generator[Samples, None, None]:
    """Read the first sound stream of a file, block by block, mixed to mono and resampled.

    Sample n is what is heard n / rate_hz seconds after the file's start: a stream that starts
    late begins with silence.

    Args:
        path: a sound file, or a video with sound.
        rate_hz: samples per second of the result.
        block_samples: length of each block but the last.

    Yields:
        float32 (S,) in [-1, 1], S = block_samples, or less for the last.

    Raises:
        DecodeError: no such file, no sound stream, or not one sample in it.
    """
    info = probe(path)
    if not info.has_audio:
        raise DecodeError(
            f"{path} has no sound", hint="give a sound file, or a video that has a sound track"
        )
    return _blocks(info, rate_hz, block_samples)


def _command(info: MediaInfo, rate_hz: int) -> list[str]:
    import ffmpeg

    sound = ffmpeg.input(file_url(info.path))["a:0"]
    sound = without_jumps(sound, info, sound=True)
    sound = sound.filter("aresample", rate_hz, **{"async": 1}, first_pts=0, rematrix_maxval=1)
    return command_of(sound.output("pipe:", format="f32le", ac=1, ar=rate_hz))


def _blocks(info: MediaInfo, rate_hz: int, block_samples: int) -> Generator[Samples, None, None]:
    count = 0
    with running(_command(info, rate_hz), read=True) as process:
        while raw := process.output.read(4 * block_samples):
            block = np.frombuffer(raw[: len(raw) // 4 * 4], "<f4")
            # Resampling overshoots where the original was clipped.
            # Not a number comes out of files of floats; it is silence, as players take it.
            block = np.clip(np.nan_to_num(block), -1, 1).astype(np.float32, copy=False)
            count += len(block)
            yield block
        status = process.finish()
        said = process.said()
    if count == 0:
        raise DecodeError(f"{info.path} holds no sound: {said or 'its length is zero'}")
    if status != 0 or said:
        _log.warning(
            "%s is damaged: %s; %.1f s of its sound could be decoded",
            info.path,
            describe_damage(info.path, said),
            count / rate_hz,
        )


def read_sound(path: Path | str, rate_hz: int = MediaSettings.sample_rate_hz) -> Samples:
    """Read the whole sound of a file: float32 (S,) in [-1, 1], mono, `rate_hz` samples a second.

    One hour at 16 kHz is 230 MB; use `stream_sound` for what may be long.

    Raises:
        DecodeError: no such file, no sound stream, or not one sample in it.
    """
    return np.concatenate(list(stream_sound(path, rate_hz)))


def sound_duration_s(path: Path | str) -> float:
    """Length of the sound in seconds, by decoding it: headers of MP3 and AAC files mislead.

    Raises:
        DecodeError: no such file, no sound stream, or not one sample in it.
    """
    rate_hz = MediaSettings.sample_rate_hz
    return sum(len(block) for block in stream_sound(path, rate_hz)) / rate_hz


def write_sound(path: Path | str, samples: Samples | Iterable[Samples], rate_hz: int) -> None:
    """Write a mono 16-bit WAV file.

    Args:
        path: where to; missing folders are made, an existing file is replaced.
        samples: float32 (S,) in [-1, 1], louder is clipped; or an iterable of such blocks.
        rate_hz: samples per second.

    Raises:
        PirctlError: no space left, or no right to write there.
    """
    blocks = [samples] if isinstance(samples, np.ndarray) else samples
    with atomic_file(path) as temporary, temporary.open("wb") as file, wave.open(file) as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        for block in blocks:
            whole = np.clip(np.rint(np.asarray(block) * 32768.0), -32768, 32767)
            sound.writeframes(whole.astype("<i2").tobytes())
