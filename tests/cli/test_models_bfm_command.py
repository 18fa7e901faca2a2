"""`pirctl models import bfm`, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pirctl.cli import main
from pirctl.face.bfm_files import MESH_MAP
from pirctl.face.model import load_face_model
from tests.face.basel import make_mesh, write_front


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_file_a_user_has_becomes_the_face_model_bfm(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    write_front(path, make_mesh())
    assert main(["models", "import", "bfm", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    made = json.loads(printed.out)
    assert made["path"] == str(home / "face" / "bfm.safetensors")
    assert made["version"] == load_face_model("bfm").version
    assert "68 classic points" in printed.err  # There is no map beside the file.
    assert main(["models", "path", "bfm"]) == 0
    assert capsys.readouterr().out.strip() == made["path"]


def test_the_path_of_a_model_that_was_not_imported_is_an_error(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "path", "bfm"]) == 1
    assert "hint: pirctl models import bfm BFM_model_front.mat" in capsys.readouterr().err


def test_a_map_of_another_content_is_refused_and_nothing_is_written(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    write_front(path, make_mesh())
    np.save(tmp_path / MESH_MAP, np.zeros(468, np.int64))
    assert main(["models", "import", "bfm", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "index_mp468_from_mesh35709_v3.1.npy has the hash" in printed.err
    assert not home.exists()


def test_a_missing_companion_is_told_with_the_command_that_fetches_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin"]
    files[1].write_bytes(bytes(100))
    from scipy.io import savemat

    savemat(files[0], {"shapePC": np.zeros((2, 2))})
    assert main(["models", "import", "bfm", *map(str, files)]) == 1
    printed = capsys.readouterr().err
    assert "error: BFM_exp_idx.mat is needed" in printed
    assert "hint: pirctl models pull bfm_exp_idx" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "vgg16"],
        ["import", "vgg16", "a", "b"],
        ["import", "vgg16", "a", "--pull"],
    ],
)
def test_options_of_bfm_on_other_names_are_a_wrong_command_line(
    home: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments]) == 2
    assert "Usage" in capsys.readouterr().err
