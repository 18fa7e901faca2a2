from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pirctl.errors import TrainingDiverged
from pirctl.progress import Progress
from pirctl.settings import STAGES, Settings
from pirctl.target import Target
from pirctl.target.checkpoint import CheckpointAbout, load_about, load_checkpoint, load_resume
from pirctl.training import run
from pirctl.training.loop import train_stage
from pirctl.training.memory import StepMemory
from pirctl.training.trainer import Phase
from tests.training.card import Card
from tests.training.clip import tiny_settings

STEPS = 6


class Line:
    """Learns y = 2 x; its loss becomes NaN, or goes up for good, when asked to."""

    stage = "face"
    samples = 4
    exported = ("line",)

    def __init__(self, nan_at: int | None = None, up_from: int | None = None) -> None:
        torch.manual_seed(0)
        self.line = nn.Linear(1, 1)
        self.networks: Mapping[str, nn.Module] = {"line": self.line}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "line": torch.optim.Adam(self.line.parameters())
        }
        self.nan_at, self.up_from = nan_at, up_from
        self.spare: int | None = None

    def phases(self, positions: Tensor, step: int, steps: int) -> Iterator[Phase]:
        x = positions[:, None] + torch.randn(len(positions), 1)
        loss = (self.line(x) - 2 * x).square().mean()
        if self.up_from is not None and step >= self.up_from:
            loss = loss + 100
        extra = torch.tensor(math.nan if step == self.nan_at else 0.0)
        yield Phase(optimiser="line", terms={"fit": loss, "extra": extra}, clip=1.0)

    def changes_at(self, steps: int) -> int:
        return steps // 2

    def settle(self, spare_bytes: int) -> None:
        self.spare = spare_bytes

    def preview(self, averaged: Mapping[str, nn.Module]) -> np.ndarray:
        return np.zeros((8, 200, 3), np.uint8)


ABOUT = CheckpointAbout(
    stage="face",
    step=0,
    total_steps=0,
    epoch=0.0,
    loss=0.0,
    face_model="generic",
    face_model_hash="",
    source_sha256="",
    size_px=64,
    identity_width=1,
    expression_width=1,
    train_frames=4,
)


def _settings(epochs: int = 12, **train: Any) -> Settings:
    settings = tiny_settings(checkpoint_every=4, preview_every=5, **train)
    face = replace(settings.train.face, epochs=epochs, batch_size=2, learning_rate=0.05)
    return replace(settings, train=replace(settings.train, face=face))


def _train(
    trainer: Line,
    folder: Path,
    *,
    resume: bool = False,
    on_progress: Any = None,
    epochs: int = 12,
    memory: StepMemory | None = None,
) -> Any:
    return train_stage(
        trainer,
        folder=folder,
        settings=_settings(epochs),
        about=ABOUT,
        device=torch.device("cpu"),
        resume=resume,
        on_progress=on_progress or (lambda report: None),
        memory=memory,
    )


def test_it_learns_and_says_how(tmp_path: Path) -> None:
    seen: list[Progress] = []
    report = _train(Line(), tmp_path, on_progress=seen.append)
    assert (report.steps, report.new_steps) == (24, 24)
    assert [progress.done for progress in seen] == list(range(25))
    assert seen[-1].total == 24
    assert seen[-1].unit == "steps"
    assert "loss" in seen[-1].note
    assert "steps/s" in seen[-1].note
    lines = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 24]
    assert lines[-1]["fit"] < lines[0]["fit"]
    assert lines[0]["learning_rate"] > lines[-1]["learning_rate"]
    assert (tmp_path / "preview.png").read_bytes()[:4] == b"\x89PNG"


def test_a_stage_learns_what_its_steps_leave_of_the_device_before_the_first_one(
    tmp_path: Path,
) -> None:
    line, card = Line(), Card(free=1000, taken=500)
    seen: list[int | None] = []
    _train(line, tmp_path, memory=card, epochs=50, on_progress=lambda _: seen.append(line.spare))
    assert card.started_at_free == 1000
    # 550 for the steps, and two states for a weight and a bias of four bytes each.
    assert set(seen) == {1000 - 550 - 16}


