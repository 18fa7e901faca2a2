"""The paper's face model: made from files of the real layout, refused from any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from pirctl.errors import WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.face.bfm import VERTICES, import_bfm
from pirctl.face.bfm_files import COMPANIONS, MESH_MAP, Companions, sort_files
from pirctl.face.model import FaceModel, load_face_model
from pirctl.progress import Progress
from tests.face.basel import (
    UNMATCHED,
    Mesh,
    make_mesh,
    write_companions,
    write_front,
    write_sources,
)
from tests.weights.server import site

ANY: dict[str, str] = {}
"""No hashes: random companions cannot have the real ones."""


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return make_mesh()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def check_mesh(model: FaceModel, mesh: Mesh) -> None:
    assert model.landmarks_68.tolist() == (mesh.keypoints - 1).tolist()
    assert torch.equal(model.triangles, torch.from_numpy(mesh.triangles - 1))
    expected = np.where(mesh.mesh_map < 0, -1, mesh.mesh_map)
    assert model.mesh_vertices.tolist() == expected.tolist()


def test_the_ready_made_file_becomes_a_centred_model(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    content = write_front(path, mesh)
    np.save(tmp_path / MESH_MAP, mesh.mesh_map)
    steps: list[Progress] = []
    made = import_bfm([path], digests=ANY, on_progress=steps.append)
    model = load_face_model("bfm")
    assert made.path == home / "face" / "bfm.safetensors"
    assert (made.version, made.vertices, made.mapped_points) == (model.version, VERTICES, 460)
    assert (model.identity_width, model.expression_width, len(model.mean)) == (80, 64, VERTICES)
    assert model.expression_names[0::63] == ("exp00", "exp63")
    assert not model.has_named_axes
    check_mesh(model, mesh)
    assert model.mean.double().mean(0).abs().max() < 1e-6
    shape = content["meanshape"].reshape(-1, 3)
    assert np.allclose(model.mean, shape - shape.astype(np.float64).mean(0), atol=1e-6)
    # Single precision to the last bit: half would cost hundredths of a pixel.
    for axis, vertex in ((0, 0), (41, 12345), (63, VERTICES - 1)):
        rows = slice(3 * vertex, 3 * vertex + 3)
        assert np.array_equal(model.identity_basis[axis, vertex], content["idBase"][rows, axis])
        assert np.array_equal(model.expression_basis[axis, vertex], content["exBase"][rows, axis])
    assert steps[-1].done == steps[-1].total


def test_arrays_that_lie_the_other_way_round_are_turned(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    content = write_front(path, mesh)
    upright = import_bfm([path], digests=ANY).version
    names = ("meanshape", "idBase", "exBase", "tri", "keypoints")
    savemat(path, {name: content[name].T for name in names})
    assert import_bfm([path], digests=ANY).version == upright


def test_without_the_map_the_model_says_what_it_cannot_do(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    write_front(path, mesh)
    assert import_bfm([path], digests=ANY).mapped_points == 0
    model = load_face_model("bfm")
    with pytest.raises(WeightsError, match="without the map of the 468 mesh points"):
        model.mesh_points(model.mean)


def test_the_sources_and_the_companions_give_the_model_of_the_paper(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    content = write_sources(tmp_path)
    index = write_companions(tmp_path / "companions", mesh)
    files = [tmp_path / "Exp_Pca.bin", tmp_path / "01_MorphableModel.mat"]
    import_bfm(files, tmp_path / "companions", digests=ANY)
    model = load_face_model("bfm")
    check_mesh(model, mesh)
    shape = content["shapeMU"].reshape(-1, 3)[index["trim"][index["front"]]] / 1e5
    assert np.allclose(model.mean, shape - shape.mean(0, dtype=np.float64), atol=1e-6)
    for axis, vertex in ((0, 0), (41, 12345), (63, VERTICES - 1)):
        # Fact 5.3, one number after the other.
        in_expressions = index["front"][vertex]
        in_basel = index["trim"][in_expressions]
        for xyz in range(3):
            identity = content["shapePC"][3 * in_basel + xyz, axis] * content["shapeEV"][axis, 0]
            assert model.identity_basis[axis, vertex, xyz] == pytest.approx(identity / 1e5)
            expression = content["expressions"][axis, 3 * in_expressions + xyz]
            expression = expression * index["deviations"][axis] / 1e5
            assert model.expression_basis[axis, vertex, xyz] == pytest.approx(expression)


def test_points_without_a_vertex_take_that_of_their_classic_landmark(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    write_front(path, mesh)
    np.save(tmp_path / MESH_MAP, mesh.mesh_map)
    import_bfm([path], digests=ANY)
    model = load_face_model("bfm")
    points = model.mesh_points(model.mean)
    assert points.shape == (468, 3)
    assert torch.equal(points[10], model.mean[mesh.mesh_map[10]])
    assert UNMATCHED[1] == 127  # The first point of the jaw line.
    assert torch.equal(points[127], model.mean[mesh.keypoints[0] - 1])


def cell() -> np.ndarray:
    cells = np.empty((70789, 3), object)
    cells[:] = "x"
    return cells[:4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exBase": None}, "exBase is missing"),
        ({"idBase": np.zeros((300, 80))}, "idBase is 300 x 80, expected 107127 x 80"),
        ({"tri": cell()}, "tri is of class cell, not numbers"),
        ({"keypoints": {"a": 1}}, "keypoints is of class struct, not numbers"),
        ({"keypoints": np.zeros((1, 68))}, "keypoints must be whole numbers from 1 to 35709"),
        ({"keypoints": np.full((1, 68), np.nan)}, "keypoints must be whole numbers"),
        ({"keypoints": np.full((1, 68), 1j)}, "keypoints has values of type complex128"),
        ({"meanshape": np.full((1, 107127), np.inf)}, "values that are no numbers"),
    ],
)
def test_a_hostile_or_wrong_file_is_refused_with_its_fault(
    home: Path, tmp_path: Path, mesh: Mesh, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    small = {"idBase": np.zeros((107127, 80), np.uint8), "exBase": np.zeros((107127, 64), np.uint8)}
    write_front(path, mesh, **(small | changes))
    with pytest.raises(WeightsCorrupt, match=message):
        import_bfm([path], digests=ANY)
    assert not home.exists()


def test_a_file_cut_short_or_of_another_kind_is_refused(
    home: Path, tmp_path: Path, mesh: Mesh
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    write_front(path, mesh)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsCorrupt, match=r"is missing|cannot be read as a MATLAB file"):
        import_bfm([path], digests=ANY)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512))
    with pytest.raises(WeightsCorrupt, match=r"version 7\.3"):
        import_bfm([path], digests=ANY)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(WeightsCorrupt, match="neither idBase nor shapePC"):
        import_bfm([path], digests=ANY)


def test_a_file_of_version_7_3_that_another_program_wrote_is_told_as_such(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "BFM_model_front.mat"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 8)
    with pytest.raises(WeightsCorrupt, match=r"version 7\.3") as caught:
        import_bfm([path], digests=ANY)
    assert "scipy.io.savemat" in (caught.value.hint or "")


def test_the_files_are_known_by_their_content_whatever_they_are_called(tmp_path: Path) -> None:
    expressions, basel = tmp_path / "expressions.mat", tmp_path / "faces.bin"
    expressions.write_bytes((79).to_bytes(4, "little") + bytes(400))
    with basel.open("wb") as file:
        savemat(file, {"shapePC": np.zeros((2, 2))})
    assert sort_files([expressions, basel]) == (None, basel, expressions)


def test_a_folder_is_called_one(home: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="is a folder"):
        import_bfm([tmp_path])


def test_half_of_the_sources_names_the_other_half(home: Path, tmp_path: Path) -> None:
    savemat(tmp_path / "01_MorphableModel.mat", {"shapePC": np.zeros((2, 2))})
    with pytest.raises(WeightsMissing, match=r"Exp_Pca\.bin is missing"):
        import_bfm([tmp_path / "01_MorphableModel.mat"])
    (tmp_path / "Exp_Pca.bin").write_bytes(bytes(100))
    with pytest.raises(WeightsMissing, match=r"01_MorphableModel\.mat is missing"):
        import_bfm([tmp_path / "Exp_Pca.bin"])
    with pytest.raises(WeightsMissing, match=r"nowhere\.mat does not exist"):
        import_bfm([tmp_path / "nowhere.mat"])


def test_missing_companions_are_named_with_the_command_that_fetches_them(
    home: Path, tmp_path: Path
) -> None:
    savemat(tmp_path / "01_MorphableModel.mat", {"shapePC": np.zeros((2, 2))})
    (tmp_path / "Exp_Pca.bin").write_bytes(bytes(100))
    files = [tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin"]
    with pytest.raises(WeightsMissing, match=r"BFM_exp_idx\.mat is needed") as caught:
        import_bfm(files)
    assert caught.value.hint is not None
    assert "pirctl models pull bfm_exp_idx bfm_front_idx" in caught.value.hint
    assert "--companions FOLDER" in caught.value.hint


def test_a_companion_with_another_hash_is_refused(home: Path, tmp_path: Path, mesh: Mesh) -> None:
    write_companions(tmp_path, mesh)
    savemat(tmp_path / "01_MorphableModel.mat", {"shapePC": np.zeros((2, 2))})
    (tmp_path / "Exp_Pca.bin").write_bytes(bytes(100))
    with pytest.raises(WeightsCorrupt, match=r"BFM_exp_idx\.mat has the hash .* has 62752a2cab3e"):
        import_bfm([tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin"])


def test_expressions_of_another_size_are_refused(home: Path, tmp_path: Path, mesh: Mesh) -> None:
    write_companions(tmp_path, mesh)
    write_sources(tmp_path)
    path = tmp_path / "Exp_Pca.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsCorrupt, match=r"has 51086400 bytes, Exp_Pca\.bin has 51086404"):
        import_bfm([tmp_path / "01_MorphableModel.mat", path], digests=ANY)


def test_a_model_that_was_never_imported_says_how_to(home: Path) -> None:
    with pytest.raises(WeightsMissing, match="none was imported yet") as caught:
        load_face_model("bfm")
    assert "pirctl models import bfm BFM_model_front.mat" in (caught.value.hint or "")


def test_without_files_what_was_imported_into_the_cache_is_used(home: Path, mesh: Mesh) -> None:
    (home / "weights").mkdir(parents=True)
    write_front(home / "weights" / "BFM_model_front.mat", mesh)
    np.save(home / "weights" / MESH_MAP, mesh.mesh_map)
    assert import_bfm([], digests=ANY).mapped_points == 460


def test_a_map_that_cannot_be_fetched_is_no_reason_to_stop(
    home: Path, tmp_path: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_front(tmp_path / "BFM_model_front.mat", mesh)
    with site() as empty:
        monkeypatch.setenv("PIRCTL_MIRROR", empty.address)
        made = import_bfm([tmp_path / "BFM_model_front.mat"], pull_missing=True)
    assert made.mapped_points == 0
    assert any(asked["path"].endswith(f"/{MESH_MAP}") for asked in empty.asked)


@pytest.mark.shared
def test_every_index_file_can_be_fetched(
    home: Path, tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*COMPANIONS, MESH_MAP):
        with site() as mirror:
            mirror.content = (shared / "bfm" / name).read_bytes()
            mirror.paths = (f"/{name}",)
            monkeypatch.setenv("PIRCTL_MIRROR", mirror.address)
            fetched = Companions(folders=(tmp_path,), pull=True).find_or_pull(name)
        assert fetched == home / "weights" / name


@pytest.mark.shared
def test_the_real_companions_have_the_hashes_and_the_layout(
    home: Path, tmp_path: Path, shared: Path
) -> None:
    content = write_sources(tmp_path)
    files = [tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin"]
    made = import_bfm(files, shared / "bfm")
    model = load_face_model("bfm")
    assert made.mapped_points == 460
    # The first jaw point, the chin and the last lip point of facts 5.2.
    assert model.landmarks_68[[0, 8, 67]].tolist() == [16644, 33838, 7629]
    assert model.identity_basis.abs().max() < np.abs(content["shapePC"]).max() * 9e3 / 1e5 + 1e-6
    assert (shared / "bfm" / COMPANIONS[0]).is_file()
