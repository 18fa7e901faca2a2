"""The training part of a target in memory: frames, masks and the fitted face, decoded once.

Pictures stay uint8: in memory, or in an unnamed memory-mapped file where that is too small, until
it is known whether the GPU has room for them beside the steps (`Footage.settle`). The held-out end
of the clip is not even decoded. Network tensors are made per batch.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pirctl.device import ASSUMED_BYTES, physical_bytes
from pirctl.errors import SettingsError, TargetError
from pirctl.face.landmarks import LIPS_OUTER
from pirctl.face.masks import MaskPainter, head_mask
from pirctl.face.model import FaceModel
from pirctl.media import read_frames
from pirctl.networks.pictures import to_network
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import MaskSettings, Settings
from pirctl.target import Target, TargetAbout, Track

LOGGER = logging.getLogger(__name__)

_FEWEST_FRAMES = 10
_MEMORY_SHARE = 0.5


@dataclass(kw_only=True)
class Footage:
    """The frames that training may see.

    Attributes:
        device: where batches are computed; the tensors below may lie elsewhere.
        usable: (N,) int64, frames with a usable face.
        z_id: (I,), on `device`.
        z_exp: (T, E), on `device`.
        R: (T, 3, 3), on `device`.
        t: (T, 3), on `device`.
        K: (3, 3) in pixels of the crop, on `device`.
        frames: (T, H, W, 3) uint8, RGB.
        maps: (T, H, W) uint8 in [0, 255] by name: "head", "mask", "mouth".
    """

    device: torch.device
    usable: Tensor
    z_id: Tensor
    z_exp: Tensor
    R: Tensor
    t: Tensor
    K: Tensor
    frames: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def size_px(self) -> int:
        """Side of the frames."""
        return int(self.frames.shape[1])

    def settle(self, spare_bytes: int) -> None:
        """Move frames and maps to `device` if they take at most `spare_bytes` there, or none."""
        stores = [self.frames, *self.maps.values()]
        moved: list[Tensor] = []
        if sum(store.nbytes for store in stores) <= spare_bytes:
            # What is free may lie in pieces, and another process may have been faster.
            with suppress(torch.OutOfMemoryError):
                moved = [store.to(self.device) for store in stores]
        if moved:
            self.frames, self.maps = moved[0], dict(zip(self.maps, moved[1:], strict=True))
        else:
            LOGGER.info("the frames stay in host memory: the GPU has no room beside the steps")

    def pictures(self, numbers: Tensor) -> Tensor:
        """Frames (B, 3, H, W) in [-1, 1], float32, channels last, on `device`."""
        return to_network(self.frames[numbers.to(self.frames.device)].to(self.device))

    def map(self, name: str, numbers: Tensor) -> Tensor:
        """One of the maps, (B, 1, H, W) in [0, 1], float32, on `device`."""
        store = self.maps[name]
        chosen = store[numbers.to(store.device)].to(self.device)
        return chosen.unsqueeze(1).float().div_(255)


def training_frames(about: TargetAbout, name: str, settings: Settings) -> int:
    """Frames at the start of the clip that training may see; the rest is held out.

    Raises:
        SettingsError: the clip is not longer than the part held out.
    """
    rate, holdout_s = settings.media.frame_rate, settings.train.holdout_s
    frames = about.frames - round(holdout_s * rate)
    if frames < _FEWEST_FRAMES:
        raise SettingsError(
            f"{name} is {about.frames / rate:g} s long, and train.holdout_s keeps the last "
            f"{holdout_s:g} s out of training: {max(0, frames)} frames are left, "
            f"{_FEWEST_FRAMES} are needed",
            hint="hold out less, for example --holdout 2, or use a longer clip",
        )
    return frames


def usable_frames(track: Track, frames: int, name: str) -> Tensor:
    """Numbers of the frames with a usable face among the first `frames`, (N,) int64.

    Raises:
        TargetError: there is none.
    """
    usable = torch.from_numpy(np.flatnonzero(track.valid[:frames]))
    if not len(usable):
        raise TargetError(
            f"{name} has no usable face in the {frames} frames that training may see",
            hint=f"pirctl inspect {name}",
        )
    return usable


def read_footage(
    target: Target,
    track: Track,
    frames: int,
    model: FaceModel,
    mask_settings: MaskSettings,
    *,
    maps: tuple[str, ...],
    device: torch.device,
    on_progress: OnProgress = ignore_progress,
) -> Footage:
    """Decode the first `frames` frames of a target and the maps that a stage needs.

    Args:
        target: the target.
        track: its track.
        frames: how many frames from the start.
        model: the face model of the track.
        mask_settings: which region the renderer repaints.
        maps: any of "head" (from the parsing), "mask" (the region the renderer repaints) and
            "mouth" (inside the outer lips).
        device: where batches are computed.
        on_progress: told about every frame.

    Raises:
        TargetError: the files of the target have fewer frames than the track.
        DecodeError: they cannot be read.
    """
    usable = usable_frames(track, frames, target.name)
    size = target.about.size_px
    rows = frames * size * size
    stores = iter(_allocate([(frames, size, size, 3)] + [(frames, size, size)] * len(maps),
                            rows * (3 + len(maps)), target.folder))  # fmt: skip
    pictures = next(stores)
    step = "reading frames"
    for number, frame in enumerate(_exactly(target.frames_path, frames, gray=False)):
        pictures[number] = torch.from_numpy(frame)
        on_progress(Progress(step=step, done=number + 1, total=frames))
    drawn: dict[str, Tensor] = {}
    for name in maps:
        drawn[name] = next(stores)
        for number, values in enumerate(_draw(name, target, track, frames, model, mask_settings)):
            drawn[name][number] = torch.from_numpy(values)

    def part(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

    return Footage(
        device=device,
        usable=usable,
        z_id=part(track.z_id),
        z_exp=part(track.z_exp[:frames]),
        R=part(track.R[:frames]),
        t=part(track.t[:frames]),
        K=part(track.K),
        frames=pictures,
        maps=drawn,
    )


def _draw(
    name: str,
    target: Target,
    track: Track,
    frames: int,
    model: FaceModel,
    mask_settings: MaskSettings,
) -> Iterator[np.ndarray]:
    """The maps of one kind, (H, W) uint8 in [0, 255], frame by frame."""
    size = target.about.size_px
    if name == "head":
        for labels in _exactly(target.parsing_path, frames, gray=True):
            yield head_mask(labels).astype(np.uint8) * 255
    elif name == "mask":
        painter = MaskPainter(model, track.z_id, track.K, size, mask_settings)
        # A mask that follows the expression hides that of the footage and that of the speech; here
        # they are the same one, so any other one of the person's takes the speech's place.
        others = np.random.default_rng(0).permutation(frames)
        for number in range(frames):
            shown = track.z_exp[[number, others[number]]]
            mask = painter.paint(track.R[number], track.t[number], shown)
            yield np.rint(mask * 255).astype(np.uint8)
    elif name == "mouth":
        for number in range(frames):
            yield _mouth(track.landmarks[number], size)
    else:
        raise ValueError(f"map {name!r}, must be head, mask or mouth")


def _mouth(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The region of the lips and what is between them, with a small margin."""
    import cv2

    canvas = np.zeros((size, size), np.uint8)
    # The border line is the margin: about 2 % of the crop on either side of the lips' outline.
    outline = np.rint((landmarks[list(LIPS_OUTER)] - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [outline], 255, cv2.LINE_8, 4)
    cv2.polylines(canvas, [outline], True, 255, max(1, size // 50), cv2.LINE_8, 4)
    return canvas


def _exactly(path: Path, frames: int, *, gray: bool) -> Iterator[np.ndarray]:
    count = 0
    for frame in read_frames(path, frames=frames, gray=gray):
        yield frame
        count += 1
    if count < frames:
        raise TargetError(
            f"{path} has {count} frames, at least {frames} were expected",
            hint="pirctl preprocess VIDEO --force",
        )


def _allocate(shapes: list[tuple[int, ...]], total_bytes: int, folder: Path) -> Iterator[Tensor]:
    if total_bytes < _MEMORY_SHARE * (physical_bytes() or ASSUMED_BYTES):
        return (torch.empty(shape, dtype=torch.uint8) for shape in shapes)
    return (_mapped(shape, folder) for shape in shapes)


def _mapped(shape: tuple[int, ...], folder: Path) -> Tensor:
    # The file has no name, so it is gone when the last reference is, even after a kill.
    with tempfile.TemporaryFile(dir=folder) as file:
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="w+", shape=shape))
