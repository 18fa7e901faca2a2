"""Retargeting to a person's own expressions: what they do stays, what they never do is replaced."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pirctl.face.model import load_face_model
from pirctl.perform.own import OwnExpressions
from pirctl.perform.poses import rest_expression
from pirctl.target import Target
from tests.targets import face, make_target


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return make_target(tmp_path_factory.mktemp("targets") / "anna", face(30))


def lip_distance(z_exp: np.ndarray) -> np.ndarray:
    model = load_face_model()
    face = model.vertices(torch.zeros(model.identity_width), torch.from_numpy(z_exp))
    return (face[:, 13] - face[:, 14])[:, 1].numpy()


def test_own_expressions_stay_nearly_as_they_are(target: Target) -> None:
    own = target.track()
    retargeted = OwnExpressions(own, load_face_model()).retarget(own.z_exp)
    jaw = load_face_model().axis("jawOpen")
    assert np.corrcoef(retargeted[:, jaw], own.z_exp[:, jaw])[0, 1] > 0.98
    assert np.abs(lip_distance(retargeted) - lip_distance(own.z_exp)).mean() < 0.01


def test_what_the_person_never_does_is_shown_by_what_they_do(target: Target) -> None:
    """They never puff a cheek; a lip that parts by axes they do not use parts by the jaw."""
    model, own = load_face_model(), target.track()
    strange = np.repeat(rest_expression(own)[None], 5, axis=0)
    strange[:, model.axis("cheekPuff")] = 0.9
    for name in ("mouthLowerDownLeft", "mouthLowerDownRight"):
        strange[:, model.axis(name)] = np.linspace(0, 0.8, 5)
    retargeted = OwnExpressions(own, model).retarget(strange)
    assert np.abs(retargeted[:, model.axis("cheekPuff")]).max() < 1e-6
    assert np.abs(retargeted[:, model.axis("mouthLowerDownLeft")]).max() < 1e-6
    wanted, shown = lip_distance(strange), lip_distance(retargeted)
    assert np.ptp(wanted) > 0.1
    assert np.abs((shown - shown[0]) - (wanted - wanted[0])).max() < 0.15 * np.ptp(wanted)


def test_the_share_of_an_axis_tells_what_the_person_does(target: Target) -> None:
    model = load_face_model()
    own = OwnExpressions(target.track(), model)
    shares = {name: own.share(axis, 0.1) for axis, name in enumerate(model.expression_names)}
    assert shares["jawOpen"] > 0.8
    assert shares["browInnerUp"] < 0.05
    assert shares["mouthSmileLeft"] > shares["mouthSmileRight"]


def test_nothing_is_shown_further_than_the_person_goes(target: Target) -> None:
    """Their jaw opens by 0.6; the networks have not seen it at 5."""
    model, track = load_face_model(), target.track()
    own, jaw = OwnExpressions(track, model), model.axis("jawOpen")
    change = np.zeros((2, model.expression_width), np.float32)
    change[:, jaw] = (0.2, 5.0)
    small, large = own.retarget_change(change)[:, jaw]
    assert small == pytest.approx(0.2, rel=0.1)
    assert 0.25 < large < 1.5
    assert own.share(jaw, 5.0) < 0.4 < 0.8 < own.share(jaw, 0.2)


def test_a_change_along_what_they_do_stays_and_no_change_is_none(target: Target) -> None:
    model = load_face_model()
    own = OwnExpressions(target.track(), model)
    change = np.zeros((2, model.expression_width), np.float32)
    change[1, model.axis("jawOpen")] = 0.3
    retargeted = own.retarget_change(change)
    assert (retargeted[0] == 0).all()
    assert lip_distance(retargeted)[1] - lip_distance(retargeted)[0] == pytest.approx(
        lip_distance(change)[1] - lip_distance(change)[0], rel=0.1
    )
