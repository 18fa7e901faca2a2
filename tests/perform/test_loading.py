"""No file that comes from elsewhere may run code: every loader, in the source and in the act."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pirctl.errors import (
    CheckpointError,
    PirctlError,
    SettingsError,
    TargetError,
    WeightsCorrupt,
)
from pirctl.target import checkpoint
from tests.hostile import write_hostile

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "pirctl").rglob("*.py"))

FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "pickle.dump", "pickle.dumps",
    "pickle.Pickler", "dill.load", "joblib.load", "cloudpickle.load", "marshal.loads",
    "marshal.load", "shelve.open", "yaml.unsafe_load", "yaml.full_load",
    "torch.hub.load", "torch.jit.load", "torch.serialization.add_safe_globals", "eval", "exec",
}  # fmt: skip
# These fetch and unpickle on their own.
FETCHES = {
    "init_detection_model", "init_alignment_model", "init_parsing_model",
    "load_state_dict_from_url", "load_file_from_url",
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def problems(tree: ast.AST) -> list[str]:
    """The calls of a module that could run what a file says."""
    found = []
    safe = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "yaml.SafeLoader" in map(ast.unparse, node.bases)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"pickle", "dill", "marshal"}:
            found.append(f"line {node.lineno}: import from {node.module}")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in FORBIDDEN or called.rpartition(".")[2] in FETCHES:
            found.append(f"line {node.lineno}: {called}")
        reads_tensors = called == "torch.load" or called.endswith("Model.from_pretrained")
        if reads_tensors and given.get("weights_only") != "True":
            found.append(f"line {node.lineno}: {called} without weights_only=True")
        if called == "yaml.load" and not {ast.unparse(word) for word in node.args[1:]} & safe:
            found.append(f"line {node.lineno}: yaml.load without a loader made from SafeLoader")
        for word in ("allow_pickle", "trust_remote_code"):
            if given.get(word, "False") != "False":
                found.append(f"line {node.lineno}: {word}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    assert not problems(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "from pickle import load",
        "yaml.load(text, Loader=yaml.Loader)",
        "Wav2Vec2Model.from_pretrained(path)",
        "AutoConfig.from_pretrained(path, trust_remote_code=True)",
        "eval(text)",
        "facexlib.parsing.init_parsing_model()",
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert problems(ast.parse(code))


def test_the_search_lets_data_be_read() -> None:
    code = "torch.load(path, weights_only=True); np.load(path); yaml.safe_load(text); model.eval()"
    assert not problems(ast.parse(code))


@pytest.fixture(params=range(3), ids=["zip", "legacy", "raw"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_hostile(tmp_path)[request.param]


def test_the_hostile_file_does_what_it_says(tmp_path: Path) -> None:
    """Else the tests below would pass without proving anything."""
    import torch

    for path in write_hostile(tmp_path):
        with suppress(RuntimeError):  # The bare pickle is no file of torch's, and runs as well.
            torch.load(path, weights_only=False)
        (tmp_path / "was-run").rmdir()


def refuses(load: Callable[[Path], object], path: Path, error: type[PirctlError]) -> None:
    with pytest.raises(error):
        load(path)
    assert not (path.parent / "was-run").exists()


def test_vgg16_with_code_in_it_is_refused(hostile: Path) -> None:
    from pirctl.networks.perceptual import PerceptualLoss

    refuses(lambda path: PerceptualLoss(path, ["relu1_2"]), hostile, WeightsCorrupt)


def test_bisenet_with_code_in_it_is_refused(hostile: Path) -> None:
    from pirctl.face.parsing import BisenetParser

    refuses(BisenetParser, hostile, WeightsCorrupt)


@pytest.mark.parametrize("which", ["detection", "alignment"])
def test_facexlib_with_code_in_it_is_refused(
    hostile: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pirctl.face import facexlib_tracker, foreign_weights

    if which == "alignment":
        # The detector's own file is a good one.
        real = foreign_weights.load_weights
        monkeypatch.setattr(
            facexlib_tracker,
            "load_weights",
            lambda network, path, *, name, **rest: (
                name == "retinaface_resnet50" or real(network, path, name=name, **rest)
            ),
        )
    refuses(lambda path: facexlib_tracker.FacexlibDetector(path, path), hostile, WeightsCorrupt)


def test_the_papers_regressor_with_code_in_it_is_refused(hostile: Path) -> None:
    from pirctl.face.deep3d import load_network

    refuses(load_network, hostile, WeightsCorrupt)


def test_files_of_the_papers_face_model_with_code_in_them_are_refused(hostile: Path) -> None:
    from pirctl.face import bfm

    refuses(lambda path: bfm.import_bfm([path]), hostile, PirctlError)


def test_an_array_with_code_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map of the mesh points is the only file in numpy's format."""
    import numpy as np

    from pirctl.face import bfm
    from pirctl.face.bfm_files import Companions
    from tests.hostile import Runs

    path = tmp_path / "map.npy"
    np.save(path, np.array([Runs(tmp_path / "was-run")], object), allow_pickle=True)
    monkeypatch.setattr(Companions, "find_or_pull", lambda *_: path)
    refuses(lambda _: bfm._mesh_map(Companions()), path, WeightsCorrupt)
    np.load(path, allow_pickle=True)
    assert (tmp_path / "was-run").exists()


