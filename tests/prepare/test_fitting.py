"""From landmarks to a track: what is usable, and what is taken over from an earlier run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pirctl.errors import FaceNotFound
from pirctl.face.landmarks import eye_distance
from pirctl.face.model import load_face_model
from pirctl.prepare import fitting
from pirctl.prepare.work import Work
from pirctl.progress import ignore_progress
from pirctl.settings import Settings
from tests.prepare.drawn import make_track

FRAMES = 6


def work_of(*, reusable: tuple[str, ...] = (), earlier: Any = None) -> Work:
    previous: Any = SimpleNamespace(
        has=lambda part: part in reusable, target=SimpleNamespace(track=lambda: earlier)
    )
    source: Any = SimpleNamespace(
        video=Path("film.mp4"), info=SimpleNamespace(width=192, height=192)
    )
    crop: Any = SimpleNamespace(rounded=lambda: SimpleNamespace(x=0, y=0, side=192))
    return Work(
        source=source, settings=Settings(), model=load_face_model("generic"), previous=previous,
        report=ignore_progress, crops=[crop],
    )  # fmt: skip


@pytest.fixture
def track() -> Any:
    return make_track(load_face_model("generic"), FRAMES)


def fitted(track: Any, error_px: np.ndarray) -> Any:
    return SimpleNamespace(
        valid=np.ones(FRAMES, bool), error_px=error_px.astype(np.float32), z_id=track.z_id,
        z_exp=track.z_exp, R=track.R, t=track.t, K=track.K,
    )  # fmt: skip


def test_the_mesh_s_own_points_are_taken_as_they_are(track: Any) -> None:
    mesh = fitting.mesh_points(work_of(), track.landmarks, track.valid)
    assert mesh is track.landmarks


def test_what_was_fitted_to_the_same_landmarks_is_taken_over(track: Any) -> None:
    work = work_of(reusable=("fit",), earlier=track)
    few = track.landmarks[:, :68]
    assert fitting.mesh_points(work, few, track.valid) is track.landmarks
    assert fitting.fit_track(work, few, track.landmarks, track.valid) is track


def test_a_frame_that_the_model_misses_is_not_usable(
    track: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = np.zeros(FRAMES)
    error[1] = 1.01 * fitting.WORST_ERROR * eye_distance(track.landmarks)[1]
    error[2] = 0.99 * fitting.WORST_ERROR * eye_distance(track.landmarks)[2]
    error[3] = np.nan
    monkeypatch.setattr(fitting, "fit_clip", lambda *_, **__: fitted(track, error))
    monkeypatch.setattr(fitting, "_principal", lambda work: (96.0, 96.0))
    made = fitting.fit_track(work_of(), track.landmarks, track.landmarks, track.valid)
    assert made.valid.tolist() == [True, False, True, False, True, True]
    assert made.tracked is None


def test_a_clip_that_the_model_fits_nowhere_is_refused(
    track: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "fit_clip", lambda *_, **__: fitted(track, np.full(FRAMES, 1e6)))
    monkeypatch.setattr(fitting, "_principal", lambda work: (96.0, 96.0))
    with pytest.raises(FaceNotFound, match="fits none of 6 frames") as caught:
        fitting.fit_track(work_of(), track.landmarks, track.landmarks, track.valid)
    assert "from the front" in str(caught.value.hint)


def test_few_points_are_kept_beside_the_mesh(track: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "fit_clip", lambda *_, **__: fitted(track, np.zeros(FRAMES)))
    monkeypatch.setattr(fitting, "_principal", lambda work: (96.0, 96.0))
    few = track.landmarks[:, :68]
    made = fitting.fit_track(work_of(), few, track.landmarks, track.valid)
    np.testing.assert_array_equal(made.tracked, few)
    np.testing.assert_array_equal(made.landmarks, track.landmarks)
