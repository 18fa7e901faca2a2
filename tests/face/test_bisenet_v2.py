"""BiSeNet V2 in TensorFlow's arithmetic: padding, pooling, resizing, order of the tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from pirctl.errors import WeightsCorrupt, WeightsMissing
from pirctl.face import bisenet_v2
from pirctl.face.bisenet_v2 import (
    BisenetV2,
    _Convolution,
    bisenet_v2_weights,
    enlarge,
    from_tensorflow,
)
from pirctl.face.parsing import BisenetV2Parser
from pirctl.weights.catalog import weights_entry


def tensorflows() -> dict[str, np.ndarray]:
    """Random tensors under the names and in the layout of the TensorFlow version."""
    rng = np.random.default_rng(0)
    modules = dict(BisenetV2().named_modules())
    arrays = {}
    for ours, (theirs, kind) in bisenet_v2._names().items():
        outputs, inputs, height, width = modules[ours].weight.shape
        groups = modules[ours].groups
        shape = (height, width, inputs, outputs)
        if kind == "by channel":
            shape = (height, width, groups, outputs // groups)
        name = f"BiseNetV2/{theirs}"
        spread = (1.5 / (height * width * inputs)) ** 0.5
        kernel = rng.normal(0, spread, shape).astype(np.float32)
        arrays[f"{name}/W" if kind == "plain" else f"{name}_weights"] = kernel
        if kind != "plain":
            arrays[f"{name}_bn_offset"] = rng.normal(0, 0.1, outputs).astype(np.float32)
    norm = "BiseNetV2/semantic_branch/stage_5/ce_block_3_repeat_1/context_embedding_block/bn"
    for end in ("Scaled", "Offset"):
        arrays[f"{norm}/FusedBatchNormV3/{end}"] = rng.normal(1, 0.1, 128).astype(np.float32)
    return arrays


def same(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's convolution with SAME padding, one output pixel at a time; channels last."""
    side, (height, width, _) = kernel.shape[0], x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    pads = [
        (total // 2, total - total // 2)
        for total in (
            max(0, (rows - 1) * stride + side - height),
            max(0, (columns - 1) * stride + side - width),
        )
    ]
    x = np.pad(x, [*pads, (0, 0)])
    result = np.zeros((rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            part = x[i * stride : i * stride + side, j * stride : j * stride + side]
            result[i, j] = np.tensordot(part, kernel, 3)
    return result


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_a_convolution_is_padded_as_tensorflow_does(side: int, stride: int) -> None:
    rng = np.random.default_rng(1)
    picture, kernel = rng.normal(size=(8, 6, 4)), rng.normal(size=(side, side, 4, 5))
    convolution = _Convolution(4, 5, side, stride=stride, bias=False)
    convolution.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()).float()
    found = convolution(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float())
    expected = same(picture, kernel, stride).transpose(2, 0, 1)
    np.testing.assert_allclose(found[0].detach().numpy(), expected, atol=1e-4)


def test_a_kernel_of_one_channel_each_keeps_the_order_of_its_outputs() -> None:
    arrays = tensorflows()
    tensors = from_tensorflow(arrays)
    kernel = next(a for name, a in arrays.items() if a.shape == (3, 3, 16, 6))
    found = tensors["stages.0.expand.weight"]
    assert found.shape == (96, 1, 3, 3)
    # TensorFlow's output channel * 6 + m comes from that channel, by kernel m.
    np.testing.assert_array_equal(found[5 * 6 + 2, 0], kernel[:, :, 5, 2])


def test_the_names_cover_the_network_and_a_missing_tensor_is_told() -> None:
    arrays = tensorflows()
    network = BisenetV2()
    state = {name: torch.from_numpy(array) for name, array in from_tensorflow(arrays).items()}
    network.load_state_dict(state)
    arrays.popitem()
    with pytest.raises(KeyError, match="Offset"):
        from_tensorflow(arrays)


def test_enlarging_keeps_every_small_pixel_in_its_place() -> None:
    small = torch.tensor([[0.0, 8.0], [16.0, 24.0]])[None, None]
    large = enlarge(small, 4)[0, 0]
    assert large.shape == (8, 8)
    assert large[::4, ::4].tolist() == [[0, 8], [16, 24]]
    assert large[0].tolist() == [0, 2, 4, 6, 8, 8, 8, 8]
    assert large[:, 0].tolist() == [0, 4, 8, 12, 16, 16, 16, 16]


def test_averages_at_the_edge_count_what_is_there() -> None:
    """TensorFlow's average leaves the padding out."""
    ones = torch.ones(1, 1, 8, 8)
    pooled = torch.nn.functional.avg_pool2d(ones, 3, 2, ceil_mode=True)
    assert pooled.shape[-1] == 4
    assert torch.equal(pooled, torch.ones(1, 1, 4, 4))


def test_the_parser_labels_frames_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.face.parsing._NETWORK_SIZE_PX", 128)
    monkeypatch.setattr("pirctl.face.parsing.has_bfloat16", lambda device: False)
    tensors = from_tensorflow(tensorflows())
    save_file(tensors, tmp_path / "v2.safetensors")
    parser = BisenetV2Parser(tmp_path / "v2.safetensors")
    frame = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    (labels,) = parser.parse([frame], np.zeros((1, 478, 2), np.float32))
    network = BisenetV2().eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    with torch.inference_mode():
        picture = torch.from_numpy(frame / 127.5 - 1).permute(2, 0, 1)[None].float()
        expected = network(picture)[0].argmax(0).numpy()
    assert (labels != expected).mean() < 0.001  # The scale is rounded in another order.
    assert len(np.unique(labels)) > 2
    (small,) = parser.parse([frame[:64, :48]], np.zeros((1, 478, 2), np.float32))
    assert (small.shape, small.dtype) == ((64, 48), np.uint8)


def test_a_side_that_cannot_be_halved_five_times_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        BisenetV2()(torch.zeros(1, 3, 128, 100))


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "v2.safetensors")
    with pytest.raises(WeightsCorrupt, match="not the weights of BiSeNet V2") as caught:
        BisenetV2Parser(tmp_path / "v2.safetensors")
    assert caught.value.hint == "pirctl models pull bisenet_v2 --force"
    with pytest.raises(WeightsMissing):
        bisenet_v2_weights()


def test_the_real_weights_find_the_regions_of_a_real_face(shared: Path, users_cache: Path) -> None:
    from pirctl.media import read_frames

    if not weights_entry("bisenet_v2").is_here:
        pytest.skip("needs bisenet_v2 in the user's cache: pirctl models pull bisenet_v2")
    frame = next(read_frames(shared / "clips" / "anchor_german_20s.mp4", frames=1))
    (labels,) = BisenetV2Parser(bisenet_v2_weights()).parse(
        [frame], np.zeros((1, 478, 2), np.float32)
    )
    # A man in a suit without glasses, seen from the front.
    share = np.bincount(labels.ravel(), minlength=19) / labels.size
    assert share[6] == 0
    assert 0.05 < share[1] < 0.25
    assert share[16] > 0.2
    skin, mouth = np.argwhere(labels == 1), np.argwhere(np.isin(labels, (11, 12, 13)))
    assert mouth[:, 0].mean() > skin[:, 0].mean()
