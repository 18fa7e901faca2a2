from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from pirctl.device import (
    cpu_count,
    has_bfloat16,
    memory_errors,
    peak_bytes,
    physical_bytes,
    prepare_allocator,
    prepare_threads,
    select_device,
)
from pirctl.errors import PirctlError, SettingsError
from pirctl.networks.inference import default_precision
from pirctl.settings import TrainSettings
from pirctl.training.precision import autocast


def test_the_cpu_is_always_there() -> None:
    assert select_device("cpu").type == "cpu"
    assert select_device(None).type in {"cpu", "cuda"}
    assert cpu_count() >= 1


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_said_in_words(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        select_device(name)
    assert "--device" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("device", "abilities", "has"),
    [
        ("cpu", {"avx512_bf16": True}, True),
        ("cpu", {"amx_bf16": True}, True),
        ("cpu", {"avx512_f": True, "avx512_bf16": False}, False),
        ("mps", {"avx512_bf16": True}, False),
    ],
)
def test_bfloat16_is_used_only_where_the_device_does_not_emulate_it(
    monkeypatch: pytest.MonkeyPatch, device: str, abilities: dict[str, bool], has: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert has_bfloat16(torch.device(device)) is has
    assert default_precision(torch.device(device)) == ("bfloat16" if has else "float32")
    assert autocast(TrainSettings(), torch.device(device))._enabled is has
    settings = TrainSettings(precision="float32")
    assert autocast(settings, torch.device(device))._enabled is False


def test_too_little_memory_of_a_gpu_is_said_in_words_and_other_errors_stay() -> None:
    with pytest.raises(PirctlError, match=r"too small for a test$") as caught:
        fail_in_words(torch.OutOfMemoryError("CUDA out of memory."))
    assert caught.value.hint == "less"
    with pytest.raises(RuntimeError, match="another"):
        fail_in_words(RuntimeError("another"))


def fail_in_words(error: Exception) -> None:
    with memory_errors("a test", "less"):
        raise error


def test_the_allocator_is_left_alone_when_the_user_has_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "0")
    assert prepare_allocator() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_preparing_the_allocator_imports_no_torch() -> None:
    code = (
        "import sys; from pirctl.device import prepare_allocator; prepare_allocator();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_peak_is_this_process_s_and_lies_below_what_the_machine_has() -> None:
    before = peak_bytes()
    ballast = np.ones(60 * 2**20, np.uint8)
    assert peak_bytes() >= before > 20 * 2**20
    assert physical_bytes() is not None
    assert before + ballast.nbytes < (physical_bytes() or 0)


def test_the_largest_process_started_counts_when_asked_for() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert peak_bytes(with_children=True) > peak_bytes() + 2**20


def test_a_system_that_does_not_say_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert physical_bytes() is None


def _openmp_says(code: str, **environment: str) -> str:
    """What the OpenMP that torch loads says about its settings after `code`."""
    own = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return subprocess.run(
        [sys.executable, "-c", f"{code}; import torch"],
        env={**kept, "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch brings GNU OpenMP there")
def test_the_command_line_lets_openmp_spin_briefly_unless_the_user_says_otherwise() -> None:
    code = "from pirctl.cli import main; main(['models', 'list', '--json'])"
    assert "GOMP_SPINCOUNT = '20000'" in _openmp_says(code)
    assert "GOMP_SPINCOUNT = '777'" in _openmp_says(code, GOMP_SPINCOUNT="777")


def test_how_threads_wait_is_left_alone_when_the_user_has_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert prepare_threads() is False
    assert "GOMP_SPINCOUNT" not in os.environ
