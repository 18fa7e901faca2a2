"""The loop that every stage shares: steps, learning rate, averages, log, preview, checkpoints.

A stage says what it trains and what a step's losses are (`trainer`); the loop does the rest. A
step depends only on its number, the seed and the weights, so stopping and resuming changes
nothing: on the CPU the weights come out equal to the bit.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from pirctl import config
from pirctl.errors import TrainingDiverged
from pirctl.face.draw import write_image
from pirctl.files import atomic_file
from pirctl.progress import OnProgress, Progress
from pirctl.settings import Settings, StageSettings
from pirctl.target.checkpoint import CheckpointAbout, load_checkpoint, load_resume, save_checkpoint
from pirctl.training.averages import Averages, flat_state, load_flat_state
from pirctl.training.log import TrainingLog
from pirctl.training.memory import StepMemory, memory_of, spare_bytes
from pirctl.training.pace import Pace
from pirctl.training.preview import draw_losses, stack
from pirctl.training.schedule import (
    batch_positions,
    learning_rate,
    step_seed,
    steps_per_epoch,
    total_steps,
)
from pirctl.training.trainer import Trainer
from pirctl.training.watch import Watch

LOGGER = logging.getLogger(__name__)

LOG_EVERY = 10
"""Steps between two lines of log.jsonl; a line holds the means since the line before."""

_TRIAL_FROM_STEPS = 50
_TRIAL_STEPS = 2  # The first one warms up.


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What became of one stage.

    Attributes:
        stage: its name.
        steps: steps it has been trained for, in all.
        new_steps: steps taken now; 0 when it was trained already.
        seconds: wall time of this run.
        loss: running mean of the sum of the losses at the end.
        folder: where its checkpoint, log and preview lie.
    """

    stage: str
    steps: int
    new_steps: int
    seconds: float
    loss: float
    folder: Path

    @property
    def steps_per_s(self) -> float:
        """Speed of this run; 0 when nothing was to be done."""
        return self.new_steps / self.seconds if self.new_steps and self.seconds > 0 else 0.0


