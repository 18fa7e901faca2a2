"""The named expression axes of the generic model: where each may act, and their regression.

An axis is a field of displacements in decimetres, model space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pirctl.face import landmarks as mesh
from pirctl.face.build.measure import Array
from pirctl.face.model import ARKIT_NAMES

MIRROR_NAMES = tuple(
    ARKIT_NAMES.index(
        name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")
    )
    for name in ARKIT_NAMES
)
"""For each axis the one that does the same on the other side."""

DESIGNED = (
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "jawForward", "jawLeft", "jawRight",
    "mouthClose", "mouthFrownLeft", "mouthFrownRight", "mouthPucker",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Axes that the footage hardly shows, or that trackers hardly score: a hand-made field is their
prior, and all there is of them where no evidence speaks."""


# -- regions --------------------------------------------------------------------------------------


def _near(mean: Array, anchors: Sequence[int], radius: float) -> Array:
    """(V,) 1 at the anchors, falling smoothly to 0 over `radius` decimetres around them."""
    distance = np.linalg.norm(mean[:, None] - mean[None, list(anchors)], axis=-1).min(1)
    return np.asarray(np.clip(np.exp(-((distance / radius) ** 2) * 2), 0, 1))


def _side(mean: Array, left: bool, width: float = 0.1) -> Array:
    """(V,) 1 on one side of the face, 0 on the other, a soft step in the middle."""
    x = mean[:, 0] if left else -mean[:, 0]
    return np.asarray(1 / (1 + np.exp(-4 * x / width)))


def expression_regions(mean: Array) -> Array:
    """Where each named axis may move the mesh.

    Args:
        mean: (468, 3) decimetres.

    Returns:
        (52, 468) in [0, 1].
    """
    eyes = {
        "Left": _near(mean, mesh.EYE_LEFT, 0.25),
        "Right": _near(mean, mesh.EYE_RIGHT, 0.25),
    }
    brows = {
        "Left": _near(mean, mesh.BROW_LEFT, 0.35),
        "Right": _near(mean, mesh.BROW_RIGHT, 0.35),
    }
    mouth = _near(mean, mesh.LIPS_OUTER, 0.4)
    chin = _near(mean, (152, 148, 377, 176, 400, 18, 200, 199, 175, 150, 379, 136, 365), 0.35)
    jaw = np.maximum(_near(mean, (*mesh.LIPS_INNER, *mesh.LIPS_OUTER), 0.3), chin)
    jaw = np.maximum(jaw, _near(mean, (172, 397, 58, 288, 132, 361), 0.35) * 0.8)
    nose = _near(mean, (*mesh.NOSE_BASE, 4, 1), 0.3)
    cheeks = _near(mean, (50, 280, 205, 425, 101, 330, 117, 346, 187, 411), 0.4)
    regions = np.zeros((len(ARKIT_NAMES), len(mean)))
    for row, name in enumerate(ARKIT_NAMES):
        side = name.removesuffix("Left") if name.endswith("Left") else name.removesuffix("Right")
        which = "Left" if name.endswith("Left") else "Right"
        if name.startswith("brow"):
            region = brows["Left"] + brows["Right"] if name == "browInnerUp" else brows[which]
        elif name.startswith("eye"):
            region = eyes[which]
        elif name.startswith("jaw"):
            region = jaw
        elif name.startswith("noseSneer"):
            region = np.maximum(nose, mouth * 0.5) * _side(mean, which == "Left")
        elif name.startswith("cheekSquint"):
            region = np.maximum(cheeks, eyes[which]) * _side(mean, which == "Left")
        elif name == "cheekPuff":
            region = cheeks
        elif (
            side != name and side != "mouth"
        ):  # one half of the mouth; its corner may pull a little
            reach = np.maximum(mouth, cheeks * 0.7)
            region = np.maximum(reach * _side(mean, which == "Left", 0.25), 0.15 * mouth)
        else:
            region = np.maximum(mouth, chin)
        regions[row] = np.clip(region, 0, 1)
    return regions


