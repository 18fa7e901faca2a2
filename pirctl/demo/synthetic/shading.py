"""Light and colour: one deferred shading pass over the z-buffer's samples, compiled by numba.

Owns light, materials and the two portals (eye and mouth openings, behind which the eyeball, the
teeth and the tongue are found by casting the ray on). A pixel whose samples share their material
is shaded once, all others per sample. Colours are linear until the last step.

All of it is in one module because numba's cache on disk looks at a function's own file only: a
change to what it calls in another file would go unseen.
"""

from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.raster import CLOTH, EYE, HAIR, MOUTH, SKIN, compiled

# Parsing labels that a material brings by itself (BiSeNet's ids); skin asks the label atlas.
_LABEL_MOUTH, _LABEL_CLOTH, _LABEL_HAIR = 11, 16, 17

# Light in camera axes (x right, y down, z forward): directions point towards the light.
KEY = (-0.50, -0.62, -0.60)
_FILL = (0.80, -0.10, -0.59)
_RIM = (0.72, -0.42, 0.55)


@compiled
def _smooth(low: float, high: float, value: float) -> float:
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


@compiled
def _fetch(atlas: np.ndarray, u: float, v: float, out: np.ndarray) -> None:
    height, width = atlas.shape[0], atlas.shape[1]
    u = min(max(u - 0.5, 0.0), width - 1.001)
    v = min(max(v - 0.5, 0.0), height - 1.001)
    x, y = int(u), int(v)
    fx, fy = u - x, v - y
    for k in range(4):
        top = atlas[y, x, k] + fx * (atlas[y, x + 1, k] - atlas[y, x, k])
        low = atlas[y + 1, x, k] + fx * (atlas[y + 1, x + 1, k] - atlas[y + 1, x, k])
        out[k] = top + fy * (low - top)


