"""The README, the pages under docs and the cards: short, linked, true about the command line."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from pirctl import config
from pirctl.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/**/*.md")])
CODE = re.compile(r"`(pirctl [^`]+)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def command_lines(path: Path) -> list[str]:
    """Every call of pirctl, in a block or in the text, without comment and redirection."""
    text = path.read_text()
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    found = [line for line in blocks if line.startswith("pirctl ")]
    found += [call.replace("\n", " ") for call in CODE.findall(text)]
    return [" ".join(re.split("  #|    | > ", line)[0].split()) for line in found]


def parse(command: Any, name: str, arguments: list[str]) -> None:
    """Read a command line as pirctl does, and run nothing; raises what a user would be told."""
    commands = getattr(command, "commands", None)
    if commands is None:
        command.make_context(name, arguments)
        return
    assert arguments[0] in commands or arguments[0].startswith("-"), f"{name} {arguments[0]}"
    if arguments[0] in commands and arguments[1:]:
        parse(commands[arguments[0]], arguments[0], arguments[1:])


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_links_and_pictures_lead_to_files_of_the_repository(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).is_file(), target
            assert ROOT in (path.parent / target).resolve().parents


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_command_line_is_one_that_pirctl_takes(path: Path) -> None:
    for line in command_lines(path):
        parse(typer.main.get_command(app), "pirctl", shlex.split(line)[1:])


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_setting_in_the_text_is_one_that_the_presets_take(path: Path) -> None:
    for change in re.findall(r"--set ([\w.]+=\S+?)[`,;)\s]", path.read_text()):
        if change != "section.key=value":
            config.load("paper", [change])


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_source_file_in_the_text_is_there(path: Path) -> None:
    for name in re.findall(r"`(?:pirctl/)?(\w[\w/]*\.(?:py|yaml|txt))`", path.read_text()):
        if "/" in name and "NAME" not in name:
            assert any((root / name).is_file() for root in (ROOT, ROOT / "pirctl")), name


def test_the_picture_of_the_architecture_has_every_room() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [path.parent.name for path in (ROOT / "pirctl").glob("*/__init__.py")]
    modules = [path.stem for path in (ROOT / "pirctl").glob("*.py") if path.stem != "__init__"]
    for name in (*rooms, *modules):
        assert re.search(rf"[│┌] +(?:[^│]*[ ,])?{name}[ ,]", picture), name


def test_every_preset_has_a_card_and_a_row_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for preset in config.preset_names():
        assert f"| `{preset}` |" in readme
        assert (ROOT / "models" / "cards" / f"{preset}.md").is_file()


def test_every_page_is_linked_from_the_readme_and_goes_into_the_source_distribution() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"]:
        assert f"({name_of(path)})" in readme
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/README.md", "/CONTRIBUTING.md", "/docs", "/models"} <= set(included)
