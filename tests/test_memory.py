from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pirctl.memory import peak_bytes, physical_bytes


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
