"""Names for the points of the MediaPipe face mesh: rings, corners, and the classic 68 points.

The mesh has 468 points; rows 468 to 477 of a 478-point array are the irises. Left and right are
the subject's own: the left eye is on the right of an unmirrored picture. Rings are ordered, so
consecutive entries (and the last and first) are neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MESH_POINTS = 468
"""Points of the mesh without the irises: the vertices of the generic face model."""

MESH_COUNTS = (468, 478)
"""How many points a face has that is tracked as a mesh: without and with irises."""

SPARSE_COUNTS = (68, 98)
"""How many points a face has that is tracked as outlines: iBUG and WFLW."""

LIPS_OUTER = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
"""Outer lip ring: right corner, upper lip to the left corner, lower lip back."""

LIPS_INNER = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
"""Inner lip ring in the order of `LIPS_OUTER`: entry i of one is next to entry i of the other."""

EYE_RIGHT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""Lid ring of the subject's right eye: outer corner, upper lid, inner corner, lower lid."""

EYE_LEFT = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
"""Lid ring of the subject's left eye, the mirror image of `EYE_RIGHT` entry by entry."""

BROW_RIGHT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
"""Ring around the right brow: upper edge from the temple inwards, lower edge back."""

BROW_LEFT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
"""Ring around the left brow, the mirror image of `BROW_RIGHT` entry by entry."""

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face: forehead, the subject's left side, chin, right side."""

NOSE_BASE = (48, 64, 98, 97, 2, 326, 327, 294, 278)
"""Wing, nostrils, wing: the lower edge of the nose from right to left."""

EYE_OUTER_CORNERS = (33, 263)
"""Outer eye corners, right and left: their distance is the unit of fit errors."""

INNER_LIP_CENTRES = (13, 14)
"""Middle of the upper and of the lower inner lip."""

CHIN = 152
"""Lowest point of the chin."""

NOSE_TIP = 4
"""Foremost point of the nose."""

FOREHEAD = 10
"""Highest point of the outline."""

LANDMARKS_68 = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip
"""Mesh points nearest to the 68 iBUG points (jaw, brows, nose, eyes, outer and inner lips)."""

# Each of the 68 iBUG points as the mean of two WFLW points, where it is one point twice that point.
_WFLW = (
    *((i, i) for i in range(0, 33, 2)),  # jaw: every other point
    (33, 33), (34, 41), (35, 40), (36, 39), (37, 38),  # right brow: between its two edges
    (42, 50), (43, 49), (44, 48), (45, 47), (46, 46),  # left brow
    *((i, i) for i in range(51, 60)),  # nose
    *((i, i) for i in (60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75)),  # eyes: six of eight
    *((i, i) for i in range(76, 96)),  # lips; 96 and 97 are the pupils
)  # fmt: skip

