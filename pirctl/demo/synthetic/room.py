"""The room behind the speaker."""

from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.colour import to_linear


def paint_room(size_px: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32, linear: an out-of-focus room with a window, a shelf and a plant."""
    import cv2

    side = 512
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    room = np.empty((side, side, 3), np.float32)
    wall = np.array([0.62, 0.60, 0.57], np.float32)
    room[:] = wall * (1.06 - 0.30 * x - 0.16 * y)[..., None]

    def box(left: float, top: float, right: float, low: float, tone: tuple[float, ...]) -> None:
        corner = (int(left * side), int(top * side))
        cv2.rectangle(room, corner, (int(right * side), int(low * side)), tone, -1)

    # A window on the left, from which the key light comes.
    box(-0.1, 0.03, 0.215, 0.62, (0.83, 0.82, 0.80))
    box(-0.1, 0.06, 0.095, 0.59, (0.97, 0.98, 1.0))
    box(0.115, 0.06, 0.195, 0.59, (0.93, 0.96, 1.0))
    box(-0.1, 0.62, 0.24, 0.66, (0.72, 0.69, 0.65))
    # A shelf with books on the right.
    for top in (0.20, 0.47, 0.74):
        left = 0.76
        while left < 1.0:
            wide = rng.uniform(0.014, 0.034)
            tone = np.clip(np.array([0.46, 0.40, 0.36]) + rng.normal(0, 0.055, 3), 0.15, 0.8)
            box(left, top - rng.uniform(0.12, 0.19), left + wide, top, tuple(tone.tolist()))
            left += wide + rng.uniform(0.001, 0.005)
        box(0.745, top, 1.1, top + 0.018, (0.42, 0.31, 0.23))
    # A plant on the sill.
    for _ in range(60):
        at = np.array([0.10, 0.60]) + rng.normal(0, 1, 2) * np.array([0.045, 0.07])
        tone = np.array([0.20, 0.36, 0.20]) * rng.uniform(0.7, 1.4)
        centre = (int(at[0] * side), int((at[1] - 0.08) * side))
        axes = (int(rng.uniform(4, 8)), int(rng.uniform(10, 20)))
        cv2.ellipse(room, centre, axes, rng.uniform(0, 180), 0, 360, tuple(tone.tolist()), -1)
    light = cv2.GaussianBlur(to_linear(room), (0, 0), 11)
    result: np.ndarray = cv2.resize(light, (size_px, size_px), interpolation=cv2.INTER_AREA)
    if size_px > side:
        result = cv2.resize(light, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(result, np.float32)
