"""Two commands on one target: those that write refuse or wait, those that read go on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pirctl.target import Target
from tests.cli.conftest import Command
from tests.target.writers import let_go, other_writer


@pytest.mark.parametrize("command", ["train", "preprocess", "evaluate"])
def test_a_command_that_writes_is_refused(
    pirctl: Command, workspace: Path, trained: Target, command: str
) -> None:
    film = trained.about.source
    argument = (film, "--target", "anna", "--no-audio") if command == "preprocess" else ("anna",)
    with other_writer(Target(workspace / "anna")) as process:
        outcome = pirctl(command, *argument, "--quiet")
    assert (outcome.status, outcome.out) == (1, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(
        f"error: target 'anna' is being written by pirctl train (process {process.pid}, since "
    )
    assert lines[1].endswith(f"or stop it: kill {process.pid}")


def test_reenact_reads_what_is_whole(pirctl: Command, workspace: Path, speech: Path) -> None:
    with other_writer(Target(workspace / "anna")):
        outcome = pirctl("reenact", "--target", "anna", "--audio", speech, "-o", "a.mp4")
    assert outcome.status == 0, outcome.err


def test_dub_waits_and_says_so(
    pirctl: Command, workspace: Path, trained: Target, speech: Path
) -> None:
    with other_writer(Target(workspace / "anna")) as process:
        timer = threading.Timer(2.5, let_go, (process,))
        timer.start()
        outcome = pirctl(
            "dub", trained.about.source, "--audio", speech, "--target", "anna", "-o", "out.mp4"
        )
        timer.join()
    assert (outcome.status, outcome.out) == (0, "out.mp4\n"), outcome.err
    assert f"waiting for target 'anna': pirctl train (process {process.pid}" in outcome.err
