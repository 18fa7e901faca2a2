"""The paper's regressor on random weights: layout, geometry, alignment, one camera per clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pirctl.errors import FaceNotFound, SettingsError, WeightsCorrupt, WeightsMissing
from pirctl.face.camera import project, transform
from pirctl.face.deep3d import (
    FACE_PX,
    SIDE_PX,
    STANDARD_POINTS,
    WIDTHS,
    Deep3dNetwork,
    align,
    camera_of,
    choose_square,
    five_points,
    load_network,
    pose_from_coefficients,
    regress_clip,
    split_coefficients,
)
from pirctl.face.landmarks import LANDMARKS_68
from pirctl.face.model import FaceModel, load_face_model
from pirctl.media import Crop
from pirctl.progress import Progress
from tests.face.basel import basel_like
from tests.face.test_fit import as_98

SLICES = {
    "identity": (0, 80), "expression": (80, 144), "texture": (144, 224), "angles": (224, 227),
    "light": (227, 254), "translation": (254, 257),
}  # fmt: skip
"""Facts 5.1."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file laid out as epoch_20.pth, with random heads."""
    torch.manual_seed(0)
    network = Deep3dNetwork()
    for head in network.final_layers:
        nn.init.normal_(head.weight, std=1e-3)
        nn.init.normal_(head.bias, std=0.1)
    path = tmp_path_factory.mktemp("deep3d") / "epoch_20.pth"
    optimiser = torch.optim.Adam(network.final_layers.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 10)
    torch.save(
        {
            "net_recon": network.state_dict(),
            "opt_00": optimiser.state_dict(),
            "sched_00": scheduler.state_dict(),
        },
        path,
    )
    return path


