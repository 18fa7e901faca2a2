"""The target folder: what `preprocess` writes about a person and the other commands read.

    target.yaml         what it was made from, and how (`TargetAbout`)
    frames.mkv          the cropped frames, 25 fps, seekable
    audio.wav           16 kHz mono; absent when the source has no sound
    track.safetensors   `Track`: landmarks and the fitted face, one row per frame
    parsing.mkv         the label of every pixel, lossless
    stages/<stage>/     checkpoint, resolved settings, log, preview

This module knows names and formats, not how the content comes about. Landmarks are in pixels of
the crop, pixel centres at +0.5; camera and model space are those of `pirctl.face.camera`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pirctl.errors import TargetError
from pirctl.files import atomic_file, file_hash
from pirctl.settings import STAGES
from pirctl.settings.strict import build, read_yaml, told
from pirctl.tensors import check_shape

FORMAT = 1
"""Number of the folder's format; an older number is migrated, a newer one refused."""

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TargetAbout:
    """What the target was made from, and how; `target.yaml` holds exactly these fields."""

    source: str
    """Path of the video, absolute."""
    source_sha256: str
    """Hash of the video file."""
    frame_rate: str
    """Frame rate of the source as a fraction, `30000/1001`; the frames here are at 25."""
    source_width: int
    """Width of the source in pixels, after rotation."""
    source_height: int
    """Height of the source in pixels, after rotation."""
    crop_x: float
    """Left edge of the square crop in source pixels; negative when it reaches outside."""
    crop_y: float
    """Top edge of the square crop in source pixels."""
    crop_side: float
    """Side of the square crop in source pixels."""
    size_px: int
    """Side of the crop as stored, in pixels."""
    frames: int
    """Frames in `frames.mkv`, `parsing.mkv` and the track."""
    has_audio: bool
    """Whether there is an `audio.wav`."""
    tracker: str
    """What found the landmarks: `mediapipe`, `facexlib`, or `file`."""
    face_model: str
    """Name of the face model fitted."""
    face_model_hash: str
    """Hash of the face model's content; a trained stage fits only the same one."""
    parser: str
    """What labelled the pixels: `bisenet` or `geometry`."""
    preset: str
    """Preset named when the target was made."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Digest of what each part was made from; an equal digest means nothing to redo."""
    source_bytes: int = 0
    """Size of the video file; with the next field, what tells an unchanged file without hashing."""
    source_mtime_ns: int = 0
    """When the video file was last written, nanoseconds since 1970."""
    source_stream: int | None = None
    """Number of the video file's stream that shows the person; null: the first that moves."""
    face: int | None = None
    """Number of the face it shows, of several in the video; null: the most prominent."""
    fit: str = "landmarks"
    """What gave the coefficients: `landmarks` or `deep3d`, the paper's regressor."""
    consent: str = ""
    """Who agreed to the use of this person's likeness: words, or the name of a file."""
    consent_sha256: str = ""
    """Hash of those words, or of that file."""
    consent_date: str = ""
    """The day it was recorded, in UTC: 2026-05-03."""
    consent_withdrawn: str = ""
    """The day it was withdrawn; the target has refused to perform since."""
    format: int = FORMAT
    """Number of the folder's format."""

    def is_source_unchanged(self) -> bool:
        """Whether the source video is where it was, and is the same."""
        source = Path(self.source)
        if not source.is_file():
            return False
        state = source.stat()
        if (state.st_size, state.st_mtime_ns) == (self.source_bytes, self.source_mtime_ns):
            return True  # Hashing an hour of video takes a while.
        return file_hash(source) == self.source_sha256


@dataclass(frozen=True, kw_only=True)
class Track:
    """The face of every frame: landmarks as seen, and the fitted model.

    Frames without a usable face have `valid` False; their rows are finite but mean nothing more
    than "about here".

    Attributes:
        landmarks: (T, L, 2) in pixels of the crop; L is 468 or 478. As tracked, or the bundled
            model's vertices where the tracker gave fewer points.
        valid: (T,) whether the frame has a usable face.
        z_id: (I,) identity coefficients in standard deviations.
        z_exp: (T, E) expression coefficients, 1 is full strength.
        R: (T, 3, 3) rotations camera from model.
        t: (T, 3) translations in dm, camera space.
        K: (3, 3) intrinsics in pixels of the crop.
        error_px: (T,) mean distance of tracked points and fit in pixels of the crop; NaN where not
            valid.
        tracked: (T, M, 2) in pixels of the crop, the 68 or 98 points of a sparse tracker; None
            where `landmarks` are as tracked.
    """

    landmarks: FloatArray
    valid: BoolArray
    z_id: FloatArray
    z_exp: FloatArray
    R: FloatArray
    t: FloatArray
    K: FloatArray
    error_px: FloatArray
    tracked: FloatArray | None = None

    def __post_init__(self) -> None:
        frames = len(self.valid)
        if self.tracked is not None:
            check_shape("tracked", self.tracked, frames, None, 2)
        check_shape("landmarks", self.landmarks, frames, None, 2)
        check_shape("valid", self.valid, frames)
        check_shape("z_id", self.z_id, None)
        check_shape("z_exp", self.z_exp, frames, None)
        check_shape("R", self.R, frames, 3, 3)
        check_shape("t", self.t, frames, 3)
        check_shape("K", self.K, 3, 3)
        check_shape("error_px", self.error_px, frames)

    @property
    def frames(self) -> int:
        """Frames T."""
        return len(self.valid)


