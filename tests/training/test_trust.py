"""How far speech is trusted: the factors, where they are measured, and what they are kept with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.errors import CheckpointError
from pirctl.perform.loading import load_audio_stage
from pirctl.progress import Progress
from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.target.checkpoint import load_about, load_checkpoint
from pirctl.training import run
from pirctl.training.trust import UNKNOWN_TRUST, trust
from tests.targets import disc, make_target
from tests.training.clip import tiny_settings

CPU = torch.device("cpu")


def settings(trust_below_s: float = 60, epochs: int = 3) -> Settings:
    chosen = tiny_settings()
    audio = replace(chosen.train.audio, epochs=epochs)
    return replace(
        chosen,
        audio2exp=replace(chosen.audio2exp, trust_below_s=trust_below_s),
        train=replace(chosen.train, audio=audio),
    )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return make_target(tmp_path_factory.mktemp("trust") / "bob", disc(130))


def walk(frames: int = 400, axes: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((frames, axes))


def test_what_is_right_is_trusted_and_what_moves_too_much_by_half() -> None:
    truth = walk()
    np.testing.assert_allclose(trust(truth, truth), 1)
    np.testing.assert_allclose(trust(2 * truth, truth), 0.5)
    np.testing.assert_allclose(trust(0.5 * truth, truth), 1)  # Nothing is blown up.


def test_noise_and_the_contrary_are_not_trusted() -> None:
    truth = walk()
    assert (trust(-truth, truth) == 0).all()
    noise = np.random.default_rng(1).standard_normal(truth.shape)
    assert trust(noise, truth).max() < 0.1


def test_an_axis_that_is_known_is_trusted_more_than_one_that_is_guessed() -> None:
    truth = walk()
    predicted = truth.copy()
    predicted[:, 2] = np.random.default_rng(1).standard_normal(len(truth))
    factors = trust(predicted, truth)
    assert factors[2] < 0.4
    assert np.delete(factors, 2).min() > 0.9


def test_an_axis_that_is_never_moved_takes_the_common_factor() -> None:
    truth = walk()
    predicted = 2 * truth
    predicted[:, 1] = 0
    np.testing.assert_allclose(trust(predicted, truth), 0.5, atol=1e-6)


def test_what_a_few_seconds_say_is_drawn_to_what_other_people_had() -> None:
    def believed(seconds: int) -> float:
        """Right in every second second, of nothing in the others."""
        truth = walk(25 * seconds)
        predicted = np.random.default_rng(1).standard_normal(truth.shape)
        for first in range(0, len(truth), 50):
            predicted[first : first + 25] = truth[first : first + 25]
        return float(trust(predicted, truth).mean())

    assert abs(believed(400) - 0.5) < 0.02
    assert 0.4 < believed(4) < believed(400)


def test_shrunk_is_nearer_to_the_truth_than_the_mean_is() -> None:
    generator = np.random.default_rng(2)
    for share in (0.0, 0.3, 0.9):
        truth = walk(200, 8)
        predicted = share * truth + 2 * generator.standard_normal(truth.shape)
        shrunk = trust(predicted, truth) * predicted
        assert ((shrunk - truth) ** 2).sum() <= (truth**2).sum()


def test_short_footage_is_tried_out_first_and_trained_as_without(target: Target) -> None:
    steps: list[str] = []

    def seen(progress: Progress) -> None:
        if progress.step not in steps:
            steps.append(progress.step)

    folder = target.stage_folder("audio") / "checkpoint"
    run("audio", target, settings(0), restart=True)
    assert load_about(folder).trust == ()
    plain = load_checkpoint(folder).weights
    run("audio", target, settings(), restart=True, on_progress=seen)
    assert steps == ["trying out the speech", "training audio"]
    factors = load_about(folder).trust
    stage = load_audio_stage(target, CPU)
    assert len(factors) == stage.decoder.expression_width
    assert all(0 <= factor <= 1 for factor in factors)
    np.testing.assert_allclose(stage.decoder.trust.numpy(), factors, rtol=1e-6)
    for name, weight in load_checkpoint(folder).weights.items():
        assert torch.equal(weight, plain[name]), name


def test_what_was_measured_is_kept_when_training_goes_on(target: Target) -> None:
    folder = target.stage_folder("audio") / "checkpoint"
    run("audio", target, settings(), restart=True)
    before, steps = load_about(folder).trust, load_about(folder).step
    run("audio", target, settings(epochs=5))
    assert load_about(folder).step > steps
    assert load_about(folder).trust == before != ()


def test_footage_that_is_not_short_is_not_tried_out(target: Target) -> None:
    run("audio", target, settings(4.8), restart=True)  # 120 frames are for training.
    assert load_about(target.stage_folder("audio") / "checkpoint").trust == ()


def test_too_little_footage_to_compare_on_is_trusted_a_little(tmp_path: Path) -> None:
    short = make_target(tmp_path / "bob", disc(60))
    run("audio", short, settings())
    factors = load_about(short.stage_folder("audio") / "checkpoint").trust
    assert set(factors) == {UNKNOWN_TRUST}
    assert len(factors) == short.track().z_exp.shape[1]


@pytest.mark.parametrize("wrong", [[0.5], [2.0] * 52, [-1.0] * 52])
def test_factors_that_cannot_be_are_refused(target: Target, wrong: list[float]) -> None:
    run("audio", target, settings(0), restart=True)
    path = target.stage_folder("audio") / "checkpoint" / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trust": wrong}))
    with pytest.raises(CheckpointError, match="trust must be"):
        load_audio_stage(target, CPU)
