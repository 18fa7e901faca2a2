"""The bundled face model: its file, its interface, and that its axes mean what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pirctl.errors import PirctlError, WeightsCorrupt
from pirctl.face import landmarks as mesh
from pirctl.face.build.axes import MIRROR_NAMES
from pirctl.face.model import ARKIT_NAMES, FaceModel, read_face_model, write_face_model

FILE = Path(__file__).parents[2] / "models" / "face" / "generic.safetensors"


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return read_face_model(FILE)


def _face(model: FaceModel, **strengths: float) -> torch.Tensor:
    z_exp = torch.zeros(model.expression_width)
    for name, strength in strengths.items():
        z_exp[model.axis(name)] = strength
    return model.vertices(torch.zeros(model.identity_width), z_exp)


def _height(face: torch.Tensor, upper: int, lower: int) -> float:
    return float(face[upper, 1] - face[lower, 1])


def test_the_file_is_small_and_has_the_52_arkit_axes(model: FaceModel) -> None:
    assert FILE.stat().st_size < 1_000_000
    assert model.expression_names == ARKIT_NAMES
    assert len(set(ARKIT_NAMES)) == 52
    assert model.mean.shape == (468, 3)
    assert model.identity_width >= 30


def test_the_mean_face_is_upright_in_decimetres_and_looks_out(model: FaceModel) -> None:
    mean = model.mean
    assert float((mean[33] - mean[263]).norm()) == pytest.approx(0.9, abs=0.06)
    assert mean[263, 0] > 0 > mean[33, 0]
    assert mean[mesh.FOREHEAD, 1] > mean[mesh.NOSE_TIP, 1] > mean[mesh.CHIN, 1]
    assert mean[mesh.NOSE_TIP, 2] > mean[234, 2] + 0.5
    assert mean.mean(0).norm() < 0.2


def test_triangles_face_outwards_and_closures_fill_the_holes_exactly(model: FaceModel) -> None:
    closed = torch.cat([model.triangles, model.mouth_triangles, model.eye_triangles])
    directed = [(int(t[i]), int(t[(i + 1) % 3])) for t in closed for i in range(3)]
    assert len(set(directed)) == len(directed)
    border = {a for a, b in directed if (b, a) not in set(directed)}
    assert border == set(mesh.FACE_OVAL)
    a, b, c = model.mean[model.triangles].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).float().mean() > 0.95


def test_jaw_open_drops_the_chin_parts_the_lips_and_leaves_the_brows(model: FaceModel) -> None:
    rest, opened = _face(model), _face(model, jawOpen=1.0)
    assert rest[mesh.CHIN, 1] - opened[mesh.CHIN, 1] > 0.1
    assert mesh.mouth_opening(opened) > mesh.mouth_opening(rest) + 0.2
    brows = [*mesh.BROW_LEFT, *mesh.BROW_RIGHT]
    assert (opened - rest)[brows].norm(dim=1).max() < 0.02


def test_the_rest_face_has_closed_lips_and_open_eyes(model: FaceModel) -> None:
    rest = _face(model)
    assert mesh.mouth_opening(rest) < 0.02
    assert _height(rest, 159, 145) > 0.08


def test_identity_axes_leave_a_neutral_face_neutral(model: FaceModel) -> None:
    """However a head is shaped, its lips touch, its eyes are open, and the fit sees it at rest."""
    for strength in (-2.0, 2.0):
        shapes = model.mean + strength * model.identity_basis
        assert mesh.ring_gap(shapes, mesh.LIPS_INNER).abs().max() < 0.005
        assert mesh.mouth_opening(shapes).max() < 0.04
        for ring in (mesh.EYE_LEFT, mesh.EYE_RIGHT):
            assert mesh.ring_gap(shapes, ring).min() > 0.05


@pytest.mark.parametrize(("side", "lids", "other"), [
    ("Left", (386, 374), (159, 145)), ("Right", (159, 145), (386, 374)),
])  # fmt: skip
def test_a_blink_closes_its_own_eye_alone(
    model: FaceModel, side: str, lids: tuple[int, int], other: tuple[int, int]
) -> None:
    rest, closed = _face(model), _face(model, **{f"eyeBlink{side}": 1.0})
    assert abs(_height(closed, *lids)) < 0.15 * _height(rest, *lids)
    assert _height(closed, *other) == pytest.approx(_height(rest, *other), abs=0.01)


def test_mouth_axes_move_the_mouth_their_way(model: FaceModel) -> None:
    rest = _face(model)

    def width(face: torch.Tensor) -> float:
        return float((face[61] - face[291]).norm())

    smile = _face(model, mouthSmileLeft=1.0, mouthSmileRight=1.0)
    assert width(smile) > width(rest) + 0.05
    assert smile[291, 1] > rest[291, 1]
    assert width(_face(model, mouthPucker=1.0)) < width(rest) - 0.02
    assert width(_face(model, mouthFunnel=1.0)) < width(rest)
    assert _face(model, mouthLeft=1.0)[[61, 291], 0].mean() > rest[[61, 291], 0].mean() + 0.03
    assert _face(model, mouthFrownLeft=1.0)[291, 1] < rest[291, 1] - 0.03
    assert _face(model, mouthUpperUpLeft=1.0)[312, 1] > rest[312, 1]
    assert _face(model, mouthLowerDownLeft=1.0)[317, 1] < rest[317, 1]


def test_brow_axes_move_the_brows_their_way(model: FaceModel) -> None:
    rest = _face(model)
    assert _face(model, browInnerUp=1.0)[[107, 336], 1].mean() > rest[[107, 336], 1].mean() + 0.02
    assert _face(model, browDownLeft=1.0)[336, 1] < rest[336, 1] - 0.01
    assert _face(model, browOuterUpRight=1.0)[70, 1] > rest[70, 1] + 0.02


def test_every_axis_mirrors_its_counterpart(model: FaceModel) -> None:
    axes = model.expression_basis
    mirrored = torch.from_numpy(mesh.mirror_points(axes[list(MIRROR_NAMES)].numpy()))
    assert torch.allclose(axes, mirrored, atol=1e-3)
    assert (axes.norm(dim=-1).amax(1) > 0.005).all()


def test_vertices_broadcast_and_are_linear(model: FaceModel) -> None:
    generator = torch.Generator().manual_seed(0)
    z_id = torch.randn(model.identity_width, generator=generator)
    z_exp = torch.rand(4, 7, model.expression_width, generator=generator)
    together = model.vertices(z_id, z_exp)
    assert together.shape == (4, 7, 468, 3)
    alone = model.mean + torch.einsum("i,ivx->vx", z_id, model.identity_basis)
    alone = alone + torch.einsum("e,evx->vx", z_exp[2, 3], model.expression_basis)
    assert torch.allclose(together[2, 3], alone, atol=1e-5)


def test_an_unknown_axis_lists_near_names(model: FaceModel) -> None:
    with pytest.raises(PirctlError, match="no expression axis 'jawopen'") as caught:
        model.axis("jawopen")
    assert caught.value.hint is not None
    assert "jawOpen" in caught.value.hint


def test_writing_and_reading_keeps_content_and_version(model: FaceModel, tmp_path: Path) -> None:
    write_face_model(model, tmp_path / "again.safetensors")
    again = read_face_model(tmp_path / "again.safetensors")
    assert again.version == model.version
    assert torch.equal(again.expression_basis, model.expression_basis)
    assert again.expression_names == model.expression_names


def test_another_content_has_another_version(model: FaceModel, tmp_path: Path) -> None:
    changed = FaceModel(**{**vars(model), "mean": model.mean + 0.01})
    write_face_model(changed, tmp_path / "changed.safetensors")
    assert read_face_model(tmp_path / "changed.safetensors").version != model.version


def test_a_file_that_is_no_model_is_reported_with_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match=r"broken\.safetensors is not a face model"):
        read_face_model(broken)
