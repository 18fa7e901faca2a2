"""Reads the lips in pictures of one person, without any model from elsewhere.

A kernel ridge regression learns, from the target's own training frames, where the lip points are
in a patch around the mouth. The patch is cut by the known pose of the head, not by the lips, so
that it means the same in a true frame and in a painted one. Blur, noise and small shifts are
varied in training: a painted mouth is often a little softer than a true one, and must read the
same; brightness and contrast are taken out of every patch.

How well it reads is itself measured on true frames that it has not seen, and shown in every table
as the row `truth`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pirctl.face.camera import project, transform
from pirctl.face.landmarks import LANDMARKS_68, LIPS_INNER, LIPS_OUTER
from pirctl.face.model import FaceModel
from pirctl.face.track import MediapipeDetector
from pirctl.target import Track
from pirctl.tensors import check_shape

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

ReadLips = Callable[[ByteArray, int], FloatArray | None]
"""A frame (H, W, 3) and the number of the frame whose head pose it shows -> its lips (40, 2) in
pixels of the crop, the points of `LIP_POINTS`; None where they cannot be read."""

LIP_POINTS = (*LIPS_OUTER, *LIPS_INNER)
"""Mesh points that are read: the outer ring, then the inner one."""

MOUTH_20 = tuple(LIP_POINTS.index(point) for point in LANDMARKS_68[48:68])
"""Rows of `LIP_POINTS` that are the 20 mouth points of the 68."""

INNER_CENTRES = (LIP_POINTS.index(13), LIP_POINTS.index(14))
"""Rows of the middle of the upper and of the lower inner lip."""

PATCH_PX = 48
MOST_FRAMES = 1000
"""Frames that a reader is fitted to at most; more cost time and memory and add little."""

_SIDE_DM = 1.15  # of the patch: a wide open mouth and the chin's shadow fit in
_BELOW_DM = 0.1  # the patch's centre lies below the closed lips, because the jaw only drops
_COMPONENTS = 80  # principal components of the patches
_KERNEL_WIDTH = 0.05  # of the Gaussian kernel exp(-w d^2), the first component having unit variance
_RIDGE = 0.01
_VARIANTS = ((0.0, 0.0), (0.015, 1.2), (0.015, 0.0), (0.01, 2.0))
"""Versions of every training patch: standard deviation of the shift, and most blur in pixels."""


def patch_transforms(track: Track, model: FaceModel) -> FloatArray:
    """Where the mouth patch of each frame lies.

    Returns:
        (T, 2, 3): pixels of the crop from patch coordinates in [-0.5, 0.5], a similarity that
        follows the head and ignores the expression.
    """
    neutral = model.vertices(torch.from_numpy(track.z_id), torch.zeros(track.z_exp.shape[1]))
    lips = model.mesh_vertices[list(LIPS_OUTER)]
    if bool((lips < 0).any()):  # A model that knows the 68 points only.
        lips = model.landmarks_68[48:60]
    centre = neutral[lips].mean(0) - torch.tensor([0.0, _BELOW_DM, 0.0])
    axes = torch.stack([centre, centre + torch.tensor([0.0, 0.1, 0.0])])
    R, t, K = (torch.from_numpy(array) for array in (track.R, track.t, track.K))
    in_camera = transform(R, t, axes.expand(track.frames, -1, -1))
    points = project(in_camera, K).numpy()
    side = (_SIDE_DM * K[0, 0] / in_camera[:, 0, 2]).numpy()
    up = points[:, 1] - points[:, 0]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    result = np.empty((track.frames, 2, 3), np.float32)
    # Patch x runs right and y down, so y is against `up` and x is y turned back by 90 degrees.
    result[:, :, 1] = -up * side[:, None]
    result[:, 0, 0], result[:, 1, 0] = result[:, 1, 1], -result[:, 0, 1]
    result[:, :, 2] = points[:, 0]
    return result


def cut_patch(frame: ByteArray, crop_from_patch: FloatArray) -> ByteArray:
    """Cut the mouth patch (PATCH_PX, PATCH_PX, 3) out of a frame (H, W, 3)."""
    import cv2

    matrix = crop_from_patch.astype(np.float64).copy()
    matrix[:, :2] /= PATCH_PX
    # Pixel centres are at +0.5 in our coordinates and at +0 in OpenCV's.
    matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5 - PATCH_PX / 2) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (PATCH_PX, PATCH_PX)
    # A large frame is first softened, so that nothing between the samples is lost.
    shrink = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink > 1.5:
        frame = cv2.GaussianBlur(frame, (0, 0), 0.4 * shrink)
    patch = cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(patch, dtype=np.uint8)


def opening(lips: FloatArray) -> FloatArray:
    """Distance between the inner lips (...,) of lip points (..., 40, 2), in their unit."""
    upper, lower = INNER_CENTRES
    return np.asarray(np.linalg.norm(lips[..., upper, :] - lips[..., lower, :], axis=-1))


@dataclass(frozen=True, kw_only=True)
class MouthReader:
    """Reads lip points from mouth patches.

    Attributes:
        mean_patch: (P * P,) mean of the normalised training patches.
        components: (C, P * P) their principal directions, scaled.
        support: (N, C) the training patches in these directions.
        weights: (N, 80) of the kernel at each of them.
        mean_lips: (80,) mean lip points, in patch coordinates.
    """

    mean_patch: FloatArray
    components: FloatArray
    support: FloatArray
    weights: FloatArray
    mean_lips: FloatArray

    def read(self, patches: ByteArray, crop_from_patch: FloatArray) -> FloatArray:
        """Read lips.

        Args:
            patches: (T, P, P, 3) uint8 from `cut_patch`.
            crop_from_patch: (T, 2, 3) from `patch_transforms`, of the same frames.

        Returns:
            (T, 40, 2) the points of `LIP_POINTS`, in pixels of the crop.
        """
        check_shape("patches", patches, len(crop_from_patch), PATCH_PX, PATCH_PX, 3)
        codes = (_normalise(patches) - self.mean_patch) @ self.components.T
        local = _kernel(codes.astype(np.float32), self.support) @ self.weights + self.mean_lips
        return to_crop(local.reshape(len(patches), -1, 2), crop_from_patch)


def fit_reader(
    footage: Iterable[tuple[int, ByteArray]], track: Track, model: FaceModel
) -> MouthReader:
    """Fit a reader to true frames.

    Args:
        footage: frame numbers and frames; those without a usable face are left out.
        track: says where the lips are, and the pose of the head.
        model: the face model of the track.
    """
    transforms, lips = patch_transforms(track, model), lips_of(track.landmarks)
    rng = np.random.default_rng(0)
    patches, points = [], []
    for number, frame in footage:
        if not track.valid[number]:
            continue
        for shift, blur in _VARIANTS:
            moved = transforms[number].copy()
            moved[:, 2] += moved[:, :2] @ rng.normal(0, shift, 2).astype(np.float32)
            patches.append(_soften(cut_patch(frame, moved), blur, rng))
            points.append(to_patch(lips[number][None], moved[None])[0].reshape(-1))
    return _regress(_normalise(np.stack(patches)), np.stack(points), stride=len(_VARIANTS))


def _regress(patches: FloatArray, lips: FloatArray, stride: int) -> MouthReader:
    mean_patch, mean_lips = patches.mean(0), lips.mean(0)
    # The plain version of each patch says which directions there are.
    _, spread, directions = np.linalg.svd(patches[::stride] - mean_patch, full_matrices=False)
    count = min(_COMPONENTS, len(directions))
    unit = spread[0] / np.sqrt(len(patches[::stride])) + 1e-6
    components = directions[:count] / unit
    support = (patches - mean_patch) @ components.T
    gram = _kernel(support, support).astype(np.float64)
    gram[np.diag_indices_from(gram)] += _RIDGE
    weights = np.linalg.solve(gram, (lips - mean_lips).astype(np.float64))
    return MouthReader(
        mean_patch=mean_patch,
        components=components.astype(np.float32),
        support=support.astype(np.float32),
        weights=weights.astype(np.float32),
        mean_lips=mean_lips,
    )


def _kernel(first: FloatArray, second: FloatArray) -> FloatArray:
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    kernel: FloatArray = np.exp(-_KERNEL_WIDTH * np.maximum(squared, 0))
    return kernel


def _normalise(patches: ByteArray) -> FloatArray:
    """Grey patches (T, P * P) with mean 0 and standard deviation 1 each."""
    grey = patches.astype(np.float32).mean(-1).reshape(len(patches), -1)
    grey -= grey.mean(1, keepdims=True)
    return np.asarray(grey / (grey.std(1, keepdims=True) + 1e-3), dtype=np.float32)


def _soften(patch: ByteArray, most_blur: float, rng: np.random.Generator) -> ByteArray:
    import cv2

    if most_blur == 0:
        return patch
    blurred = cv2.GaussianBlur(patch, (0, 0), rng.uniform(0.3, most_blur)).astype(np.float32)
    noisy = blurred + rng.normal(0, rng.uniform(0, 4), patch.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), dtype=np.uint8)


def to_crop(points: FloatArray, crop_from_patch: FloatArray) -> FloatArray:
    """Points (T, L, 2) in patch coordinates to pixels of the crop."""
    turned = np.einsum("tij,tlj->tli", crop_from_patch[:, :, :2], points)
    return np.asarray(turned + crop_from_patch[:, None, :, 2], dtype=np.float32)


def to_patch(points: FloatArray, crop_from_patch: FloatArray) -> FloatArray:
    """Points (T, L, 2) in pixels of the crop to patch coordinates."""
    inverse = np.linalg.inv(crop_from_patch[:, :, :2])
    shifted = points - crop_from_patch[:, None, :, 2]
    return np.asarray(np.einsum("tij,tlj->tli", inverse, shifted), dtype=np.float32)


def own_reader(reader: MouthReader, track: Track, model: FaceModel) -> ReadLips:
    """Let a fitted reader look at whole frames."""
    transforms = patch_transforms(track, model)

    def read(frame: ByteArray, number: int) -> FloatArray | None:
        patch = cut_patch(frame, transforms[number])
        lips: FloatArray = reader.read(patch[None], transforms[number][None])[0]
        return lips

    return read


@contextmanager
def mediapipe_reader(model_path: Path) -> Generator[ReadLips, None, None]:
    """Read lips with MediaPipe, a judge that has never seen the target.

    Raises:
        WeightsMissing: no such file.
    """
    with closing(MediapipeDetector(model_path)) as detector:

        def read(frame: ByteArray, number: int) -> FloatArray | None:
            faces = detector.detect(frame)
            largest = max(faces, key=lambda points: float(np.ptp(points[:, 1])), default=None)
            return None if largest is None else lips_of(largest[None])[0]

        yield read


def lips_of(landmarks: FloatArray) -> FloatArray:
    """Pick the points that the reader reads out of landmarks (T, L, 2)."""
    return np.ascontiguousarray(landmarks[:, list(LIP_POINTS)], dtype=np.float32)


def correlation(first: Sequence[float] | FloatArray, second: Sequence[float] | FloatArray) -> float:
    """Pearson's correlation; 0 when one of the two does not move at all."""
    a, b = (np.asarray(curve, np.float64) - np.mean(curve) for curve in (first, second))
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / power) if power > 1e-12 else 0.0
