"""Dimension letters used in every docstring, and the one check of shapes at public boundaries.

B batch, T frames, S samples, V vertices, L landmarks, I identity axes, E expression axes,
C channels, H height, W width, N rays, D samples on a ray.
"""

from __future__ import annotations

from typing import Any


def check_shape(name: str, tensor: Any, *expected: int | None) -> None:
    """Raise ValueError unless the shape of `tensor` is `expected` (None: any length).

    Works on numpy arrays and torch tensors. The message names the tensor, what came and what
    was expected.
    """
    shape = tuple(tensor.shape)
    fits = len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"{name}: expected shape ({wanted}), got {shape}")
