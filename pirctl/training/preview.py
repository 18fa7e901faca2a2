"""preview.png: what the networks make now, and how the losses went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pirctl.files import atomic_file
from pirctl.networks.pictures import to_bytes

Picture = npt.NDArray[np.uint8]

_COLOURS = ((200, 60, 50), (40, 100, 200), (40, 140, 70), (150, 80, 170), (190, 130, 20))
_CURVES_HEIGHT = 160
_MARGIN = 8


def to_picture(image: Tensor) -> Picture:
    """An image (3, H, W) in [-1, 1] as uint8 (H, W, 3)."""
    return np.ascontiguousarray(to_bytes(image.detach()).cpu().numpy())


def grid(rows: Sequence[Sequence[Tensor]]) -> Picture:
    """Images (3, H, W) of one size as a table."""
    return np.concatenate(
        [np.concatenate([to_picture(image) for image in row], axis=1) for row in rows], axis=0
    )


def stack(pictures: Sequence[Picture]) -> Picture:
    """Pictures below each other; narrower ones are padded with white on the right."""
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(
            picture,
            ((0, 0), (0, width - picture.shape[1]), (0, 0)),
            constant_values=255,
        )
        for picture in pictures
    ]
    return np.concatenate(padded, axis=0)


def draw_losses(curves: Mapping[str, Sequence[tuple[float, float]]], width: int) -> Picture:
    """The losses over the steps on a logarithmic scale, each fitted to the height, with its end.

    Args:
        curves: (step, value) points by name.
        width: of the picture, in pixels.
    """
    import cv2

    canvas = np.full((_CURVES_HEIGHT, width, 3), 255, np.uint8)
    for index, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        values = [math.log(max(value, 1e-9)) for _, value in points]
        _draw_curve(canvas, [step for step, _ in points], values, colour)
        label = f"{name} {points[-1][1]:.4g}"
        place = (_MARGIN, _MARGIN + 12 * (index + 1))
        cv2.putText(canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)
    return canvas


def draw_signals(signals: Mapping[str, Sequence[Sequence[float]]], width: int) -> Picture:
    """Pairs of signals over time, the truth in black and the prediction in colour.

    Args:
        signals: by name a truth and a prediction of equal length.
        width: of the picture, in pixels.
    """
    import cv2

    panels = []
    for index, (name, pair) in enumerate(signals.items()):
        canvas = np.full((_CURVES_HEIGHT, width, 3), 255, np.uint8)
        everything = [value for signal in pair for value in signal]
        limits = min(everything), max(everything)
        for signal, colour in zip(pair, ((0, 0, 0), _COLOURS[index % len(_COLOURS)]), strict=True):
            _draw_curve(canvas, range(len(signal)), signal, colour, limits)
        label = f"{name} {limits[0]:.2f} to {limits[1]:.2f}"
        cv2.putText(canvas, label, (_MARGIN, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (90, 90, 90), 1,
                    cv2.LINE_AA)  # fmt: skip
        panels.append(canvas)
    return stack(panels)


def _draw_curve(
    canvas: Picture,
    times: Sequence[float],
    values: Sequence[float],
    colour: tuple[int, int, int],
    limits: tuple[float, float] | None = None,
) -> None:
    import cv2

    height, width = canvas.shape[:2]
    low, high = limits or (min(values), max(values))
    across = max(times[-1], 1)
    x = _MARGIN + np.asarray(times) / across * (width - 2 * _MARGIN)
    y = (
        height
        - _MARGIN
        - (np.asarray(values) - low) / max(high - low, 1e-6) * (height - 2 * _MARGIN)
    )
    points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
    cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)


def write_preview(path: Path, picture: Picture) -> None:
    """Write a picture (H, W, 3) RGB as PNG."""
    import cv2

    done, encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    assert done, "PNG of a uint8 picture always encodes"
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
