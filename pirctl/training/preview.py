"""preview.png: what the networks make now, and how the losses went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pirctl.networks.pictures import to_bytes

Picture = npt.NDArray[np.uint8]

_DPI = 100
_PANEL_PX = 120
_LEAST_LOSS = 1e-9  # A logarithmic scale has no place for 0.
_LEAST_WIDTH_PX = 320  # Less leaves no room beside the labels.


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
    """The losses over the steps on a logarithmic scale, each with its last value.

    Args:
        curves: (step, value) points by name.
        width: of the picture in pixels; at least 320 are taken.
    """
    figure = _figure(width, panels=2)
    axis = figure.subplots()
    for name, points in curves.items():
        steps, values = zip(*points, strict=True)
        shown = [max(value, _LEAST_LOSS) for value in values]
        axis.plot(steps, shown, label=f"{name} {values[-1]:.4g}", linewidth=1)
    axis.set_yscale("log")
    axis.grid(alpha=0.3)
    axis.set_xlabel("step", fontsize=7)
    axis.tick_params(labelsize=6, which="both")
    if curves:
        axis.legend(fontsize=6, loc="upper right")
    return _painted(figure)


def draw_signals(signals: Mapping[str, Sequence[Sequence[float]]], width: int) -> Picture:
    """Pairs of signals over time, the truth in black and the prediction in colour.

    Args:
        signals: by name a truth and a prediction of equal length.
        width: of the picture in pixels; at least 320 are taken.
    """
    figure = _figure(width, panels=len(signals))
    axes = figure.subplots(len(signals), 1, sharex=True, squeeze=False)[:, 0]
    for index, (axis, (name, (truth, made))) in enumerate(zip(axes, signals.items(), strict=True)):
        axis.plot(truth, color="black", label="truth", linewidth=1)
        axis.plot(made, color=f"C{index}", label="prediction", linewidth=1)
        axis.set_title(name, fontsize=7, loc="left")
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=6)
    axes[0].legend(fontsize=6, loc="upper right", ncols=2)
    axes[-1].set_xlabel("frame", fontsize=7)
    return _painted(figure)


def _figure(width: int, panels: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # By hand: pyplot would choose a window system and keep global state.
    figure = Figure(
        figsize=(max(width, _LEAST_WIDTH_PX) / _DPI, panels * _PANEL_PX / _DPI), dpi=_DPI
    )
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    return figure


def _painted(figure: Any) -> Picture:
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