def test_the_entries_are_those_of_the_published_file() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in Deep3dNetwork().state_dict().items()}
    heads = [80, 64, 80, 3, 27, 2, 1]
    for number, width in enumerate(heads):
        assert shapes.pop(f"final_layers.{number}.weight") == (width, 2048, 1, 1)
        assert shapes.pop(f"final_layers.{number}.bias") == (width,)
    # ResNet-50 has 161 parameters and 159 running values; the last layer's two are not there.
    assert len(shapes) == 318
    assert all(name.startswith("backbone.") for name in shapes)
    assert shapes["backbone.conv1.weight"] == (64, 3, 7, 7)
    # Version 1.5: the stride is in the 3x3 convolution, which shapes alone cannot tell.
    assert shapes["backbone.layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["backbone.layer4.2.bn3.running_var"] == (2048,)
    assert not any("fc" in name for name in shapes)


def test_an_untrained_network_starts_at_zero() -> None:
    assert list(WIDTHS.values()) == [80, 64, 80, 3, 27, 2, 1]
    network = Deep3dNetwork().eval()
    assert network.backbone.layer2[0].conv2.stride == (2, 2)
    with torch.no_grad():
        made = network(torch.rand(1, 3, SIDE_PX, SIDE_PX))
    assert made.shape == (1, 257)
    assert made.abs().max() == 0


def test_the_heads_stand_side_by_side_in_the_order_of_the_file(weights: Path) -> None:
    network = load_network(weights)
    pictures = torch.rand(2, 3, SIDE_PX, SIDE_PX)
    state = torch.load(weights, weights_only=True)["net_recon"]
    with torch.no_grad():
        made = network(pictures)
        body = nn.Sequential(*list(network.backbone.children())[:-1])  # Up to the pooling.
        features = body(pictures).flatten(1)
    expected = [
        features @ state[f"final_layers.{i}.weight"][:, :, 0, 0].T + state[f"final_layers.{i}.bias"]
        for i in range(7)
    ]
    assert torch.allclose(made, torch.cat(expected, 1), atol=1e-5)


def test_the_coefficients_are_split_as_published() -> None:
    numbers = torch.arange(257.0)[None]
    parts = split_coefficients(numbers)
    for name, (first, end) in SLICES.items():
        assert getattr(parts, name).tolist() == numbers[:, first:end].tolist(), name


def test_weights_that_are_missing_or_others_say_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        load_network(tmp_path / "epoch_20.pth")
    assert "pirctl models pull deep3d" in (caught.value.hint or "")
    for content, reason in (
        ({"net_face": {}}, "it has no 'net_recon'"),
        ({"net_recon": {"backbone.conv1.weight": torch.zeros(1)}}, r"Missing key.*\.\.\."),
        ({"net_recon": Fraction(1)}, "it is no file of tensors alone"),
    ):
        torch.save(content, tmp_path / "other.pth")
        what = r"other\.pth: not the weights of the Deep3DFaceRecon regressor "
        with pytest.raises(WeightsCorrupt, match=rf"{what}\({reason}\)$"):
            load_network(tmp_path / "other.pth")


# -- geometry ----------------------------------------------------------------------------------


def reference_pixels(vertices: np.ndarray, angles: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Facts 5.4, word by word: row vectors, z to 10 - z, y upwards, then v = 224 - y_up."""
    x, y, z = angles
    Rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    Ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    Rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    Rot = (Rz @ Ry @ Rx).T
    camera = vertices @ Rot + trans
    depth = 10 - camera[:, 2]
    u = 1015 * camera[:, 0] / depth + 112
    y_up = 1015 * camera[:, 1] / depth + 112
    return np.stack([u, 224 - y_up], axis=1)


def test_our_projection_is_the_reference_formula_to_a_ten_thousandth_of_a_pixel() -> None:
    model, generator = basel_like(), torch.Generator().manual_seed(1)
    for _ in range(20):
        z_id = torch.randn(80, generator=generator)
        z_exp = torch.randn(64, generator=generator)
        angles = 0.5 * torch.randn(3, generator=generator)
        trans = 0.3 * torch.randn(3, generator=generator)
        R, t = pose_from_coefficients(angles, trans)
        whole = Crop(x=0, y=0, side=SIDE_PX)
        ours = project(transform(R, t, model.vertices(z_id, z_exp)), camera_of(whole))
        shape = (
            model.mean.double()
            + torch.tensordot(z_id.double(), model.identity_basis.double(), 1)
            + torch.tensordot(z_exp.double(), model.expression_basis.double(), 1)
        )
        theirs = reference_pixels(shape.numpy(), angles.double().numpy(), trans.double().numpy())
        assert np.abs(ours.numpy() - theirs).max() < 1e-4


def test_the_camera_is_that_of_the_square_wherever_it_lies() -> None:
    """The trap of facts 5.5: with scale s and offset, f = 1015 / s and c = (112 + left) / s."""
    square = Crop(x=37, y=-12, side=300)
    vertices = torch.randn(50, 3, generator=torch.Generator().manual_seed(2)) * 0.5
    angles, trans = torch.tensor([0.1, -0.4, 0.2]), torch.tensor([0.1, 0.2, -0.3])
    R, t = pose_from_coefficients(angles, trans)
    ours = project(transform(R, t, vertices), camera_of(square)).numpy()
    small = reference_pixels(
        vertices.double().numpy(), angles.double().numpy(), trans.double().numpy()
    )
    assert np.allclose(ours, small * 300 / 224 + (37, -12), atol=2e-4)


def test_a_face_without_rotation_looks_into_the_camera() -> None:
    R, t = pose_from_coefficients(torch.zeros(2, 3), torch.zeros(2, 3))
    assert torch.equal(R[1], torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert t[0].tolist() == [0, 0, 10]


# -- alignment ---------------------------------------------------------------------------------


def reference_alignment(five: np.ndarray, height: int) -> tuple[float, np.ndarray]:
    """Facts 5.5: y flipped, eight unknowns from ten equations, s0 the mean of the row norms."""
    flipped = five.astype(np.float64).copy()
    flipped[:, 1] = height - flipped[:, 1]
    A = np.zeros((10, 8))
    for i, point in enumerate(STANDARD_POINTS):
        A[2 * i, :4] = *point, 1
        A[2 * i + 1, 4:] = *point, 1
    k = np.linalg.lstsq(A, flipped.reshape(-1), rcond=None)[0]
    s0 = (np.linalg.norm(k[:3]) + np.linalg.norm(k[4:7])) / 2
    return s0, np.array([k[3], k[7]])


def turned_landmarks(frames: int = 1) -> np.ndarray:
    """(T, 468, 2) points of the generic face in a 512 picture, turned and tilted."""
    model = load_face_model("generic")
    R, _ = pose_from_coefficients(torch.tensor([0.2, 0.4, -0.3]), torch.zeros(3))
    shift = torch.linspace(0, 1, frames)[:, None] * torch.tensor([0.2, 0.1, 0.3])
    points = transform(R.expand(frames, 3, 3), torch.tensor([0.3, -0.2, 9.0]) + shift, model.mean)
    K = torch.tensor([[1100.0, 0, 256], [0, 1100, 256], [0, 0, 1]])
    return project(points, K).numpy()


def test_alignment_agrees_with_the_reference() -> None:
    landmarks = turned_landmarks()
    scale, origin = align(landmarks)
    s0, t = reference_alignment(five_points(landmarks)[0], 512)
    assert scale[0] == pytest.approx(s0, rel=1e-6)
    assert origin[0] == pytest.approx([t[0], 512 - t[1]], abs=1e-3)
    # Their crop: left = W / 2 - 112 + (t_x - w0 / 2) s, up likewise from below, in scaled pixels.
    s = FACE_PX / s0
    left = 512 * s / 2 - 112 + (t[0] - 256) * s
    up = 512 * s / 2 - 112 + (256 - t[1]) * s
    square = choose_square(landmarks, np.ones(1, bool))
    assert (square.x, square.y) == pytest.approx((left / s, up / s), abs=0.5)
    assert square.side == pytest.approx(SIDE_PX / s, abs=0.5)


def test_an_eye_is_the_middle_of_its_two_corners_whatever_the_points() -> None:
    landmarks = turned_landmarks()
    five = five_points(landmarks)[0]
    assert np.allclose(five[0], landmarks[0, [33, 133]].mean(0))
    assert np.allclose(five[1], landmarks[0, [362, 263]].mean(0))
    assert np.allclose(five[2:], landmarks[0, [4, 61, 291]])
    assert five[0, 0] < five[1, 0]  # The image's left first.
    classic = landmarks[:, list(LANDMARKS_68)]
    for same in (classic, as_98(torch.from_numpy(classic)).numpy()):
        assert np.allclose(five_points(same)[0], five, atol=1e-3)


def test_one_square_serves_the_clip_and_ignores_a_slip_of_the_tracker() -> None:
    landmarks = turned_landmarks(21)
    still = choose_square(landmarks, np.ones(21, bool))
    slipped = landmarks.copy()
    slipped[4] += 200
    slipped[9] = np.nan
    valid = np.arange(21) != 9
    square = choose_square(slipped, valid)
    assert abs(square.x - still.x) <= 2
    assert abs(square.side - still.side) <= 2


@pytest.mark.shared
def test_the_standard_points_are_those_of_the_published_file(shared: Path) -> None:
    from scipy.io import loadmat

    rows = loadmat(shared / "bfm" / "similarity_Lm3D_all.mat")["lm"]
    assert np.allclose(five_points(rows[None])[0], STANDARD_POINTS, atol=1e-6)


# -- a clip ------------------------------------------------------------------------------------


class Oracle(nn.Module):
    """Says the coefficients that belong to the picture's red: RGB in [0, 1], not BGR or bytes."""

    def __init__(self, coefficients: torch.Tensor) -> None:
        super().__init__()
        self.coefficients, self.batches = coefficients, []

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        assert 0 <= pictures.min() <= pictures.max() <= 1
        self.batches.append(len(pictures))
        rows = (pictures[:, 0].mean((1, 2)) * 255).round().long()
        return self.coefficients[rows]


@pytest.fixture(scope="module")
def paper() -> FaceModel:
    return basel_like()


def clip(paper: FaceModel, frames: int) -> tuple[list[np.ndarray], torch.Tensor, np.ndarray]:
    """Pictures whose red is their number, coefficients with one identity, and true landmarks."""
    generator = torch.Generator().manual_seed(6)
    coefficients = 0.2 * torch.randn(frames, 257, generator=generator)
    coefficients[:, :80] = coefficients[0, :80]
    pictures = [np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8) for _ in range(frames)]
    for number, picture in enumerate(pictures):
        picture[..., 0] = number
    parts = split_coefficients(coefficients)
    R, t = pose_from_coefficients(parts.angles, parts.translation)
    vertices = paper.vertices(parts.identity, parts.expression)
    pixels = project(transform(R, t, vertices), camera_of(Crop(x=20, y=30, side=400)))
    return pictures, coefficients, pixels[:, ::3].numpy()


def test_a_clip_comes_out_in_our_camera_with_one_identity(paper: FaceModel) -> None:
    pictures, coefficients, landmarks = clip(paper, 20)
    oracle, reports = Oracle(coefficients), list[Progress]()
    square = Crop(x=20, y=30, side=400)
    fit = regress_clip(
        pictures, square, landmarks, np.ones(20, bool), oracle, paper, reports.append
    )
    assert np.allclose(fit.z_id, coefficients[0, :80], atol=1e-6)
    assert np.array_equal(fit.z_exp, coefficients[:, 80:144])
    assert fit.error_px.max() < 1e-2
    assert np.array_equal(fit.K, camera_of(square))
    assert fit.K[0, 0] == pytest.approx(1015 * 400 / 224)
    assert oracle.batches == [16, 4]
    assert [(report.done, report.total) for report in reports] == [(16, 20), (20, 20)]


def test_frames_without_a_face_are_not_asked_about(paper: FaceModel) -> None:
    pictures, coefficients, landmarks = clip(paper, 8)
    valid = np.ones(8, bool)
    valid[[0, 4, 7]] = False
    landmarks[4] = np.nan
    oracle = Oracle(coefficients)
    fit = regress_clip(pictures, Crop(x=20, y=30, side=400), landmarks, valid, oracle, paper)
    assert oracle.batches == [5]
    assert np.array_equal(fit.valid, valid)
    assert np.array_equal(np.isnan(fit.error_px), ~valid)
    assert np.allclose(fit.z_exp[4], coefficients[[3, 5], 80:144].mean(0), atol=1e-6)
    assert np.array_equal(fit.t[0], fit.t[1])
    with pytest.raises(FaceNotFound):
        regress_clip(pictures, Crop(x=0, y=0, side=9), landmarks, np.zeros(8, bool), oracle, paper)


def test_another_face_model_is_refused(paper: FaceModel) -> None:
    pictures, coefficients, landmarks = clip(paper, 2)
    with pytest.raises(SettingsError, match="coefficients of the face model 'bfm', not of 'gener"):
        regress_clip(
            pictures, Crop(x=0, y=0, side=400), landmarks, np.ones(2, bool),
            Oracle(coefficients), load_face_model("generic"),
        )  # fmt: skip


def test_random_weights_run_from_the_file_to_the_fit(weights: Path, paper: FaceModel) -> None:
    _, _, landmarks = clip(paper, 2)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8) for _ in range(2)]
    network = load_network(weights)
    square = Crop(x=20, y=30, side=400)
    once, again = (
        regress_clip(pictures, square, landmarks, np.ones(2, bool), network, paper)
        for _ in range(2)
    )
    assert np.isfinite(once.error_px).all()
    assert np.array_equal(once.z_exp, again.z_exp)
    assert np.allclose(np.linalg.det(once.R), 1, atol=1e-5)
