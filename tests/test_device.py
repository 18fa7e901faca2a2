from __future__ import annotations

import subprocess
import sys

import pytest

from pirctl.device import cpu_count, prepare_allocator, select_device
from pirctl.errors import SettingsError


def test_the_cpu_is_always_there() -> None:
    assert select_device("cpu").type == "cpu"
    assert select_device(None).type in {"cpu", "cuda"}
    assert cpu_count() >= 1


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_said_in_words(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        select_device(name)
    assert "--device" in str(caught.value.hint)


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
