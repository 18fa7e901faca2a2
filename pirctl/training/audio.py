"""The audio stage: speech to expression coefficients.

Source: Huang et al. 2023 (PIR), section 3.1; Fan et al. 2022 (FaceFormer), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pirctl.media import read_sound
from pirctl.networks.ensemble import Audio2ExpEnsemble
from pirctl.settings import Settings
from pirctl.speech.encoder import FloatArray, SpeechEncoder
from pirctl.target import Target, Track
from pirctl.training.precision import autocast
from pirctl.training.preview import draw_signals
from pirctl.training.statistics import coefficient_statistics
from pirctl.training.trainer import Phase, adam

_PREVIEW_FRAMES = 250
_PREVIEW_AXES = 3
_PREVIEW_WIDTH = 768
_CLIP = 1.0


@dataclass(frozen=True, kw_only=True)
class Speech:
    """The training part of the sound and what the face did meanwhile.

    Attributes:
        inputs: (T + 2 context, W) what the speech encoder starts from, on `device`.
        z_exp: (T, E) on `device`.
        valid: (T, 1) 1 where the frame has a usable face, on `device`.
        z_id: (1, I) on `device`.
        device: where batches are computed.
    """

    inputs: Tensor
    z_exp: Tensor
    valid: Tensor
    z_id: Tensor
    device: torch.device

    @property
    def frames(self) -> int:
        """Frames T."""
        return len(self.z_exp)

    def cut(self, first: int, last: int) -> Speech:
        """Frames [first, last), with the context of what is heard around them."""
        context = len(self.inputs) - self.frames
        return Speech(
            inputs=self.inputs[first : last + context],
            z_exp=self.z_exp[first:last],
            valid=self.valid[first:last],
            z_id=self.z_id,
            device=self.device,
        )


def read_speech(
    target: Target,
    track: Track,
    frames: int,
    encoder: SpeechEncoder,
    sample_rate_hz: int,
    device: torch.device,
    speed: float = 1.0,
) -> Speech:
    """Read the sound of the first `frames` frames; what comes after is cut off first.

    Args:
        target: the target's folder.
        track: its fitted face.
        frames: T, frames of the training part.
        encoder: makes the inputs.
        sample_rate_hz: sample rate of the sound.
        device: where batches are computed.
        speed: how much faster it is played, in pitch too: T / speed frames, between the true ones.

    Raises:
        DecodeError: the sound cannot be read.
    """
    sound = read_sound(target.audio_path, sample_rate_hz)[: frames * encoder.frame_samples]

    z_exp, valid = track.z_exp[:frames], track.valid[:frames, None]
    if speed != 1.0:
        sound, z_exp, valid = _played(sound, z_exp, valid, speed)
        frames = len(z_exp)

    def part(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(device)

    return Speech(
        inputs=encoder.prepare(sound, frames).to(device),
        z_exp=part(z_exp),
        valid=part(valid),
        z_id=part(track.z_id[None]),
        device=device,
    )


def _played(
    sound: FloatArray, z_exp: FloatArray, valid: NDArray[np.bool_], speed: float
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Sound (S,), expression (T, E) and usable frames (T, 1), all of it faster."""
    import librosa

    frames = max(1, int(len(z_exp) / speed))
    # Frame n is shown in the middle of its time, before and after.
    at = np.clip((np.arange(frames) + 0.5) * speed - 0.5, 0, len(z_exp) - 1)
    before = at.astype(np.int64)
    after = np.minimum(before + 1, len(z_exp) - 1)
    share = (at - before)[:, None].astype(np.float32)
    faster = librosa.resample(sound, orig_sr=speed, target_sr=1.0)
    return (
        np.asarray(faster, np.float32),
        (1 - share) * z_exp[before] + share * z_exp[after],
        valid[before] & valid[after],
    )


