"""Properties of the repository as a whole: layers, packaging, and what is shipped."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "pirctl").rglob("*.py"))

# Each line may import from the lines above it, and from itself.
LAYERS = [
    {"errors", "progress", "tensors", "settings", "__init__"},
    {"files", "device", "compat"},
    {"config", "media"},
    {"weights", "target"},
    {"face", "provenance"},
    {"speech"},
    {"networks"},
    {"perform"},
    {"prepare", "training"},
    {"dub"},
    {"evaluate"},
    {"inspect", "batch", "bench", "check", "demo", "doctor", "api"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "torch",
    "cv2",
    "librosa",
    "transformers",
    "mediapipe",
    "matplotlib",
    "av",
    "c2pa",
    "cryptography",
}
TORCH_AT_TOP = {
    "bench", "check", "compat", "demo", "dub", "evaluate", "face", "inspect", "networks", "perform",
    "prepare", "speech", "target", "training",
}  # fmt: skip


def part(path: Path) -> str:
    inner = path.relative_to(ROOT / "pirctl")
    return inner.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_part_has_its_layer() -> None:
    assert {part(path) for path in SOURCES} == set(LEVEL)


def test_few_modules_lie_beside_the_rooms() -> None:
    beside = {path.stem for path in SOURCES if path.parent.name == "pirctl"} - {"__init__"}
    assert 7 <= len(beside) <= 10, beside


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_module_is_longer_than_350_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = part(path)
    if name_of(path) == "pirctl/__init__.py":
        return  # Hands out the names of `api`, when they are asked for.
    for name in imported(ast.parse(path.read_text())):
        if not name.startswith("pirctl."):
            continue
        other = name.split(".")[1]
        other = other if other in LEVEL else "__init__"
        message = f"{name_of(path)} imports {name}"
        assert other == own or LEVEL[other] < LEVEL[own] or {own, other} <= LAYERS[0], message


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_heavy_modules_are_imported_where_they_are_used(path: Path) -> None:
    top = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.If)]
    allowed = {"torch"} if part(path) in TORCH_AT_TOP else set()
    heavy = {name.split(".")[0] for node in top for name in imported_at_top(node)} & HEAVY
    assert heavy <= allowed


def imported_at_top(node: ast.stmt) -> list[str]:
    return imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if part(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        assert called not in {"print", "sys.exit", "exit", "quit"}, f"line {node.lineno}: {called}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_function_outside_the_command_line_takes_more_than_eight_parameters(path: Path) -> None:
    if part(path) == "cli":  # There a parameter is an option.
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [one.arg for one in given if one.arg not in {"self", "cls"}]
            assert len(names) <= 8, f"line {node.lineno}: {node.name} takes {len(names)}"


def test_the_dependencies_are_pinned_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    for requirement in project["project"]["dependencies"] + project["dependency-groups"]["dev"]:
        name = requirement.split(">")[0].split("<")[0].lower().replace("_", "-")
        assert name in pins, f"{name} has no version in constraints.txt"
    assert not [line for line in lines if "/" in line or "--" in line], "no hosts, no paths"


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_data_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        size = sum(item.file_size for item in archive.infolist())
    for needed in (
        "pirctl/cli/__init__.py",
        "pirctl/models/weights.yaml",
        "pirctl/models/presets/tiny.yaml",
        "pirctl/models/face/generic.safetensors",
    ):
        assert needed in names
    outside = {name for name in names if not name.startswith(("pirctl/", "pirctl-"))}
    assert not outside
    assert not [name for name in names if name.startswith(("pirctl/tests", "pirctl/targets"))]
    suffixes = {Path(name).suffix for name in names if ".dist-info" not in name}
    assert suffixes <= {".py", ".yaml", ".md", ".png", ".safetensors", ".typed"}
    assert size < 5e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import pirctl.config as c; from pirctl.face.model import face_model_path; c.load('tiny');"
        "print(c.models_folder(), face_model_path())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.count(str(tmp_path / "installed" / "pirctl" / "models")) == 2


def test_models_holds_data_only() -> None:
    files = [path for path in (ROOT / "models").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".yaml", ".safetensors", ".md", ".png"}
    assert sum(path.stat().st_size for path in files) < 5e6
