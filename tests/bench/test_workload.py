from __future__ import annotations

import torch

from pirctl.bench.workload import PictureNetworks, speech_networks
from pirctl.networks.ceiling import Ceiling
from tests.bench.test_bench import SMALL

CPU = torch.device("cpu")


def test_the_parts_one_by_one_make_the_same_frame_as_in_one_go() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        networks = PictureNetworks(SMALL, CPU, "float32", 2)
        frame = networks.make_frame(networks.make_feature(networks.make_planes()))
        assert frame.shape == (2, 3, 64, 64)
        assert torch.equal(networks.make_all(), frame)
        assert torch.equal(networks.make_frame(), frame)


def test_a_speech_encoder_feeds_its_decoder_without_any_weights_file() -> None:
    encoder, decoder = speech_networks(SMALL, CPU)
    assert not encoder.training
    assert not decoder.training
    assert Ceiling(CPU, "float32").run().isfinite().all()
