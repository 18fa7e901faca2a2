from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pirctl.compat import facexlib_awing, facexlib_retinaface
from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face import facexlib_tracker as tracker
from pirctl.face.facexlib_tracker import FacexlibDetector
from pirctl.face.track import follow, track_frames

WAYS_OUT = ("pirctl models pull", "--tracker mediapipe", "--landmarks FILE")


def random_state(network: torch.nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    """Random weights of a network on "meta" under which signals neither die nor explode."""
    draw, state = torch.Generator().manual_seed(3), {}
    for name, tensor in network.state_dict().items():
        if tensor.dtype == torch.int64:
            value = torch.tensor(1)
        elif tensor.dim() > 1:
            spread = (1.5 / tensor[0].numel()) ** 0.5
            value = torch.randn(tensor.shape, generator=draw) * spread
        elif name.endswith(("running_var", "weight")):
            value = 0.5 + 0.2 * torch.rand(tensor.shape, generator=draw)
        else:
            value = 0.1 * torch.randn(tensor.shape, generator=draw)
        if name.startswith("ClassHead") and name.endswith("weight"):
            value = value * 0.1  # Scores on either side of the threshold.
        if name.startswith("BboxHead"):
            value = value * 0.1
        state[prefix + name] = value
    return state


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Weight files as facexlib publishes them, `module.` and `state_dict` included."""
    folder = tmp_path_factory.mktemp("weights")
    detection, alignment = folder / "detection.pth", folder / "alignment.pth"
    torch.save(random_state(facexlib_retinaface(), "module."), detection)
    torch.save({"state_dict": random_state(facexlib_awing()), "epoch": 3}, alignment)
    yield detection, alignment
    for path in (detection, alignment):
        path.unlink()  # A hundred megabytes each.


@pytest.fixture(scope="module")
def detector(files: tuple[Path, Path]) -> FacexlibDetector:
    torch.set_num_threads(1)
    return FacexlibDetector(*files)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 255, (16, 20, 3)).astype(np.uint8)
    return cv2.resize(noise, (140, 110), interpolation=cv2.INTER_CUBIC)


def suppress_slowly(boxes: np.ndarray) -> list[int]:
    kept: list[int] = []
    for number, one in enumerate(boxes):
        for other in boxes[kept]:
            wide = min(one[2], other[2]) - max(one[0], other[0])
            high = min(one[3], other[3]) - max(one[1], other[1])
            shared = max(0.0, wide) * max(0.0, high)
            area, area_other = (np.prod(box[2:4] - box[:2]) for box in (one, other))
            if shared / (area + area_other - shared) > 0.4:
                break
        else:
            kept.append(number)
    return kept


def test_boxes_are_those_that_facexlib_finds(
    detector: FacexlibDetector, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    facexlib: Any = sys.modules["facexlib.detection.retinaface"]
    # torchvision's own may not load here; theirs asks for it.
    monkeypatch.setattr(facexlib, "py_cpu_nms", lambda boxes, _: suppress_slowly(boxes))
    reference: Any = detector._faces
    reference.device, reference.mean_tensor = "cpu", torch.tensor([[[[104.0]], [[117]], [[123]]]])
    with torch.inference_mode():
        expected = reference.detect_faces(picture[..., ::-1], conf_threshold=0.8)
    (found,) = detector.boxes([picture])
    assert 3 < len(found) < 200
    np.testing.assert_allclose(found, expected[:, :4], rtol=1e-4, atol=1e-2)


def test_anchors_are_those_of_facexlib() -> None:
    facexlib_retinaface()
    utils: Any = importlib.import_module("facexlib.detection.retinaface_utils")
    config: Any = importlib.import_module("facexlib.detection.retinaface").generate_config(
        "resnet50"
    )
    expected = utils.PriorBox(config, image_size=(70, 100)).forward()
    ours = tracker.anchors(100, 70) / torch.tensor([100.0, 70, 100, 70])
    torch.testing.assert_close(ours, expected)


def test_boxes_that_overlap_are_one_face() -> None:
    draw = np.random.default_rng(0)
    corner = draw.random((60, 2)) * 50
    boxes = np.concatenate([corner, corner + 5 + 30 * draw.random((60, 2))], 1).astype(np.float32)
    kept = tracker.suppress(boxes).tolist()
    assert kept == suppress_slowly(boxes)
    assert 5 < len(kept) < 60
    assert tracker.suppress(np.zeros((0, 4), np.float32)).tolist() == []


def test_boxes_are_cut_at_the_pictures_edges() -> None:
    boxes = np.array([[-9.5, 3.2, 40.4, 200], [-90, -90, -5, -5], [10, 10, 14, 50]], np.float32)
    assert tracker.whole_pixels(boxes, 100, 80) == [(0, 3, 41, 80)]


def test_peaks_are_decoded_like_facexlib_with_the_alias_that_numpy_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facexlib_awing()
    awing: Any = sys.modules["facexlib.alignment.awing_arch"]
    monkeypatch.setattr(np, "float", float, raising=False)
    heat = torch.rand(2, 98, 64, 64)
    heat[..., 0, :] = heat[..., -1, :] = heat[..., 0] = heat[..., -1] = -1
    expected = awing.calculate_points(heat.numpy().astype(np.float64))
    np.testing.assert_array_equal(tracker.peaks(heat).numpy(), expected)


def test_a_peak_at_the_border_stays_where_it_is() -> None:
    heat = torch.zeros(1, 3, 4, 5)
    heat[0, 0, 3, 4] = heat[0, 1, 0, 2] = heat[0, 2, 2, 0] = 1
    heat[0, 1, 0, 3] = heat[0, 2, 1, 0] = 0.5
    assert tracker.peaks(heat)[0].tolist() == [[4.5, 3.5], [2.75, 0.5], [0.5, 2.25]]


def test_points_are_facexlibs_heat_maps_peaks_in_pixels_of_the_face(
    detector: FacexlibDetector, picture: np.ndarray
) -> None:
    face = picture[:90, :120]
    scaled = cv2.resize(face, (256, 256)).astype(np.float32) / 255
    with torch.inference_mode():
        heat = detector._points(torch.from_numpy(scaled).permute(2, 0, 1)[None])[0][-1][:, :98]
    expected = tracker.peaks(heat)[0].numpy() * np.array([120 / 64, 90 / 64])
    np.testing.assert_allclose(detector.align([face])[0], expected, atol=1e-3)


def test_pictures_together_give_what_they_give_alone(
    detector: FacexlibDetector, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "_MOST_BOXES", 3)
    other = np.ascontiguousarray(picture[::-1])
    pictures = [picture, picture[:90, :120], other]  # One of another size among them.
    alone = [detector.detect_all([image])[0] for image in pictures]
    together = detector.detect_all(pictures)
    assert [len(faces) for faces in together] == [len(faces) for faces in alone]
    assert all(alone)
    for faces, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(np.stack(faces), np.stack(expected), atol=1e-2)
    assert together[0][0].shape == (98, 2)
    assert detector.detect_all([]) == []


def test_a_large_picture_is_looked_at_small_and_answered_in_its_own_pixels(
    detector: FacexlibDetector, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small,) = detector.boxes([picture])
    monkeypatch.setattr(tracker, "LONGEST_SIDE_PX", picture.shape[1])
    large = picture.repeat(3, axis=0).repeat(3, axis=1)
    (boxes,) = detector.boxes([large])
    np.testing.assert_allclose(boxes, 3 * small, rtol=1e-3, atol=0.1)


def test_lower_precision_runs_through_both_networks(
    files: tuple[Path, Path], detector: FacexlibDetector, picture: np.ndarray
) -> None:
    lower = FacexlibDetector(*files, precision=torch.bfloat16)
    face = picture[:96, :96]
    assert np.isfinite(lower.align([face])).all()
    apart = np.linalg.norm(lower.align([face]) - detector.align([face]), axis=-1)
    assert np.mean(apart < 1) > 0.7  # Random heat maps have many peaks nearly as high.
    (boxes,), (expected,) = lower.boxes([picture]), detector.boxes([picture])
    low = np.maximum(boxes[None, :, :2], expected[:, None, :2])
    high = np.minimum(boxes[None, :, 2:], expected[:, None, 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    areas = [np.prod(each[:, 2:] - each[:, :2], -1) for each in (expected, boxes)]
    overlap = shared / (areas[0][:, None] + areas[1][None] - shared)
    assert np.mean(overlap.max(1) > 0.8) > 0.9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_both_run_in_half_precision_and_in_batches(
    files: tuple[Path, Path], detector: FacexlibDetector, picture: np.ndarray
) -> None:
    gpu = FacexlibDetector(*files, device="cuda")
    assert gpu.batch > 1
    points = gpu.align([picture] * 3)
    assert points.shape == (3, 98, 2)
    apart = np.linalg.norm(points[0] - detector.align([picture])[0], axis=-1)
    assert np.median(apart) < 3
    assert len(gpu.detect_all([picture] * 3)) == 3


def test_the_follower_takes_it_like_any_detector(
    detector: FacexlibDetector, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "_MOST_BOXES", 3)
    points, valid = track_frames(follow([picture, picture], detector), detector.points)
    assert valid[0]
    assert points.shape == (2, 98, 2)


def test_missing_weights_name_every_way_out(files: tuple[Path, Path], tmp_path: Path) -> None:
    detection, alignment = files
    for pair, name in (
        ((tmp_path / "none.pth", alignment), "retinaface_resnet50"),
        ((detection, tmp_path / "none.pth"), "awing"),
    ):
        with pytest.raises(WeightsMissing) as caught:
            FacexlibDetector(*pair)
        hint = caught.value.hint or ""
        assert all(way in hint for way in (*WAYS_OUT, name))


def test_a_checkpoint_of_a_training_is_read_in_any_of_its_formats(
    files: tuple[Path, Path], detector: FacexlibDetector, picture: np.ndarray, tmp_path: Path
) -> None:
    """The published AWING file has twice the bytes of its network: an optimiser's beside it."""
    state = torch.load(files[1], weights_only=True)["state_dict"]
    checkpoint = {
        "epoch": np.int64(3),
        "loss": np.float64(0.5),
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
        "optimizer": {"state": {0: {"step": 3, "square_avg": torch.ones(2)}}, "param_groups": [{}]},
    }
    old = tmp_path / "old.pth"
    torch.save(checkpoint, old, _use_new_zipfile_serialization=False)
    # numpy 1 called the module by this name.
    old.write_bytes(old.read_bytes().replace(b"numpy._core.multi", b"numpy.core.multi"))
    face = picture[:96, :96]
    other = FacexlibDetector(files[0], old)
    np.testing.assert_array_equal(other.align([face]), detector.align([face]))
    old.unlink()


class Bomb:
    """A pickle that leaves a file behind when it is opened carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_files_that_hold_something_else_are_refused_and_not_run(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    detection, alignment = files
    with pytest.raises(WeightsCorrupt, match="not the weights of RetinaFace"):
        FacexlibDetector(alignment, alignment)
    with pytest.raises(WeightsCorrupt, match="not the weights of AWING"):
        FacexlibDetector(detection, detection)
    bomb, mark = tmp_path / "bomb.pth", tmp_path / "exploded"
    torch.save(Bomb(mark), bomb)
    with pytest.raises(WeightsCorrupt, match="not the weights of RetinaFace"):
        FacexlibDetector(bomb, alignment)
    assert not mark.exists()
