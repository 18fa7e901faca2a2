"""Which model files a preset needs, and how the small free ones come when they are first needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pirctl.progress import OnProgress, Progress, byte_text, ignore_progress
from pirctl.settings import Settings
from pirctl.weights import catalog, hub
from pirctl.weights.entry import WeightsEntry, WeightsState, is_offline
from pirctl.weights.pull import pull

Reader = Literal["preprocess", "audio", "face", "render"]

_PREPROCESS: tuple[Reader, ...] = ("preprocess",)
_AUDIO: tuple[Reader, ...] = ("audio",)


@dataclass(frozen=True, kw_only=True)
class Need:
    """A model file that a preset reads, from a video to a reenactment.

    Attributes:
        name: of the entry, or the hub's name of a model that is no entry.
        entry: of models/weights.yaml; None for a hub model that it does not list.
        revision: of a hub model that is no entry.
        read_by: "preprocess", or the stages of training.
        without: how to do without it.
        is_required: whether the preset's commands stop without it; else they say what they do.
    """

    name: str
    entry: WeightsEntry | None
    revision: str = ""
    read_by: tuple[Reader, ...]
    without: str
    is_required: bool = True

    @property
    def state(self) -> WeightsState:
        """Whether it is there, and right."""
        if self.entry is not None:
            return catalog.state_of(self.entry)
        missing = hub.find(self.name, self.revision) is None
        return WeightsState.MISSING if missing else WeightsState.HERE

    @property
    def comes_by_itself(self) -> bool:
        """Whether it is fetched when it is first needed, if it is missing."""
        return self.entry is not None and self.entry.at_first_use and not is_offline()


def needs(settings: Settings) -> list[Need]:
    """What a preset's commands read, the tracker's model first."""
    found = [
        _need("face_landmarker", _PREPROCESS, "preprocess --landmarks FILE"),
        _need("bisenet", _PREPROCESS, "preprocess --parser geometry", is_required=False),
    ]
    if settings.loss.perceptual:
        without, is_required = (
            "train --set loss.perceptual=0",
            not settings.loss.perceptual_if_there,
        )
        found.append(_need(vgg16_entry(), ("face", "render"), without, is_required=is_required))
    speech = settings.speech
    if speech.encoder == "whisper":
        found += _speech_model(speech.whisper_model, "")
    elif speech.encoder == "wav2vec2":
        found += _speech_model(speech.model, speech.revision)
    return found


def vgg16_entry() -> str:
    """Which file VGG16 is read from: torchvision's if it is there, else the small one of LPIPS."""
    return "vgg16" if catalog.weights_entry("vgg16").is_here else "lpips_vgg16"


def _speech_model(model: str, revision: str) -> list[Need]:
    """A model of a setting: a name in the list, a hub id, or a folder, which needs nothing."""
    without = "train --set speech.encoder=mel"
    if model in catalog.weights_entries():
        return [_need(model, _AUDIO, without)]
    if Path(model).expanduser().is_dir():
        return []
    entry = catalog.hub_entry(model)
    revision = revision or catalog.hub_revision(model)
    if entry is not None and entry.revision == revision:
        return [_need(entry.name, _AUDIO, without)]
    return [Need(name=model, entry=None, revision=revision, read_by=_AUDIO, without=without)]


def _need(
    name: str, read_by: tuple[Reader, ...], without: str, *, is_required: bool = True
) -> Need:
    return Need(
        name=name,
        entry=catalog.weights_entry(name),
        read_by=read_by,
        without=without,
        is_required=is_required,
    )


def fetch_for(
    settings: Settings, readers: Collection[str], on_progress: OnProgress = ignore_progress
) -> None:
    """`fetch_at_first_use` for those model files of a preset that some readers need.

    Args:
        settings: the preset's.
        readers: as `Need.read_by` names them.
        on_progress: receives what is fetched, and the bytes.

    Raises:
        WeightsError: one could not be fetched.
    """
    for need in needs(settings):
        if need.entry is not None and not set(need.read_by).isdisjoint(readers):
            fetch_at_first_use(need.name, on_progress)


def fetch_at_first_use(name: str, on_progress: OnProgress = ignore_progress) -> None:
    """Fetch a model file that is missing, small and under a permissive licence.

    Any other is left to whoever needs it and says how to get it: a licence with conditions is for
    a person to read. So is everything under PIRCTL_OFFLINE=1.

    Args:
        name: of the entry in models/weights.yaml.
        on_progress: receives what is fetched, how large, whose and under which licence; then the
            bytes.

    Raises:
        WeightsError: it could not be fetched.
    """
    entry = catalog.weights_entry(name)
    if not entry.at_first_use or is_offline() or entry.is_here:
        return
    size = f"{byte_text(entry.bytes)}, " if entry.bytes else ""
    author = f"by {entry.author}, " if entry.author else ""
    line = f"{name}, for {entry.used_for}: {size}{author}licence {entry.licence}"
    on_progress(Progress(step=line, done=0, total=None, unit="bytes"))
    pull(entry, on_progress=on_progress)
