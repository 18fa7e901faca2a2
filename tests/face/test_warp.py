"""The map between two pictures of a face: slow twin, the synthetic speaker's truth, properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pirctl.demo.synthetic import raster as speaker_raster
from pirctl.demo.synthetic.scene import Scene
from pirctl.demo.synthetic.speaker import make_scene
from pirctl.face.camera import FLIP, rotation_from_vector
from pirctl.face.landmarks import FACE_OVAL, MESH_POINTS
from pirctl.face.model import FaceModel, load_face_model
from pirctl.face.warp import FaceWarp, Placed, WarpMaps
from pirctl.networks.blend import References, look

SIZE = 96
STILL = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def warp(model: FaceModel) -> FaceWarp:
    K = np.float32([[2 * SIZE, 0, SIZE / 2], [0, 2 * SIZE, SIZE / 2], [0, 0, 1]])
    return FaceWarp(model, np.zeros(model.identity_width, np.float32), K)


def _place(
    model: FaceModel, warp: FaceWarp, turn: tuple[float, float, float] = STILL, **axes: float
) -> Placed:
    """One frame whose head is turned by so many degrees about x, y and z."""
    return warp.place(
        _expression(model, **axes)[None], _rotation(turn)[None], np.float32([[0, 0, 6]])
    )


def _expression(model: FaceModel, **axes: float) -> np.ndarray:
    z_exp = np.zeros(model.expression_width, np.float32)
    for name, value in axes.items():
        z_exp[model.axis(name)] = value
    return z_exp


def _rotation(turn: tuple[float, float, float]) -> np.ndarray:
    rotation: np.ndarray = (rotation_from_vector(torch.tensor(turn).deg2rad()) @ FLIP).numpy()
    return rotation


def _whole(warp: FaceWarp, wanted: Placed, references: Placed) -> WarpMaps:
    return warp.maps(wanted, references, (0, 0), SIZE)


def _centres(side: int = SIZE) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), axis=-1)


def test_a_frame_is_mapped_onto_itself(model: FaceModel, warp: FaceWarp) -> None:
    frame = _place(model, warp, (8, -15, 4), jawOpen=0.4, mouthSmileLeft=0.5)
    maps = _whole(warp, frame, frame)
    np.testing.assert_allclose(maps.source[0], _centres(), atol=1e-3)
    inside = maps.mouth > 0.99
    assert inside.any()
    np.testing.assert_allclose(maps.confidence[0][inside], 1, atol=1e-5)
    picture = torch.rand(1, 1, 3, SIZE, SIZE) * 2 - 1
    seen = look(
        References(
            pictures=picture,
            source=torch.from_numpy(maps.source)[None],
            confidence=torch.from_numpy(maps.confidence)[None],
            weight=torch.ones(1, 1),
            mouth=torch.from_numpy(maps.mouth)[None],
        ),
        "bilinear",
    )
    assert float((seen - picture).abs().max()) < 5e-3


def test_the_map_agrees_with_a_search_for_each_pixel_s_triangle(
    model: FaceModel, warp: FaceWarp
) -> None:
    wanted = _place(model, warp, (5, 20, -6), jawOpen=0.5)
    reference = _place(model, warp, (-4, 12, 3), mouthPucker=0.6)
    maps = _whole(warp, wanted, reference)
    triangles = np.concatenate([model.triangles.numpy(), model.eye_triangles.numpy()])
    slow = _search(wanted.points[0].astype(float), reference.points[0], triangles)
    compared = np.isfinite(slow[..., 0]) & (maps.mouth == 0)
    assert compared.mean() > 0.1
    np.testing.assert_allclose(maps.source[0][compared], slow[compared], atol=2e-3)


def _search(screen: np.ndarray, target: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE, 2) where pixels go: of the triangles around a pixel the nearest; else NaN."""
    systems = np.concatenate(
        [screen[triangles][..., :2].swapaxes(1, 2), np.ones((len(triangles), 1, 3))], axis=1
    )
    front = np.linalg.det(systems) < -1e-9
    inverses, corners = np.linalg.inv(systems[front]), triangles[front]
    result = np.full((SIZE, SIZE, 2), np.nan)
    for y in range(SIZE):
        for x in range(SIZE):
            shares = inverses @ [x + 0.5, y + 0.5, 1.0]
            rows = np.flatnonzero((shares >= -1e-9).all(1))
            if len(rows):
                depths = (shares[rows] * screen[corners[rows], 2]).sum(1)
                row = rows[np.argmin(depths)]
                result[y, x] = shares[row] @ target[corners[row], :2]
    return result