def designed_axes(mean: Array) -> Array:
    """Hand-made fields for the axes in DESIGNED, zero for the others.

    Args:
        mean: (468, 3) decimetres.

    Returns:
        (52, 468, 3) decimetres at full strength.
    """
    fields = np.zeros((len(ARKIT_NAMES), len(mean), 3))

    def add(name: str, region: Array, *offset: float) -> None:
        fields[ARKIT_NAMES.index(name)] += region[:, None] * np.array(offset)

    jaw = expression_regions(mean)[ARKIT_NAMES.index("jawOpen")] * (mean[:, 1] < mean[13, 1] + 0.02)
    lower_lip = _near(mean, (14, 87, 317, 17, 84, 314), 0.14)
    upper_lip = _near(mean, (13, 82, 312, 0, 37, 267), 0.12)
    lips = _near(mean, (*mesh.LIPS_OUTER, *mesh.LIPS_INNER), 0.16)
    add("jawForward", jaw, 0, 0, 0.1)
    add("mouthClose", lower_lip, 0, 0.12, 0.02)
    add("mouthClose", upper_lip, 0, -0.03, 0.02)
    add("tongueOut", lower_lip, 0, -0.04, 0.03)
    pucker = ARKIT_NAMES.index("mouthPucker")
    fields[pucker, :, 0] = -0.35 * mean[:, 0] * lips
    fields[pucker, :, 2] = 0.12 * lips
    for side, sign, cheek, under_eye, corner, wing in (
        ("Left", 1, (425, 411, 436), (330, 280, 347), (291, 409), (278, 294, 344, 358)),
        ("Right", -1, (205, 187, 216), (101, 50, 118), (61, 185), (48, 64, 115, 129)),
    ):
        add("cheekPuff", _near(mean, cheek, 0.35), sign * 0.08, 0, 0.1)
        add(f"cheekSquint{side}", _near(mean, under_eye, 0.3), 0, 0.06, 0.02)
        add(f"jaw{side}", jaw, sign * 0.1, 0, 0)
        add(f"mouthFrown{side}", _near(mean, corner, 0.22), sign * 0.02, -0.1, 0)
        add(f"noseSneer{side}", _near(mean, wing, 0.2), 0, 0.07, 0.01)
    return fields


_RIDGE = 0.05
"""Strength, in units of the summed variance of a score within a person."""


def regress(aligned: Sequence[Array], scores: Sequence[Array], mean: Array) -> tuple[Array, Array]:
    """Rest faces and axes: points = rest(person) + scores * axes, each vertex by itself.

    Ridge regression towards `designed_axes`; where an axis has no business (see
    `expression_regions`) the ridge is steep. Every person weighs the same, and counts a second time
    mirrored, with the scores of left and right exchanged.

    Args:
        aligned: per person (N, 468, 3) decimetres, without pose.
        scores: per person (N, 52) in [0, 1].
        mean: (468, 3) decimetres.

    Returns:
        rest (2 P, 468, 3): every person, then everyone mirrored; axes (52, 468, 3), exactly
        symmetric.
    """
    count = len(ARKIT_NAMES)
    normal, right = np.zeros((count, count)), np.zeros((count, len(mean), 3))
    views = [
        *zip(aligned, scores, strict=True),
        *(
            (mesh.mirror_points(a), b[:, MIRROR_NAMES])
            for a, b in zip(aligned, scores, strict=True)
        ),
    ]
    for points, strengths in views:
        centred = strengths - strengths.mean(0)
        normal += centred.T @ centred / len(points)
        right += np.tensordot(centred.T, points - points.mean(0), axes=1) / len(points)
    regions, designed = expression_regions(mean), designed_axes(mean)
    axes = np.zeros_like(right)
    for vertex in range(len(mean)):
        steep = _RIDGE / np.maximum(regions[:, vertex], 1e-3) ** 2
        # Inside its own field a designed axis is only a prior, not steeper than elsewhere.
        steep = np.where(np.abs(designed[:, vertex]).max(-1) > 1e-3, _RIDGE, steep)
        goal = right[:, vertex] + steep[:, None] * designed[:, vertex]
        axes[:, vertex] = np.linalg.solve(normal + np.diag(steep), goal)
    axes = (axes + mesh.mirror_points(axes[list(MIRROR_NAMES)])) / 2
    rest = [p.mean(0) - np.tensordot(s.mean(0), axes, axes=1) for p, s in views]
    return np.stack(rest), axes


# -- what 0 and 1 mean ----------------------------------------------------------------------------


def close_lips(rest: Array, axes: Array) -> Array:
    """Rest faces with their lips together: trackers score no axis for lips a little apart.

    Args:
        rest: (N, 468, 3) decimetres.
        axes: (52, 468, 3) decimetres at full strength.
    """
    close = axes[ARKIT_NAMES.index("mouthClose")]
    apart = mesh.ring_gap(rest, mesh.LIPS_INNER) / -mesh.ring_gap(close, mesh.LIPS_INNER)
    closed: Array = rest + apart[:, None, None] * close
    return closed


def close_lids(mean: Array, axes: Array) -> Array:
    """Axes whose blinks at full strength bring the lids together.

    The tracker scores closed eyes with more or less, so that a regressed blink ends elsewhere.

    Args:
        mean: (468, 3) decimetres.
        axes: (52, 468, 3) decimetres at full strength.
    """
    scaled = axes.copy()
    for name, ring in (("eyeBlinkLeft", mesh.EYE_LEFT), ("eyeBlinkRight", mesh.EYE_RIGHT)):
        row = ARKIT_NAMES.index(name)
        scaled[row] *= mesh.ring_gap(mean, ring) / -mesh.ring_gap(axes[row], ring)
    return scaled
