"""Make the synthetic speaker: a clip of a talking head with its sound and its truth beside it.

The clip's end says sentences that its beginning does not contain, so a network trained on the
first part can be judged on the last (`--holdout`). Everything follows from the seed.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from pirctl.demo.synthetic.performance import Performance, perform
from pirctl.demo.synthetic.scene import Rendering, Scene
from pirctl.demo.synthetic.speech import HELDOUT_SENTENCES, SENTENCES, join, talk
from pirctl.face.landmark_file import Landmarks, write_landmark_file
from pirctl.face.model import load_face_model
from pirctl.files import atomic_file
from pirctl.media import SYNTHETIC_COMMENT, VideoWriter, write_sound
from pirctl.progress import OnProgress, Progress, ignore_progress
from pirctl.settings import MediaSettings

FRAME_RATE = Fraction(MediaSettings.frame_rate)
"""Of the video: that of training, so that no frame is resampled."""
_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class SpeakerFiles:
    """What `make_speaker` writes.

    Attributes:
        video: H.264 and AAC, 25 frames per second.
        landmarks: true landmarks in pixels of the video, 468 mesh points and 10 of the irises.
        truth: z_id, z_exp, R, t, K (of the video's pixels) and closure; safetensors.
        parsing: true label map of every frame (BiSeNet's ids).
        audio: the whole sound.
        heldout_audio: the sound of the held-out end.
    """

    video: Path
    landmarks: Path
    truth: Path
    parsing: Path
    audio: Path
    heldout_audio: Path

    @classmethod
    def in_folder(cls, folder: Path) -> SpeakerFiles:
        """The names of the files in `folder`, whether or not they exist."""
        return cls(
            video=folder / "video.mp4",
            landmarks=folder / "landmarks.safetensors",
            truth=folder / "truth.safetensors",
            parsing=folder / "truth_parsing.mkv",
            audio=folder / "speech.wav",
            heldout_audio=folder / "speech_heldout.wav",
        )


def make_speaker(
    folder: Path,
    *,
    seconds: float,
    holdout_s: float,
    size_px: int = 512,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
) -> SpeakerFiles:
    """Render the speaker into `folder`, replacing the files of an earlier run.

    Args:
        folder: made if missing.
        seconds: length of the clip, at least one frame longer than `holdout_s`.
        holdout_s: how much of its end says new sentences; 0 writes no held-out sound.
        size_px: side of the square picture, even.
        seed: of the person, the room, the motion and the pauses.
        on_progress: told about frames.

    Raises:
        PirctlError: the folder cannot be written.
        ValueError: impossible lengths or sizes.
    """
    frames = round(seconds * FRAME_RATE)
    heldout = round(holdout_s * FRAME_RATE)
    if not 0 <= heldout < frames:
        raise ValueError(
            f"holdout_s is {holdout_s}, it must be shorter than the clip's {seconds} s"
        )
    if size_px < 64 or size_px % 2:
        raise ValueError(f"size_px is {size_px}, it must be even, 64 or more")
    folder.mkdir(parents=True, exist_ok=True)
    files = SpeakerFiles.in_folder(folder)
    rng = np.random.default_rng(seed)
    files.heldout_audio.unlink(missing_ok=True)
    parts = [talk(SENTENCES, (frames - heldout) / float(FRAME_RATE), rng)]
    if heldout:
        parts.append(talk(HELDOUT_SENTENCES, heldout / float(FRAME_RATE), rng))
        write_sound(files.heldout_audio, parts[1].samples, parts[1].rate_hz)
    speech = join(parts)
    write_sound(files.audio, speech.samples, speech.rate_hz)
    scene, z_id = make_scene(size_px, seed)
    acted = perform(scene, speech, frames, float(FRAME_RATE), rng)
    landmarks = _film(scene, acted, files, size_px, on_progress)
    tracked = Landmarks(
        points=landmarks,
        valid=np.ones(frames, bool),
        width=size_px,
        height=size_px,
        frame_rate=FRAME_RATE,
    )
    write_landmark_file(files.landmarks, tracked)
    _write_truth(files.truth, scene, z_id, acted)
    return files


def make_scene(size_px: int, seed: int) -> tuple[Scene, np.ndarray]:
    """The scene of a seed, and the (I,) identity of the person in it."""
    model = load_face_model()
    z_id = np.zeros(model.identity_width, np.float32)
    # The first axes only: they are the broad shapes that any two people differ in.
    first = min(12, model.identity_width)
    z_id[:first] = np.random.default_rng(seed + 5).normal(0, 0.5, first)
    return Scene(model, z_id, size_px, seed), z_id


def _film(
    scene: Scene, acted: Performance, files: SpeakerFiles, size_px: int, on_progress: OnProgress
) -> np.ndarray:
    """Render, write picture and labels, and return the landmarks (T, 478, 2)."""
    frames = len(acted.z_exp)
    landmarks = np.empty((frames, 478, 2), np.float32)
    with ExitStack() as stack:
        video = stack.enter_context(
            VideoWriter(
                files.video,
                size_px,
                size_px,
                FRAME_RATE,
                sound=files.audio,
                comment=SYNTHETIC_COMMENT,
                force=True,
            )
        )
        parsing = stack.enter_context(
            VideoWriter(files.parsing, size_px, size_px, FRAME_RATE, quality="labels", force=True)
        )
        for n, rendering in enumerate(render_frames(scene, acted)):
            video.write(rendering.picture)
            parsing.write(rendering.labels)
            landmarks[n] = rendering.landmarks
            on_progress(Progress(step="synthetic speaker", done=n + 1, total=frames))
    return landmarks


def render_frames(scene: Scene, acted: Performance) -> Iterator[Rendering]:
    """All frames of a performance in order, two rendered at a time; a few are in memory."""
    scenes: queue.SimpleQueue[Scene] = queue.SimpleQueue()
    for _ in range(_THREADS):
        scenes.put(scene.twin())

    def work(n: int) -> Rendering:
        mine = scenes.get()
        try:
            return mine.render(acted.z_exp[n], acted.R[n], acted.t[n])
        finally:
            scenes.put(mine)

    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[Rendering]] = deque()
        for n in range(len(acted.z_exp)):
            waiting.append(pool.submit(work, n))
            if len(waiting) > 2 * _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_truth(path: Path, scene: Scene, z_id: np.ndarray, acted: Performance) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "z_id": z_id,
        "z_exp": acted.z_exp,
        "R": acted.R,
        "t": acted.t,
        "K": scene.K,
        "closure": acted.closure,
    }
    about = {
        "face_model": scene.model.name,
        "face_model_hash": scene.model.version,
        "size_px": str(scene.size_px),
        "frame_rate": str(FRAME_RATE),
    }
    with atomic_file(path) as temporary:
        save_file(
            {k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata=about
        )
