"""Rotations, projection and intrinsics: the one place that turns model space into pictures.

Model space: decimetres, x to the subject's left, y up, z out of the face. Camera space: OpenCV axes
(x right, y down, z forward). `x_cam = R x_model + t` for column vectors and
`z_c [u, v, 1]^T = K x_cam`, K in pixels of the square crop, pixel centres at +0.5. A face that
looks straight into the camera has `R = FLIP`.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""(3, 3) rotation of a frontal face: model y and z are the camera's -y and -z."""


def _skew(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, dim=-1).reshape(*v.shape[:-1], 3, 3)


def rotation_from_vector(v: Tensor) -> Tensor:
    """Rotation matrix of an axis-angle vector.

    Args:
        v: (..., 3) axis times angle, radians.

    Returns:
        (..., 3, 3). Smooth, with the right gradient, at the zero vector too.

    Source: Rodrigues 1840; in the form of Murray, Li, Sastry 1994, eq. 2.14.
    """
    squared = (v * v).sum(-1)[..., None, None]
    small = squared < 1e-6
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    # Series below 1e-3 rad: the quotients lose all digits there in float32.
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    k = _skew(v)
    return torch.eye(3, dtype=v.dtype, device=v.device) + sine * k + cosine * (k @ k)


def vector_from_rotation(R: Tensor) -> Tensor:
    """Axis-angle vector of a rotation matrix, the inverse of `rotation_from_vector`.

    Args:
        R: (..., 3, 3) rotations.

    Returns:
        (..., 3) radians, of length at most pi.
    """
    # By way of the quaternion: its largest component is never small, so no angle is special.
    m = R
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    candidates = torch.stack([1 + d0 + d1 + d2, 1 + d0 - d1 - d2, 1 - d0 + d1 - d2,
                              1 - d0 - d1 + d2], dim=-1)  # fmt: skip
    largest = candidates.argmax(-1)
    x = m[..., 2, 1] - m[..., 1, 2]
    y = m[..., 0, 2] - m[..., 2, 0]
    z = m[..., 1, 0] - m[..., 0, 1]
    xy = m[..., 0, 1] + m[..., 1, 0]
    xz = m[..., 0, 2] + m[..., 2, 0]
    yz = m[..., 1, 2] + m[..., 2, 1]
    c = candidates.unbind(-1)
    table = torch.stack(
        [
            torch.stack([c[0], x, y, z], -1),
            torch.stack([x, c[1], xy, xz], -1),
            torch.stack([y, xy, c[2], yz], -1),
            torch.stack([z, xz, yz, c[3]], -1),
        ],
        dim=-2,
    )
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    quaternion = table.gather(-2, index).squeeze(-2)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, axis = quaternion[..., 0], quaternion[..., 1:]
    sine = axis.norm(dim=-1)
    angle = 2 * torch.atan2(sine, w)
    tiny = sine < 1e-6
    factor = torch.where(tiny, torch.full_like(sine, 2.0), angle / torch.where(tiny, 1.0, sine))
    return axis * factor[..., None]


def transform(R: Tensor, t: Tensor, X: Tensor) -> Tensor:
    """Points of model space in camera space.

    Args:
        R: (..., 3, 3) rotations.
        t: (..., 3) decimetres.
        X: (..., V, 3) decimetres, model space.

    Returns:
        (..., V, 3) decimetres, camera space.
    """
    return X @ R.transpose(-1, -2) + t[..., None, :]


def project(X_cam: Tensor, K: Tensor) -> Tensor:
    """Pixels of points in camera space.

    Args:
        X_cam: (..., V, 3) in front of the camera (z > 0).
        K: (3, 3) or (..., 3, 3) in pixels of the crop.

    Returns:
        (..., V, 2) pixels (u, v).

    Source: Huang et al. 2023 (PIR), eq. 4.
    """
    uvw = X_cam @ K.transpose(-1, -2)
    return uvw[..., :2] / uvw[..., 2:]


def intrinsics(focal_px: float | Tensor, size_px: float) -> Tensor:
    """Camera matrix of a square crop with the principal point in its middle.

    Args:
        focal_px: focal length in pixels of the crop.
        size_px: side of the crop in pixels.

    Returns:
        (3, 3) float32.
    """
    K = torch.eye(3)
    K[0, 0] = K[1, 1] = focal_px
    K[0, 2] = K[1, 2] = size_px / 2
    return K


def scale_intrinsics(K: Tensor, factor: float) -> Tensor:
    """Camera matrix for the same view at another size.

    Args:
        K: (..., 3, 3).
        factor: new side over old side; exact because pixel centres are at +0.5.

    Returns:
        (..., 3, 3).
    """
    return torch.cat([K[..., :2, :] * factor, K[..., 2:, :]], dim=-2)


def jitter_intrinsics(K: Tensor, x: Tensor, size_px: float) -> Tensor:
    """Camera matrix with a small zoom and shift, the augmentation of the render stage.

    The zoom is about the middle of the crop, wherever the principal point is: so what is at the
    middle moves by x[1] and x[2] alone, and nothing in the crop by x[0] / 2 more.

    Args:
        K: (3, 3) or (..., 3, 3) in pixels of the crop.
        x: (..., 3) draws in pixels of the crop: x[0] zooms both axes by 1 + x[0] / size_px, x[1]
            and x[2] shift right and down.
        size_px: side of the crop in pixels.

    Returns:
        (..., 3, 3).

    Source: Huang et al. 2023 (PIR), eq. 1; 2 u0 = 2 v0 is the side of the crop, and the same x[0]
    serves both focal lengths. There the principal point is the middle of the crop.
    """
    zoom = 1 + x[..., 0] / size_px
    change = torch.zeros(*x.shape[:-1], 3, 3, dtype=x.dtype, device=x.device)
    change[..., 0, 0] = change[..., 1, 1] = zoom
    change[..., :2, 2] = x[..., 1:] + (1 - zoom[..., None]) * (size_px / 2)
    change[..., 2, 2] = 1
    return change @ K


def head_angles(R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Yaw, pitch and roll of a head.

    With `R = FLIP Ry(yaw) Rx(pitch) Rz(roll)` in model space: positive yaw turns the face to the
    subject's left (image right), positive pitch lowers the gaze, positive roll tips the head
    towards the subject's right shoulder (anticlockwise in the picture).

    Args:
        R: (..., 3, 3).

    Returns:
        Three tensors of shape (...,), radians; yaw and roll in [-pi, pi], pitch in [-pi/2, pi/2].
    """
    m = FLIP.to(R) @ R
    pitch = torch.asin((-m[..., 1, 2]).clamp(-1, 1))
    yaw = torch.atan2(m[..., 0, 2], m[..., 2, 2])
    roll = torch.atan2(m[..., 1, 0], m[..., 1, 1])
    return yaw, pitch, roll
