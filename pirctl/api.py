"""The whole of pirctl for programs and notebooks: a speaker, and a verb for every command.

    speaker = pirctl.load_target("obama")
    speaker.train()
    speaker.dub("video.mp4", "speech.wav")

Each verb takes the options of its command that programs need, prints nothing, and returns the
command's report; the rooms below (`pirctl.training`, `pirctl.dub`, ...) have the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from pirctl.device import select_device
from pirctl.dub.cast import Casting, settings_of
from pirctl.dub.cues import read_cues
from pirctl.dub.dub import Delivery, DubReport, Speech
from pirctl.dub.dub import dub as dub_video
from pirctl.dub.inputs import OutputFiles
from pirctl.dub.reenact import ReenactReport
from pirctl.dub.reenact import reenact as reenact_target
from pirctl.evaluate.evaluate import evaluate as evaluate_actor
from pirctl.evaluate.result import EvaluateReport
from pirctl.perform.actor import load_actor
from pirctl.prepare.options import OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.preprocess import preprocess
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import DEFAULT_PRESET
from pirctl.settings.choices import StageName
from pirctl.target import Target
from pirctl.target.lock import lock_target
from pirctl.target.workspace import find_target
from pirctl.training import TrainReport, run

AnyPath = Path | str


def load_target(name: str | None = None, workspace: AnyPath | None = None) -> Speaker:
    """A target that was preprocessed.

    Args:
        name: of the target; None: the only one that is there.
        workspace: folder of all targets; None: PIRCTL_WORKSPACE, else `./targets`.

    Raises:
        TargetError: there is none of that name, or not exactly one.
    """
    return Speaker(find_target(name, workspace))


def make_target(
    video: AnyPath,
    *,
    name: str | None = None,
    workspace: AnyPath | None = None,
    preset: str = DEFAULT_PRESET,
    changes: Sequence[str] = (),
    tracker: TrackerOptions | None = None,
    consent: str = "",
    on_progress: OnProgress = ignore_progress,
) -> Speaker:
    """Make a target of a video, as `pirctl preprocess` does.

    Args:
        video: a clip of one person, with sound.
        name: of the target; None: the file's.
        workspace: as for `load_target`.
        preset: name or YAML file; "auto": what this machine can train.
        changes: `section.key=value` on top of the preset.
        tracker: what finds the landmarks, or a file of them; None: MediaPipe's.
        consent: who agreed to this use, recorded with the target.
        on_progress: is told about every step.

    Raises:
        PirctlError: as `pirctl.prepare.preprocess.preprocess`.
    """
    from pirctl import config

    chosen, _ = config.choose_preset(preset)
    report = preprocess(
        Path(video),
        settings=config.load(chosen, changes),
        tracker=tracker or TrackerOptions(),
        parser=ParserOptions(),
        output=OutputOptions(name=name, workspace=workspace, preset=chosen, consent=consent),
        on_progress=on_progress,
    )
    return Speaker(report.target)


class Speaker:
    """One person that pirctl learnt, or will."""

    def __init__(self, target: Target) -> None:
        """Wrap a target's folder; nothing is loaded yet."""
        self.target = target

    def __repr__(self) -> str:
        """Name and trained stages."""
        trained = ", ".join(self.target.trained_stages()) or "nothing"
        return f"<Speaker {self.target.name!r}, trained: {trained}>"

    def train(
        self,
        stage: StageName = "all",
        *,
        preset: str = DEFAULT_PRESET,
        changes: Sequence[str] = (),
        restart: bool = False,
        device: str | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> TrainReport:
        """Train, from where it stopped.

        Args:
            stage: one of the three, or all of them in order.
            preset: name or YAML file; "auto": the target's own.
            changes: `section.key=value` on top of it, for example `train.holdout_s=5`.
            restart: throw away what was trained.
            device: where to compute; the best there is if None.
            on_progress: is told about every step.

        Raises:
            PirctlError: as `pirctl.training.run`.
        """
        casting = Casting(preset=preset, changes=tuple(changes), device=device)
        return run(
            stage, self.target, settings_of(self.target, casting),
            device=select_device(device), restart=restart, on_progress=on_progress,
        )  # fmt: skip

    def dub(
        self,
        video: AnyPath,
        audio: AnyPath | None = None,
        output: AnyPath | None = None,
        *,
        cues: AnyPath | None = None,
        offset_s: float = 0.0,
        keep_sound: int | None = None,
        force: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> DubReport:
        """Put new speech on this speaker's lips in a finished video; train first where needed.

        Args:
            video: the target's own source, or other footage of the same person.
            audio: the new speech for the whole video.
            output: the video to write; None: `VIDEO_dubbed` in the current folder.
            cues: who speaks when, in place of `audio` or beside it.
            offset_s: when the speech begins.
            keep_sound: number of the video's sound track that stays under the speech, from 1.
            force: replace an `output` that stands there.
            on_progress: is told about every step.

        Raises:
            PirctlError: as `pirctl.dub.dub.dub`.
        """
        speech = Speech(
            audio=None if audio is None else Path(audio),
            offset_s=Fraction(str(offset_s)),
            cues=() if cues is None else read_cues(Path(cues)),
            keep_sound=keep_sound,
        )
        casting = Casting(target=self.target.name, workspace=self.target.folder.parent)
        delivery = Delivery(video=None if output is None else Path(output), force=force)
        return dub_video(Path(video), speech, delivery, casting=casting, on_progress=on_progress)

    def reenact(
        self,
        audio: AnyPath,
        output: AnyPath | None = None,
        *,
        force: bool = False,
        device: str | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> ReenactReport:
        """Make a new take of the shot, as long as the speech.

        Args:
            audio: a file with speech.
            output: the video to write; None: `TARGET_SPEECH.mp4` in the current folder.
            force: replace an `output` that stands there.
            device: where to compute; the best there is if None.
            on_progress: is told about every batch.

        Raises:
            PirctlError: as `pirctl.dub.reenact.reenact`.
        """
        files = OutputFiles(video=None if output is None else Path(output), force=force)
        return reenact_target(
            self.target, Path(audio), files, device=device, on_progress=on_progress
        )

    def evaluate(
        self, *, device: str | None = None, on_progress: OnProgress = ignore_progress
    ) -> EvaluateReport:
        """Measure the trained target on the end of its clip, which training has not seen.

        Raises:
            PirctlError: as `pirctl.evaluate.evaluate.evaluate`.
        """
        with lock_target(self.target, "evaluate"):
            return evaluate_actor(load_actor(self.target, device), on_progress=on_progress)
