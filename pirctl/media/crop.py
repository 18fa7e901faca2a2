"""Squares of a picture, and the ffmpeg filters that cut them out.

The filters are listed once, as names with options: `reader` runs them in the ffmpeg program,
`planes` in process, so that both give the same pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EXACT = "accurate_rnd+full_chroma_int"
"""Flags of every scaling: rounding in swscale's fast paths costs 1 to 3 grey levels."""

Step = tuple[str, dict[str, str | int]]
"""A filter's name and its options."""


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A square of a picture; it may reach outside, where the edge pixels are repeated.

    Attributes:
        x: left edge, in pixels of the picture (0 is the left edge of the first column).
        y: top edge.
        side: width and height.
    """

    x: float
    y: float
    side: float

    def rounded(self) -> Crop:
        """The square of whole pixels that reading cuts out.

        Map points with this one: `crop_from_picture(p) = (p - (x, y)) * size_px / side`.
        """
        return Crop(
            x=math.floor(self.x + 0.5),
            y=math.floor(self.y + 0.5),
            side=max(1, math.floor(self.side + 0.5)),
        )

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Corners (x0, y0, x1, y1) of what a square of whole pixels shares with a picture.

        Raises:
            ValueError: they share nothing.
        """
        x0, y0 = max(0, int(self.x)), max(0, int(self.y))
        x1, y1 = min(width, int(self.x + self.side)), min(height, int(self.y + self.side))
        if x1 <= x0 or y1 <= y0:
            raise ValueError(f"{self} lies outside the picture ({width} x {height})")
        return x0, y0, x1, y1


def scale_step(before: tuple[int, int], size: tuple[int, int], gray: bool = False) -> Step:
    """Resample to `size`: area when shrinking, Lanczos when enlarging, nearest with `gray`."""
    # At the same size only subsampled colour is interpolated, as it is before a crop.
    method = "bicubic" if size == before else "area" if size[0] < before[0] else "lanczos"
    method = "neighbor" if gray else method
    return "scale", {"w": size[0], "h": size[1], "flags": f"{method}+{EXACT}"}


def crop_steps(
    shown: tuple[int, int], crop: Crop, has_square_pixels: bool, gray: bool = False
) -> list[Step]:
    """The filters that cut a square of whole pixels out of a picture.

    Args:
        shown: (width, height) of the picture as it is shown.
        crop: the square, of whole pixels of the picture as shown.
        has_square_pixels: whether the picture comes in with that size.
        gray: whether the values of (H, W) labels are wanted instead of colours.

    Raises:
        ValueError: the square lies outside the picture.
    """
    x, y, side = int(crop.x), int(crop.y), int(crop.side)
    inner_x0, inner_y0, inner_x1, inner_y1 = inner = crop.inside(*shown)
    x0, y0, x1, y1 = _surrounding(shown, inner) if has_square_pixels else (0, 0, *shown)
    steps: list[Step] = []
    if (x0, y0, x1, y1) != (0, 0, *shown):
        steps.append(("crop", {"w": x1 - x0, "h": y1 - y0, "x": x0, "y": y0}))
    width, height = inner_x1 - inner_x0, inner_y1 - inner_y0
    # Full colour resolution first: ffmpeg cuts subsampled colour only at even positions.
    steps += [
        ("scale", {"w": x1 - x0, "h": y1 - y0, "flags": f"bicubic+{EXACT}"}),
        ("format", {"pix_fmts": "gray" if gray else "gbrp"}),
        ("crop", {"w": width, "h": height, "x": inner_x0 - x0, "y": inner_y0 - y0}),
    ]
    borders = (inner_x0 - x, inner_y0 - y, x + side - inner_x1, y + side - inner_y1)
    return steps + _border_steps((width, height), borders)


def _surrounding(
    shown: tuple[int, int], inner: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Corners (x0, y0, x1, y1) of the part that is worth converting: even, with some margin."""
    width, height = shown
    margin = 8  # More than the interpolation of subsampled colour reaches.
    x0, y0 = max(0, inner[0] - margin) // 2 * 2, max(0, inner[1] - margin) // 2 * 2
    x1 = min(width, (inner[2] + margin + 1) // 2 * 2)
    y1 = min(height, (inner[3] + margin + 1) // 2 * 2)
    return (0, 0, *shown) if x1 % 2 or y1 % 2 else (x0, y0, x1, y1)


def _border_steps(size: tuple[int, int], borders: tuple[int, int, int, int]) -> list[Step]:
    """Repeat the edge pixels outwards by (left, top, right, bottom)."""
    width, height = size
    left, top, right, bottom = borders
    steps: list[Step] = []
    while left + top + right + bottom:
        # fillborders takes borders up to half a picture, so a wide one grows in steps.
        now = {
            "left": min(left, width),
            "right": min(right, width),
            "top": min(top, height),
            "bottom": min(bottom, height),
        }
        left, right = left - now["left"], right - now["right"]
        top, bottom = top - now["top"], bottom - now["bottom"]
        width, height = width + now["left"] + now["right"], height + now["top"] + now["bottom"]
        steps += [
            ("pad", {"w": width, "h": height, "x": now["left"], "y": now["top"]}),
            ("fillborders", {**now, "mode": "smear"}),
        ]
    return steps
