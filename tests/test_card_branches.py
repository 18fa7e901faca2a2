"""What is done otherwise on a card than on a CPU, each on a card that is not there."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.bench.bench import bench
from pirctl.compat import facexlib_awing, facexlib_bisenet, facexlib_retinaface
from pirctl.dub import reenact as module
from pirctl.dub.reenact import OutputFiles, reenact
from pirctl.face.facexlib_tracker import FacexlibDetector
from pirctl.face.model import load_face_model
from pirctl.face.parsing import BisenetParser
from pirctl.media import write_sound
from pirctl.networks.face import FaceNetwork
from pirctl.training import planes as planes_module
from pirctl.training.footage import read_footage
from pirctl.training.planes import Planes
from tests.bench.test_bench import SMALL
from tests.fake_card import FREE_BYTES, fake_card
from tests.perform.actors import make_actor
from tests.targets import SIZE, disc, make_target, noise
from tests.training.clip import tiny_settings


class _StopError(Exception):
    pass


@pytest.mark.parametrize(
    ("device", "asked", "expected"), [("cpu", None, 4), ("cuda", None, 16), ("cuda", 3, 3)]
)
def test_a_card_paints_sixteen_frames_at_once_unless_told_otherwise(
    device: str,
    asked: int | None,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = make_target(tmp_path / "anna", noise(30))
    actor = make_actor(target)
    actor = replace(actor, painter=replace(actor.painter, device=torch.device(device)))
    write_sound(tmp_path / "speech.wav", np.full(16000, 0.1, np.float32), 16000)
    taken: list[int] = []

    def stream(*_: object, batch_size: int, **__: object) -> None:
        taken.append(batch_size)
        raise _StopError

    monkeypatch.setattr(module, "paint_stream", stream)
    output = OutputFiles(video=tmp_path / "out.mp4", picture="crop")
    with pytest.raises(_StopError):
        reenact(target, tmp_path / "speech.wav", output, actor=actor, batch_size=asked)
    assert taken == [expected]


def test_bench_on_a_card_waits_for_it_and_tells_its_name_and_its_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    with fake_card(monkeypatch) as device:
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _: calls.append("wait"))
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: calls.append("reset"))
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3 << 20)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some Card")
        report = bench(SMALL, device, repeats=2, batch_size=1, speech=False, video=False)
    assert (report.device, report.peak_memory_mb) == ("Some Card", 3.0)
    assert report.precision == "bfloat16"
    assert calls[0] == "reset"
    # A warm-up and two turns of five parts; nothing beside a busy thread, which is for CPUs.
    assert calls.count("wait") == 3 * 5
    assert report.frame_busy_ms is None


def test_bisenet_on_a_card_has_weights_of_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(facexlib_bisenet()(num_class=19).state_dict(), tmp_path / "bisenet.pth")
    frames = [np.zeros((64, 64, 3), np.uint8)] * 2
    with fake_card(monkeypatch) as device:
        parser = BisenetParser(tmp_path / "bisenet.pth", device)
        kinds = {(w.device.type, w.dtype) for w in parser._network.parameters()}
        maps = parser.parse(frames, np.zeros((2, 478, 2), np.float32))
    assert kinds == {("cuda", torch.float16)}
    assert [(each.shape, each.dtype) for each in maps] == [((64, 64), np.uint8)] * 2


def test_facexlib_on_a_card_sees_batches_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "faces.pth", tmp_path / "points.pth"
    torch.save(facexlib_retinaface().to_empty(device="cpu").state_dict(), files[0])
    torch.save({"state_dict": facexlib_awing().to_empty(device="cpu").state_dict()}, files[1])
    seen: list[torch.dtype | None] = []

    class Look(torch.nn.Module):
        """Notes the precision of the convolutions that it would do."""

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            kind = batch.device.type
            lower = torch.is_autocast_enabled(kind)
            seen.append(torch.get_autocast_dtype(kind) if lower else None)
            return batch

    with fake_card(monkeypatch) as device:
        detector = FacexlibDetector(*files, device)
        detector._run(Look(), torch.zeros(2, 3, 8, 8, device=device))
    plain = FacexlibDetector(*files)
    plain._run(Look(), torch.zeros(2, 3, 8, 8))
    assert seen == [torch.float16, None]
    assert plain.batch == 1 < detector.batch


def _planes(tmp_path: Path) -> Planes:
    target, model = make_target(tmp_path / "bob", disc()), load_face_model()
    settings = tiny_settings()
    cpu = torch.device("cpu")
    footage = read_footage(
        target, target.track(), 20, model, settings.mask, maps=("mask",), device=cpu
    )
    torch.manual_seed(3)
    face = FaceNetwork(settings.face, model.identity_width, model.expression_width, SIZE)
    return Planes(face, footage, settings)


def test_planes_that_do_not_fit_are_made_anew_and_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = _planes(tmp_path / "kept")
    monkeypatch.setattr(planes_module, "physical_bytes", lambda: 1000)
    with caplog.at_level(logging.INFO):
        anew = _planes(tmp_path / "anew")
    assert "planes of 20 frames do not fit in memory" in caplog.text
    assert kept._store is not None
    assert anew._store is None
    numbers = torch.tensor([17, 2, 2])
    # What is kept has the eight bits of bfloat16.
    torch.testing.assert_close(kept.of(numbers), anew.of(numbers), atol=0, rtol=2**-8)


@pytest.mark.parametrize(("free", "fits"), [(FREE_BYTES, True), (100_000, False)])
def test_on_a_card_its_own_memory_decides_whether_planes_are_kept(
    free: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planes_module, "physical_bytes", lambda: 1 << 50 if not fits else 0)
    planes = _planes(tmp_path)
    with fake_card(monkeypatch) as device:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (free, free))
        footage = planes._footage
        moved = {name: getattr(footage, name).to(device) for name in ("z_id", "z_exp")}
        there = Planes(
            planes._face.to(device), replace(footage, device=device, **moved), tiny_settings()
        )
        made = there.of(torch.tensor([3, 9]))
        assert made.device.type == "cuda"
        assert (there._store is not None) == fits
        if there._store is not None:
            assert (there._store.device.type, there._store.dtype) == ("cuda", torch.bfloat16)
