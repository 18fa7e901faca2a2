"""Time and disk that preprocess, train and dub will take on this machine, and how that is known."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pirctl.device import cpu_count, select_device
from pirctl.errors import PirctlError
from pirctl.files import free_bytes
from pirctl.networks.ceiling import Ceiling
from pirctl.prepare.preprocess import target_bytes
from pirctl.settings import STAGES, Settings
from pirctl.target import Target
from pirctl.target.workspace import target_names, workspace_folder

_MEASURED_PRESET = "laptop"
_MEASURED_GFLOPS = 400.0
"""A 3 x 3 convolution, float32, on the two cores on which the figures below were measured."""
_PREPROCESS_FRAMES_PER_S = 25.0
_TRAIN_S = 600.0
_PAINT_FRAMES_PER_S = 17.0
"""Figures of models/cards/laptop.md: 512 px, 20 s, two cores beside other work."""

_STAGES_BYTES = 65e6
"""Checkpoints, bank and previews of laptop's stages, measured on the same clip."""
_PAINTED_SHARE = 3.0
"""Segments and result of a dub together, in sizes of the source."""

_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the whole way takes.

    Attributes:
        preprocess_s: seconds; None where nobody measured the preset.
        train_s: likewise.
        dub_s: of painting and writing, likewise.
        disk_bytes: of the target, its stages, and the result with what it is made of.
        free_bytes: on the disk of the workspace; None: not known.
        basis: where the seconds come from, in words.
    """

    preprocess_s: float | None
    train_s: float | None
    dub_s: float | None
    disk_bytes: int
    free_bytes: int | None
    basis: str

    @property
    def total_s(self) -> float | None:
        """Seconds of all three."""
        if self.preprocess_s is None or self.train_s is None or self.dub_s is None:
            return None
        return self.preprocess_s + self.train_s + self.dub_s


def estimate(
    settings: Settings,
    preset: str,
    *,
    duration_s: float,
    painted_frames: float,
    source_bytes: int,
    workspace: Path | None = None,
    device: str | None = None,
) -> Cost:
    """What a video will cost here.

    Args:
        settings: of the preset.
        preset: its name.
        duration_s: of the video.
        painted_frames: frames in which somebody speaks.
        source_bytes: size of the video's file.
        workspace: folder of the targets; None: PIRCTL_WORKSPACE, else ./targets.
        device: where it is trained; None: a GPU if there is one.

    Raises:
        SettingsError: this machine has no such device.
    """
    frames = duration_s * settings.media.frame_rate
    disk = target_bytes(frames, settings) + _STAGES_BYTES + _PAINTED_SHARE * source_bytes
    folder = workspace_folder(workspace)
    disk_bytes, free = round(disk), _free_bytes(folder)
    if preset != _MEASURED_PRESET or select_device(device).type != "cpu":
        basis = f"nobody measured {preset} on such a machine: pirctl bench --preset {preset}"
        return Cost(
            preprocess_s=None,
            train_s=None,
            dub_s=None,
            basis=basis,
            disk_bytes=disk_bytes,
            free_bytes=free,
        )
    speed = _gflops() / _MEASURED_GFLOPS
    basis = (
        f"the card of {preset}, whose machine was {1 / speed:.1f} times as fast as this one is now"
    )
    train_s = _TRAIN_S / speed
    earlier = list(_trained_here(folder, preset))
    if earlier:
        train_s = statistics.median(earlier)
        basis += f"; training as {len(earlier)} of {preset} took in {folder}"
    return Cost(
        preprocess_s=frames / _PREPROCESS_FRAMES_PER_S / speed,
        train_s=train_s,
        dub_s=painted_frames / _PAINT_FRAMES_PER_S / speed,
        basis=basis,
        disk_bytes=disk_bytes,
        free_bytes=free,
    )


def _gflops() -> float:
    """Billions of operations a second of a convolution, now and here."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(cpu_count())
    try:
        with torch.inference_mode():
            ceiling = Ceiling(torch.device("cpu"), "float32")
            ceiling.run()
            taken = []
            for _ in range(_REPEATS):
                start = time.perf_counter()
                ceiling.run()
                taken.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return Ceiling.OPERATIONS / statistics.median(taken) / 1e9


def _trained_here(folder: Path, preset: str) -> Iterator[float]:
    """Seconds that the training of each finished target of the workspace took."""
    for name in target_names(folder):
        target = Target(folder / name)
        try:
            if target.about.preset == preset:
                logs = [target.stage_folder(stage) / "log.jsonl" for stage in STAGES]
                yield sum(_last_seconds(path) for path in logs)
        except (PirctlError, OSError, ValueError, KeyError, IndexError, TypeError):
            continue  # Unfinished or damaged: it tells nothing.


def _last_seconds(log: Path) -> float:
    return float(json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["seconds"])


def _free_bytes(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except OSError:
        return None
