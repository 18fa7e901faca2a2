"""How fast each part of the pipeline is on this machine, on random weights.

Speed does not depend on the weights, so nothing has to be trained or downloaded. Every number
comes from this one run: parts are timed in turns, so that a busy moment of the machine spreads over
all of them, and the medians are compared with a convolution measured in the same turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pirctl.bench.load import busy_thread
from pirctl.bench.workload import IDENTITY_WIDTH, PictureNetworks, speech_networks
from pirctl.device import peak_bytes
from pirctl.media import VideoWriter, read_frames
from pirctl.networks.ceiling import Ceiling
from pirctl.networks.inference import Precision, default_precision
from pirctl.progress import OnProgress, Progress, Stopwatch, ignore_progress
from pirctl.settings import MediaSettings, Settings
from pirctl.speech.encoder import SpeechEncoder

_AUDIO_FRAMES = 100
_VIDEO_FRAMES = 50
_WHOLE = "whole frame"
_BUSY = "whole frame beside a busy thread"


@dataclass(frozen=True, kw_only=True)
class PartReport:
    """One part of the pipeline.

    Attributes:
        name: what was timed.
        ms: median milliseconds per video frame; None where the part was left out.
        best_ms: the fastest repeat.
        gflop: billions of floating-point operations per frame (2 per multiply-add), or None.
        ceiling: share of the convolution ceiling that was reached, or None.
        note: why the part was left out, or empty.
    """

    name: str
    ms: float | None = None
    best_ms: float | None = None
    gflop: float | None = None
    ceiling: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """What `bench` measured.

    Attributes:
        device: where, in words.
        precision: of the convolutions.
        threads: CPU threads.
        batch_size: frames per batch of the picture networks.
        size_px: side of the pictures.
        parts: speech, the picture networks and the video files.
        frame_ms: median milliseconds per frame of planes, volume and renderer in one go.
        frame_best_ms: the fastest of these.
        frame_busy_ms: median of the same while another process keeps one core busy, timed in the
            same turns; None on a GPU.
        frames_per_s: 1000 / frame_ms.
        gflop: billions of floating-point operations per frame of these.
        ceiling_gflops: billions of operations per second of a 3 x 3 convolution, measured between
            the other parts.
        peak_memory_mb: highest memory of the device's allocator, or resident memory on a CPU.
    """

    device: str
    precision: Precision
    threads: int
    batch_size: int
    size_px: int
    parts: tuple[PartReport, ...]
    frame_ms: float
    frame_best_ms: float
    frame_busy_ms: float | None
    frames_per_s: float
    gflop: float
    ceiling_gflops: float
    peak_memory_mb: float


def bench(
    settings: Settings,
    device: torch.device,
    *,
    precision: Precision | None = None,
    repeats: int,
    batch_size: int,
    speech: bool = True,
    video: bool = True,
    on_progress: OnProgress = ignore_progress,
) -> BenchReport:
    """Time the parts of the pipeline at the sizes of `settings`.

    Call `device.prepare_allocator` before torch is imported, as the command line does.

    Args:
        settings: sizes.
        device: where.
        precision: of the convolutions; None takes the fastest the device computes natively.
        repeats: timed turns, after one that warms up.
        batch_size: frames per batch of the picture networks.
        speech: also time the speech encoder and the expression decoder.
        video: also time decoding and encoding.
        on_progress: told about each turn.
    """
    chosen = precision or default_precision(device)
    torch.manual_seed(0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        pictures = PictureNetworks(settings, device, chosen, batch_size)
        ceiling = Ceiling(device, chosen)
        timed: dict[str, Callable[[], object]] = {
            "planes": pictures.make_planes,
            "volume rendering": pictures.make_feature,
            "renderer": pictures.make_frame,
            _WHOLE: pictures.make_all,
            "ceiling": ceiling.run,
        }
        operations = {name: _count_operations(part) for name, part in timed.items()}
        times = _take_turns(timed, repeats, device, on_progress)
    busy = times.get(_BUSY)
    rate = operations["ceiling"] / statistics.median(times["ceiling"])
    parts = [
        _report(name, times[name], operations[name], rate, batch_size)
        for name in ("planes", "volume rendering", "renderer")
    ]
    if speech:
        on_progress(Progress(step="timing speech", done=0, total=None, unit="frames"))
        parts = [*_time_speech(settings, device), *parts]
    if video:
        on_progress(Progress(step="timing video files", done=0, total=None, unit="frames"))
        parts += _time_video(settings.media)
    whole = _report(_WHOLE, times[_WHOLE], operations[_WHOLE], rate, batch_size)
    assert whole.ms is not None
    assert whole.best_ms is not None
    assert whole.gflop is not None
    return BenchReport(
        device=_describe(device),
        precision=chosen,
        threads=torch.get_num_threads(),
        batch_size=batch_size,
        size_px=settings.media.size_px,
        parts=tuple(parts),
        frame_ms=whole.ms,
        frame_best_ms=whole.best_ms,
        frame_busy_ms=1000 * statistics.median(busy) / batch_size if busy else None,
        frames_per_s=1000 / whole.ms,
        gflop=whole.gflop,
        ceiling_gflops=rate / 1e9,
        peak_memory_mb=peak_memory_mb(device),
    )


def _take_turns(
    timed: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    on_progress: OnProgress,
) -> dict[str, list[float]]:
    """Seconds of every part in every turn but the first, which warms up.

    On a CPU also of the whole frame beside a busy thread, as `_BUSY`.
    """
    times: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeats + 1):
        for name, part in timed.items():
            elapsed = _time(part, device)
            if turn:
                times[name].append(elapsed)
        if device.type == "cpu" and turn:
            with busy_thread():
                times.setdefault(_BUSY, []).append(_time(timed[_WHOLE], device))
        on_progress(Progress(step="timing the networks", done=turn, total=repeats, unit="turns"))
    return times


def _time(part: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, to the end of what it started on the device."""
    start = time.perf_counter()
    part()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _count_operations(part: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        part()
    return int(counter.get_total_flops())


def _report(name: str, times: list[float], operations: int, rate: float, frames: int) -> PartReport:
    median = statistics.median(times)
    return PartReport(
        name=name,
        ms=1000 * median / frames,
        best_ms=1000 * min(times) / frames,
        gflop=operations / frames / 1e9,
        ceiling=operations / median / rate,
    )


def _time_speech(settings: Settings, device: torch.device) -> list[PartReport]:
    encoder, decoder = speech_networks(settings, device)
    sound = np.random.default_rng(0).standard_normal(_AUDIO_FRAMES * encoder.frame_samples)
    features, encoding = _timed_list(_encode(encoder, 0.1 * sound.astype(np.float32)), device)
    z_id = torch.zeros(1, IDENTITY_WIDTH, device=device)
    _, decoding = _timed_list(decoder.stream(features, z_id), device)
    return [
        PartReport(name="speech features", ms=1000 * encoding / _AUDIO_FRAMES),
        PartReport(name="expression", ms=1000 * decoding / _AUDIO_FRAMES),
    ]


def _encode(encoder: SpeechEncoder, sound: np.ndarray) -> Iterator[Tensor]:
    loudness = encoder.measure([sound])
    return encoder.stream([sound], _AUDIO_FRAMES, loudness, _AUDIO_FRAMES)


def _timed_list(items: Iterator[Tensor], device: torch.device) -> tuple[list[Tensor], float]:
    made: list[Tensor] = []
    elapsed = _time(lambda: made.extend(items), device)
    return made, elapsed


def _time_video(media: MediaSettings) -> list[PartReport]:
    """Encode a moving picture as for delivery, and decode it again."""
    size, rate = media.size_px, Fraction(media.frame_rate)
    axis = np.linspace(0, 6 * np.pi, size, dtype=np.float32)
    texture = np.sin(axis)[:, None] * np.sin(axis)[None] * 60 + 128
    noise = np.random.default_rng(0).integers(-8, 8, (size, size, 3))
    base = (texture[..., None] + noise).clip(0, 255).astype(np.uint8)
    frames = [np.roll(base, 2 * i, axis=1) for i in range(_VIDEO_FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.mp4"
        watch = Stopwatch()
        with (
            watch.part("encode"),
            VideoWriter(path, size, size, rate, quality="delivery") as writer,
        ):
            for frame in frames:
                writer.write(frame)
        with watch.part("decode"):
            count = sum(1 for _ in read_frames(path))
    assert count == _VIDEO_FRAMES
    return [
        PartReport(name=name, ms=1000 * watch.seconds[name] / _VIDEO_FRAMES)
        for name in ("decode", "encode")
    ]


def peak_memory_mb(device: torch.device) -> float:
    """Highest memory so far: of the CUDA allocator, else resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_bytes() / 2**20


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU, {torch.backends.cpu.get_cpu_capability()}"
    return str(device)
