"""From the 68 or 98 outline points of a sparse tracker to the 468 points of the mesh.

Crop, labels, lip rings and measures are written for the mesh. With a sparse tracker they get the
bundled face model's vertices, fitted to the points that were seen and projected; nobody saw the
points between those, so a lip ring is as good as the fit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from pirctl.face.camera import project, transform
from pirctl.face.fit import fit_clip
from pirctl.face.model import load_face_model
from pirctl.progress import OnProgress, ignore_progress
from pirctl.settings import FitSettings

FloatArray = npt.NDArray[np.float32]


def dense_landmarks(
    points: FloatArray,
    valid: npt.NDArray[np.bool_],
    size_px: int,
    settings: FitSettings | None = None,
    on_progress: OnProgress = ignore_progress,
    *,
    principal_px: tuple[float, float] | None = None,
) -> FloatArray:
    """The mesh's 468 points of a clip that was tracked with fewer.

    Args:
        points: (T, 68 or 98, 2) pixels of the square crop.
        valid: (T,) frames with a face; the others are interpolated.
        size_px: side of the crop in pixels.
        settings: of the fit.
        on_progress: called after every chunk of frames.
        principal_px: where the camera's axis meets the crop, as for `fit_clip`.

    Returns:
        (T, 468, 2) pixels of the crop.

    Raises:
        FaceNotFound: no frame is valid.
    """
    # Always the bundled model: its vertices are the mesh, whichever model the target is for.
    model = load_face_model()
    fit = fit_clip(points, valid, model, size_px, settings, on_progress, principal_px=principal_px)
    z_id, z_exp = torch.from_numpy(fit.z_id), torch.from_numpy(fit.z_exp)
    vertices = model.vertices(z_id, z_exp)[:, model.mesh_vertices]
    camera = transform(torch.from_numpy(fit.R), torch.from_numpy(fit.t), vertices)
    dense: FloatArray = project(camera, torch.from_numpy(fit.K)).numpy()
    return dense
