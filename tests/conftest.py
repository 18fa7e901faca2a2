"""What every test gets: fixed seeds, one thread, and the real footage where it is present."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pirctl.weights.entry import cache_folder

# Before any test module imports torch or a numeric library.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read once, when the hub's client is imported: no test shall find a network by the order of tests.
os.environ["HF_HUB_OFFLINE"] = "1"
_USERS_CACHE = cache_folder()
# Also for fixtures of a module or the session, which run before any test's own isolation.
_HOME = tempfile.TemporaryDirectory(prefix="pirctl-tests-")
os.environ["PIRCTL_HOME"] = _HOME.name
os.environ["PIRCTL_OFFLINE"] = "1"
os.environ.pop("PIRCTL_WORKSPACE", None)
os.environ.pop("PIRCTL_MIRROR", None)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of real footage beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real footage in ../shared, which is not here")
    return SHARED


@pytest.fixture
def users_cache(monkeypatch: pytest.MonkeyPatch, _own_cache: None) -> Path:
    """The user's own cache, for a test of real weights; it skips what is not in there."""
    monkeypatch.setenv("PIRCTL_HOME", str(_USERS_CACHE))
    return _USERS_CACHE


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    random.seed(0)
    np.random.seed(0)
    # A test that does not use torch shall not pay for importing it.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own for every test; the user's is out of sight for all of them already."""
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the only place where pip looks, whatever this machine is set to."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "PIRCTL_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
