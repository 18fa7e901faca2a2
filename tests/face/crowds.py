"""Drawn people: squares of a colour each, what sees them, and what tells them apart."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pirctl.face.recognise import open_portrait
from pirctl.face.stretches import Stretch
from pirctl.media.process import ffmpeg_program

ANNA, BEN, CLEO = 80, 140, 200
SIDE = 60
RATE = 25


def template() -> np.ndarray:
    """Points of the mesh in a unit square, the eyes, the nose and the lips where they belong."""
    points = np.random.default_rng(0).uniform(0.1, 0.9, (478, 2)).astype(np.float32)
    points[[2, 3]] = (0, 0), (1, 1)
    points[[33, 133, 362, 263]] = (0.25, 0.35), (0.4, 0.35), (0.6, 0.35), (0.75, 0.35)
    points[1], points[[61, 291]] = (0.5, 0.55), ((0.35, 0.75), (0.65, 0.75))
    points[[13, 14]] = 0.5, 0.75
    return points


class CrowdDetector:
    """Sees the squares; how far the lips part is drawn as green."""

    name, points, batch = "crowd", 478, 4

    def __init__(self) -> None:
        self.seen = 0

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        self.seen += len(images)
        return [
            [face for who in (ANNA, BEN, CLEO) for face in _face(image, who)] for image in images
        ]

    def close(self) -> None:
        """Nothing to close."""


def _face(image: np.ndarray, who: int) -> list[np.ndarray]:
    rows, columns = np.nonzero(image[..., 0] == who)
    if len(rows) < SIDE**2 / 2:
        return []
    low = np.array((columns.min(), rows.min()), np.float32)
    high = np.array((columns.max() + 1, rows.max() + 1), np.float32)
    face = template()
    face[13, 1] -= float(image[rows[0], columns[0], 1]) / 1000
    return [low + face * (high - low)]


class RedRecogniser:
    """Knows people by the red in the middle of their heads."""

    threshold = 0.5

    def alike(self, stretches: Sequence[Stretch]) -> np.ndarray:
        colours = np.array([colour_of(stretch) for stretch in stretches])
        return (colours[:, None] == colours[None]).astype(float)


def colour_of(stretch: Stretch) -> int:
    """Who is seen in a stretch."""
    reds = [open_portrait(sighting)[96, 96, 0] for sighting in stretch.best(5)]
    return min((ANNA, BEN, CLEO), key=lambda who: abs(float(np.median(reds)) - who))


def frame(*people: tuple[int, int, int], opening: float = 0.0, ground: int = 0) -> np.ndarray:
    """A picture (200, 320, 3) of people at (who, x, y), later ones before earlier ones."""
    picture = np.zeros((200, 320, 3), np.uint8)
    picture[..., 2] = np.linspace(0, 255, 320) if ground else np.linspace(255, 0, 200)[:, None]
    for who, x, y in people:
        picture[y : y + SIDE, x : x + SIDE] = who, round(1000 * opening), 0
    return picture


def film(path: Path, frames: Sequence[np.ndarray], *sound: object) -> Path:
    """The frames as a lossless video of 25 a second, with a sound if its options are given."""
    height, width = frames[0].shape[:2]
    command = [
        ffmpeg_program(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-", *map(str, sound),
        "-c:v", "ffv1", "-pix_fmt", "bgr0", str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True, input=b"".join(each.tobytes() for each in frames))
    return path
