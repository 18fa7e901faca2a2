"""The paper's own extractor: a ResNet-50 that reads face coefficients from a picture.

Owns its network, the meaning of its 257 outputs, the square of the picture that it looks at, and
the one conversion of its geometry to ours. There vertices are row vectors, y is up, the camera
sits at z = 10 and looks back, depth is 10 - z, and the picture has 224 pixels and a focal length
of 1015; here it is R, t and K as in `camera`.

The square is one for the whole clip: a square per frame, as the original takes, would make the
camera tremble with the tracker.

Source: Deng et al. 2019, "Accurate 3D Face Reconstruction with Weakly-Supervised Learning".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pirctl.compat import import_torchvision
from pirctl.errors import SettingsError
from pirctl.face.camera import FLIP, intrinsics, project, transform
from pirctl.face.fit import ClipFit, fill_clip
from pirctl.face.foreign_weights import load_weights
from pirctl.face.landmarks import LANDMARKS_68, landmarks_68_from_98
from pirctl.face.model import BFM, FaceModel
from pirctl.face.observed import match_points, usable_frames
from pirctl.media import Crop
from pirctl.progress import OnProgress, Progress, ignore_progress

FloatArray = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]

SIDE_PX = 224
"""Side of the pictures that the network sees."""
FOCAL_PX = 1015.0
"""Focal length of its camera, in pixels of such a picture."""
CAMERA_DM = 10.0
"""Distance of its camera from the origin, decimetres."""
FACE_PX = 102.0
"""Pixels per unit of `STANDARD_POINTS` in such a picture."""

WIDTHS = {
    "identity": 80, "expression": 64, "texture": 80, "angles": 3, "light": 27, "shift": 2,
    "depth": 1,
}  # fmt: skip
"""The network's heads in their order; `shift` and `depth` are the translation."""

STANDARD_POINTS = (
    (-0.31148657, 0.29036078, 0.13377953),
    (0.30979887, 0.28972036, 0.13179526),
    (0.00325350, -0.04617932, 0.55244243),
    (-0.25216928, -0.38133916, 0.22405732),
    (0.24846620, -0.38128236, 0.22235769),
)
"""Right eye, left eye, nose, right and left mouth corner of the standard face; x to the subject's
left, y up. Source: the five points of Deep3DFaceRecon's similarity_Lm3D_all.mat."""

# The same points as means of rows of the classic 68; of an eye only its two corners, as there.
_FIVE = ((36, 39), (42, 45), (30, 30), (48, 48), (54, 54))
_BATCH = 16


