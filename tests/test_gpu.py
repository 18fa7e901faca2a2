"""Training, resuming and reenacting on a real card: `make test-gpu`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.dub.inputs import OutputFiles
from pirctl.dub.reenact import reenact
from pirctl.media import read_frames
from pirctl.perform.actor import load_actor
from pirctl.progress import Progress
from pirctl.settings import STAGES, Settings
from pirctl.target import Target
from pirctl.training import run
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CARD = torch.device("cuda", 0)


def in_bfloat16() -> Settings:
    return tiny_settings(precision="bfloat16")


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = make_target(tmp_path_factory.mktemp("gpu") / "bob", disc())
    run("all", target, in_bfloat16(), device=CARD)
    return target.folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Target:
    return Target(Path(shutil.copytree(_trained, tmp_path / "bob")))


def test_every_stage_is_trained_on_the_card(tmp_path: Path) -> None:
    target = make_target(tmp_path / "bob", disc())
    torch.cuda.reset_peak_memory_stats(CARD)
    report = run("all", target, in_bfloat16(), device=CARD)
    assert [stage.new_steps > 0 for stage in report.stages] == [True] * len(STAGES)
    assert all(np.isfinite(stage.loss) for stage in report.stages)
    assert torch.cuda.max_memory_allocated(CARD) > 2**20


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_stage_goes_on_as_if_it_had_not_stopped(stage: str, trained: Target) -> None:
    def stop(report: Progress) -> None:
        if report.step == f"training {stage}" and report.done == 2:
            raise KeyboardInterrupt

    (whole,) = run(stage, trained, in_bfloat16(), device=CARD, restart=True).stages
    with pytest.raises(KeyboardInterrupt):
        run(stage, trained, in_bfloat16(), device=CARD, restart=True, on_progress=stop)
    (rest,) = run(stage, trained, in_bfloat16(), device=CARD).stages
    assert rest.new_steps == whole.steps - 2
    # Sums on the card are not in a fixed order.
    assert rest.loss == pytest.approx(whole.loss, rel=0.05)


def test_what_was_trained_on_the_card_goes_on_without_one(trained: Target) -> None:
    settings = in_bfloat16()
    more = replace(settings.train.audio, epochs=settings.train.audio.epochs + 2)
    settings = replace(settings, train=replace(settings.train, audio=more))
    (report,) = run("audio", trained, settings, device=torch.device("cpu")).stages
    assert report.new_steps > 0


def test_card_and_processor_paint_the_same_video(trained: Target, tmp_path: Path) -> None:
    shown = {}
    for device in ("cuda", "cpu"):
        output = tmp_path / f"{device}.mp4"
        files = OutputFiles(video=output, picture="crop")
        reenact(trained, trained.audio_path, files, actor=load_actor(trained, device))
        shown[device] = np.stack(list(read_frames(output))).astype(np.float32)
    assert shown["cuda"].shape == shown["cpu"].shape
    # bfloat16 on the card, and the encoder of the video.
    assert np.abs(shown["cuda"] - shown["cpu"]).mean() < 2
