"""Small clips made by ffmpeg's own sources, and the fixtures' plain functions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from pirctl.media.process import ffmpeg_program


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg and fail the test when it fails."""
    command = [ffmpeg_program(), "-y", "-v", "error", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def counting_clip(path: Path, *options: object, rate: str = "25", size: str = "64x48") -> Path:
    """One second of a picture that changes in every frame."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=d=1:s={size}:r={rate}", *options, path)
    return path


def tone(path: Path, *options: object, hertz: int = 440, seconds: float = 1.0) -> Path:
    """A sine at 48 kHz."""
    source = f"sine=frequency={hertz}:sample_rate=48000:duration={seconds}"
    ffmpeg("-f", "lavfi", "-i", source, *options, path)
    return path


def moving_frames(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Smooth RGB pictures, each different from the next, in every colour."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for t in range(count):
        red = 128 + 100 * np.sin(x / 9 + t / 3)
        green = 128 + 100 * np.cos(y / 11 - t / 5)
        blue = 255 * x / width * np.ones_like(y)
        frames.append(np.stack([red, green, blue], -1).astype(np.uint8))
    return frames


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio of 8-bit pictures, in dB."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
