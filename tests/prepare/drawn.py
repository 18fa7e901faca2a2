"""A drawn face whose lips, sound and frames agree, with 'networks' that draw it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from pirctl.face.camera import FLIP, intrinsics, project, rotation_from_vector, transform
from pirctl.face.landmarks import LIPS_INNER, LIPS_OUTER
from pirctl.face.model import FaceModel
from pirctl.media.sound import read_sound
from pirctl.networks.pictures import to_network
from pirctl.perform.actor import Actor
from pirctl.perform.own import OwnExpressions
from pirctl.perform.painter import Inpainting, Painter
from pirctl.settings import MediaSettings, Settings
from pirctl.target import Target, Track

SIZE = 192
SAMPLES = 640
"""Of sound per frame; the loudness of a frame's sound is the jaw's coefficient."""


def make_track(model: FaceModel, frames: int, seed: int = 4) -> Track:
    """A head that moves a little and a mouth that moves a lot."""
    rng = np.random.default_rng(seed)
    z_exp = np.zeros((frames, model.expression_width), np.float32)
    for name, most in (("jawOpen", 0.6), ("mouthPucker", 0.5), ("mouthSmileLeft", 0.4)):
        z_exp[:, model.axis(name)] = rng.uniform(0, most, frames)
    z_id = np.zeros(model.identity_width, np.float32)
    R = FLIP @ rotation_from_vector(torch.from_numpy(rng.normal(0, 0.06, (frames, 3))).float())
    t = torch.from_numpy(rng.normal(0, 0.1, (frames, 3))).float() + torch.tensor([0.0, 0.0, 8.0])
    K = intrinsics(2.2 * SIZE, SIZE)
    vertices = model.vertices(torch.from_numpy(z_id), torch.from_numpy(z_exp))
    return Track(
        landmarks=project(transform(R, t, vertices), K).numpy(),
        valid=np.ones(frames, bool),
        z_id=z_id,
        z_exp=z_exp,
        R=R.numpy(),
        t=t.numpy(),
        K=K.numpy(),
        error_px=np.zeros(frames, np.float32),
    )


def draw(landmarks: np.ndarray) -> np.ndarray:
    """Skin, lips, and the dark inside of the mouth; a little soft and rough."""
    frame = np.full((SIZE, SIZE, 3), (205, 160, 140), np.uint8)
    for ring, colour in ((LIPS_OUTER, (170, 80, 80)), (LIPS_INNER, (40, 10, 10))):
        points = np.rint(landmarks[list(ring)] * 16 - 8).astype(np.int32)
        cv2.fillPoly(frame, [points], colour, lineType=cv2.LINE_AA, shift=4)
    noise = np.random.default_rng(int(landmarks[0, 0] * 1000)).normal(0, 3, frame.shape)
    return np.clip(cv2.GaussianBlur(frame, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)


class DrawingFace:
    """Draws the whole picture for pose and expression, as the implicit face and as I_F."""

    def __init__(self, model: FaceModel) -> None:
        self.model = model

    def feature_image(self, z_id, z_exp, R, t, K, size=None):
        vertices = self.model.vertices(z_id, z_exp)
        landmarks = project(transform(R, t, vertices), K).numpy()
        images = np.stack([draw(points) for points in landmarks])
        return to_network(torch.from_numpy(images))

    def upsample(self, feature_image):
        return feature_image


def make_actor(target: Target, model: FaceModel, training_frames: int) -> Actor:
    """An actor that hears the jaw in the sound and paints a perfect picture of it."""
    jaw, track = model.axis("jawOpen"), target.track()

    def express(path: Path) -> Iterator[np.ndarray]:
        loudness = read_sound(path, 16000)[SAMPLES // 2 :: SAMPLES]
        chunk = np.zeros((len(loudness), model.expression_width), np.float32)
        chunk[:, jaw] = loudness
        yield chunk

    def mask_of(number: int, z_exp: np.ndarray) -> np.ndarray:
        mask = np.zeros((SIZE, SIZE), np.float32)
        points = np.rint(track.landmarks[number][list(LIPS_OUTER)]).astype(np.int32)
        cv2.fillPoly(mask, [points], 1.0)
        return cv2.dilate(mask, np.ones((25, 25)))

    face = DrawingFace(model)
    painter = Painter(
        track=track,
        face=face,
        brush=Inpainting(
            track=track, face=face, renderer=lambda masked, feature: feature, feature_size=SIZE
        ),
        mask_of=mask_of,
        device=torch.device("cpu"),
    )
    return Actor(
        target=target,
        settings=Settings(media=MediaSettings(size_px=SIZE)),
        painter=painter,
        express=express,
        silence=lambda path: np.zeros(len(next(express(path))), np.float32),
        on=lambda track, _: replace(
            painter, track=track, brush=replace(painter.brush, track=track)
        ),
        axis_names=model.expression_names,
        mouth_axes=(jaw,),
        own=OwnExpressions(track, model, training_frames),
        training_frames=training_frames,
    )
