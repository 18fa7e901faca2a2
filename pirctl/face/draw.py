"""Pictures for people: landmarks, mesh, masks and labels over a frame, sheets, and curves.

Drawing functions return a new picture, uint8 (H, W, 3) RGB; points are in its pixels.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pirctl.face.landmarks import MESH_POINTS
from pirctl.face.model import GENERIC, FaceModel, load_face_model
from pirctl.face.parsing import LABELS
from pirctl.files import atomic_file

Image = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

GREEN: Colour = (64, 255, 96)
ORANGE: Colour = (255, 150, 32)
RED: Colour = (255, 64, 64)
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

_FRACTION_BITS = 4
_CAPTION_PX = 22
_GAP_PX = 4


def draw_points(image: Image, points: FloatArray, colour: Colour = GREEN) -> Image:
    """Dots at points (L, 2)."""
    import cv2

    drawn = image.copy()
    radius = max(1, round(image.shape[0] / 512))
    for x, y in _fixed(points):
        cv2.circle(
            drawn, (int(x), int(y)), radius << _FRACTION_BITS, colour, -1, cv2.LINE_AA,
            _FRACTION_BITS,
        )  # fmt: skip
    return drawn


def draw_mesh(
    image: Image, points: FloatArray, triangles: npt.NDArray[np.int64], colour: Colour = GREEN
) -> Image:
    """The edges of triangles (F, 3) over points (V, 2), half transparent."""
    import cv2

    lines = image.copy()
    corners = _fixed(points)[np.asarray(triangles)]
    cv2.polylines(lines, list(corners), True, colour, 1, cv2.LINE_AA, _FRACTION_BITS)
    return blend(image, lines, 0.5)


def draw_model(image: Image, model: FaceModel, points: FloatArray, colour: Colour = GREEN) -> Image:
    """A face model as lines; a dense one by the mesh that trackers know, or by its 68 points.

    Args:
        image: drawn upon.
        model: whose vertices they are.
        points: (V, 2) pixels of the picture.
        colour: of the lines.
    """
    if len(points) == MESH_POINTS:
        return draw_mesh(image, points, model.triangles.numpy(), colour)
    if bool((model.mesh_vertices < 0).all()):  # Imported without the map of these points.
        return draw_points(image, points[model.landmarks_68.numpy()], colour)
    edges = load_face_model(GENERIC).triangles.numpy()
    return draw_mesh(image, model.mesh_points(torch.from_numpy(points)).numpy(), edges, colour)


def draw_mask(image: Image, mask: FloatArray) -> Image:
    """A mask (H, W) in [0, 1] as a half transparent orange."""
    weight = 0.5 * np.asarray(mask, np.float32)[..., None]
    drawn: Image = (image * (1 - weight) + np.array(ORANGE) * weight).round().astype(np.uint8)
    return drawn


def draw_label_colours(image: Image, labels: npt.NDArray[np.uint8]) -> Image:
    """A label map (H, W) as colours over the picture; the background stays as it is."""
    coloured = label_colours()[np.minimum(labels, len(LABELS) - 1)]
    return np.where((labels > 0)[..., None], blend(image, coloured, 0.5), image)


def draw_text(image: Image, text: str) -> Image:
    """A line of white text in the upper left corner, readable on any ground."""
    import cv2

    drawn = image.copy()
    # The ground is the same text moved about: thicker strokes would be wider letters.
    ground = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    for (x, y), ink in [*((move, BLACK) for move in ground), ((0, 0), WHITE)]:
        cv2.putText(
            drawn, text, (5 + x, 16 + y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA
        )
    return drawn


def blend(image: Image, other: Image, weight: float) -> Image:
    """`weight` of `other`, the rest of `image`."""
    mixed: Image = (image * (1 - weight) + other * weight).round().astype(np.uint8)
    return mixed


@cache
def label_colours() -> Image:
    """A colour (19, 3) for every label; background is black."""
    colours = [(0.0, 0.0, 0.0)]
    # Steps of the golden angle keep neighbouring numbers apart.
    colours += [
        colorsys.hsv_to_rgb(index * 0.618 % 1, 0.75, 1.0) for index in range(len(LABELS) - 1)
    ]
    table: Image = (np.array(colours) * 255).astype(np.uint8)
    return table


def contact_sheet(
    rows: Sequence[Sequence[Image]],
    *,
    captions: Sequence[str] = (),
    side_px: int = 256,
) -> Image:
    """Pictures in rows and columns, each fitted into a square, each row with its caption above.

    Args:
        rows: pictures; rows may differ in length.
        captions: one per row, or none.
        side_px: side of the squares.

    Returns:
        One picture.
    """
    if not rows or not any(rows):
        raise ValueError("rows: expected at least one picture")
    if captions and len(captions) != len(rows):
        raise ValueError(f"captions: expected {len(rows)}, got {len(captions)}")
    columns = max(len(row) for row in rows)
    width = columns * (side_px + _GAP_PX) - _GAP_PX
    strips = []
    for index, row in enumerate(rows):
        if captions:
            caption = np.zeros((_CAPTION_PX, width, 3), np.uint8)
            strips.append(draw_text(caption, captions[index]))
        strip = np.zeros((side_px + _GAP_PX, width, 3), np.uint8)
        for column, image in enumerate(row):
            left = column * (side_px + _GAP_PX)
            strip[:side_px, left : left + side_px] = fit_into_square(image, side_px)
        strips.append(strip)
    return np.concatenate(strips)


def fit_into_square(image: Image, side_px: int) -> Image:
    """Resize to fit a square, keeping the shape; the rest is black."""
    import cv2

    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, size, interpolation=method)
    square = np.zeros((side_px, side_px, 3), np.uint8)
    top, left = (side_px - size[1]) // 2, (side_px - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


def plot_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, FloatArray]],
    *,
    seconds: FloatArray,
    title: str = "",
) -> None:
    """Write curves over time as a PNG.

    Args:
        path: the PNG.
        panels: title of each panel (with unit) to its curves: legend to (T,).
        seconds: (T,) time of every value.
        title: above all panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Figure and canvas by hand: pyplot would choose a window system and keep global state.
    figure = Figure(figsize=(12, 1.9 * len(panels) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        for legend, values in curves.items():
            axis.plot(seconds, values, label=legend, linewidth=1)
        axis.set_title(name, fontsize=9, loc="left")
        axis.grid(alpha=0.3)
        if len(curves) > 1:
            axis.legend(fontsize=8, loc="upper right", ncols=len(curves))
    axes[-1].set_xlabel("seconds")
    figure.suptitle(title)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def write_image(path: Path, image: Image) -> None:
    """Write a picture as PNG or JPEG, chosen by the suffix."""
    import cv2

    # Encoded in memory: OpenCV's own writing fails silently, and on some names always.
    done, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]))
    assert done, path
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _fixed(points: FloatArray) -> npt.NDArray[np.int32]:
    # OpenCV puts the centre of pixel 0 at 0, we at 0.5; far outside it would overflow.
    limited = np.clip(np.nan_to_num(points[..., :2]), -1e4, 1e4)
    fixed: npt.NDArray[np.int32] = np.round((limited - 0.5) * (1 << _FRACTION_BITS)).astype(
        np.int32
    )
    return fixed
