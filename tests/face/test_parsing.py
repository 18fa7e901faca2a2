from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.compat import facexlib_bisenet
from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face.landmarks import (
    BROW_LEFT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    INNER_LIP_CENTRES,
    LIPS_OUTER,
    NOSE_TIP,
)
from pirctl.face.model import load_face_model
from pirctl.face.parsing import (
    LABELS,
    BisenetParser,
    GeometryParser,
    draw_labels,
    to_bisenet_input,
    without_flicker,
)

NAMES = {name: number for number, name in enumerate(LABELS)}


def frontal(opening: float = 0.0, size_px: int = 256) -> np.ndarray:
    """Landmarks (468, 2) of the mean face, jaw dropped by `opening`, frontal."""
    model = load_face_model()
    z_exp = torch.zeros(model.expression_width)
    z_exp[model.axis("jawOpen")] = opening
    vertices = model.vertices(torch.zeros(model.identity_width), z_exp).numpy()
    scale = size_px / 4.0
    return (np.array([size_px / 2, size_px / 2]) + vertices[:, :2] * (scale, -scale)).astype(
        np.float32
    )


def label_at(labels: np.ndarray, point: np.ndarray) -> str:
    x, y = np.floor(point).astype(int)
    return LABELS[labels[y, x]]


def test_every_region_is_where_its_landmarks_are() -> None:
    points = frontal(0.8)
    labels = draw_labels(points, 256, 256)
    assert label_at(labels, points[list(EYE_LEFT)].mean(0)) == "left eye"
    assert label_at(labels, points[list(EYE_RIGHT)].mean(0)) == "right eye"
    assert label_at(labels, points[list(BROW_LEFT)].mean(0)) == "left brow"
    assert label_at(labels, points[NOSE_TIP]) == "nose"
    assert label_at(labels, points[list(INNER_LIP_CENTRES)].mean(0)) == "mouth"
    assert label_at(labels, points[[0, 13]].mean(0)) == "upper lip"
    assert label_at(labels, points[[17, 14]].mean(0)) == "lower lip"
    assert label_at(labels, points[[50]].mean(0)) == "skin"
    assert label_at(labels, points[CHIN] + (0, 12)) == "neck"
    assert label_at(labels, points[10] - (0, 20)) == "hair"
    assert labels[0, 0] == labels[0, -1] == 0


def test_the_subjects_left_eye_is_on_the_right_of_the_picture() -> None:
    labels = draw_labels(frontal(), 256, 256)
    left = np.nonzero(labels == NAMES["left eye"])[1].mean()
    right = np.nonzero(labels == NAMES["right eye"])[1].mean()
    assert left > 128 > right


def test_closed_lips_show_almost_no_mouth_and_an_open_jaw_does() -> None:
    closed = (draw_labels(frontal(0.0), 256, 256) == NAMES["mouth"]).sum()
    opened = (draw_labels(frontal(1.0), 256, 256) == NAMES["mouth"]).sum()
    assert opened > 150
    assert closed < 0.4 * opened


def test_labels_turn_with_the_head() -> None:
    points = frontal(0.5)
    upright = draw_labels(points, 256, 256)
    turned = np.stack([256 - points[:, 1], points[:, 0]], axis=1)
    rolled = draw_labels(turned, 256, 256)
    same = rolled == np.rot90(upright, -1)
    assert same.mean() > 0.98


def test_a_face_partly_outside_the_picture_is_drawn_as_far_as_it_is_seen() -> None:
    points = frontal()
    whole, shifted = draw_labels(points, 256, 256), draw_labels(points - (60, 0), 256, 256)
    assert (whole[:, 60:] == shifted[:, :-60]).mean() > 0.999
    assert draw_labels(points + 5000, 64, 64).shape == (64, 64)


def test_geometry_parser_gives_one_map_per_frame() -> None:
    frames = [np.zeros((256, 256, 3), np.uint8)] * 2
    maps = GeometryParser().parse(frames, np.stack([frontal(0), frontal(1)]))
    np.testing.assert_array_equal(maps[1], draw_labels(frontal(1), 256, 256))
    assert all(labels.dtype == np.uint8 for labels in maps)
    outer = frontal(1)[list(LIPS_OUTER)]
    assert set(np.unique(maps[1])) <= set(range(19))
    assert maps[1][int(outer[:, 1].mean()), int(outer[:, 0].mean())] == NAMES["mouth"]


def test_bisenet_gets_pictures_in_imagenets_scale() -> None:
    frames = torch.full((1, 8, 8, 3), 255, dtype=torch.uint8)
    frames[..., 0] = 0
    scaled = to_bisenet_input(frames)
    assert scaled.shape == (1, 3, 512, 512)
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(scaled[0].mean((1, 2)), torch.tensor(expected))


def test_bisenet_parser_is_the_networks_first_output_at_the_frames_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At its true size the network takes seconds on one core.
    monkeypatch.setattr("pirctl.face.parsing._NETWORK_SIZE_PX", 128)
    torch.manual_seed(0)
    network = facexlib_bisenet()(num_class=19).eval()
    torch.save(network.state_dict(), tmp_path / "bisenet.pth")
    frame = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    parser = BisenetParser(tmp_path / "bisenet.pth")
    (labels,) = parser.parse([frame], np.zeros((1, 478, 2), np.float32))
    with torch.inference_mode():
        logits = network(to_bisenet_input(torch.from_numpy(frame)[None]))[0]
    np.testing.assert_array_equal(labels, logits[0].argmax(0).numpy().astype(np.uint8))
    small = parser.parse([frame[:64, :48]], np.zeros((1, 478, 2), np.float32))
    assert small[0].shape == (64, 48)


