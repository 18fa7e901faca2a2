"""Paint: the speaker's skin, lips, brows, hair and cloth, all drawn here.

One atlas holds everything: the unrolled face on the left, tiles of other surfaces on the right.
Colours are sRGB while painting and linear in the result. Owns colours only; shapes are in
`head`, light in `lighting`, the brush in `canvas`.
"""

from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.canvas import Canvas, Layout, smooth_noise
from pirctl.demo.synthetic.colour import to_linear
from pirctl.face import landmarks

SKIN_TONE = (0.845, 0.655, 0.555)
HAIR_TONE = (0.250, 0.150, 0.095)
CLOTH_TONE = (0.145, 0.265, 0.335)


def paint_atlas(
    layout: Layout, neutral: np.ndarray, origin: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint all surfaces.

    Args:
        layout: sizes of the atlas.
        neutral: (468, 3) the face at rest, dm.
        origin: (3,) point between the outer eye corners.
        rng: draws noise, freckles and single brow hairs.

    Returns:
        (side, 2 * side, 4) float32 linear albedo and gloss; (side, 2 * side) uint8 labels.
    """
    import cv2

    side = layout.side
    canvas = Canvas(side, neutral, origin)
    _paint_skin(canvas, rng)
    _paint_lips(canvas, rng)
    _paint_eye_region(canvas)
    _paint_brows(canvas, rng)
    _label_face(canvas)
    atlas = np.zeros((side, 2 * side, 4), np.float32)
    labels = np.zeros((side, 2 * side), np.uint8)
    size = (side, side)
    shown = cv2.resize(np.clip(canvas.colour, 0, 1), size, interpolation=cv2.INTER_AREA)
    atlas[:, :side, :3] = to_linear(shown)
    atlas[:, :side, 3] = cv2.resize(canvas.gloss, size, interpolation=cv2.INTER_AREA)
    labels[:, :side] = cv2.resize(canvas.labels, size, interpolation=cv2.INTER_NEAREST)
    half = side // 2
    skin = np.array(SKIN_TONE) * (1 + 0.025 * smooth_noise(rng, half, half, 6, 4)[..., None])
    skin = skin * np.array([0.985, 0.965, 0.955])
    atlas[:half, side : side + half, :3] = to_linear(skin)
    atlas[:half, side : side + half, 3] = 0.55
    atlas[half : 2 * half, side : side + half] = _hair_tile(half, rng)
    cloth = np.array(CLOTH_TONE) * (1 + 0.05 * smooth_noise(rng, half, half, 40, 3)[..., None])
    ribs = np.sin(np.arange(half) * 2 * np.pi / 4.0)[None, :, None]
    atlas[:half, side + half : side + 2 * half, :3] = to_linear(cloth * (1 + 0.04 * ribs))
    atlas[:half, side + half : side + 2 * half, 3] = 0.12
    atlas[half:, side + half :, :3] = to_linear(np.array([0.07, 0.05, 0.045]))
    return atlas, labels


def _paint_skin(canvas: Canvas, rng: np.random.Generator) -> None:
    side = canvas.side
    canvas.colour[:] = SKIN_TONE
    blotches = smooth_noise(rng, side, side, 9, 4)[..., None]
    canvas.colour *= 1 + blotches * np.array([0.012, 0.020, 0.022], np.float32)
    for cheek in (50, 280):
        canvas.tint(canvas.spot(canvas.points[cheek], 0.20, 0.16), (0.86, 0.50, 0.43), 0.34)
    canvas.tint(canvas.spot(canvas.points[4], 0.10, 0.10), (0.86, 0.52, 0.45), 0.30)
    canvas.tint(canvas.spot(canvas.points[landmarks.CHIN], 0.20, 0.12), (0.84, 0.55, 0.47), 0.22)
    canvas.tint(canvas.spot(canvas.points[151], 0.45, 0.18), (0.90, 0.72, 0.61), 0.35)
    for wing in (64, 294):
        canvas.tint(canvas.spot(canvas.points[wing], 0.055, 0.06), (0.74, 0.44, 0.38), 0.38)
    pores = smooth_noise(rng, side, side, side / 7, 2)
    canvas.colour *= 1 + 0.016 * pores[..., None]
    canvas.gloss *= 1 + 0.22 * pores + 0.15 * smooth_noise(rng, side, side, 12, 2)
    for oily in (4, 151, 50, 280, 199):
        canvas.gloss += 0.55 * canvas.spot(canvas.points[oily], 0.20, 0.16)
    _paint_freckles(canvas, rng)
    # Nostrils: the mesh has none.
    for nostril, wing in ((98, 97), (327, 326)):
        at = 0.58 * canvas.points[nostril] + 0.42 * canvas.points[wing]
        at = at + np.array([0.0, -0.012 * canvas.texel])
        canvas.tint(canvas.spot(at, 0.042, 0.020), (0.30, 0.13, 0.10), 0.70)
        canvas.gloss *= 1 - 0.9 * canvas.spot(at, 0.06, 0.035)


def _paint_freckles(canvas: Canvas, rng: np.random.Generator) -> None:
    import cv2

    mask = np.zeros((canvas.side, canvas.side), np.float32)
    for cheek in (117, 346, 50, 280, 4):
        for _ in range(26):
            at = canvas.points[cheek] + rng.normal(0, 0.13, 2) * canvas.texel
            radius = rng.uniform(0.003, 0.009) * canvas.texel
            centre = np.round(at * 16).astype(int).tolist()
            cv2.circle(mask, centre, int(radius * 16), rng.uniform(0.2, 0.8), -1, cv2.LINE_AA, 4)
    canvas.tint(canvas.blur(mask, 0.004), (0.62, 0.40, 0.30), 0.30)


def _paint_lips(canvas: Canvas, rng: np.random.Generator) -> None:
    outer = canvas.ring(landmarks.LIPS_OUTER)
    inner = canvas.ring(landmarks.LIPS_INNER)
    lips = canvas.region(outer, 0.008)
    canvas.tint(canvas.region(outer, 0.030), (0.74, 0.45, 0.41), 0.30)
    canvas.tint(lips, (0.735, 0.385, 0.375), 0.85)
    creases = smooth_noise(rng, 24, canvas.side, canvas.side / 14, 2)
    import cv2

    creases = cv2.resize(creases, (canvas.side, canvas.side), interpolation=cv2.INTER_LINEAR)
    canvas.colour *= 1 + 0.05 * (creases * lips)[..., None]
    # Darker towards the line between the lips, lighter in the middle of the lower lip.
    near = canvas.region(inner, 0.022)
    canvas.tint(np.clip(near * 1.6, 0, 1) * lips, (0.46, 0.20, 0.20), 0.55)
    low = 0.5 * (canvas.points[17] + canvas.points[14])
    canvas.tint(canvas.spot(low, 0.10, 0.035) * lips, (0.82, 0.50, 0.48), 0.45)
    canvas.gloss += (0.9 * lips + 0.25 * lips * creases) * (1 - np.clip(2 * near, 0, 1))
    for corner in (61, 291):
        canvas.tint(canvas.spot(canvas.points[corner], 0.025, 0.018), (0.50, 0.26, 0.23), 0.45)
    # The shadow in the dip below the lower lip.
    dip = canvas.points[18] + np.array([0, 0.035 * canvas.texel])
    canvas.tint(canvas.spot(dip, 0.10, 0.022), (0.66, 0.44, 0.37), 0.30)


def _paint_eye_region(canvas: Canvas) -> None:
    import cv2

    for ring, crease in (
        (landmarks.EYE_RIGHT, (130, 247, 30, 29, 27, 28, 56, 190, 243)),
        (landmarks.EYE_LEFT, (359, 467, 260, 259, 257, 258, 286, 414, 463)),
    ):
        lids = canvas.ring(ring)
        centre = lids.mean(0)
        canvas.tint(canvas.spot(centre, 0.20, 0.115), (0.71, 0.50, 0.44), 0.42)
        bag = centre + np.array([0, 0.12 * canvas.texel])
        canvas.tint(canvas.spot(bag, 0.15, 0.045), (0.70, 0.50, 0.47), 0.30)
        line = np.zeros((canvas.side, canvas.side), np.float32)
        points = np.round(0.62 * canvas.ring(list(crease)) * 16 + 0.38 * lids[:9] * 16)
        thick = max(1, round(0.012 * canvas.texel))
        cv2.polylines(line, [points.astype(np.int32)], False, 1.0, thick, cv2.LINE_AA, 4)
        canvas.tint(canvas.blur(line, 0.010), (0.45, 0.27, 0.22), 0.55)
        # Lash line: dark above, thin and red-brown below.
        for part, dark, width, amount in (
            (lids[:9], (0.12, 0.07, 0.06), 0.030, 0.85),
            (np.concatenate([lids[8:], lids[:1]]), (0.40, 0.22, 0.19), 0.014, 0.55),
        ):
            line[:] = 0
            thick = max(1, round(width * canvas.texel))
            points = np.round(part * 16).astype(np.int32)
            cv2.polylines(line, [points], False, 1.0, thick, cv2.LINE_AA, 4)
            canvas.tint(canvas.blur(line, 0.005), dark, amount)


def _paint_brows(canvas: Canvas, rng: np.random.Generator) -> None:
    for ring, side in ((landmarks.BROW_RIGHT, -1.0), (landmarks.BROW_LEFT, 1.0)):
        brow = canvas.ring(ring)
        canvas.tint(canvas.region(brow, 0.025), (0.34, 0.20, 0.13), 0.40)
        upper, lower = brow[:5], brow[9:4:-1]
        count = 300
        along = rng.random(count) * 0.97
        across = 0.12 + 0.76 * rng.random(count)
        at = along * 4
        low = np.minimum(at.astype(int), 3)
        mix = (at - low)[:, None]
        top = upper[low] * (1 - mix) + upper[low + 1] * mix
        base = lower[low] * (1 - mix) + lower[low + 1] * mix
        start = base + across[:, None] * (top - base)
        # along runs from the temple (0) inwards (1): hairs point up near the nose, outwards after.
        inward = along[:, None]
        lean = np.concatenate([side * (1.05 - 0.75 * inward**2), -0.18 - 0.75 * inward**2], 1)
        lean[:, 1] += 0.55 * (across - 0.5)
        long = rng.uniform(0.045, 0.085, count)[:, None] * canvas.texel
        end = start + lean * long
        canvas.strokes(start, end, (0.19, 0.115, 0.08), 0.005, 0.66)
        canvas.gloss *= 1 - 0.85 * np.clip(1.5 * canvas.region(brow, 0.03), 0, 1)


def _label_face(canvas: Canvas) -> None:
    """Draw parsing labels: nose, brows, lips; everything else of the face is skin."""
    import cv2

    nose = [168, 193, 245, 188, 174, 198, 49, 48, 64, 98, 97, 2, 326, 327, 294, 278, 279, 420]
    nose += [399, 412, 465, 417]
    corner = landmarks.LIPS_OUTER.index(291)
    outer, inner = list(landmarks.LIPS_OUTER), list(landmarks.LIPS_INNER)
    upper = outer[: corner + 1] + inner[corner::-1]
    lower = [*outer[corner:], outer[0], inner[0], *inner[: corner - 1 : -1]]
    for ring, label in (
        (nose, 10),
        (list(landmarks.BROW_LEFT), 2),
        (list(landmarks.BROW_RIGHT), 3),
        (upper, 12),
        (lower, 13),
    ):
        polygon = np.round(canvas.ring(ring)).astype(np.int32)
        cv2.fillPoly(canvas.labels, [polygon], label)


def _hair_tile(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 4): every column a hair of its own shade, roots at the top."""
    shade = rng.normal(1.0, 0.20, side)
    warm = rng.normal(0.0, 0.05, side)
    along = np.linspace(0, 1, side)[:, None]
    tone = np.array(HAIR_TONE) * np.clip(shade, 0.5, 1.7)[None, :, None]
    tone = tone * (0.82 + 0.42 * along[..., None])
    tone = tone * (1 + warm[None, :, None] * np.array([1.0, 0.2, -0.8]))
    tile = np.empty((side, side, 4), np.float32)
    tile[..., :3] = to_linear(tone)
    tile[..., 3] = np.clip(rng.normal(1.0, 0.3, side), 0.2, 2)[None]
    return tile
