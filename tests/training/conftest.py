from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pirctl.target import Target
from tests.targets import disc, make_target


@pytest.fixture(scope="session")
def _untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_target(tmp_path_factory.mktemp("targets") / "bob", disc()).folder


@pytest.fixture
def target(_untrained: Path, tmp_path: Path) -> Target:
    """A target of its own for the test: 30 frames, frame 3 without a usable face."""
    return Target(Path(shutil.copytree(_untrained, tmp_path / "bob")))
