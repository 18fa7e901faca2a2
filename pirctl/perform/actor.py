"""A target that can perform: its track and its three trained stages, loaded and ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pirctl.device import select_device
from pirctl.face.masks import MaskPainter
from pirctl.face.model import FaceModel
from pirctl.face.warp import FaceWarp
from pirctl.networks.face import FaceNetwork
from pirctl.networks.inference import default_precision, prepare_inference
from pirctl.networks.renderer import Renderer
from pirctl.perform.blending import Blending
from pirctl.perform.expression import mouth_axes, speech_expression, speech_silence
from pirctl.perform.front import Front
from pirctl.perform.loading import (
    RenderStage,
    load_audio_stage,
    load_face_stage,
    load_render_stage,
    load_target_model,
)
from pirctl.perform.own import OwnExpressions
from pirctl.perform.painter import Brush, Inpainting, Painter
from pirctl.perform.poses import rest_expression
from pirctl.perform.references import Appearance
from pirctl.perform.windows import Windows
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import Settings
from pirctl.target import Target, Track
from pirctl.target.consent import check_consent

FloatArray = NDArray[np.float32]
Express = Callable[[Path], Iterator[FloatArray]]
"""Sound file -> chunks (t, E) of expressions, ceil(duration * frame rate) rows in all."""
Stage = Callable[[Track, float], Painter]
"""Track of other frames of this person, pixels of their shot per pixel of the track's crop -> what
paints those frames."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """What speech needs to become pictures of one person.

    Attributes:
        target: the target's folder.
        settings: those the render stage was trained with.
        painter: repaints frames.
        express: turns a sound file into expressions.
        silence: says how silent each row of these is, (T,) in [0, 1].
        on: paints other frames of this person than the target's.
        axis_names: names of the expression axes, in their order.
        mouth_axes: indices of the expression axes that speech moves.
        own: what the person's own expressions in the training part can say.
        training_frames: frames at the start of the clip that training has seen.
        front: finds what is in front of the face; None: nothing ever is.
    """

    target: Target
    settings: Settings
    painter: Painter
    express: Express
    silence: Callable[[Path], FloatArray]
    on: Stage
    axis_names: tuple[str, ...]
    mouth_axes: tuple[int, ...]
    own: OwnExpressions
    training_frames: int
    front: Front | None = None

    def minding_front(self, on_progress: OnProgress = ignore_progress) -> Actor:
        """The same, but what is in front of the face in the target's frames stays in front."""
        if self.front is None:
            return self
        return replace(self, painter=replace(self.painter, visible=self.front.own(on_progress)))

    @property
    def track(self) -> Track:
        """The fitted face of every frame of the clip."""
        return self.painter.track

    @property
    def rest(self) -> FloatArray:
        """The person's closed mouth (E,), as the training part shows it."""
        return rest_expression(self.track, self.training_frames)


def load_actor(target: Target, device: str | None = None) -> Actor:
    """Load the three trained stages of a target.

    Args:
        target: the target.
        device: name of the device; the best there is if None.

    Raises:
        CheckpointError: a stage is not trained, damaged, or made for something else.
        SettingsError: this machine has no such device.
        TargetError: the person's consent was withdrawn.
    """
    check_consent(target.name, target.about)
    where = select_device(device)
    precision = default_precision(where)
    audio = load_audio_stage(target, where)
    face = load_face_stage(target, where)
    render = load_render_stage(target, where)
    about, track = target.about, target.track()
    model = load_target_model(target)
    training_frames = render.about.train_frames
    rest = rest_expression(track, training_frames)
    ready = prepare_inference(face.face, where, precision)
    on = _stage(render, ready, track, model, where)
    return Actor(
        target=target,
        settings=render.settings,
        painter=on(track, about.crop_side / about.size_px),
        express=lambda path: speech_expression(path, audio, track.z_id, rest),
        silence=lambda path: speech_silence(path, audio),
        on=on,
        axis_names=model.expression_names,
        mouth_axes=mouth_axes(model.expression_names),
        own=OwnExpressions(track, model, training_frames),
        training_frames=training_frames,
        front=Front(target, model),
    )


def _stage(
    render: RenderStage, face: FaceNetwork, track: Track, model: FaceModel, device: torch.device
) -> Stage:
    """What paints frames of the person of a target; `track` is the target's."""
    renderer = prepare_inference(render.renderer, device, default_precision(device))
    size, settings = render.about.size_px, render.settings
    appearance = None if render.bank is None else Appearance(render.bank, track, model, device)

    def on(scene: Track, shot_scale: float) -> Painter:
        masks = MaskPainter(model, scene.z_id, scene.K, size, settings.mask)

        def mask_of(number: int, z_exp: FloatArray) -> FloatArray:
            both = np.stack([scene.z_exp[number], z_exp])
            return masks.paint(scene.R[number], scene.t[number], both)

        brush: Brush
        if isinstance(renderer, Renderer):
            brush = Inpainting(
                track=scene,
                face=face,
                renderer=renderer,
                feature_size=settings.renderer.feature_size,
            )
        else:
            assert appearance is not None, "a blender is loaded with its bank"
            boxes = masks.largest_boxes(scene.R, scene.t, scene.z_exp)
            boxes[~scene.valid] = 0
            brush = Blending(
                track=scene,
                face=face,
                blender=renderer,
                appearance=appearance,
                windows=Windows(torch.from_numpy(boxes), size, renderer.cell_px),
                warp=FaceWarp(model, scene.z_id, scene.K),
                shot_scale=shot_scale,
            )
        return Painter(track=scene, face=face, brush=brush, mask_of=mask_of, device=device)

    return on
