"""Which device computes, with how many threads, and how much memory there is and was used.

`prepare_allocator` and `prepare_threads` belong before the first import of torch; torch is imported
only by the functions that need it.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pirctl.errors import PirctlError, SettingsError

if TYPE_CHECKING:
    import torch

# glibc, malloc.h
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3

ASSUMED_BYTES = 8 << 30
"""A modest guess, where the system does not say how much memory there is."""

_MMAP_THRESHOLD_BYTES = 1 << 30
_TRIM_THRESHOLD_BYTES = 2**31 - 1
_TOP_PAD_BYTES = 64 << 20

_SPIN_COUNT = 20_000


def prepare_allocator() -> bool:
    """Make glibc keep big freed blocks instead of returning them to the kernel.

    By default every activation of some megabytes is mapped, zeroed by page faults and unmapped
    again; keeping the memory makes convolutions on a CPU 1.3 to 2.4 times as fast. It costs
    resident memory, at most the peak that was in use plus the padding. Environment settings of
    the user (MALLOC_*, GLIBC_TUNABLES) win. Call it before torch is imported.

    Returns:
        Whether the settings were made; False outside glibc or when the user has their own.
    """
    if not sys.platform.startswith("linux"):
        return False
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
    if any(name in os.environ for name in own) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    ):
        return False
    try:
        process = ctypes.CDLL(None)
        # musl and others have no version symbol, and may have a mallopt that does nothing.
        _ = process.gnu_get_libc_version
        mallopt = process.mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    mallopt.restype = ctypes.c_int
    # Older versions refuse thresholds above half a heap (32 MB).
    kept = mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES) or mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    trimmed = mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
    padded = mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)
    return bool(kept and trimmed and padded)


def prepare_threads() -> bool:
    """Let OpenMP's threads wait for each other actively for a short time only.

    By default they spin 300,000 times before they sleep. Where another process has the core of the
    thread that is waited for, all that time is lost: a training step of `tiny` on two cores took
    98 ms alone and 394 ms beside one busy thread. With 20,000 it took 102 and 226 ms; with 1,000
    it took 136 ms alone, for sleeping costs too. Settings of the user win. Call it before torch
    is imported.

    Returns:
        Whether the setting was made; False when the user has their own.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        return False
    os.environ["GOMP_SPINCOUNT"] = str(_SPIN_COUNT)
    return True


def cpu_count() -> int:
    """CPU cores this process may use (its affinity, not what the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the block.

    For long runs of small batched products, where threads wait for each other more than they
    work: fitting 500 frames took a seventh of the processor time with one thread that it took
    with two. Holds for torch and for the linear algebra under numpy and scipy.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def select_device(name: str | None = None) -> torch.device:
    """The device to compute on.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps"; None takes a CUDA device where there is one, else
            the CPU.

    Raises:
        SettingsError: the name is no device, or this machine has no such device.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(
            f"{name!r} is not a device", hint="use --device cpu, cuda, cuda:0 or mps"
        ) from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            found = f"has {count} CUDA device(s)" if count else "has no CUDA device"
            raise SettingsError(
                f"device {name} was asked for, this machine {found}",
                hint="leave out --device, or use --device cpu",
            )
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise SettingsError(
                "device mps was asked for, this machine has none",
                hint="leave out --device, or use --device cpu",
            )
    elif device.type != "cpu":
        raise SettingsError(
            f"device {name} is not supported", hint="use --device cpu, cuda, cuda:0 or mps"
        )
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes convolutions in bfloat16 faster than in float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without these instructions oneDNN emulates bfloat16, slower than float32.
        abilities = torch.cpu.get_capabilities()
        return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
    return False


@contextmanager
def memory_errors(doing: str, hint: str) -> Iterator[None]:
    """Turn a GPU's lack of memory inside the block into words.

    Args:
        doing: what needs the memory, as in "training the face stage".
        hint: which setting makes it need less.

    Raises:
        PirctlError: there was too little.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        asked = re.search(r"Tried to allocate ([\d.]+ \w+)", str(error))
        more = f": {asked[1]} more were asked for" if asked else ""
        raise PirctlError(f"the GPU's memory is too small for {doing}{more}", hint=hint) from error


def physical_bytes() -> int | None:
    """Memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def peak_bytes(*, with_children: bool = False) -> int:
    """Most resident memory of this process so far.

    Args:
        with_children: and that of the largest process it started.
    """
    who = [resource.RUSAGE_SELF] + [resource.RUSAGE_CHILDREN] * with_children
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(each).ru_maxrss for each in who)