def test_a_speech_model_with_code_in_it_is_refused(hostile: Path) -> None:
    """More of it in tests/speech/test_wav2vec.py, with a model that is whole otherwise."""
    from pirctl import config
    from pirctl.speech.wav2vec import load_wav2vec

    folder = hostile.parent / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "wav2vec2"}')
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(hostile.read_bytes())
    settings = config.load("paper", [f"speech.model={folder}"]).speech
    refuses(lambda _: load_wav2vec(settings, 25, 16000), hostile, WeightsCorrupt)


def test_a_track_with_code_in_it_is_refused(hostile: Path) -> None:
    from pirctl.target import Target

    hostile.rename(hostile.with_name("track.safetensors"))
    refuses(lambda path: Target(path.parent).track(), hostile, PirctlError)


def test_a_landmark_file_with_code_in_it_is_refused(hostile: Path) -> None:
    from pirctl.face.landmark_file import read_landmark_file

    refuses(read_landmark_file, hostile, PirctlError)


def test_a_face_model_with_code_in_it_is_refused(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pirctl.face import model
    from pirctl.face.model import load_face_model

    monkeypatch.setattr(model, "face_model_path", lambda _: hostile)
    refuses(lambda _: load_face_model("evil"), hostile, PirctlError)


def test_a_state_to_resume_from_with_code_in_it_is_refused(hostile: Path) -> None:
    hostile.rename(hostile.with_name("resume.pt"))
    refuses(lambda path: checkpoint.load_resume(path.parent), hostile, CheckpointError)


def test_a_checkpoint_with_code_in_it_is_refused(hostile: Path) -> None:
    folder = hostile.parent
    (folder / "about.json").write_bytes(hostile.read_bytes())
    refuses(lambda path: checkpoint.load_checkpoint(path.parent), hostile, CheckpointError)


def test_weights_of_a_checkpoint_with_code_in_them_are_refused(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "load_about", lambda _: None)
    hostile.rename(hostile.with_name("weights.safetensors"))
    refuses(lambda path: checkpoint.load_checkpoint(path.parent), hostile, CheckpointError)


def test_settings_with_code_in_them_are_refused(tmp_path: Path) -> None:
    from pirctl import config
    from pirctl.target import Target

    mark = tmp_path / "was-run"
    preset = tmp_path / "preset.yaml"
    preset.write_text(f"media: !!python/object/apply:os.mkdir ['{mark}']\n")
    refuses(lambda path: config.load(path), preset, SettingsError)
    with pytest.raises(SettingsError):
        config.load("tiny", [f"media.size_px=!!python/object/apply:os.mkdir ['{mark}']"])
    target = tmp_path / "target.yaml"
    target.write_bytes(preset.read_bytes())
    refuses(lambda path: Target(path.parent).about, target, TargetError)
    (tmp_path / "settings.yaml").write_bytes(preset.read_bytes())
    refuses(lambda path: checkpoint.load_settings(path.parent), preset, CheckpointError)
