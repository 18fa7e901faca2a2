"""How far speech can be trusted with a face: measured on footage that is left out for it.

A few seconds teach a network to move a mouth, not always to move it at the right moment. Where it
is not sure, the person's mean expression is the better answer. So short footage is learnt twice:
first without its last quarter, on which prediction and truth are compared; then whole. What is
measured, one factor per axis between 0 and 1, shrinks what is predicted towards the mean.

The factor of an axis is the least squares one, drawn towards that of all axes together, because a
few seconds say little about an axis that hardly moves. The common factor is measured on a few
seconds too, so it is weighed against what short clips of other people had, each by its variance.
Sources: ridge regression, Hoerl and Kennard 1970, towards a common value in place of 0; the mean of
two normal distributions, Bishop 2006, eq. 2.141, with the standard error from leaving out blocks of
a second, Kuensch 1989.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pirctl.progress import OnProgress, Progress
from pirctl.target.checkpoint import CheckpointAbout, load_checkpoint, restore
from pirctl.tensors import check_shape
from pirctl.training.audio import AudioTrainer
from pirctl.training.loop import train_stage

TEST_SHARE = 0.25
"""Share of the footage, at its end, that is left out."""
FEWEST_FRAMES = 25
"""Fewer frames than these to compare on say nothing."""
UNKNOWN_TRUST = 0.2
"""What every axis gets then: little, because four seconds of footage teach little. Clips of 8 to
20 s were measured at 0 to 0.4."""

_BLOCK_FRAMES = 25
_USUAL, _USUAL_SPREAD = 0.4, 0.25
# The best factors of five clips of 8 to 20 s with four heads: 0.7, 0.5, 0.5, 0.3, 0.
_COMMON = 0.5  # Weight of the common factor, in units of the energy of what is predicted.


def measure_trust(
    trainer: AudioTrainer, about: CheckpointAbout, on_progress: OnProgress
) -> tuple[float, ...]:
    """Train another one without the last quarter of the footage, and compare there.

    Args:
        trainer: of the whole footage, before its first step; it stays as it is.
        about: of the stage.
        on_progress: told about every step.

    Returns:
        (E,) factors in [0, 1]; empty where the settings want none, or the footage is not short.

    Raises:
        TrainingDiverged: as in training.
    """
    speech, settings = trainer.speech, trainer.settings
    if speech.frames >= settings.audio2exp.trust_below_s * settings.media.frame_rate:
        return ()
    first = speech.frames - round(TEST_SHARE * speech.frames)
    rest = speech.cut(first, speech.frames)
    usable = rest.valid[:, 0] > 0
    if int(usable.sum()) < FEWEST_FRAMES:
        return (UNKNOWN_TRUST,) * speech.z_exp.shape[1]
    encoder = copy.deepcopy(trainer.encoder)
    with tempfile.TemporaryDirectory(prefix="pirctl-") as temporary:
        # Rounded down: what is left out is heard at no speed.
        others = tuple(take.cut(0, first * take.frames // speech.frames) for take in trainer.others)
        part = AudioTrainer(
            speech.cut(0, first), encoder, settings, trainer.expression_names, others
        )
        train_stage(
            part,
            folder=Path(temporary),
            settings=settings,
            about=about,
            device=speech.device,
            resume=False,
            on_progress=lambda progress: on_progress(_named(progress)),
        )
        checkpoint = load_checkpoint(Path(temporary) / "checkpoint")
    decoder = part.decoder
    restore(encoder, checkpoint, "encoder")
    restore(decoder, checkpoint, "decoder")
    encoder.eval()
    decoder.eval()
    with torch.inference_mode():
        made = decoder(encoder(rest.inputs[None]), rest.z_id)[0]
    predicted, truth = (
        decoder.standardise(expression)[usable].double().cpu().numpy()
        for expression in (made, rest.z_exp)
    )
    return tuple(trust(predicted, truth).tolist())


def trust(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors (E,) in [0, 1] that bring a prediction nearest to the truth.

    Args:
        predicted: (T, E) distance from the mean, in standard deviations.
        truth: (T, E) the same of what really was.
    """
    check_shape("truth", truth, *predicted.shape)
    products = np.stack([(predicted**2), predicted * truth])  # (2, T, E)
    energy, shared = products.sum(1)
    common = _share(products.sum((1, 2)))
    blocks = np.array_split(products.sum(2), max(2, len(truth) // _BLOCK_FRAMES), axis=1)
    without = [_share(products.sum((1, 2)) - block.sum(1)) for block in blocks]
    error = float(np.std(without)) * (len(blocks) - 1) ** 0.5
    known = _USUAL_SPREAD**2 / (_USUAL_SPREAD**2 + error**2)
    believed = min(max(known * common + (1 - known) * _USUAL, 0.0), 1.0)
    prior = _COMMON * energy + 1e-12
    # Every axis by as much as all of them together.
    shared = shared + (believed - common) * energy
    factors: NDArray[np.float64] = np.clip((shared + prior * believed) / (energy + prior), 0, 1)
    return factors


def _named(progress: Progress) -> Progress:
    return replace(progress, step="trying out the speech")


def _share(sums: NDArray[np.float64]) -> float:
    """The least squares factor from the sums of squares and of products."""
    return float(sums[1] / max(float(sums[0]), 1e-12))