# (right, left) points that mirror each other; the 28 points on the middle line are in no pair.
# Found by matching the mean face with its mirror image; a test proves it against the model.
_PAIRS = (
    (3, 248), (7, 249), (20, 250), (21, 251), (22, 252), (23, 253), (24, 254), (25, 255),
    (26, 256), (27, 257), (28, 258), (29, 259), (30, 260), (31, 261), (32, 262), (33, 263),
    (34, 264), (35, 265), (36, 266), (37, 267), (38, 268), (39, 269), (40, 270), (41, 271),
    (42, 272), (43, 273), (44, 274), (45, 275), (46, 276), (47, 277), (48, 278), (49, 279),
    (50, 280), (51, 281), (52, 282), (53, 283), (54, 284), (55, 285), (56, 286), (57, 287),
    (58, 288), (59, 289), (60, 290), (61, 291), (62, 292), (63, 293), (64, 294), (65, 295),
    (66, 296), (67, 297), (68, 298), (69, 299), (70, 300), (71, 301), (72, 302), (73, 303),
    (74, 304), (75, 305), (76, 306), (77, 307), (78, 308), (79, 309), (80, 310), (81, 311),
    (82, 312), (83, 313), (84, 314), (85, 315), (86, 316), (87, 317), (88, 318), (89, 319),
    (90, 320), (91, 321), (92, 322), (93, 323), (95, 324), (96, 325), (97, 326), (98, 327),
    (99, 328), (100, 329), (101, 330), (102, 331), (103, 332), (104, 333), (105, 334), (106, 335),
    (107, 336), (108, 337), (109, 338), (110, 339), (111, 340), (112, 341), (113, 342), (114, 343),
    (115, 344), (116, 345), (117, 346), (118, 347), (119, 348), (120, 349), (121, 350), (122, 351),
    (123, 352), (124, 353), (125, 354), (126, 355), (127, 356), (128, 357), (129, 358), (130, 359),
    (131, 360), (132, 361), (133, 362), (134, 363), (135, 364), (136, 365), (137, 366), (138, 367),
    (139, 368), (140, 369), (141, 370), (142, 371), (143, 372), (144, 373), (145, 374), (146, 375),
    (147, 376), (148, 377), (149, 378), (150, 379), (153, 380), (154, 381), (155, 382), (156, 383),
    (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (162, 389), (163, 390), (165, 391),
    (166, 392), (167, 393), (169, 394), (170, 395), (171, 396), (172, 397), (173, 398), (174, 399),
    (176, 400), (177, 401), (178, 402), (179, 403), (180, 404), (181, 405), (182, 406), (183, 407),
    (184, 408), (185, 409), (186, 410), (187, 411), (188, 412), (189, 413), (190, 414), (191, 415),
    (192, 416), (193, 417), (194, 418), (196, 419), (198, 420), (201, 421), (202, 422), (203, 423),
    (204, 424), (205, 425), (206, 426), (207, 427), (208, 428), (209, 429), (210, 430), (211, 431),
    (212, 432), (213, 433), (214, 434), (215, 435), (216, 436), (217, 437), (218, 438), (219, 439),
    (220, 440), (221, 441), (222, 442), (223, 443), (224, 444), (225, 445), (226, 446), (227, 447),
    (228, 448), (229, 449), (230, 450), (231, 451), (232, 452), (233, 453), (234, 454), (235, 455),
    (236, 456), (237, 457), (238, 458), (239, 459), (240, 460), (241, 461), (242, 462), (243, 463),
    (244, 464), (245, 465), (246, 466), (247, 467),
)  # fmt: skip


def _mirror() -> tuple[int, ...]:
    mirror = list(range(MESH_POINTS))
    for right, left in _PAIRS:
        mirror[right], mirror[left] = left, right
    return tuple(mirror)


MIRROR = _mirror()
"""For each of the 468 points, the point on the other side of the face; an involution."""


def ring_halves(ring: Sequence[int]) -> tuple[list[int], list[int]]:
    """The points between the corners of a ring: those of its upper half, and below each its pair.

    The first and the middle entry of a ring are its corners.
    """
    half = len(ring) // 2
    return list(ring[1:half]), list(ring[:half:-1])


def ring_gap(points: Any, ring: Sequence[int]) -> Any:
    """Mean height by which the upper half of a ring lies above its lower half.

    Args:
        points: (..., L, 3) model space, y up; numpy array or torch tensor.
        ring: LIPS_INNER, EYE_LEFT or EYE_RIGHT.

    Returns:
        (...,) in the unit of the points; linear in them.
    """
    upper, lower = ring_halves(ring)
    return (points[..., upper, 1] - points[..., lower, 1]).mean(-1)


def ring_closure(ring: Sequence[int]) -> list[tuple[int, int, int]]:
    """Triangles across a ring whose first and middle entries are its two corners.

    A strip between the upper half and the lower half of the ring; it shares no edge direction with
    the mesh around it, so that the closure faces outwards as the mesh does.
    """
    half = len(ring) // 2
    upper = list(ring[: half + 1])
    lower = [ring[0], *reversed(ring[half:])]
    triangles = []
    for i in range(half):
        for triangle in (
            (upper[i], lower[i], lower[i + 1]),
            (upper[i], lower[i + 1], upper[i + 1]),
        ):
            if len(set(triangle)) == 3:
                triangles.append(triangle)
    return triangles


def landmarks_68_from_98(landmarks: Any) -> Any:
    """The 68 iBUG points of 98 WFLW points.

    Source: the point numbers of both annotations, as facexlib 0.3.0 pairs them.

    Args:
        landmarks: (..., 98, 2) or (..., 98, 3); numpy array or torch tensor.

    Returns:
        (..., 68, 2 or 3).
    """
    first, second = ([pair[side] for pair in _WFLW] for side in (0, 1))
    return (landmarks[..., first, :] + landmarks[..., second, :]) / 2


def brows_and_chin(landmarks: Any) -> tuple[Any, Any]:
    """The middle of the brows and the lowest point of the chin.

    Args:
        landmarks: (..., L, 2) or (..., L, 3), L is 468, 478, 98 or 68; numpy array or tensor.

    Returns:
        Both (..., 2 or 3).
    """
    if landmarks.shape[-2] == 98:
        landmarks = landmarks_68_from_98(landmarks)
    if landmarks.shape[-2] == 68:
        return landmarks[..., 17:27, :].mean(-2), landmarks[..., 8, :]
    return landmarks[..., list(BROW_LEFT + BROW_RIGHT), :].mean(-2), landmarks[..., CHIN, :]


def mouth_opening(landmarks: Any) -> Any:
    """Distance between the inner lips, in units of the distance between the outer eye corners.

    Args:
        landmarks: (..., L, 2) or (..., L, 3), L at least 468; numpy array or torch tensor.

    Returns:
        (...,), 0 for closed lips; about 0.5 for a wide open mouth.
    """
    upper, lower = INNER_LIP_CENTRES
    gap = ((landmarks[..., upper, :] - landmarks[..., lower, :]) ** 2).sum(-1) ** 0.5
    return gap / eye_distance(landmarks)


def eye_distance(
    landmarks: Any, right: int = EYE_OUTER_CORNERS[0], left: int = EYE_OUTER_CORNERS[1]
) -> Any:
    """Distance between the outer eye corners, in the unit of the landmarks.

    Args:
        landmarks: (..., L, 2) or (..., L, 3); numpy array or torch tensor.
        right: row of the right eye's outer corner.
        left: row of the left eye's outer corner.

    Returns:
        (...,), positive wherever the two corners differ.
    """
    return ((landmarks[..., right, :] - landmarks[..., left, :]) ** 2).sum(-1) ** 0.5


def mirror_points(points: np.ndarray) -> np.ndarray:
    """Mirror a face in model space across its middle plane.

    Args:
        points: (..., 468, 3), x to the subject's left.

    Returns:
        (..., 468, 3): x negated and left and right points exchanged.
    """
    mirrored = points[..., list(MIRROR), :].copy()
    mirrored[..., 0] *= -1
    return mirrored
