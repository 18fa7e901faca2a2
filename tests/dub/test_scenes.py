"""A person in several places of a film: what is found is kept, what cannot be fitted passes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from pirctl.dub.own_times import Scene
from pirctl.dub.scenes import _read, _write, fit_all
from pirctl.errors import FaceNotFound
from pirctl.media import Crop
from tests.targets import make_target, noise


def _unfit(number: int) -> Scene:
    raise FaceNotFound(f"place {number}", hint="pirctl faces VIDEO")


def test_a_place_that_cannot_be_fitted_leaves_the_others() -> None:
    scene = cast(Scene, "the scene of place 1")
    found = fit_all(3, lambda number: scene if number == 1 else _unfit(number))
    assert found == [None, scene, None]
    with pytest.raises(FaceNotFound, match="place 1"):
        fit_all(2, _unfit)


def test_what_was_found_is_read_back_also_that_there_is_nothing(tmp_path: Path) -> None:
    track = make_target(tmp_path / "anna", noise(12)).track()
    scene = Scene(track=track, crop=Crop(x=3, y=4, side=64), size_px=32)
    _write(tmp_path / "one", scene, [5, 9])
    known = _read(tmp_path / "one", 32)
    assert known is not None
    again, cuts = known
    assert again is not None
    assert (again.crop, again.size_px, cuts) == (scene.crop, 32, [5, 9])
    np.testing.assert_array_equal(again.track.z_exp, track.z_exp)
    _write(tmp_path / "none", None, [5])
    assert _read(tmp_path / "none", 32) == (None, [5])
    (tmp_path / "one" / "scene.json").write_text("{")
    assert _read(tmp_path / "one", 32) is None
    assert _read(tmp_path / "nowhere", 32) is None