@compiled
def _shade_eye(
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
    side = _smooth(0.35, 0.95, abs(nx))
    r, g, b = 0.62 - 0.10 * side, 0.57 - 0.17 * side, 0.54 - 0.17 * side
    iris, pupil = eye[4], eye[5]
    if angle < iris * 1.12:
        around = np.arctan2(ny - gy, nx - gx)
        fibre = 0.5 + 0.5 * np.sin(around * 23.0 + 3.0 * np.sin(around * 7.0))
        inner = angle / iris
        base = 0.55 + 0.35 * fibre * _smooth(0.3, 0.8, inner)
        ir, ig, ib = 0.105 * base, 0.085 * base, 0.045 * base
        ir += 0.10 * (1.0 - _smooth(0.35, 0.75, inner))
        ig += 0.045 * (1.0 - _smooth(0.35, 0.75, inner))
        limbus = 1.0 - 0.75 * _smooth(0.78, 0.98, inner)
        hole = _smooth(pupil * 0.85, pupil * 1.15, angle)
        mix = 1.0 - _smooth(iris * 0.96, iris * 1.10, angle)
        r += mix * (ir * limbus * hole - r)
        g += mix * (ig * limbus * hole - g)
        b += mix * (ib * limbus * hole - b)
    # A window's reflection, up and to the left of the gaze.
    hx, hy, hz = gx - 0.26, gy + 0.26, gz + 0.15
    h = np.sqrt(hx * hx + hy * hy + hz * hz)
    glint = _smooth(0.988, 0.996, (nx * hx + ny * hy + nz * hz) / h)
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
    gap = _smooth(0.0, 0.10, inside) * _smooth(0.0, 0.10, 1.0 - inside)
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
    shade = (0.50 + 0.50 * gap) * (0.80 + 0.20 * _smooth(0.0, 0.03, rise))
    return shade * (1.0 - 0.85 * _smooth(0.06, 0.34, arc)), 0.0


@compiled
def _shade_mouth(p: np.ndarray, camera: np.ndarray, mouth: np.ndarray, colour: np.ndarray) -> None:
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
    under = 0.45 + 0.55 * _smooth(0.0, 0.09, mouth[19] - p[1])
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


@compiled
def _shade_skin(
    n: np.ndarray, light: np.ndarray, view: np.ndarray, material: int, colour: np.ndarray
) -> None:
    """Light on skin (wrapped more in the red: light travels under it) or cloth; in place.

    Args:
        n: (3,) unit normal, camera axes.
        light: (2,) open sky and key light left, 0 to 1.
        view: (3,) unit vector towards the camera.
        material: SKIN or CLOTH.
        colour: (4,) albedo and gloss in, colour out.
    """
    sky, key_open = light[0], light[1]
    key = n[0] * KEY[0] + n[1] * KEY[1] + n[2] * KEY[2]
    fill = max(0.0, 0.25 + 0.75 * (n[0] * _FILL[0] + n[1] * _FILL[1] + n[2] * _FILL[2]))
    rim = max(0.0, n[0] * _RIM[0] + n[1] * _RIM[1] + n[2] * _RIM[2])
    up = 0.5 - 0.5 * n[1]
    ambient = (0.16 + 0.24 * up) * sky
    gloss = colour[3]
    soft = 1.0 if material == SKIN else 0.3
    for k in range(3):
        wrap = soft * (0.34 if k == 0 else (0.18 if k == 1 else 0.13))
        lit = max(0.0, (key + wrap) / (1.0 + wrap))
        # A shadow's edge bleeds red for the same reason.
        left = key_open ** (0.75 if k == 0 and material == SKIN else 1.0)
        warm = 1.03 if k == 0 else (1.0 if k == 1 else 0.95)
        cool = 0.94 if k == 0 else (0.99 if k == 1 else 1.06)
        colour[k] *= 0.92 * warm * lit * left + 0.26 * cool * fill * sky + cool * ambient
        colour[k] += 0.05 * rim * sky * cool
    for which in range(2):
        lx = KEY[0] if which == 0 else _FILL[0]
        ly = KEY[1] if which == 0 else _FILL[1]
        lz = KEY[2] if which == 0 else _FILL[2]
        hx, hy, hz = lx + view[0], ly + view[1], lz + view[2]
        h = np.sqrt(hx * hx + hy * hy + hz * hz)
        shine = max(0.0, (n[0] * hx + n[1] * hy + n[2] * hz) / h)
        amount = gloss * (key_open if which == 0 else 0.45 * sky)
        wide = 0.065 * shine**12 + 0.085 * shine**40
        colour[0] += amount * wide
        colour[1] += amount * wide
        colour[2] += amount * wide


@compiled
def _shade_hair(
    tangent: np.ndarray, light: np.ndarray, view: np.ndarray, colour: np.ndarray
) -> None:
    """Light on a hair with unit `tangent` (3,), camera axes; `colour` (4,) in place.

    Source: Kajiya and Kay 1989, "Rendering fur with three dimensional textures", eq. 14 and 16.
    """
    total, shine = 0.0, 0.0
    for which in range(2):
        lx = KEY[0] if which == 0 else _RIM[0]
        ly = KEY[1] if which == 0 else _RIM[1]
        lz = KEY[2] if which == 0 else _RIM[2]
        along = tangent[0] * lx + tangent[1] * ly + tangent[2] * lz
        across = np.sqrt(max(0.0, 1.0 - along * along))
        seen = tangent[0] * view[0] + tangent[1] * view[1] + tangent[2] * view[2]
        seen_across = np.sqrt(max(0.0, 1.0 - seen * seen))
        strength = light[1] if which == 0 else 0.45 * light[0]
        total += strength * across
        shine += strength * max(0.0, across * seen_across - along * seen) ** 36
    for k in range(3):
        warm = 1.0 if k == 0 else (0.86 if k == 1 else 0.70)
        colour[k] = colour[k] * (0.30 * light[0] + 0.80 * total) + 0.060 * warm * shine * colour[3]


@compiled
def shade(
    ids: np.ndarray,
    screen: np.ndarray,
    triangles: np.ndarray,
    materials: np.ndarray,
    parts: np.ndarray,
    normals: np.ndarray,
    local: np.ndarray,
    uv: np.ndarray,
    light: np.ndarray,
    atlas: np.ndarray,
    label_atlas: np.ndarray,
    focal: float,
    camera: np.ndarray,
    eyes: np.ndarray,
    mouth: np.ndarray,
    background: np.ndarray,
    encode: np.ndarray,
    picture: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Colour every pixel from its four samples.

    Args:
        ids: (2H,2W) int32 from `draw`.
        screen: (V,3) as in `draw`.
        triangles: (F,3) int32.
        materials: (F,) uint8.
        parts: (F,) uint8 parsing labels, 0 where the label atlas decides.
        normals: (V,3) unit normals, tangents for hair; camera axes.
        local: (V,3) positions in head space, dm.
        uv: (V,2) texels.
        light: (V,2) open sky and open key light, 0 to 1.
        atlas: (h,w,4) linear albedo and gloss.
        label_atlas: (h,w) uint8.
        focal: focal length in samples.
        camera: (3,) in head space.
        eyes: (2,6) as in `_shade_eye`.
        mouth: (20,) as in `_shade_mouth`.
        background: (H,W,3) float32, linear.
        encode: (4096,) uint8, linear [0,1] to display values.
        picture: (H,W,3) uint8, overwritten.
        labels: (H,W) uint8, overwritten.
    """
    height, width = labels.shape
    colour = np.empty(4, np.float32)
    total = np.empty(3, np.float32)
    n = np.empty(3, np.float32)
    p = np.empty(3, np.float32)
    view = np.empty(3, np.float32)
    lit = np.empty(2, np.float32)
    sample_label = np.empty(4, np.uint8)
    for y in range(height):
        for x in range(width):
            f0 = ids[2 * y, 2 * x]
            same = True
            kind = -1 if f0 < 0 else int(materials[f0])
            for k in range(1, 4):
                f = ids[2 * y + k // 2, 2 * x + k % 2]
                other = -1 if f < 0 else int(materials[f])
                # Hairs and teeth are finer than a pixel.
                fine = kind == MOUTH or (kind == HAIR and f != f0)
                same = same and other == kind and not fine
            total[:] = 0.0
            count = 1 if same else 4
            for k in range(count):
                f = ids[2 * y + k // 2, 2 * x + k % 2]
                if f < 0:
                    sample_label[k] = 0
                    for j in range(3):
                        total[j] += background[y, x, j]
                    continue
                a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                sx = 2.0 * x + (1.0 if same else 0.5 + k % 2)
                sy = 2.0 * y + (1.0 if same else 0.5 + k // 2)
                bx, by = screen[b, 0] - screen[a, 0], screen[b, 1] - screen[a, 1]
                cx, cy = screen[c, 0] - screen[a, 0], screen[c, 1] - screen[a, 1]
                px, py = sx - screen[a, 0], sy - screen[a, 1]
                area = bx * cy - by * cx
                wb = min(1.0, max(0.0, (px * cy - py * cx) / area))
                wc = min(1.0 - wb, max(0.0, (py * bx - px * by) / area))
                # Perspective-correct weights.
                qa = (1.0 - wb - wc) * screen[a, 2]
                qb, qc = wb * screen[b, 2], wc * screen[c, 2]
                q = qa + qb + qc
                qa, qb, qc = qa / q, qb / q, qc / q
                for j in range(3):
                    n[j] = qa * normals[a, j] + qb * normals[b, j] + qc * normals[c, j]
                    p[j] = qa * local[a, j] + qb * local[b, j] + qc * local[c, j]
                for j in range(2):
                    lit[j] = qa * light[a, j] + qb * light[b, j] + qc * light[c, j]
                u = qa * uv[a, 0] + qb * uv[b, 0] + qc * uv[c, 0]
                v = qa * uv[a, 1] + qb * uv[b, 1] + qc * uv[c, 1]
                length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-9
                n[0], n[1], n[2] = n[0] / length, n[1] / length, n[2] / length
                view[0], view[1], view[2] = (width - sx) / focal, (height - sy) / focal, -1.0
                length = np.sqrt(view[0] * view[0] + view[1] * view[1] + 1.0)
                view[0], view[1], view[2] = view[0] / length, view[1] / length, -1.0 / length
                material = materials[f]
                part = parts[f]
                if material == EYE:
                    _shade_eye(p, lit[0], camera, eyes, colour)
                    sample_label[k] = part
                elif material == MOUTH:
                    _shade_mouth(p, camera, mouth, colour)
                    sample_label[k] = _LABEL_MOUTH
                else:
                    _fetch(atlas, u, v, colour)
                    if material == HAIR:
                        _shade_hair(n, lit, view, colour)
                        sample_label[k] = _LABEL_HAIR
                    elif material == CLOTH:
                        _shade_skin(n, lit, view, material, colour)
                        sample_label[k] = _LABEL_CLOTH
                    else:
                        _shade_skin(n, lit, view, material, colour)
                        sample_label[k] = part
                    if part == 0:
                        row = min(max(int(v), 0), label_atlas.shape[0] - 1)
                        column = min(max(int(u), 0), label_atlas.shape[1] - 1)
                        sample_label[k] = label_atlas[row, column]
                    elif material == HAIR:
                        sample_label[k] = part
                for j in range(3):
                    total[j] += colour[j]
            for j in range(3):
                value = total[j] / count
                # A soft shoulder keeps highlights from clipping.
                if value > 0.7:
                    value = 0.7 + 0.3 * (1.0 - np.exp(-(value - 0.7) / 0.3))
                picture[y, x, j] = encode[min(4095, max(0, int(value * 4095.0 + 0.5)))]
            best, votes = sample_label[0], 1
            if count == 4:
                votes = 0
                for k in range(4):
                    equal = 0
                    for m in range(4):
                        equal += sample_label[m] == sample_label[k]
                    if equal > votes:
                        best, votes = sample_label[k], equal
            labels[y, x] = best
