"""Behind the openings of the face: the eyeball, and the teeth and the tongue in the mouth.

A ray that meets an opening is cast on, in head space, onto what lies behind it. Linear colours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pirctl.demo.synthetic.lighting import smooth
from pirctl.demo.synthetic.machine import compiled


class Openings(NamedTuple):
    """What lies behind the openings in one frame, head space, dm.

    Attributes:
        camera: (3,) float32 position of the camera; the eyes look at it.
        eyes: (2, 6) float32 as in `shade_eye`.
        mouth: (20,) float32 as in `shade_mouth`.
    """

    camera: np.ndarray
    eyes: np.ndarray
    mouth: np.ndarray


@compiled
def shade_eye(
    p: np.ndarray, shadow: float, camera: np.ndarray, eyes: np.ndarray, colour: np.ndarray
) -> None:
    """Colour of the eyeball behind point `p` of an eye's opening, all in head space.

    Args:
        p: (3,) point on the opening.
        shadow: light left by the lids, 0 to 1.
        camera: (3,) position of the camera; the eyes look at it.
        eyes: (2,6) centre, radius, iris radius (as angle, radians), pupil radius (angle).
        colour: (4,) result, linear.
    """
    eye = eyes[0] if p[0] > 0.0 else eyes[1]
    dx, dy, dz = p[0] - camera[0], p[1] - camera[1], p[2] - camera[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / length, dy / length, dz / length
    ox, oy, oz = camera[0] - eye[0], camera[1] - eye[1], camera[2] - eye[2]
    along = ox * dx + oy * dy + oz * dz
    rest = ox * ox + oy * oy + oz * oz - along * along
    radius = eye[3]
    if rest >= radius * radius:
        # Beside the ball: the pink corner.
        colour[0], colour[1], colour[2] = 0.42 * shadow, 0.19 * shadow, 0.17 * shadow
        return
    s = -along - np.sqrt(radius * radius - rest)
    nx = (ox + s * dx) / radius
    ny = (oy + s * dy) / radius
    nz = (oz + s * dz) / radius
    gaze = np.sqrt(ox * ox + oy * oy + oz * oz)
    gx, gy, gz = ox / gaze, oy / gaze, oz / gaze
    angle = np.arccos(min(1.0, nx * gx + ny * gy + nz * gz))
    light = 0.30 + 0.75 * max(0.0, -0.35 * nx + 0.35 * ny + 0.85 * nz)
    # White, pinker towards the corners.
    side = smooth(0.35, 0.95, abs(nx))
    r, g, b = 0.62 - 0.10 * side, 0.57 - 0.17 * side, 0.54 - 0.17 * side
    iris, pupil = eye[4], eye[5]
    if angle < iris * 1.12:
        around = np.arctan2(ny - gy, nx - gx)
        fibre = 0.5 + 0.5 * np.sin(around * 23.0 + 3.0 * np.sin(around * 7.0))
        inner = angle / iris
        base = 0.55 + 0.35 * fibre * smooth(0.3, 0.8, inner)
        ir, ig, ib = 0.105 * base, 0.085 * base, 0.045 * base
        ir += 0.10 * (1.0 - smooth(0.35, 0.75, inner))
        ig += 0.045 * (1.0 - smooth(0.35, 0.75, inner))
        limbus = 1.0 - 0.75 * smooth(0.78, 0.98, inner)
        hole = smooth(pupil * 0.85, pupil * 1.15, angle)
        mix = 1.0 - smooth(iris * 0.96, iris * 1.10, angle)
        r += mix * (ir * limbus * hole - r)
        g += mix * (ig * limbus * hole - g)
        b += mix * (ib * limbus * hole - b)
    # A window's reflection, up and to the left of the gaze.
    hx, hy, hz = gx - 0.26, gy + 0.26, gz + 0.15
    h = np.sqrt(hx * hx + hy * hy + hz * hz)
    glint = smooth(0.988, 0.996, (nx * hx + ny * hy + nz * hz) / h)
    colour[0] = r * light * shadow + 0.75 * glint * shadow
    colour[1] = g * light * shadow + 0.75 * glint * shadow
    colour[2] = b * light * shadow + 0.75 * glint * shadow


@compiled
def _tooth(
    ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, arch: np.ndarray, up: float
) -> tuple[float, float]:
    """Cast a ray onto one dental arch; returns (brightness, gum), (-1, 0) when it misses.

    `arch` is (half width, depth, front z, biting edge y, height, gum height); `up` is +1 where
    the teeth grow upwards from their edge (upper jaw), -1 for the lower jaw.
    """
    half, deep = arch[0], arch[1]
    cz = arch[2] - deep
    qa = (dx / half) ** 2 + (dz / deep) ** 2
    qb = ox * dx / half**2 + (oz - cz) * dz / deep**2
    qc = (ox / half) ** 2 + ((oz - cz) / deep) ** 2 - 1.0
    disc = qb * qb - qa * qc
    if disc <= 0.0:
        return -1.0, 0.0
    s = (-qb - np.sqrt(disc)) / qa
    x, y, z = ox + s * dx, oy + s * dy, oz + s * dz
    if z < cz:
        return -1.0, 0.0
    arc = abs(np.arctan2(x / half, (z - cz) / deep)) * 0.5 * (half + deep)
    start, index = 0.0, 0
    wide = 0.088 if up > 0.0 else 0.056
    while arc > start + wide and index < 6:
        start += wide
        index += 1
        wide = (0.068 if up > 0.0 else 0.060) if index == 1 else 0.074
    inside = (arc - start) / wide
    gap = smooth(0.0, 0.10, inside) * smooth(0.0, 0.10, 1.0 - inside)
    corner = 1.0 - 4.0 * (inside - 0.5) ** 2
    edge = arch[3] + up * (0.008 * (1.0 - corner) + (0.008 if index == 1 and up > 0.0 else 0.0))
    edge += up * 0.10 * arc * arc
    rise = (y - edge) * up
    if rise < 0.0:
        return -1.0, 0.0
    if rise > arch[5]:
        return -1.0, 0.0
    gum_line = arch[4] * (0.90 + 0.10 * corner)
    if rise > gum_line:
        return 0.55 - 0.30 * arc, 1.0
    shade = (0.50 + 0.50 * gap) * (0.80 + 0.20 * smooth(0.0, 0.03, rise))
    return shade * (1.0 - 0.85 * smooth(0.06, 0.34, arc)), 0.0


@compiled
def shade_mouth(p: np.ndarray, camera: np.ndarray, mouth: np.ndarray, colour: np.ndarray) -> None:
    """Colour of the teeth, the tongue or the dark behind point `p` of the mouth's opening.

    Args:
        p: (3,) point on the opening, head space.
        camera: (3,) position of the camera, head space.
        mouth: (20,) upper arch (6), lower arch (6), jaw angle (radians), hinge y, hinge z,
            light, tongue (centre y, centre z, lift), upper lip y.
        colour: (4,) result, linear.
    """
    dx, dy, dz = p[0] - camera[0], p[1] - camera[1], p[2] - camera[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / length, dy / length, dz / length
    light = mouth[15]
    # Light falls in from above: darker just under the upper lip.
    under = 0.45 + 0.55 * smooth(0.0, 0.09, mouth[19] - p[1])
    bright, gum = _tooth(p[0], p[1], p[2], dx, dy, dz, mouth[0:6], 1.0)
    if bright < 0.0:
        # The lower jaw turns about the hinge: turn the ray back instead.
        cosine, sine = np.cos(mouth[12]), np.sin(mouth[12])
        py, pz = p[1] - mouth[13], p[2] - mouth[14]
        oy = cosine * py + sine * pz + mouth[13]
        oz = -sine * py + cosine * pz + mouth[14]
        ey = cosine * dy + sine * dz
        ez = -sine * dy + cosine * dz
        bright, gum = _tooth(p[0], oy, oz, dx, ey, ez, mouth[6:12], -1.0)
        bright *= 0.6
        if bright < 0.0:
            ty = mouth[16] + mouth[18]
            tz = mouth[17]
            a, b, c = 0.19, 0.085, 0.30
            qa = (dx / a) ** 2 + (ey / b) ** 2 + (ez / c) ** 2
            qb = p[0] * dx / a**2 + (oy - ty) * ey / b**2 + (oz - tz) * ez / c**2
            qc = (p[0] / a) ** 2 + ((oy - ty) / b) ** 2 + ((oz - tz) / c) ** 2 - 1.0
            disc = qb * qb - qa * qc
            if disc > 0.0:
                s = (-qb - np.sqrt(disc)) / qa
                ny = (oy + s * ey - ty) / b
                nz = (oz + s * ez - tz) / c
                shade = light * (0.18 + 0.55 * max(0.0, 0.5 * ny + 0.7 * nz))
                colour[0], colour[1], colour[2] = 0.50 * shade, 0.17 * shade, 0.16 * shade
            else:
                colour[0], colour[1], colour[2] = 0.020, 0.006, 0.006
            return
    shade = bright * under * light
    if gum > 0.5:
        colour[0], colour[1], colour[2] = 0.48 * shade, 0.17 * shade, 0.16 * shade
    else:
        colour[0], colour[1], colour[2] = 0.80 * shade, 0.74 * shade, 0.62 * shade