class Deep3dNetwork(nn.Module):
    """ResNet-50 and seven linear heads; entries are named as in `epoch_20.pth`."""

    def __init__(self) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models import resnet50

        self.backbone = resnet50(weights=None)
        features = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.final_layers = nn.ModuleList(nn.Conv2d(features, n, 1) for n in WIDTHS.values())
        for head in self.final_layers:
            assert isinstance(head, nn.Conv2d)
            nn.init.zeros_(head.weight)
            assert head.bias is not None
            nn.init.zeros_(head.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Coefficients of faces.

        Args:
            pictures: (B, 3, 224, 224) RGB in [0, 1], no mean taken off.

        Returns:
            (B, 257), the heads of `WIDTHS` side by side.
        """
        features = self.backbone(pictures)[..., None, None]  # (B, 2048, 1, 1)
        return torch.cat([head(features) for head in self.final_layers], dim=1).flatten(1)


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What the network says of B faces.

    Attributes:
        identity: (B, 80) standard deviations.
        expression: (B, 64) standard deviations.
        texture: (B, 80) standard deviations; not used here.
        angles: (B, 3) radians about x, y and z.
        light: (B, 27) spherical harmonics; not used here.
        translation: (B, 3) decimetres, y up.
    """

    identity: Tensor
    expression: Tensor
    texture: Tensor
    angles: Tensor
    light: Tensor
    translation: Tensor


def split_coefficients(coefficients: Tensor) -> Coefficients:
    """The parts of (B, 257) outputs."""
    ends = np.cumsum(list(WIDTHS.values())).tolist()
    part = {
        name: coefficients[..., end - width : end]
        for (name, width), end in zip(WIDTHS.items(), ends, strict=True)
    }
    translation = torch.cat([part.pop("shift"), part.pop("depth")], dim=-1)
    return Coefficients(translation=translation, **part)


def load_network(path: Path, device: str | torch.device = "cpu") -> Deep3dNetwork:
    """The network with the weights of `epoch_20.pth`, ready for use.

    Raises:
        WeightsMissing: no such file.
        WeightsCorrupt: not the weights of this network.
    """
    with torch.device("meta"):
        network = Deep3dNetwork()
    load_weights(
        network,
        path,
        what="the Deep3DFaceRecon regressor",
        name="deep3d",
        way_out="fit the landmarks with --fit landmarks",
        key="net_recon",
    )
    return network.eval().requires_grad_(False).to(device)


def weights_digest(network: Deep3dNetwork) -> str:
    """Hash of the heads, which tells one training of the network from another."""
    digest = hashlib.sha256()
    for tensor in network.final_layers.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def pose_from_coefficients(angles: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation and translation of our camera: the one place where the two geometries meet.

    There a row vector becomes `x Rot + translation` with `Rot = (Rz Ry Rx)^T`, z becomes 10 - z,
    and y stays up. A column vector is thus turned by Rz Ry Rx; taking 10 off z and then turning
    y and z round (FLIP) gives our camera, which looks along z with y down.

    Args:
        angles: (..., 3) radians about x, y and z.
        translation: (..., 3) decimetres.

    Returns:
        R (..., 3, 3) and t (..., 3) in decimetres.
    """
    x, y, z = angles.unbind(-1)
    turn = _about(z, 0, 1) @ _about(y, 2, 0) @ _about(x, 1, 2)
    flip = FLIP.to(angles)
    camera = translation.new_tensor([0.0, 0.0, CAMERA_DM])
    return flip @ turn, (translation - camera) @ flip


def _about(angle: Tensor, first: int, second: int) -> Tensor:
    """Rotations (..., 3, 3) that turn axis `first` towards axis `second`."""
    R = torch.eye(3).to(angle).expand(*angle.shape, 3, 3).clone()
    R[..., first, first] = R[..., second, second] = angle.cos()
    R[..., second, first] = angle.sin()
    R[..., first, second] = -angle.sin()
    return R


def camera_of(square: Crop) -> Tensor:
    """The network's camera in pixels of the picture that the square is cut from.

    Args:
        square: what the network sees; the one that was really cut out (`Crop.rounded`).

    Returns:
        K (3, 3); its middle is that of the square, wherever that lies.
    """
    K = intrinsics(FOCAL_PX, SIDE_PX)
    K[:2] *= square.side / SIDE_PX
    K[0, 2] += square.x
    K[1, 2] += square.y
    return K


def five_points(landmarks: FloatArray) -> FloatArray:
    """Eyes, nose and mouth corners (..., 5, 2) of landmarks (..., L, 2), L 468, 478, 98 or 68."""
    points = landmarks
    if landmarks.shape[-2] == 98:
        points = landmarks_68_from_98(landmarks)
    elif landmarks.shape[-2] != 68:
        points = landmarks[..., list(LANDMARKS_68), :]
    first, second = ([pair[side] for pair in _FIVE] for side in (0, 1))
    five: FloatArray = (points[..., first, :] + points[..., second, :]) * np.float32(0.5)
    return five


def align(landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale and place of faces, by an affine camera on the standard face.

    Args:
        landmarks: (T, L, 2) pixels, y down.

    Returns:
        (T,) pixels per unit of the standard face, and (T, 2) pixels of its origin.
    """
    standard = np.array([(x, -y, z, 1.0) for x, y, z in STANDARD_POINTS])  # y down here.
    affine = np.linalg.pinv(standard) @ five_points(landmarks).astype(np.float64)  # (T, 4, 2)
    scale = np.linalg.norm(affine[:, :3], axis=1).mean(-1)
    return scale.astype(np.float32), affine[:, 3].astype(np.float32)


def choose_square(landmarks: FloatArray, valid: npt.NDArray[np.bool_]) -> Crop:
    """The one square of a clip that the network looks at: that of the median face.

    Args:
        landmarks: (T, L, 2) pixels of the target's crop.
        valid: (T,) the frames to look at.
    """
    scale, origin = align(landmarks[valid])
    side = SIDE_PX * float(np.median(scale)) / FACE_PX
    x, y = np.median(origin, axis=0) - side / 2
    return Crop(x=float(x), y=float(y), side=side).rounded()


def check_model(model: FaceModel) -> None:
    """Raise SettingsError unless the coefficients are those of this face model."""
    if model.name != BFM:
        raise SettingsError(
            f"--fit deep3d gives coefficients of the face model {BFM!r}, not of {model.name!r}",
            hint=f"--fit deep3d --face-model {BFM}, or --fit landmarks",
        )


def regress_clip(
    pictures: Iterable[Frame],
    square: Crop,
    landmarks: Any,
    valid: Any,
    network: nn.Module,
    model: FaceModel,
    on_progress: OnProgress = ignore_progress,
) -> ClipFit:
    """Coefficients of a clip: one identity (the mean), expression and pose of every frame.

    Args:
        pictures: T pictures (224, 224, 3) uint8 RGB, cut out by `square`.
        square: in pixels of the target's crop.
        landmarks: (T, L, 2) pixels of the crop; they only measure the error.
        valid: (T,) False where there is no face; such frames are interpolated.
        network: (B, 3, 224, 224) to (B, 257).
        model: the face model "bfm".
        on_progress: called after every batch.

    Raises:
        FaceNotFound: no frame is valid.
        SettingsError: another face model.
    """
    check_model(model)
    tracked, index = usable_frames(landmarks, valid)
    wanted = set(index.tolist())
    seen = (picture for number, picture in enumerate(pictures) if number in wanted)
    found = []
    while batch := list(islice(seen, _BATCH)):
        found.append(_regress(batch, network))
        done = int(index[min(sum(map(len, found)), len(index)) - 1]) + 1
        on_progress(Progress(step="reading coefficients", done=done, total=len(tracked)))
    coefficients = split_coefficients(torch.cat(found))
    index = index[: len(coefficients.angles)]  # A track may go on after the last picture.
    R, t = pose_from_coefficients(coefficients.angles, coefficients.translation)
    K, z_id = camera_of(square), coefficients.identity.mean(0)
    points, rows, _ = match_points(torch.from_numpy(tracked[index]), model)
    shape = model.mean[rows] + torch.tensordot(z_id, model.identity_basis[:, rows], dims=1)
    moved = torch.tensordot(coefficients.expression, model.expression_basis[:, rows], dims=1)
    error = (project(transform(R, t, shape + moved), K) - points).norm(dim=-1).mean(1)
    fitted = ClipFit(
        z_id=z_id.numpy(),
        z_exp=coefficients.expression.numpy(),
        R=R.numpy(),
        t=t.numpy(),
        K=K.numpy(),
        valid=np.ones(len(index), dtype=bool),
        error_px=error.numpy(),
    )
    return fill_clip(fitted, index, len(tracked))


@torch.no_grad()
def _regress(batch: Sequence[Frame], network: nn.Module) -> Tensor:
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    pictures = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2).float() / 255
    coefficients: Tensor = network(pictures).float().cpu()
    return coefficients