def test_a_square_of_the_crop_is_mapped_as_the_whole_crop_is(
    model: FaceModel, warp: FaceWarp
) -> None:
    wanted = _place(model, warp, (0, 10, 0), jawOpen=0.3)
    references = _place(model, warp)
    whole = _whole(warp, wanted, references)
    part = warp.maps(wanted, references, (24, 40), 32)
    square = (slice(40, 72), slice(24, 56))
    np.testing.assert_allclose(part.source[0], whole.source[0][square], atol=1e-3)
    np.testing.assert_allclose(part.confidence[0], whole.confidence[0][square], atol=1e-4)
    np.testing.assert_allclose(part.mouth, whole.mouth[square], atol=1e-4)


@pytest.fixture(scope="module")
def speaker() -> tuple[Scene, np.ndarray]:
    return make_scene(128, seed=0)


@pytest.mark.parametrize(
    ("turn", "axes"),
    [
        ((0, 0, 0), {"jawOpen": 0.5}),
        ((0, 0, 0), {"mouthPucker": 0.8, "mouthSmileLeft": 0.3}),
        ((-6, 14, 5), {}),
        ((8, -12, -4), {"jawOpen": 0.4, "mouthStretchRight": 0.5}),
    ],
    ids=["jaw", "lips", "pose", "both"],
)
def test_the_map_is_the_synthetic_speaker_s_true_one(
    speaker: tuple[Scene, np.ndarray], turn: tuple[float, float, float], axes: dict[str, float]
) -> None:
    scene, z_id = speaker
    wanted = (scene.rest + _expression(scene.model, **axes), _rotation(turn), scene.t_rest)
    reference = (scene.rest, _rotation(STILL), scene.t_rest + np.float32([0.05, -0.04, 0.1]))
    here, there, moved = _true_correspondence(scene, wanted, reference)
    assert len(here) > 2000
    warp = FaceWarp(scene.model, z_id, scene.K)
    placed = (warp.place(*(part[None] for part in frame)) for frame in (wanted, reference))
    source = warp.maps(*placed, (0, 0), scene.size_px).source[0]
    # Pixels of a crop of 512: the picture is smaller, so that the test is fast.
    enlarged = 512 / scene.size_px
    error = enlarged * np.linalg.norm(_between(source, here) - there, axis=1)
    assert enlarged * np.linalg.norm(moved, axis=1).mean() > 4
    assert error.mean() < 1
    assert np.quantile(error, 0.95) < 3


