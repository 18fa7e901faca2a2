"""Gains, curves and limits of the expression, on numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.dub.controls import (
    Controls,
    ExpressionEditor,
    Gain,
    expression_range,
    notes_on_mask,
    parse_gain,
)
from pirctl.dub.curves import Curves, read_curves, write_curves
from pirctl.errors import PirctlError, SettingsError
from pirctl.face.model import load_face_model
from pirctl.settings import MaskSettings
from pirctl.target import Target
from tests.targets import make_target, noise

NAMES = ("jawOpen", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft")
LIMITS = np.float32([-0.25, 0, 0, 0]), np.float32([1.5, 1, 1, 1])


def edited(controls: Controls, z_exp: np.ndarray, chunk: int = 3) -> tuple[np.ndarray, dict]:
    record: list[np.ndarray] = []
    editor = ExpressionEditor(controls, NAMES, LIMITS, 25, record=record.append)
    made = [editor(z_exp[start : start + chunk]) for start in range(0, len(z_exp), chunk)]
    np.testing.assert_array_equal(np.concatenate(record), np.concatenate(made))
    return np.concatenate(made), editor.clamped


def curves(**knots: tuple[list[float], list[float]]) -> Curves:
    arrays = {name: tuple(map(np.float64, pair)) for name, pair in knots.items()}
    return Curves(path=Path("x.csv"), knots=arrays)


@pytest.mark.parametrize(
    ("text", "gain"),
    [
        ("jawOpen=1.2", Gain(axis="jawOpen", gain=1.2)),
        ("mouthSmileLeft=1+0.3", Gain(axis="mouthSmileLeft", gain=1, offset=0.3)),
        ("jawOpen=0.5-.25", Gain(axis="jawOpen", gain=0.5, offset=-0.25)),
        (" jawOpen = -1 + 1 ", Gain(axis="jawOpen", gain=-1, offset=1)),
        ("jawOpen=1e-1+2e-1", Gain(axis="jawOpen", gain=0.1, offset=0.2)),
    ],
)
def test_a_gain_is_read(text: str, gain: Gain) -> None:
    assert parse_gain(text) == gain


@pytest.mark.parametrize(
    "text",
    ["jawOpen", "jawOpen=", "=1", "jawOpen=x", "jawOpen=1+", "jawOpen=1*2", "a=nan", "a=1e999"],
)
def test_what_is_no_gain_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match="--expression") as caught:
        parse_gain(text)
    assert caught.value.hint


def test_no_controls_change_nothing() -> None:
    z_exp = np.random.default_rng(0).uniform(0, 1, (8, 4)).astype(np.float32)
    made, clamped = edited(Controls(), z_exp)
    np.testing.assert_array_equal(made, z_exp)
    assert clamped == {}


def test_curves_come_first_then_gains_then_limits() -> None:
    z_exp = np.full((6, 4), 0.5, np.float32)
    controls = Controls(
        gains=(Gain(axis="jawOpen", gain=2, offset=0.1), Gain(axis="browInnerUp", gain=0.5)),
        curves=curves(jawOpen=([0, 0.2], [0, 1]), eyeBlinkLeft=([0.08], [1])),
    )
    made, clamped = edited(controls, z_exp)
    ramp = np.arange(6) / 5
    np.testing.assert_allclose(made[:, 0], np.minimum(2 * ramp + 0.1, 1.5), atol=1e-6)
    np.testing.assert_array_equal(made[:, 1], z_exp[:, 1])
    np.testing.assert_array_equal(made[:, 2], np.float32(0.25))
    np.testing.assert_array_equal(made[:, 3], np.float32(1))
    assert clamped == {"jawOpen": 2}


def test_the_size_of_the_chunks_changes_nothing() -> None:
    z_exp = np.random.default_rng(1).uniform(0, 1, (20, 4)).astype(np.float32)
    controls = Controls(
        gains=(Gain(axis="jawOpen", gain=1.3, offset=-0.2),),
        curves=curves(mouthSmileLeft=([0, 0.31, 0.7], [0, 1, 0.2])),
    )
    np.testing.assert_array_equal(edited(controls, z_exp, 1)[0], edited(controls, z_exp, 7)[0])


def test_a_table_that_was_written_at_the_end_of_a_range_is_not_told_as_held(
    tmp_path: Path,
) -> None:
    """The range ends at a float32 that has no short decimal."""
    low = np.full(4, -0.0654321, np.float32)
    with write_curves(tmp_path / "shown.csv", NAMES, 25) as append:
        append(low[None])
    controls = Controls(curves=read_curves(tmp_path / "shown.csv"))
    editor = ExpressionEditor(controls, NAMES, (low, np.ones(4, np.float32)), 25)
    np.testing.assert_array_equal(editor(np.zeros((1, 4), np.float32)), low[None])
    assert editor.clamped == {}


def test_only_axes_that_were_edited_are_told_as_held() -> None:
    beyond = np.full((2, 4), 7, np.float32)
    assert edited(Controls(), beyond)[1] == {}
    assert edited(Controls(gains=(Gain(axis="jawOpen", gain=1),)), beyond)[1] == {"jawOpen": 2}
    assert ExpressionEditor(Controls(), NAMES, LIMITS, 25).range_of("jawOpen") == (-0.25, 1.5)


def test_only_the_change_is_said_with_the_persons_own_and_the_table_keeps_what_was_asked() -> None:
    z_exp = np.random.default_rng(2).uniform(0, 1, (5, 4)).astype(np.float32)
    recorded: list[np.ndarray] = []
    editor = ExpressionEditor(
        Controls(gains=(Gain(axis="jawOpen", gain=0.5),)), NAMES, LIMITS, 25,
        record=recorded.append, retarget_change=lambda change: change / 2,
    )  # fmt: skip
    painted = editor(z_exp)
    np.testing.assert_array_equal(recorded[0][:, 0], z_exp[:, 0] / 2)
    np.testing.assert_allclose(painted[:, 0], 0.75 * z_exp[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(painted[:, 1:], z_exp[:, 1:])


def test_the_limits_are_rest_to_full_strength_or_what_the_person_shows(tmp_path: Path) -> None:
    target: Target = make_target(tmp_path / "anna", noise(10, invalid=(4,)))
    track = target.track()
    track.z_exp[3, 0], track.z_exp[5, 1], track.z_exp[4, 2] = -0.125, 1.25, 9.0
    low, high = expression_range(track, NAMES)
    np.testing.assert_array_equal(low, np.float32([-0.125, 0, 0, 0]))
    np.testing.assert_array_equal(high, np.float32([1, 1.25, 1, 1]))
    low, high = expression_range(track, ("exp_00", "exp_01", "exp_02", "exp_03"))
    assert (low == -4).all()
    assert (high == 4).all()


def test_every_named_axis_is_checked() -> None:
    names = load_face_model().expression_names
    Controls(gains=(parse_gain("jawOpen=1"),), curves=curves(mouthPucker=([0], [1]))).check(
        names, "generic"
    )
    for controls in (
        Controls(gains=(parse_gain("jawOpn=1"),)),
        Controls(curves=curves(jawOpn=([0], [1]))),
    ):
        with pytest.raises(PirctlError, match="no expression axis 'jawOpn'") as caught:
            controls.check(names, "generic")
        assert "jawOpen" in str(caught.value.hint)


def test_axes_outside_the_mask_are_said() -> None:
    lower, face = MaskSettings(), MaskSettings(region="face")
    brow = Controls(gains=(parse_gain("browInnerUp=1"), parse_gain("jawOpen=1")))
    assert notes_on_mask(brow, NAMES, lower)[0].startswith("browInnerUp: hardly seen")
    assert not notes_on_mask(brow, NAMES, face)
    assert not notes_on_mask(Controls(), NAMES, lower)
    assert not notes_on_mask(Controls(curves=curves(jawOpen=([0], [1]))), NAMES, lower)
    assert notes_on_mask(Controls(curves=curves(eyeBlinkLeft=([0], [1]))), NAMES, lower)
    assert notes_on_mask(Controls(upper_face="speech"), NAMES, lower)
