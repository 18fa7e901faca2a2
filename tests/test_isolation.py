"""No fixture of any scope sees what the user has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pirctl.weights.entry import cache_folder, is_offline

PROBE = """
import os
import pytest

@pytest.fixture(scope="module")
def seen():
    return {name: os.environ.get(name) for name in os.environ if name.startswith("PIRCTL_")}

def test_probe(seen):
    print("SEEN", sorted(seen), seen["PIRCTL_HOME"])
"""


@pytest.fixture(scope="module")
def early_home() -> Path:
    assert is_offline()
    return cache_folder()


def test_a_module_s_fixture_and_a_test_have_caches_of_their_own(early_home: Path) -> None:
    assert early_home != cache_folder()


def test_a_module_s_fixture_sees_nothing_of_the_user(tmp_path: Path) -> None:
    test = tmp_path / "test_probe.py"
    test.write_text(PROBE)
    mine = {"HOME": "mine", "WORKSPACE": "mine", "MIRROR": "http://mine", "OFFLINE": "0"}
    environment = {name: value for name, value in os.environ.items() if "PIRCTL" not in name}
    environment |= {f"PIRCTL_{name}": value for name, value in mine.items()}
    root = Path(__file__).parent.parent
    command = [
        sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider",
        "-p", "tests.conftest", "-c", root / "pyproject.toml", test,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    line = next(line for line in done.stdout.splitlines() if "SEEN" in line)
    assert "['PIRCTL_HOME', 'PIRCTL_OFFLINE']" in line
    assert "mine" not in line