def _true_correspondence(
    scene: Scene, wanted: tuple[np.ndarray, ...], reference: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where what is seen of the skin in one rendering is in another one, and seen there too.

    Returns:
        Places (N, 2) in the first picture, in the second, and their difference; in pixels.
    """
    mesh = scene.head.mesh
    scene.render(*reference)
    nearest = scene._depth.copy()
    far_screen = _samples(scene, *reference)
    scene.render(*wanted)
    near_screen = _samples(scene, *wanted)
    rows, columns = np.nonzero(scene._ids >= 0)
    found = mesh.triangles[scene._ids[rows, columns]]
    skin = mesh.materials[scene._ids[rows, columns]] == speaker_raster.SKIN
    of_face = skin & (found < scene.head.faces).all(1)
    found, here = found[of_face], np.stack([columns, rows], axis=1)[of_face] + 0.5
    a, b, c = (near_screen[found[:, k]] for k in range(3))
    shares = np.linalg.solve(
        np.stack([a, b, c], axis=2) * [[[1], [1], [0]]] + [[[0], [0], [1]]],
        np.concatenate([here, np.ones((len(here), 1))], axis=1)[..., None],
    )[..., 0]
    # Linear on the surface: shares on the screen, each by its 1/z.
    shares *= near_screen[found, 2]
    shares /= shares.sum(1, keepdims=True)
    weights = shares * far_screen[found, 2]
    inverse = weights.sum(1)
    there = (weights[..., None] * far_screen[found, :2]).sum(1) / inverse[:, None]
    x, y = np.clip(there.astype(int), 0, len(nearest) - 1).T
    seen = np.abs(1 / nearest[y, x] - 1 / inverse) < 0.03
    here, there = here[seen] / 2, there[seen] / 2
    return here, there, there - here


def _samples(scene: Scene, z_exp: np.ndarray, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The speaker's vertices before the camera: x, y in samples, two per pixel, and z in dm."""
    local = scene.head.mesh.positions(scene.vertices(z_exp))
    camera = local @ R.T + t
    places = 2 * (camera[:, :2] / camera[:, 2:] * scene.K[0, 0] + scene.K[:2, 2])
    return np.concatenate([places, 1 / camera[:, 2:]], axis=1).astype(float)


def _between(source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A map at places (N, 2) between the centres of its pixels."""
    from scipy.ndimage import map_coordinates

    at = [places[:, 1] - 0.5, places[:, 0] - 0.5]
    return np.stack([map_coordinates(source[..., k], at, order=1) for k in (0, 1)], axis=1)


def test_what_a_reference_turned_away_is_not_trusted(model: FaceModel, warp: FaceWarp) -> None:
    wanted = _place(model, warp)
    one_way, other_way = _place(model, warp, (0, 60, 0)), _place(model, warp, (0, -60, 0))
    on_skin = (warp.maps(wanted, wanted, (0, 0), SIZE).confidence[0] > 0.99) & (
        np.abs(_centres()[..., 1] - SIZE / 2) < SIZE / 10
    )
    columns = np.flatnonzero(on_skin.any(0))
    left, right = columns[: len(columns) // 4], columns[-len(columns) // 4 :]

    def trust(frame: Placed) -> list[float]:
        confidence = _whole(warp, wanted, frame).confidence[0]
        return [float(confidence[:, side][on_skin[:, side]].mean()) for side in (left, right)]

    hidden, shown = sorted(trust(one_way))
    assert hidden < 0.4
    assert shown > 0.8
    assert (trust(one_way)[0] < trust(one_way)[1]) != (trust(other_way)[0] < trust(other_way)[1])


def test_between_the_lips_only_a_mouth_as_open_is_trusted(model: FaceModel, warp: FaceWarp) -> None:
    wanted = _place(model, warp, jawOpen=0.6)
    z_exp = np.stack([_expression(model, jawOpen=jaw) for jaw in (0.6, 0.3, 0.0)])
    references = warp.place(
        z_exp, _rotation(STILL)[None].repeat(3, 0), np.float32([[0, 0, 6]]).repeat(3, 0)
    )
    maps = _whole(warp, wanted, references)
    inside = maps.mouth > 0.99
    assert inside.sum() > 10
    alike, half, closed = (float(one[inside].mean()) for one in maps.confidence)
    assert alike > 0.99
    assert closed < 0.4
    assert closed < half < alike
    # The skin is trusted all the same.
    cheek = _pixel(wanted, 50)
    assert maps.confidence[2][cheek] > 0.9


def test_the_inside_of_the_lips_is_known_and_nothing_else(model: FaceModel, warp: FaceWarp) -> None:
    closed, opened = _place(model, warp), _place(model, warp, jawOpen=0.6)
    mouths = [_whole(warp, frame, frame).mouth for frame in (closed, opened)]
    assert mouths[1].sum() > 4 * mouths[0].sum()
    middle = opened.points[0, [13, 14], :2].mean(0)
    assert mouths[1][int(middle[1]), int(middle[0])] > 0.99
    assert mouths[1][_pixel(opened, 1)] == 0


def _pixel(frame: Placed, point: int) -> tuple[int, int]:
    x, y = frame.points[0, point, :2]
    return int(y), int(x)


@pytest.mark.parametrize(
    ("turn", "axes"), [(STILL, {"jawOpen": 0.3}), ((3, 5, 2), {}), ((3, -5, -2), {"jawOpen": 0.2})]
)
def test_beyond_the_face_the_map_goes_on_without_a_jump(
    model: FaceModel, turn: tuple[float, float, float], axes: dict[str, float]
) -> None:
    side = 256
    K = np.float32([[2 * side, 0, side / 2], [0, 2 * side, side / 2], [0, 0, 1]])
    warp = FaceWarp(model, np.zeros(model.identity_width, np.float32), K)
    wanted, reference = _place(model, warp, turn, **axes), _place(model, warp)
    maps = warp.maps(wanted, reference, (0, 0), side)
    shift = maps.source[0] - _centres(side)
    near = _within(wanted, 1.5, side) & ~_around_lips(wanted, side)
    assert (near & ~_within(wanted, 1.0, side)).sum() > near.sum() / 3
    for axis in (0, 1):
        both = near & np.roll(near, 1, axis)
        jump = np.linalg.norm(shift - np.roll(shift, 1, axis), axis=-1)[both]
        assert jump.max() < 2.5
    assert float(np.linalg.norm(shift, axis=-1)[near].max()) > 3


def test_beyond_the_face_the_map_follows_the_head_and_is_trusted_less(model: FaceModel) -> None:
    side = 256
    K = np.float32([[2 * side, 0, side / 2], [0, 2 * side, side / 2], [0, 0, 1]])
    warp = FaceWarp(model, np.zeros(model.identity_width, np.float32), K)
    wanted = _place(model, warp)
    moved = warp.place(
        _expression(model)[None], _rotation(STILL)[None], np.float32([[0.2, -0.1, 6]])
    )
    maps = warp.maps(wanted, moved, (0, 0), side)
    shift = maps.source[0] - _centres(side)
    around = _within(wanted, 1.5, side) & ~_within(wanted, 1.02, side)
    # 2 * 256 px * 0.2 dm / 6 dm on a surface at 6 dm; a head is not deep beside that.
    np.testing.assert_allclose(shift[around].mean(0), [17, -8.5], rtol=0.1)
    np.testing.assert_allclose(shift[around].std(0), 0, atol=0.7)
    trust = maps.confidence[0][around]
    assert trust.min() > 0.05
    assert trust.max() < 0.9


def _within(frame: Placed, size: float, side: int) -> np.ndarray:
    """(side, side) bool, the outline of the face at so many times its size."""
    import cv2

    oval = frame.points[0, list(FACE_OVAL), :2]
    enlarged = oval.mean(0) + size * (oval - oval.mean(0))
    inside = cv2.fillPoly(np.zeros((side, side), np.uint8), [enlarged.round().astype(np.int32)], 1)
    return inside.astype(bool)


def _around_lips(frame: Placed, side: int) -> np.ndarray:
    """(side, side) bool, a box around the lips: what parts there jumps."""
    lips = frame.points[0, [61, 291, 0, 17], :2]
    left, top, right, bottom = (*lips.min(0).astype(int), *lips.max(0).astype(int) + 1)
    inside = np.zeros((side, side), bool)
    inside[top:bottom, left:right] = True
    return inside


def test_the_mesh_is_put_where_the_model_s_points_are_projected(
    model: FaceModel, warp: FaceWarp
) -> None:
    frame = _place(model, warp, (5, 10, 0), jawOpen=0.5)
    vertices = model.mesh_points(
        model.vertices(
            torch.zeros(model.identity_width), torch.from_numpy(_expression(model, jawOpen=0.5))
        )
    ).numpy()
    camera = vertices @ _rotation((5, 10, 0)).T + [0, 0, 6]
    expected = camera[:, :2] / camera[:, 2:] * 2 * SIZE + SIZE / 2
    np.testing.assert_allclose(frame.points[0, :MESH_POINTS, :2], expected, atol=1e-3)
    np.testing.assert_allclose(frame.points[0, :MESH_POINTS, 2], camera[:, 2], atol=1e-5)
