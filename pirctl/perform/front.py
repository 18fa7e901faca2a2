"""What is in front of a target's face stays in front: looked for once, and kept beside the target.

TARGET/look.safetensors        how the person looks (`look`)
TARGET/occlusion.safetensors   what is in front of them in the target's own frames (`occlusion`)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pirctl.face.model import FaceModel
from pirctl.face.unwrap import Sheets, Unwrap
from pirctl.files import atomic_file
from pirctl.media import read_frames
from pirctl.perform.look import Look, learn_look
from pirctl.perform.occlusion import Numbered, Occlusion, Visibility, find_occlusion
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.target import Target, Track

FORMAT = 1
"""Counted up whenever the same footage gives another look, or other areas."""
LOOK_FILE, OCCLUSION_FILE = "look.safetensors", "occlusion.safetensors"
FRAMES = 120
"""Frames that a look is learnt from, at most."""
FEWEST = 16
"""Frames without which nothing is known of a look."""
_SEEK_FROM = 16  # Frames between two that are wanted, from which seeking is faster than reading.

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T", Look, Occlusion)


class Front:
    """Finds what is in front of the face of a target's person.

    Args:
        target: of the person.
        model: the face model that it was fitted with.
    """

    def __init__(self, target: Target, model: FaceModel) -> None:
        self._target = target
        self._model = model

    def own(self, on_progress: OnProgress = ignore_progress) -> Visibility:
        """How much of the face is seen in the target's own frames."""
        track, path = self._target.track(), self._target.folder / OCCLUSION_FILE
        known = _read(path, self._key(), Occlusion)
        if known is None:
            frames = enumerate(read_frames(self._target.frames_path))
            known = self.find(track, frames, on_progress)
            _write(path, self._key(), vars(known))
        return self.visibility(track, self._target.about.size_px, known)

    def find(
        self, track: Track, frames: Numbered, on_progress: OnProgress = ignore_progress
    ) -> Occlusion:
        """Look for what is in front of the person in some frames.

        Args:
            track: of the frames.
            frames: those that matter, and `occlusion.NEIGHBOURS` on either side, in rising order.
            on_progress: is told about every frame.
        """
        look = self._look()
        if look is None:
            return Occlusion.nothing()
        seen = _counted(frames, track.frames, on_progress)
        return find_occlusion(seen, track.valid, Unwrap(self._model, track), look)

    def visibility(self, track: Track, size_px: int, occlusion: Occlusion) -> Visibility:
        """How much of the face is seen in the frames (size_px, size_px) of a track."""
        return Visibility(occlusion, Unwrap(self._model, track), size_px)

    def _look(self) -> Look | None:
        """The person's look; None: there is too little footage to say."""
        path = self._target.folder / LOOK_FILE
        look = _read(path, self._key(), Look)
        if look is not None:
            return look
        track = self._target.track()
        usable = np.flatnonzero(track.valid)
        if len(usable) < FEWEST:
            return None
        rows = usable[np.unique(np.linspace(0, len(usable) - 1, FRAMES).astype(int))].tolist()
        unwrap = Unwrap(self._model, track)
        sheets = [unwrap.lay_out(frame[None], [number]) for number, frame in self._frames(rows)]
        seen = Sheets(
            pixels=np.concatenate([one.pixels for one in sheets]),
            seen=np.concatenate([one.seen for one in sheets]),
        )
        look = learn_look(seen, unwrap.face)
        _write(path, self._key(), vars(look))
        return look

    def _frames(self, rows: list[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Some of the target's frames, by rising number."""
        path = self._target.frames_path
        if rows[-1] > _SEEK_FROM * len(rows):
            for row in rows:
                for frame in read_frames(path, start_frame=row, frames=1):
                    yield row, frame
            return
        wanted = set(rows)
        for number, frame in enumerate(read_frames(path, frames=rows[-1] + 1)):
            if number in wanted:
                yield number, frame

    def _key(self) -> str:
        """A hash of all that decides what is found."""
        about = self._target.about
        plain = [FORMAT, about.inputs, about.face_model_hash, about.size_px, about.frames]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _counted(
    frames: Numbered, total: int, on_progress: OnProgress
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for number, frame in frames:
        yield number, frame
        on_progress(Progress(step="looking for hands", done=number + 1, total=total))


def _write(path: Path, key: str, arrays: Arrays) -> None:
    """Write arrays, whole or not at all."""
    from safetensors.numpy import save

    with atomic_file(path) as temporary:
        whole = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        temporary.write_bytes(save(whole, metadata={"key": key}))


def _read(path: Path, key: str, kind: type[T]) -> T | None:
    """What `_write` wrote with this key; None: not there, damaged, or of something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            if (stored.metadata() or {}).get("key") != key:
                return None
            return kind(**{name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError):
        return None