def test_too_few_steps_to_try_out_take_nothing_for_good(tmp_path: Path) -> None:
    line = Line()
    _train(line, tmp_path, memory=Card(free=1000, taken=500))
    assert line.spare is None


def test_the_steps_and_the_time_are_said_before_the_first_step(tmp_path: Path) -> None:
    seen: list[Progress] = []
    _train(Line(), tmp_path, on_progress=seen.append, epochs=50)
    assert (seen[0].done, seen[0].total) == (0, 100)
    assert seen[0].left_s is not None
    assert 0 < seen[0].left_s < 10
    assert seen[-1].left_s == 0


def test_trying_out_a_step_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _train(Line(), tmp_path / "tried", epochs=50)
    monkeypatch.setattr("pirctl.training.loop._TRIAL_FROM_STEPS", 1000)
    _train(Line(), tmp_path / "not", epochs=50)
    tried, plain = (load_resume(tmp_path / name / "checkpoint") for name in ("tried", "not"))
    for name, weight in plain["networks"].items():
        assert torch.equal(tried["networks"][name], weight), name


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"extra loss is nan at step 6.*step 4 is kept") as (
        caught
    ):
        _train(Line(nan_at=6), tmp_path)
    assert "learning_rate" in str(caught.value.hint)
    assert load_about(tmp_path / "checkpoint").step == 4
    weights = load_checkpoint(tmp_path / "checkpoint").weights
    assert all(bool(weight.isfinite().all()) for weight in weights.values())


def test_a_loss_that_goes_up_for_good_stops(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"fit loss has gone up from .* at step 1[23]\d;"):
        _train(Line(up_from=130), tmp_path, epochs=100)


def test_ctrl_c_saves_first(tmp_path: Path) -> None:
    def stop(report: Progress) -> None:
        if report.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(Line(), tmp_path, on_progress=stop)
    about = load_about(tmp_path / "checkpoint")
    assert (about.step, about.total_steps, about.finished) == (3, 24, False)


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    def stop(report: Progress) -> None:
        if report.done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(Line(), tmp_path, on_progress=stop)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 999, "fit": 1}\n{"st')
    _train(Line(), tmp_path, resume=True)
    lines = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 24]


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    trainer = Line()
    torch.manual_seed(5)
    _train(trainer, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def _six_steps(stage: str) -> Settings:
    settings = tiny_settings()
    longer = replace(getattr(settings.train, stage), epochs=STEPS)
    return replace(settings, train=replace(settings.train, **{stage: longer}))


@pytest.mark.parametrize("stage", STAGES)
def test_stopping_and_resuming_changes_no_bit(
    stage: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pirctl.training.loop._TRIAL_FROM_STEPS", 1)
    if stage == "render":
        run("face", target, tiny_settings())
    folder = target.stage_folder(stage)
    run(stage, target, _six_steps(stage))
    at_once = load_checkpoint(folder / "checkpoint").weights
    trained_at_once = load_resume(folder / "checkpoint")

    def stop(report: Progress) -> None:
        if report.step == f"training {stage}" and report.done == STEPS // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stage, target, _six_steps(stage), restart=True, on_progress=stop)
    (report,) = run(stage, target, _six_steps(stage)).stages
    assert (report.steps, report.new_steps) == (STEPS, STEPS // 2)
    in_two = load_checkpoint(folder / "checkpoint").weights
    assert set(in_two) == set(at_once)
    for name, weight in at_once.items():
        assert torch.equal(in_two[name], weight), name
    networks = load_resume(folder / "checkpoint")["networks"]
    for name, weight in trained_at_once["networks"].items():
        assert torch.equal(networks[name], weight), name