class AudioTrainer:
    """Trains the speech encoder (but not its frozen part) and the decoders together.

    A sample is a window of `audio2exp.window_frames` frames; where it starts is drawn anew in
    every epoch. Frames without a usable face count for nothing.

    Args:
        speech: the training part.
        encoder: the speech encoder, on the same device.
        settings: the resolved settings.
        expression_names: E names of the axes, for the preview.
        others: the same footage at other speeds; every step hears one of the takes in turn.
    """

    stage = "audio"
    exported = ("encoder", "decoder")

    def __init__(
        self,
        speech: Speech,
        encoder: SpeechEncoder,
        settings: Settings,
        expression_names: tuple[str, ...],
        others: tuple[Speech, ...] = (),
    ) -> None:
        self.speech = speech
        self.others = others
        self.settings = settings
        self.expression_names = expression_names
        shortest = min(take.frames for take in (speech, *others))
        self.window = min(settings.audio2exp.window_frames, shortest)
        self.samples = max(1, speech.frames // self.window)
        self.encoder = encoder
        encoder.adapt(speech.inputs)
        self.decoder = Audio2ExpEnsemble(
            settings.audio2exp,
            settings.speech,
            encoder.feature_width,
            speech.z_id.shape[1],
            speech.z_exp.shape[1],
        ).to(speech.device)
        mean, self.deviation = coefficient_statistics(speech.z_exp[speech.valid[:, 0] > 0])
        self.decoder.set_statistics(mean, self.deviation)
        self.networks: Mapping[str, nn.Module] = {"encoder": encoder, "decoder": self.decoder}
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "audio": adam(nn.ModuleList([encoder, self.decoder]), settings, self.stage)
        }

    def phases(self, positions: Tensor, step: int, steps: int) -> Iterator[Phase]:
        """One update on the windows at `positions`."""
        chosen = self.settings.audio2exp
        takes = (self.speech, *self.others)
        take = takes[step % len(takes)]
        drawn = positions * self.window + torch.randint(self.window, (len(positions),))
        drawn = drawn * take.frames // self.speech.frames
        starts: list[int] = drawn.clamp(max=take.frames - self.window).tolist()
        truth = torch.stack([take.z_exp[at : at + self.window] for at in starts])
        valid = torch.stack([take.valid[at : at + self.window] for at in starts])
        features = self._features(self.encoder, take, starts, self.window)
        z_id = self.speech.z_id.expand(len(starts), -1)
        losses = []
        for decoder, heard in self.decoder.parts(features):
            if step < chosen.teacher_forced * steps:
                made = decoder.teacher_forced(heard, z_id, truth, chosen.teacher_noise)
            else:
                made = decoder(heard, z_id)
            losses.append(decoder.loss(made, truth, valid))
        terms = {"expression": torch.stack(losses).mean()}
        yield Phase(optimiser="audio", terms=terms, clip=_CLIP)

    def settle(self, spare_bytes: int) -> None:
        """All of the sound is on the device already."""

    def changes_at(self, steps: int) -> int:
        """The first step that is fed its own output, frame by frame."""
        return math.ceil(self.settings.audio2exp.teacher_forced * steps)

    @torch.no_grad()
    def preview(self, averaged: Mapping[str, nn.Module]) -> np.ndarray:
        """The liveliest axes over ten seconds of the training part, truth and prediction."""
        frames = min(_PREVIEW_FRAMES, self.speech.frames)
        features = self._features(averaged["encoder"], self.speech, [0], frames)
        made = averaged["decoder"](features, self.speech.z_id)[0].cpu()
        truth = self.speech.z_exp[:frames].cpu()
        axes = self.deviation.cpu().argsort(descending=True)[:_PREVIEW_AXES].tolist()
        signals = {
            self.expression_names[axis]: (truth[:, axis].tolist(), made[:, axis].tolist())
            for axis in axes
        }
        return draw_signals(signals, _PREVIEW_WIDTH)

    def _features(self, encoder: nn.Module, take: Speech, starts: list[int], frames: int) -> Tensor:
        """Speech features (B, frames, F), float32."""
        rows = frames + 2 * self.encoder.context_frames
        inputs = torch.stack([take.inputs[at : at + rows] for at in starts])
        # Only the big encoder of a GPU gains by bfloat16; the decoder feeds on its own output,
        # where rounding would add up.
        if self.speech.device.type != "cuda":
            features: Tensor = encoder(inputs)
            return features
        with autocast(self.settings.train, self.speech.device):
            features = encoder(inputs)
        return features.float()