_TRACK_NAMES = tuple(part.name for part in fields(Track))


@dataclass(frozen=True)
class Target:
    """A target folder on disk.

    Args:
        folder: the folder, `<workspace>/<name>`.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The name commands take as `--target`."""
        return self.folder.name

    @property
    def about_path(self) -> Path:
        """`target.yaml`."""
        return self.folder / "target.yaml"

    @property
    def frames_path(self) -> Path:
        """`frames.mkv`."""
        return self.folder / "frames.mkv"

    @property
    def parsing_path(self) -> Path:
        """`parsing.mkv`."""
        return self.folder / "parsing.mkv"

    @property
    def audio_path(self) -> Path:
        """`audio.wav`; there only when `about.has_audio`."""
        return self.folder / "audio.wav"

    @property
    def track_path(self) -> Path:
        """`track.safetensors`."""
        return self.folder / "track.safetensors"

    @property
    def about(self) -> TargetAbout:
        """Read `target.yaml`.

        Raises:
            TargetError: missing, not readable, or of another format.
        """
        return _read_about(self.about_path)

    def write_about(self, about: TargetAbout) -> None:
        """Write `target.yaml`."""
        text = yaml.safe_dump(asdict(about), sort_keys=False, allow_unicode=True)
        with atomic_file(self.about_path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def track(self) -> Track:
        """Read `track.safetensors`.

        Raises:
            TargetError: missing, corrupt or incomplete.
        """
        if not self.track_path.is_file():
            raise TargetError(
                f"{self.track_path}: not found, the target is incomplete",
                hint="pirctl preprocess VIDEO --force",
            )
        try:
            with safe_open(self.track_path, framework="np") as file:
                stored = set(file.keys()) | (set(_TRACK_NAMES) - {"tracked"})
                arrays: dict[str, Any] = {
                    name: file.get_tensor(name) for name in _TRACK_NAMES if name in stored
                }
            arrays["valid"] = arrays["valid"].astype(bool)
            return Track(**arrays)
        except (SafetensorError, ValueError) as error:
            raise TargetError(
                f"{self.track_path}: not a usable track ({error})",
                hint="pirctl preprocess VIDEO --force",
            ) from error

    def write_track(self, track: Track) -> None:
        """Write `track.safetensors`."""
        arrays = {}
        for name in _TRACK_NAMES:
            kind = np.uint8 if name == "valid" else np.float32
            if getattr(track, name) is not None:
                arrays[name] = np.ascontiguousarray(getattr(track, name), dtype=kind)
        with atomic_file(self.track_path) as temporary:
            # Through memory: its own file writing makes files only their owner may read.
            temporary.write_bytes(save(arrays, metadata={"format": str(FORMAT)}))

    def stage_folder(self, stage: str) -> Path:
        """Folder of a training stage, whether or not it is there yet."""
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r}, must be one of {', '.join(STAGES)}")
        return self.folder / "stages" / stage

    def trained_stages(self) -> list[str]:
        """The stages that have a checkpoint, in training order."""
        return [stage for stage in STAGES if (self.stage_folder(stage) / "checkpoint").is_dir()]


def _read_about(path: Path) -> TargetAbout:
    remake = "pirctl preprocess VIDEO --force"
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TargetError(f"{path}: not found, this is not a target", hint=remake) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TargetError(f"{path}: cannot be read ({error})", hint=remake) from error
    if not isinstance(content, dict):
        raise TargetError(f"{path}: expected keys and values", hint=remake)
    number = content.get("format", FORMAT)
    if isinstance(number, int) and number > FORMAT:
        raise TargetError(
            f"{path}: format {number} is newer than this program's ({FORMAT})",
            hint="update pirctl",
        )
    problems: list[str] = []
    about = build(TargetAbout, content, problems)
    if about is None:
        raise TargetError(f"{path}: {told(problems)}", hint=remake)
    return about
