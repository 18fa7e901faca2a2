"""What `preprocess` may be told, in four records: tracker, parser, fit and output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pirctl.face.search import FaceDetector
from pirctl.settings.choices import FaceModelName, FitName, ParserName, TrackerName


@dataclass(frozen=True, kw_only=True)
class TrackerOptions:
    """Where the landmarks of the face come from.

    Attributes:
        name: who finds the face; None is MediaPipe.
        model: MediaPipe's `face_landmarker.task`; None looks in the cache.
        landmarks: a landmark file to use in place of a tracker.
        detector: finds faces in place of the tracker that is named; stays open.
        face: which of several people, by the number of `find_people`; None: the most prominent.
    """

    name: TrackerName | None = None
    model: Path | None = None
    landmarks: Path | None = None
    detector: FaceDetector | None = None
    face: int | None = None


@dataclass(frozen=True, kw_only=True)
class ParserOptions:
    """What labels the pixels.

    Attributes:
        name: None is BiSeNet or BiSeNet V2, whose weights are in the cache, else "geometry".
        weights: `parsing_bisenet.pth`; None looks in the cache.
    """

    name: ParserName | None = None
    weights: Path | None = None


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The face model and what gives its coefficients.

    Attributes:
        face_model: "generic", or "bfm" once it is imported.
        method: the tracked landmarks, or the paper's regressor, which needs the face model "bfm"
            and its weights.
        weights: `epoch_20.pth` of the regressor; None looks in the cache.
    """

    face_model: FaceModelName = "generic"
    method: FitName = "landmarks"
    weights: Path | None = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The target folder that is made.

    Attributes:
        name: of the target; None takes the stem of the video's name.
        workspace: root of the targets; None is PIRCTL_WORKSPACE, else `./targets`.
        preset: its name, for the record.
        with_audio: whether to keep the sound, which training needs.
        consent: who agreed, for the record, in words or in a file; empty keeps what an earlier run
            recorded.
        force: make everything anew, also from another video, and drop trained stages.
    """

    name: str | None = None
    workspace: Path | str | None = None
    preset: str = ""
    with_audio: bool = True
    consent: str = ""
    force: bool = False