def train_stage(
    trainer: Trainer,
    *,
    folder: Path,
    settings: Settings,
    about: CheckpointAbout,
    device: torch.device,
    resume: bool,
    on_progress: OnProgress,
    memory: StepMemory | None = None,
) -> StageReport:
    """Train one stage to its end, from the start or from its checkpoint.

    Args:
        trainer: what to train.
        folder: the stage's folder.
        settings: the resolved settings.
        about: what does not change in the run; step, epoch and loss are filled in.
        device: where it computes.
        resume: continue from the checkpoint in `folder`.
        on_progress: told about every step.
        memory: measures what the trial steps take of `device`; its own measure if None.

    Raises:
        TrainingDiverged: a loss is no longer a number, or the first one went up for good; the last
            checkpoint is kept.
        KeyboardInterrupt: Ctrl-C, after a checkpoint has been written; the same holds for every
            other exception that is no error.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        memory = memory or memory_of(device)
        return _Run(trainer, folder, settings, about, device, on_progress, memory).train(resume)


class _Run:
    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        settings: Settings,
        about: CheckpointAbout,
        device: torch.device,
        on_progress: OnProgress,
        memory: StepMemory | None,
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.settings = settings
        self.stage: StageSettings = getattr(settings.train, trainer.stage)
        self.steps = total_steps(self.stage, trainer.samples)
        self.about = replace(about, total_steps=self.steps)
        self.device = device
        self.on_progress = on_progress
        self.memory = memory
        self.pace = Pace(self.steps, trainer.changes_at(self.steps))
        exported = {name: trainer.networks[name] for name in trainer.exported}
        self.averages = Averages(exported, self.stage.ema_half_life_steps)
        self.step = 0
        self.saved_step = -1
        self.loss = math.nan
        self.watch = Watch()
        self.log = TrainingLog(folder / "log.jsonl")

    def train(self, resume: bool) -> StageReport:
        """Take the steps that are left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self._resume()
        self.log.open(self.step)
        self._write_settings()
        for network in self.trainer.networks.values():
            network.train()
        if self.steps - self.step >= _TRIAL_FROM_STEPS:
            self._try_out()
            if self.memory is not None:
                self.trainer.settle(spare_bytes(self.memory, self.trainer.optimisers.values()))
        # What is planned, and the time that it will take, before it begins.
        self._tell("")
        first, started = self.step, time.monotonic()
        try:
            while self.step < self.steps:
                begun = time.monotonic()
                terms, rate = self._step()
                self.step += 1
                self._record(terms, rate, time.monotonic() - started, self.step - first)
                if self.step % self.settings.train.preview_every == 0 and self.step < self.steps:
                    self._preview()
                if self.step % self.settings.train.checkpoint_every == 0:
                    self._save()
                self.pace.took(self.step - 1, time.monotonic() - begun)
        except BaseException as stop:
            # Ctrl-C, or a signal that the command line turned into an exception: not an error.
            if not isinstance(stop, Exception):
                self._save()
            raise
        self._save()
        self._preview()
        return StageReport(
            stage=self.trainer.stage,
            steps=self.step,
            new_steps=self.step - first,
            seconds=time.monotonic() - started,
            loss=self.loss,
            folder=self.folder,
        )

    def _step(self) -> tuple[dict[str, float], float]:
        """Take step number `self.step`; its losses by name and the learning rate."""
        seed = self.settings.train.seed
        torch.manual_seed(step_seed(seed, self.step))
        rate = learning_rate(self.stage, self.step, self.steps)
        for optimiser in self.trainer.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("lr_multiplier", 1.0)
        samples, batch_size = self.trainer.samples, self.stage.batch_size
        positions = batch_positions(self.step, samples, batch_size, seed)
        seen: dict[str, float] = {}
        for phase in self.trainer.phases(positions, self.step, self.steps):
            seen.update(self._sound(phase.terms, watched=not seen))
            optimiser = self.trainer.optimisers[phase.optimiser]
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(phase.terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            if phase.clip is not None:
                parameters = [p for group in optimiser.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(parameters, phase.clip)
            optimiser.step()
        self.averages.update(self.step)
        return seen, rate

    def _sound(self, terms: Mapping[str, Tensor], *, watched: bool) -> dict[str, float]:
        """The losses by name, none of them wrong; the first one is watched over time as well."""
        # One transfer for all terms: on a GPU it waits for the forward pass only.
        values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
        named = dict(zip(terms, values, strict=True))
        for name, value in named.items():
            if not math.isfinite(value):
                raise self._diverged(f"the {name} loss is {value}")
        first = next(iter(named))
        if watched and self.watch.see(named[first]):
            raise self._diverged(
                f"the {first} loss has gone up from {self.watch.least:.3g} to {self.watch.mean:.3g}"
            )
        return named

    def _diverged(self, what: str) -> TrainingDiverged:
        stage = self.trainer.stage
        kept = "there is no checkpoint yet"
        if self.saved_step >= 0:
            kept = f"the checkpoint of step {self.saved_step} is kept"
        return TrainingDiverged(
            f"stage {stage}: {what} at step {self.step}; {kept}",
            hint=f"--set train.{stage}.learning_rate={self.stage.learning_rate / 2:g}, "
            "or --set train.precision=float32",
        )

    def _record(self, terms: dict[str, float], rate: float, seconds: float, new: int) -> None:
        total = sum(terms.values())
        self.loss = total if math.isnan(self.loss) else 0.95 * self.loss + 0.05 * total
        self.log.add(terms)
        if self.step % LOG_EVERY == 0 or self.step == self.steps:
            self.log.write(step=self.step, epoch=self._epoch(), learning_rate=rate, seconds=seconds)
        speed = new / seconds if seconds > 0 else 0.0
        self._tell(f"loss {self.loss:.4f}, {speed:.1f} steps/s")

    def _tell(self, note: str) -> None:
        self.on_progress(
            Progress(
                step=f"training {self.trainer.stage}",
                done=self.step,
                total=self.steps,
                unit="steps",
                note=note,
                left_s=self.pace.left_s(self.step),
            )
        )

    def _try_out(self) -> None:
        """Time and measure a step of every kind that is left to take, and leave no trace of it."""
        networks = copy.deepcopy(flat_state(self.trainer.networks))
        if self.memory is not None:
            self.memory.start()
        size = self.stage.batch_size
        for step in self.pace.kinds_left(self.step):
            positions = batch_positions(step, self.trainer.samples, size, self.settings.train.seed)
            for _ in range(_TRIAL_STEPS):
                begun = time.monotonic()
                for phase in self.trainer.phases(positions, step, self.steps):
                    torch.stack(list(phase.terms.values())).sum().backward()  # type: ignore[no-untyped-call]
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                self.pace.tried(step, time.monotonic() - begun)
        for optimiser in self.trainer.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        load_flat_state(self.trainer.networks, networks)

    def _epoch(self) -> float:
        return round(self.step / steps_per_epoch(self.trainer.samples, self.stage.batch_size), 3)

    def _save(self) -> None:
        """Write a checkpoint, unless this very step has one."""
        if self.saved_step == self.step:
            return
        resume: dict[str, Any] = {
            "step": self.step,
            "loss": self.loss,
            "watch": self.watch.state_dict(),
            "networks": flat_state(self.trainer.networks),
            "optimisers": {n: o.state_dict() for n, o in self.trainer.optimisers.items()},
        }
        save_checkpoint(
            self.folder / "checkpoint",
            weights=self.averages.state_dict(),
            resume=resume,
            settings=self.settings,
            about=replace(self.about, step=self.step, epoch=self._epoch(), loss=self.loss),
        )
        self.saved_step = self.step

    def _resume(self) -> None:
        folder = self.folder / "checkpoint"
        state = load_resume(folder)
        load_flat_state(self.trainer.networks, state["networks"])
        for name, optimiser in self.trainer.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.averages.load_state_dict(load_checkpoint(folder).weights)
        self.step = self.saved_step = int(state["step"])
        self.loss = float(state["loss"])
        self.watch.load_state_dict(state["watch"])
        LOGGER.info("stage %s continues at step %d", self.trainer.stage, self.step)

    def _preview(self) -> None:
        picture = self.trainer.preview(self.averages.networks)
        curves = draw_losses(self.log.curves(), width=picture.shape[1])
        write_image(self.folder / "preview.png", stack([picture, curves]))

    def _write_settings(self) -> None:
        text = yaml.safe_dump(config.to_mapping(self.settings), sort_keys=False)
        with atomic_file(self.folder / "settings.yaml") as temporary:
            temporary.write_text(text, encoding="utf-8")
