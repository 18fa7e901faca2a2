"""Label every pixel of a crop: skin, hair, lips, neck and so on, with BiSeNet's 19 numbers.

`BisenetParser` and `BisenetV2Parser` are trained networks; `GeometryParser` draws the regions from
the landmarks, for machines without their weights. Hair, ears and neck are guesses there. Left and
right are the subject's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pirctl.compat import facexlib_bisenet
from pirctl.device import has_bfloat16
from pirctl.errors import WeightsCorrupt
from pirctl.face.bisenet_v2 import BisenetV2
from pirctl.face.foreign_weights import load_weights
from pirctl.face.landmarks import (
    BROW_LEFT,
    BROW_RIGHT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    LIPS_INNER,
    LIPS_OUTER,
    NOSE_BASE,
)

LABELS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses",
    "left ear", "right ear", "earring", "nose", "mouth", "upper lip", "lower lip", "neck",
    "necklace", "cloth", "hair", "hat",
)  # fmt: skip
"""What each number means; a label map holds indices into this."""

HEAD_LABELS = (*range(1, 14), 17, 18)
"""The labels of the head: everything but background, neck, necklace and cloth."""

BACKGROUND, SKIN, BROW_L, BROW_R, EYE_L, EYE_R, _, EAR_L, EAR_R = range(9)
NOSE, MOUTH, UPPER_LIP, LOWER_LIP, NECK, _, _, HAIR, _ = range(10, 19)

Frame = npt.NDArray[np.uint8]
LabelMap = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

_NETWORK_SIZE_PX = 512
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_FRACTION_BITS = 4
_NOSE_OUTLINE = (168, 193, 245, 188, 174, 198, *NOSE_BASE, 420, 399, 412, 465, 417)


def without_flicker(labels: Iterable[LabelMap]) -> Iterator[LabelMap]:
    """Label maps without what is seen in a single frame only.

    A pixel whose next frame agrees with the one before, as that was given out, takes their label:
    no label comes for a single frame between two that agree. What lasts two frames stays as it
    is, and so does a pixel of which all three frames differ, as at an edge that moves fast.
    The stream is one frame behind.

    Args:
        labels: (H, W) of consecutive frames.

    Yields:
        As many, of the same frames; the first and the last are as they were.
    """
    stream = iter(labels)
    before = current = next(stream, None)
    if before is None or current is None:
        return
    for after in stream:
        before = np.where(before == after, before, current)
        yield before
        current = after
    yield current


class Parser(Protocol):
    """Labels frames of one size, in order, some at a time."""

    name: str
    version: int  # Grows when the same frames get other labels in a target.

    def parse(self, frames: Sequence[Frame], landmarks: FloatArray) -> list[LabelMap]:
        """Label maps (H, W) uint8 of frames (H, W, 3) with landmarks (B, L, 2) in their pixels."""
        ...


class GeometryParser:
    """Draws the regions from the landmarks alone."""

    name = "geometry"
    version = 4

    def parse(self, frames: Sequence[Frame], landmarks: FloatArray) -> list[LabelMap]:
        """Label maps (H, W) uint8; of the frames only the size is used."""
        pairs = zip(frames, landmarks, strict=True)
        return [draw_labels(points, frame.shape[0], frame.shape[1]) for frame, points in pairs]


def draw_labels(landmarks: FloatArray, height: int, width: int) -> LabelMap:
    """Label map of one frame from its landmarks.

    Args:
        landmarks: (L, 2) pixels of the picture, L at least 468.
        height: rows of the label map.
        width: columns of the label map.
    """
    labels = np.zeros((height, width), np.uint8)
    frame = _FaceFrame(landmarks)
    for label, outline in _outlines(landmarks, frame):
        _fill(labels, outline, label)
    return labels


class _FaceFrame:
    """Axes of the face in the picture: origin between the brows, `up`, and `left` (the subject's).

    The unit is the face's height from brows to chin, which turning the head leaves alone.
    """

    def __init__(self, landmarks: FloatArray) -> None:
        self.origin = landmarks[list(BROW_LEFT + BROW_RIGHT)].mean(0)
        towards_brows = self.origin - landmarks[CHIN]
        self.unit = max(float(np.linalg.norm(towards_brows)), 1.0)
        # Rolling the head tilts the face, but a nodding or turning one tilts brow to chin as
        # well; the line between the eyes settles it.
        across = landmarks[list(EYE_LEFT)].mean(0) - landmarks[list(EYE_RIGHT)].mean(0)
        width = max(float(np.linalg.norm(across)), 1e-3)
        self.left = across / width
        self.up = np.array([self.left[1], -self.left[0]], np.float32)
        if self.up @ towards_brows < 0:
            self.up = -self.up

    def at(self, left: npt.ArrayLike, up: npt.ArrayLike) -> FloatArray:
        """Pixels of positions in face heights from the origin."""
        offset = np.multiply.outer(left, self.left) + np.multiply.outer(up, self.up)
        position: FloatArray = (self.origin + self.unit * offset).astype(np.float32)
        return position

    def ellipse(
        self, center: FloatArray, half_width: float, half_height: float, upper: float = 1.0
    ) -> FloatArray:
        """Outline of an ellipse; `upper` stretches its upper half."""
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False, dtype=np.float32)
        left, up = half_width * np.cos(angle), half_height * np.sin(angle)
        up = np.where(up > 0, up * upper, up)
        shift = np.multiply.outer(left, self.left) + np.multiply.outer(up, self.up)
        outline: FloatArray = (center + self.unit * shift).astype(np.float32)
        return outline


def _outlines(points: FloatArray, face: _FaceFrame) -> list[tuple[int, FloatArray]]:
    """Polygons with their labels, from back to front."""
    oval = points[list(FACE_OVAL)]
    # Turning the head moves the outline's middle against the nose; the skull is behind it.
    middle = oval.mean(0)
    turn = float((middle - points[list(NOSE_BASE)].mean(0)) @ face.left) / face.unit
    skull = middle + face.unit * 0.35 * turn * face.left
    crown = skull + face.unit * 0.22 * face.up
    nape = skull - face.unit * 0.55 * face.up
    neck = np.stack(
        [
            nape + face.unit * 0.38 * face.left,
            nape + face.unit * (0.42 * face.left - 1.6 * face.up),
            nape - face.unit * (0.42 * face.left + 1.6 * face.up),
            nape - face.unit * 0.38 * face.left,
        ]
    )
    ear_left, ear_right = points[[323, 454]].mean(0), points[[93, 234]].mean(0)
    # The mesh ends below the hairline: stretch the upper part of the outline.
    above = np.clip((oval - face.origin) @ face.up, 0, None)[:, None]
    forehead = oval + 0.18 * above * face.up
    return [
        (NECK, neck),
        (HAIR, face.ellipse(crown, 0.7, 0.76, upper=1.22)),
        (EAR_L, face.ellipse(ear_left, 0.09, 0.24)),
        (EAR_R, face.ellipse(ear_right, 0.09, 0.24)),
        (SKIN, forehead),
        (BROW_L, points[list(BROW_LEFT)]),
        (BROW_R, points[list(BROW_RIGHT)]),
        (EYE_L, points[list(EYE_LEFT)]),
        (EYE_R, points[list(EYE_RIGHT)]),
        (NOSE, points[list(_NOSE_OUTLINE)]),
        *_lips(points),
        (MOUTH, points[list(LIPS_INNER)]),
    ]


def _lips(points: FloatArray) -> list[tuple[int, FloatArray]]:
    # Both rings run from the right corner over the upper lip to the left corner and back.
    outer, inner, half = points[list(LIPS_OUTER)], points[list(LIPS_INNER)], len(LIPS_OUTER) // 2
    upper = np.concatenate([outer[: half + 1], inner[half::-1]])
    lower = np.concatenate([outer[half:], outer[:1], inner[:1], inner[: half - 1 : -1]])
    return [(UPPER_LIP, upper), (LOWER_LIP, lower)]


def _fill(labels: LabelMap, outline: FloatArray, label: int) -> None:
    import cv2

    # OpenCV puts the centre of pixel 0 at 0, we at 0.5.
    fixed = np.round((outline - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
    cv2.fillPoly(labels, [fixed], label, shift=_FRACTION_BITS)


class BisenetParser:
    """BiSeNet as facexlib builds it, with the weights of parsing_bisenet.pth.

    Args:
        weights: the file; its tensors are loaded, never its code.
        device: where to run.
        precision: of the network; None is float16 on a GPU and float32 on a CPU.

    Raises:
        WeightsMissing: no such file.
        WeightsCorrupt: not the weights of this network.
    """

    name = "bisenet"
    version = 3

    def __init__(
        self,
        weights: Path,
        device: str | torch.device = "cpu",
        *,
        precision: torch.dtype | None = None,
    ) -> None:
        network = facexlib_bisenet()(num_class=len(LABELS))
        load_weights(
            network, weights,
            what="BiSeNet", name="bisenet", way_out="draw the regions with --parser geometry",
        )  # fmt: skip
        self._device = torch.device(device)
        on_gpu = self._device.type == "cuda"
        self._type = precision or (torch.float16 if on_gpu else torch.float32)
        self._network = network.eval().requires_grad_(False).to(self._device, self._type)

    @torch.inference_mode()
    def parse(self, frames: Sequence[Frame], landmarks: FloatArray) -> list[LabelMap]:
        """Label maps (H, W) uint8 of frames (H, W, 3) uint8 RGB; the landmarks are not used."""
        if not frames:
            return []
        pictures = torch.from_numpy(np.stack(frames)).to(self._device)
        logits = self._network(to_bisenet_input(pictures).to(self._type))[0]
        return _likeliest(logits, frames[0].shape[:2])


class BisenetV2Parser:
    """BiSeNet V2 with the weights that a package of npm carries; a fifth of BiSeNet's.

    Args:
        weights: `bisenet_v2_weights()`, safetensors.
        device: where to run.

    Raises:
        WeightsCorrupt: not the weights of this network.
    """

    name = "bisenet-v2"
    version = 1

    def __init__(self, weights: Path, device: str | torch.device = "cpu") -> None:
        network = BisenetV2(len(LABELS))
        try:
            network.load_state_dict(load_file(weights))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise WeightsCorrupt(
                f"{weights}: not the weights of BiSeNet V2",
                hint="pirctl models pull bisenet_v2 --force",
            ) from error
        self._device = torch.device(device)
        # Its labels are those of float32 but for one pixel in a thousand, at edges.
        self._type = torch.bfloat16 if has_bfloat16(self._device) else torch.float32
        self._network = network.eval().requires_grad_(False).to(self._device, self._type)

    @torch.inference_mode()
    def parse(self, frames: Sequence[Frame], landmarks: FloatArray) -> list[LabelMap]:
        """Label maps (H, W) uint8 of frames (H, W, 3) uint8 RGB; the landmarks are not used."""
        if not frames:
            return []
        pictures = _network_size(torch.from_numpy(np.stack(frames)).to(self._device))
        logits = self._network((pictures * 2 - 1).to(self._type))
        return _likeliest(logits, frames[0].shape[:2])


def _likeliest(logits: torch.Tensor, size: tuple[int, ...]) -> list[LabelMap]:
    """Label maps of a size (H, W) from logits (B, labels, h, w)."""
    labels = logits.argmax(1).to(torch.uint8)
    if labels.shape[-2:] != size:
        resized = torch.nn.functional.interpolate(
            labels[:, None].float(), size, mode="nearest-exact"
        )
        labels = resized[:, 0].to(torch.uint8)
    return list(labels.cpu().numpy())


def _network_size(frames: torch.Tensor) -> torch.Tensor:
    """Frames (B, H, W, 3) uint8 as (B, 3, 512, 512) in [0, 1]."""
    pictures = frames.permute(0, 3, 1, 2).float() / 255
    if pictures.shape[-2:] != (_NETWORK_SIZE_PX, _NETWORK_SIZE_PX):
        pictures = torch.nn.functional.interpolate(
            pictures, (_NETWORK_SIZE_PX, _NETWORK_SIZE_PX), mode="bilinear", antialias=True
        )
    return pictures


def to_bisenet_input(frames: torch.Tensor) -> torch.Tensor:
    """Frames (B, H, W, 3) uint8 RGB as BiSeNet wants them: (B, 3, 512, 512), ImageNet's scale."""
    pictures = _network_size(frames)
    mean = torch.tensor(_IMAGENET_MEAN, device=frames.device)[:, None, None]
    std = torch.tensor(_IMAGENET_STD, device=frames.device)[:, None, None]
    return (pictures - mean) / std
