"""Measure people in clips, to build the bundled face model from: points and named strengths.

What is measured is kept in the user's own cache folder, never with the model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pirctl.face.landmarks import MESH_POINTS
from pirctl.face.model import ARKIT_NAMES

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Person:
    """What was measured of one clip.

    Attributes:
        name: the clip's stem.
        points: (N, 468, 3) model orientation (x to the subject's left, y up, z out), any scale.
        image: (N, 468, 2) pixels of the picture.
        scores: (N, 52) strengths in the order of ARKIT_NAMES; tongueOut is 0.
        size_px: longer side of the picture.
    """

    name: str
    points: Array
    image: Array
    scores: Array
    size_px: int


def measure(path: Path, tracker_model: Path, frames: int = 220) -> Person | None:
    """Track about `frames` evenly spread frames of a clip; None where hardly any has a face."""
    import cv2
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(tracker_model)),
        running_mode=vision.RunningMode.IMAGE,
        output_face_blendshapes=True,
        num_faces=1,
    )
    clip = cv2.VideoCapture(str(path))
    step = max(1, round(clip.get(cv2.CAP_PROP_FRAME_COUNT) / frames))
    points, scores, shape = [], [], (1, 1)
    with vision.FaceLandmarker.create_from_options(options) as tracker:
        index = 0
        while clip.grab():
            if index % step == 0:
                picture = np.ascontiguousarray(clip.retrieve()[1][:, :, ::-1])
                shape = picture.shape[:2]
                found = tracker.detect(
                    mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
                )
                if found.face_landmarks:
                    points.append([(p.x, p.y, p.z) for p in found.face_landmarks[0][:MESH_POINTS]])
                    named = {b.category_name: b.score for b in found.face_blendshapes[0]}
                    scores.append([named.get(name, 0.0) for name in ARKIT_NAMES])
            index += 1
    if len(points) < 20:
        logger.info("%s: a face in %d frames only, left out", path.name, len(points))
        return None
    height, width = shape
    # MediaPipe's z has the scale of x and grows away from the camera.
    pixels = np.asarray(points) * [width, height, width]
    return Person(
        name=path.stem,
        points=pixels * [1.0, -1.0, -1.0],
        image=pixels[..., :2],
        scores=np.asarray(scores),
        size_px=max(shape),
    )


def measure_all(clips: Path, tracker_model: Path, cache: Path | None) -> list[Person]:
    """Measure every clip of a folder, or read what an earlier run left in `cache`."""
    people = []
    for path in sorted(clips.glob("*.mp4")):
        stored = cache / f"{path.stem}.npz" if cache else None
        if stored and stored.exists():
            with np.load(stored) as kept:
                people.append(
                    Person(
                        name=path.stem,
                        points=kept["points"],
                        image=kept["image"],
                        scores=kept["scores"],
                        size_px=int(kept["size_px"]),
                    )
                )
            continue
        person = measure(path, tracker_model)
        if person is None:
            continue
        people.append(person)
        if stored:
            stored.parent.mkdir(parents=True, exist_ok=True)
            np.savez(stored, **{k: v for k, v in vars(person).items() if k != "name"})
    return people
