"""Settings of what is prepared: pictures and sound, the fitted face, the mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pirctl.settings.check import at_least

_SIZE_STEP_PX, _LEAST_SIZE_PX = 32, 256


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """Pictures and sound as the networks see them."""

    frame_rate: int = 25
    """Frames per second of the training data and of the output."""
    sample_rate_hz: int = 16000
    """Sample rate of the networks' sound, mono."""
    size_px: int = 512
    """Side of the square crop around the face, in pixels."""
    enlarge: bool = True
    """Whether a crop that has fewer pixels in the source is enlarged to `size_px`; otherwise it
    keeps about its own resolution, in steps of 32 pixels, at least 256: less to compute."""
    crop_margin: float = 2.1
    """Side of the crop as a multiple of the face's height (brow to chin) over the clip."""

    def __post_init__(self) -> None:
        at_least(self, 1, "frame_rate", "crop_margin")
        at_least(self, 8000, "sample_rate_hz")
        if self.size_px < 64 or self.size_px % 16:
            raise ValueError(f"size_px is {self.size_px}, it must be a multiple of 16, 64 or more")

    def size_of(self, crop_side: float) -> int:
        """Side in pixels at which a crop is stored that has `crop_side` pixels in the source."""
        own = math.ceil(crop_side / _SIZE_STEP_PX) * _SIZE_STEP_PX
        return self.size_px if self.enlarge else min(self.size_px, max(own, _LEAST_SIZE_PX))


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Fitting the face model to tracked landmarks."""

    identity_frames: int = 200
    """Frames, evenly spread over the clip, that determine identity and focal length."""
    identity_weight: float = 1.0
    """Weight of the prior on identity coefficients (in standard deviations)."""
    expression_weight: float = 1.0
    """Weight of the prior on expression coefficients."""
    smoothness: float = 1.0
    """Weight of the temporal smoothness of pose and expression; 0 fits every frame alone."""

    def __post_init__(self) -> None:
        at_least(self, 1, "identity_frames")
        at_least(self, 0, "identity_weight", "expression_weight", "smoothness")


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """Which pixels the renderer repaints."""

    region: Literal["lower", "face", "mouth"] = "lower"
    """`lower`: nose tip to chin with room for a dropped jaw, keeps the original eyes and brows;
    `face`: the whole face; `mouth`: lips, chin and what is beside them, no further down than the
    jaws of the footage and of what is shown (`chin_margin` has no effect)."""
    margin: float = 0.06
    """Widening of the mask on every side, as a fraction of the face's height."""
    chin_margin: float = 0.16
    """Extra room below the chin for a dropped jaw, as a fraction of the face's height."""
    feather: float = 0.03
    """Width of the soft inner edge when compositing, as a fraction of the face's height."""

    def __post_init__(self) -> None:
        at_least(self, 0, "margin", "chin_margin", "feather")
