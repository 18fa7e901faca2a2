"""The whole of pirctl on a person that does not exist: no download, no GPU, some minutes.

Makes the synthetic speaker, prepares and trains a target from the first part of its video, lets
it say the last part, and measures the result against the truth. Each step is the function behind
the command of the same name; a second run reuses the steps that are finished.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pirctl import config
from pirctl.demo.synthetic.speaker import SpeakerFiles, make_speaker
from pirctl.device import peak_bytes, select_device
from pirctl.dub.inputs import OutputFiles
from pirctl.dub.reenact import reenact
from pirctl.errors import SettingsError
from pirctl.evaluate.evaluate import evaluate
from pirctl.evaluate.result import EvaluateReport
from pirctl.files import atomic_file, check_writable
from pirctl.perform.actor import load_actor
from pirctl.prepare.options import OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.preprocess import preprocess
from pirctl.progress import OnProgress, Stopwatch, ignore_progress
from pirctl.settings import STAGES, Settings
from pirctl.target import Target
from pirctl.training.stages import run

NAME = "speaker"
"""Name of the demo's target."""

_HOLDOUT_S = 10.0
_HOLDOUT_SHARE = 0.35  # of a clip so short that ten seconds would be too much
_LEAST_S = 4.0


@dataclass(frozen=True, kw_only=True)
class DemoStep:
    """One step and what it cost.

    Attributes:
        name: of the step.
        seconds: wall time.
        reused: whether it was finished already.
    """

    name: str
    seconds: float
    reused: bool


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """What the demo made.

    Attributes:
        folder: where everything is.
        preset: preset trained with.
        clip_s: length of the synthetic video.
        steps: the steps in order.
        seconds: wall time in all.
        peak_memory_bytes: most memory of this process plus the largest one it started.
        video: the target saying the held-out speech, in the original shot.
        evaluation: scores and contact sheet.
    """

    folder: Path
    preset: str
    clip_s: float
    steps: tuple[DemoStep, ...]
    seconds: float
    peak_memory_bytes: int
    video: Path
    evaluation: EvaluateReport

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        mapping = asdict(self) | {"folder": str(self.folder), "video": str(self.video)}
        return mapping | {"evaluation": self.evaluation.to_mapping()}


def demo(
    folder: Path,
    *,
    seconds: float,
    preset: str,
    overrides: Sequence[str] = (),
    device: str | None = None,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
) -> DemoReport:
    """Run every command on the synthetic speaker.

    Args:
        folder: where everything goes.
        seconds: length of the synthetic video; its last 10 s (or third, if shorter) are held out.
        preset: preset to train with.
        overrides: settings as `section.key=value`, on top of the preset.
        device: where to compute; the best there is if None.
        seed: of the synthetic speaker.
        on_progress: is told about everything.

    Raises:
        SettingsError: the clip is too short, or a setting is wrong.
        PirctlError: whatever a step may raise.
    """
    if seconds < _LEAST_S:
        raise SettingsError(
            f"a speaker of {seconds:g} s is too short to learn from",
            hint=f"--seconds {_LEAST_S:g} or more",
        )
    start = time.perf_counter()
    holdout_s = min(_HOLDOUT_S, _HOLDOUT_SHARE * seconds)
    settings = config.load(preset, [f"train.holdout_s={holdout_s:g}", *overrides])
    where = select_device(device)
    check_writable(folder / "report.json")
    diary = _Diary()
    with diary.step("synthetic speaker") as note:
        files, note.reused = _speaker(folder / NAME, seconds, holdout_s, seed, on_progress)
    with diary.step("preprocess") as note:
        prepared = preprocess(
            files.video,
            settings=settings,
            tracker=TrackerOptions(landmarks=files.landmarks),
            parser=ParserOptions(name="geometry"),
            output=OutputOptions(name=NAME, workspace=folder / "targets", preset=preset),
            on_progress=on_progress,
        )
        note.reused = prepared.up_to_date
    target = prepared.target
    _train(diary, target, settings, where, on_progress)
    with diary.step("loading"):
        actor = load_actor(target, device)
    made_from = [target.stage_folder(stage) / "checkpoint" / "about.json" for stage in STAGES]
    video = folder / f"{NAME}_{files.heldout_audio.stem}.mp4"
    with diary.step("reenact") as note:
        note.reused = _is_newer(video, [*made_from, files.heldout_audio])
        if not note.reused:
            reenact(
                target, files.heldout_audio, OutputFiles(video=video, force=True), actor=actor,
                on_progress=on_progress,
            )  # fmt: skip
    with diary.step("evaluate"):
        evaluation = evaluate(actor, folder / "evaluation", on_progress=on_progress)
    report = DemoReport(
        folder=folder,
        preset=preset,
        clip_s=seconds,
        steps=diary.steps,
        seconds=time.perf_counter() - start,
        peak_memory_bytes=peak_bytes(with_children=True),
        video=video,
        evaluation=evaluation,
    )
    with atomic_file(folder / "report.json") as path:
        path.write_text(json.dumps(report.to_mapping(), indent=2) + "\n", encoding="utf-8")
    return report


class _Note:
    reused = False


class _Diary:
    """Times the steps."""

    def __init__(self) -> None:
        self._watch = Stopwatch()
        self._notes: dict[str, _Note] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[_Note]:
        note = self._notes[name] = _Note()
        with self._watch.part(name):
            yield note

    @property
    def steps(self) -> tuple[DemoStep, ...]:
        return tuple(
            DemoStep(name=name, seconds=seconds, reused=self._notes[name].reused)
            for name, seconds in self._watch.seconds.items()
        )


def _speaker(
    folder: Path, seconds: float, holdout_s: float, seed: int, on_progress: OnProgress
) -> tuple[SpeakerFiles, bool]:
    """Make the speaker, or find it as an earlier run with the same numbers made it."""
    recipe_path = folder / "recipe.json"
    recipe = {"seconds": seconds, "holdout_s": holdout_s, "seed": seed}
    if recipe_path.is_file() and json.loads(recipe_path.read_text(encoding="utf-8")) == recipe:
        return SpeakerFiles.in_folder(folder), True
    recipe_path.unlink(missing_ok=True)  # It says that the files are complete.
    files = make_speaker(
        folder, seconds=seconds, holdout_s=holdout_s, seed=seed, on_progress=on_progress
    )
    with atomic_file(recipe_path) as path:
        path.write_text(json.dumps(recipe), encoding="utf-8")
    return files, False


def _train(
    diary: _Diary, target: Target, settings: Settings, device: torch.device, on_progress: OnProgress
) -> None:
    for stage in STAGES:
        with diary.step(f"train {stage}") as note:
            report = run(stage, target, settings, device=device, on_progress=on_progress)
            note.reused = report.stages[0].new_steps == 0


def _is_newer(path: Path, sources: Sequence[Path]) -> bool:
    if not path.is_file():
        return False
    written = path.stat().st_mtime
    return all(source.stat().st_mtime <= written for source in sources)
