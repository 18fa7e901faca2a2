from __future__ import annotations

import os
import time

import pytest
import torch

from pirctl.bench.bench import BenchReport, bench, peak_memory_mb
from pirctl.bench.load import busy_thread
from pirctl.progress import Progress
from pirctl.settings import (
    Audio2ExpSettings,
    MediaSettings,
    Settings,
    SpeechSettings,
)
from tests.networks.tiny import FACE, RENDERER

SMALL = Settings(
    media=MediaSettings(size_px=64),
    speech=SpeechSettings(encoder="mel", mel_width=16),
    audio2exp=Audio2ExpSettings(width=16, heads=2, feedforward=16),
    face=FACE,
    renderer=RENDERER,
)


def run(batch_size: int = 1, **options: object) -> BenchReport:
    return bench(
        SMALL,
        torch.device("cpu"),
        precision="float32",
        repeats=2,
        batch_size=batch_size,
        **options,  # type: ignore[arg-type]
    )


def test_every_part_is_timed() -> None:
    report = run()
    assert [part.name for part in report.parts] == [
        "speech features",
        "expression",
        "planes",
        "volume rendering",
        "renderer",
        "decode",
        "encode",
    ]
    for part in report.parts:
        assert part.ms is not None, part
        assert part.ms > 0
    assert report.frame_ms >= report.frame_best_ms > 0
    assert report.frames_per_s * report.frame_ms == pytest.approx(1000)
    assert 50 < report.peak_memory_mb < 20_000
    assert report.size_px == 64


def test_the_whole_frame_is_timed_beside_a_busy_thread_too() -> None:
    report = run(speech=False, video=False)
    assert report.frame_busy_ms is not None
    assert report.frame_busy_ms > 0.5 * report.frame_best_ms


def test_the_busy_thread_computes_and_ends_with_its_block() -> None:
    def spent() -> float:
        """Processor time of children; they count when they have ended and were reaped."""
        times = os.times()
        return times.children_user + times.children_system

    before, start = spent(), time.perf_counter()
    with busy_thread():
        time.sleep(0.3)
    # A loaded machine gives it a share of a core only.
    assert spent() - before > 0.05 * (time.perf_counter() - start)


def test_parts_can_be_left_out() -> None:
    report = run(speech=False, video=False)
    assert [part.name for part in report.parts] == ["planes", "volume rendering", "renderer"]


def test_operations_are_counted_per_frame_and_add_up() -> None:
    one, two = run(speech=False, video=False), run(speech=False, video=False, batch_size=2)
    assert one.gflop > 0.01
    assert abs(one.gflop - two.gflop) < 0.02 * one.gflop
    assert abs(sum(part.gflop or 0 for part in one.parts) - one.gflop) < 1e-9
    assert all(0 < (part.ceiling or 0) < 2 for part in one.parts)


def test_progress_is_reported_to_the_end() -> None:
    reports: list[Progress] = []
    run(speech=False, video=False, on_progress=reports.append)
    assert reports[-1].done == reports[-1].total == 2


def test_peak_memory_is_this_processs() -> None:
    before = peak_memory_mb(torch.device("cpu"))
    ballast = torch.ones(60 * 2**20, dtype=torch.uint8)
    assert peak_memory_mb(torch.device("cpu")) >= before
    assert int(ballast[-1]) == 1