def test_missing_bisenet_weights_name_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        BisenetParser(tmp_path / "bisenet.pth")
    assert "pirctl models pull bisenet" in (caught.value.hint or "")
    assert "--parser geometry" in (caught.value.hint or "")


def test_a_file_that_is_not_bisenet_is_called_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "bisenet.pth"
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsCorrupt, match="not the weights of BiSeNet"):
        BisenetParser(path)
    torch.save({"some": torch.zeros(1)}, path)
    with pytest.raises(WeightsCorrupt, match="not the weights of BiSeNet"):
        BisenetParser(path)


def test_what_flickers_for_one_frame_is_gone_and_what_moves_stays() -> None:
    frames = np.zeros((12, 16, 16), np.uint8)
    frames[:, 2:6, 2:6] = NAMES["hair"]
    for number in range(12):
        frames[number, 8:12, number : number + 3] = NAMES["nose"]  # Moves a pixel a frame.
    frames[5:, 13:15, 10:14] = NAMES["cloth"]  # Comes and stays.
    clean = frames.copy()
    frames[4, 2:6, 2:6] = 0  # A hole for one frame.
    frames[7, 0, 0] = NAMES["skin"]  # A spark for one frame.
    frames[9, 3, 3] = NAMES["hat"]
    ours = list(without_flicker(iter(frames)))
    assert len(ours) == 12
    np.testing.assert_array_equal(np.stack(ours), clean)
    assert all(labels.dtype == np.uint8 for labels in ours)


def test_no_label_comes_for_one_frame_and_what_lasts_two_is_left_alone() -> None:
    frames = 8
    every = np.array(list(itertools.product(range(3), repeat=frames)), np.uint8).T[:, None]
    ours = np.stack(list(without_flicker(every)))
    blinks = (ours[:-2] == ours[2:]) & (ours[1:-1] != ours[:-2])
    assert not blinks.any()
    lasts = np.zeros(every.shape, bool)
    lasts[:-1] |= every[:-1] == every[1:]
    lasts[1:] |= every[1:] == every[:-1]
    np.testing.assert_array_equal(ours[lasts], every[lasts])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_clips_too_short_to_flicker_are_left_alone(count: int) -> None:
    frames = np.random.default_rng(0).integers(0, 19, (count, 4, 4)).astype(np.uint8)
    ours = list(without_flicker(frames))
    assert len(ours) == count
    np.testing.assert_array_equal(np.array(ours), np.array(list(frames)))


def test_label_maps_are_cleaned_as_a_stream() -> None:
    taken = []

    def maps() -> Iterator[np.ndarray]:
        for number in range(6):
            taken.append(number)
            yield np.full((2, 2), number, np.uint8)

    stream = without_flicker(maps())
    assert next(stream).max() == 0
    assert taken == [0, 1]


def test_frames_parsed_together_get_the_labels_they_get_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.face.parsing._NETWORK_SIZE_PX", 64)
    torch.save(facexlib_bisenet()(num_class=19).state_dict(), tmp_path / "bisenet.pth")
    parser = BisenetParser(tmp_path / "bisenet.pth")
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8))
    nowhere = np.zeros((3, 478, 2), np.float32)
    together = parser.parse(frames, nowhere)
    alone = [parser.parse([frame], nowhere[:1])[0] for frame in frames]
    assert all((a == b).mean() > 0.999 for a, b in zip(together, alone, strict=True))
    assert parser.parse([], nowhere[:0]) == []


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_bisenet_in_half_precision_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: torch.dtype
) -> None:
    monkeypatch.setattr("pirctl.face.parsing._NETWORK_SIZE_PX", 64)
    state = {f"module.{name}": each for name, each in facexlib_bisenet()(19).state_dict().items()}
    torch.save(state, tmp_path / "bisenet.pth")
    frames = list(np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8))
    nowhere = np.zeros((2, 478, 2), np.float32)
    parser = BisenetParser(tmp_path / "bisenet.pth", precision=precision)
    half = np.stack(parser.parse(frames, nowhere))
    assert {weight.dtype for weight in parser._network.parameters()} == {precision}
    whole = np.stack(BisenetParser(tmp_path / "bisenet.pth").parse(frames, nowhere))
    assert half.max() > 0
    assert (half == whole).mean() > 0.95
    alone = np.stack([parser.parse([frame], nowhere[:1])[0] for frame in frames])
    assert (half == alone).mean() > 0.99


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_bisenet_runs_in_half_precision_and_agrees(tmp_path: Path) -> None:
    torch.save(facexlib_bisenet()(num_class=19).state_dict(), tmp_path / "bisenet.pth")
    frames = list(np.random.default_rng(0).integers(0, 255, (4, 128, 128, 3), np.uint8))
    nowhere = np.zeros((4, 478, 2), np.float32)
    half = BisenetParser(tmp_path / "bisenet.pth", "cuda").parse(frames, nowhere)
    whole = BisenetParser(tmp_path / "bisenet.pth").parse(frames, nowhere)
    assert (np.stack(half) == np.stack(whole)).mean() > 0.9
