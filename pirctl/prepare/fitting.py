"""From tracked landmarks to a track: the face model fitted to a clip, or read by the regressor.

Landmarks are pixels of the crop. What an earlier run fitted to the same landmarks is taken over.
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
import numpy.typing as npt

from pirctl.errors import FaceNotFound
from pirctl.face.crop import crop_from_source
from pirctl.face.deep3d import SIDE_PX, Deep3dNetwork, choose_square, regress_clip
from pirctl.face.dense import dense_landmarks
from pirctl.face.fit import ClipFit, fit_clip
from pirctl.face.landmark_file import fill_gaps
from pirctl.face.landmarks import MESH_COUNTS, eye_distance
from pirctl.media import read_frames
from pirctl.media.background import QUEUE_FRAMES, prefetch
from pirctl.prepare.work import Work
from pirctl.target import Target, Track

FloatArray = npt.NDArray[np.float32]

WORST_ERROR = 0.2
"""A frame whose fit misses by more than this fraction of the eyes' distance is not usable."""


def mesh_points(work: Work, cropped: FloatArray, valid: npt.NDArray[np.bool_]) -> FloatArray:
    """The mesh's points (T, 468 or 478, 2), as tracked or fitted to fewer points."""
    if cropped.shape[1] in MESH_COUNTS:
        return cropped
    if work.previous.has("fit"):
        return work.previous.target.track().landmarks
    with work.watch.part("fitting"):
        settings = work.settings
        return dense_landmarks(
            cropped,
            valid,
            work.size_px,
            settings.fit,
            work.report,
            principal_px=_principal(work),
        )


def _principal(work: Work) -> tuple[float, float]:
    """Where the source's camera axis meets the crop, pixels: the middle of the source picture."""
    info = work.source.info
    middle = np.array([info.width / 2, info.height / 2], np.float32)
    x, y = crop_from_source(middle, work.crop.rounded(), work.size_px)
    return float(x), float(y)


def fit_track(
    work: Work,
    cropped: FloatArray,
    mesh: FloatArray,
    valid: npt.NDArray[np.bool_],
    made: Target | None = None,
) -> Track:
    """Fit the face model, or take the fit over.

    Args:
        work: the run.
        cropped: (T, L, 2) landmarks as tracked, pixels of the crop.
        mesh: (T, 468 or 478, 2) the mesh's points, see `mesh_points`.
        valid: (T,) frames with a face.
        made: the folder with the pictures, which a regressor looks at.

    Raises:
        FaceNotFound: the model fits no frame.
    """
    if work.previous.has("fit"):
        return work.previous.target.track()
    settings = work.settings
    with work.watch.part("fitting"):
        if work.regressor is None or made is None:
            fit = fit_clip(
                cropped,
                valid,
                work.model,
                work.size_px,
                settings.fit,
                work.report,
                principal_px=_principal(work),
            )
        else:
            fit = _regress(work, work.regressor, made, cropped, valid)
    usable = usable_fits(fit, mesh)
    if not usable.any():
        raise FaceNotFound(
            f"{work.source.video}: the face model fits none of {len(valid)} frames",
            hint="use a clip that shows the face from the front",
        )
    return Track(
        landmarks=fill_gaps(mesh, valid),
        tracked=None if cropped.shape == mesh.shape else fill_gaps(cropped, valid),
        valid=usable,
        z_id=fit.z_id,
        z_exp=fit.z_exp,
        R=fit.R,
        t=fit.t,
        K=fit.K,
        error_px=fit.error_px,
    )


def usable_fits(fit: ClipFit, mesh: FloatArray) -> npt.NDArray[np.bool_]:
    """Frames (T,) whose fit lies near the mesh's points (T, 468 or 478, 2)."""
    limit = WORST_ERROR * np.maximum(eye_distance(mesh), 1.0)
    return np.asarray(fit.valid & (np.nan_to_num(fit.error_px, nan=np.inf) < limit))


def _regress(
    work: Work,
    network: Deep3dNetwork,
    made: Target,
    cropped: FloatArray,
    valid: npt.NDArray[np.bool_],
) -> ClipFit:
    """Coefficients and pose of every frame as the regressor reads them from the pictures."""
    square = choose_square(cropped, valid)
    pictures = read_frames(made.frames_path, crop=square, size=(SIDE_PX, SIDE_PX))
    with closing(prefetch(pictures, QUEUE_FRAMES)) as ahead:
        return regress_clip(ahead, square, cropped, valid, network, work.model, work.report)
