"""Choose who looks at the frames: tracker, parser of pixels, regressor of face coefficients.

What was asked for and is not there is an error that names every way out. What was not asked for
is chosen by what is there; the target records it, and the command line says it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pirctl.device import select_device
from pirctl.errors import SettingsError, WeightsMissing
from pirctl.face.bisenet_v2 import bisenet_v2_weights
from pirctl.face.deep3d import Deep3dNetwork, load_network
from pirctl.face.facexlib_tracker import FacexlibDetector
from pirctl.face.landmark_file import Landmarks, read_landmark_file
from pirctl.face.parsing import BisenetParser, BisenetV2Parser, GeometryParser, Parser
from pirctl.face.search import FaceDetector
from pirctl.face.track import MediapipeDetector
from pirctl.prepare.options import ParserOptions, TrackerOptions
from pirctl.progress import OnProgress, ignore_progress
from pirctl.weights.catalog import find_weights, weights_entry
from pirctl.weights.needs import fetch_at_first_use


def choose_detector(
    tracker: TrackerOptions, device: str | None, on_progress: OnProgress = ignore_progress
) -> FaceDetector:
    """The tracker's detector.

    Args:
        tracker: its name and model file.
        device: for facexlib's networks; None is a GPU if there is one.
        on_progress: told of MediaPipe's model, which is fetched when it is first needed.

    Raises:
        SettingsError: a model file for a tracker that takes none.
        WeightsMissing: a model file is not there.
        WeightsError: it could not be fetched.
    """
    model = tracker.model
    if tracker.name == "facexlib":
        if model is not None:
            raise SettingsError(
                f"--tracker-model {model} is MediaPipe's model, and the tracker is facexlib",
                hint="pirctl models import retinaface_resnet50 FILE, and awing likewise",
            )
        ways = "--tracker mediapipe, or give points with --landmarks FILE"
        pull = "retinaface_resnet50 awing"
        detection = _find("retinaface_resnet50", ways, pull)
        alignment = _find("awing", ways, pull)
        return FacexlibDetector(detection, alignment, select_device(device))
    ways = "--tracker-model FILE, or give points with --landmarks FILE"
    if model is None:
        fetch_at_first_use("face_landmarker", on_progress)
    return MediapipeDetector(model or _find("face_landmarker", ways))


@contextmanager
def open_points(
    tracker: TrackerOptions,
    device: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Iterator[Landmarks | FaceDetector]:
    """Where the points of a video come from: a file that has them, else what finds them.

    Args:
        tracker: a landmark file, else a detector, else the tracker to choose.
        device: as for `choose_detector`.
        on_progress: as for `choose_detector`.

    Raises:
        MediaError: the file is no landmark file.
        SettingsError: as `choose_detector`.
        WeightsMissing: as `choose_detector`.
    """
    if tracker.landmarks is not None:
        yield read_landmark_file(tracker.landmarks)
    elif tracker.detector is not None:
        yield tracker.detector
    else:
        with closing(choose_detector(tracker, device, on_progress)) as chosen:
            yield chosen


def choose_parser(parser: ParserOptions, device: str | None) -> Parser:
    """The parser; without a name the first whose weights are in the cache, else from landmarks.

    The networks' weights are fetched by name only, since their licences have conditions.

    Args:
        parser: its name and weights.
        device: for the networks; None is a GPU if there is one.

    Raises:
        WeightsMissing: the weights of what was asked for are not there.
        WeightsCorrupt: they are something else.
        SettingsError: a weights file for a parser that takes none.
    """
    name = parser.name
    if name is None:
        if parser.weights is not None or weights_entry("bisenet").is_here:
            name = "bisenet"
        else:
            name = "bisenet-v2" if weights_entry("bisenet_v2").is_here else "geometry"
    if name == "geometry":
        return GeometryParser()
    if name == "bisenet-v2":
        if parser.weights is not None:
            raise SettingsError(
                f"--parser-weights {parser.weights} is for bisenet, and the parser is {name}",
                hint="pirctl models pull bisenet_v2, which finds its own",
            )
        _find("bisenet_v2", "--parser geometry, which needs none")
        return BisenetV2Parser(bisenet_v2_weights(), select_device(device))
    path = parser.weights or _find("bisenet", "--parser geometry, which needs none")
    return BisenetParser(path, select_device(device))


def choose_regressor(weights: Path | None, device: str | None) -> Deep3dNetwork:
    """The paper's regressor of face coefficients.

    Args:
        weights: `epoch_20.pth`; None looks in the cache.
        device: where it runs; None is a GPU if there is one.

    Raises:
        WeightsMissing: its weights are not there.
        WeightsCorrupt: they are those of something else.
    """
    path = weights or _find("deep3d", "--fit landmarks, which needs none")
    return load_network(path, select_device(device))


def _find(name: str, ways_out: str, pull: str = "") -> Path:
    try:
        return find_weights(name)
    except WeightsMissing as error:
        raise WeightsMissing(
            error.message, hint=f"pirctl models pull {pull or name}, or {ways_out}"
        ) from error
