"""How alike two faces are: by a network that knows faces, or by their colours.

SFace (Zhong et al. 2021) makes 128 numbers of a face that is turned upright; the cosine of two
vectors is high for one person. OpenCV runs it, and its file comes through `pirctl models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pirctl.errors import WeightsCorrupt
from pirctl.face.quiet import stderr_held_back
from pirctl.face.search import FloatArray, Frame
from pirctl.face.stretches import Sighting, Stretch

_LOOKED_AT = 5
"""Sightings of a stretch that are looked at."""
_PORTRAIT_PX = 192
_PORTRAIT_SCALE = 1.7
# Corners of the eyes, tip of the nose and corners of the mouth in the mesh of 478 points.
_RIGHT_EYE, _LEFT_EYE, _NOSE, _CORNERS = (33, 133), (263, 362), 1, (61, 291)


class Recogniser(Protocol):
    """Tells whether two stretches show one person.

    Attributes:
        threshold: the least mean likeness of one person.
    """

    threshold: float

    def alike(self, stretches: Sequence[Stretch]) -> NDArray[np.float64]:
        """(N, N) how alike any two look."""
        ...


class SfaceRecogniser:
    """SFace.

    Args:
        model_path: `face_recognition_sface_2021dec.onnx`.

    Raises:
        WeightsCorrupt: not a model OpenCV can load.
    """

    # Measured on 21 people of real clips, five pictures of each half of a clip: one person's halves
    # have a likeness of 0.88 to 0.99, two people's of 0.32 at most (840 pairs). Single pictures:
    # one person's 0.51 at least, two people's 0.39 at most. OpenCV's own figure for them is 0.363.
    threshold = 0.4

    def __init__(self, model_path: Path) -> None:
        import cv2

        # The content, not the path: its loader fails on paths with non-ASCII letters.
        content = np.frombuffer(model_path.read_bytes(), np.uint8)
        try:
            with stderr_held_back():  # OpenCV warns of its own engine.
                self._network = cv2.FaceRecognizerSF.create("onnx", content, np.empty(0, np.uint8))
        except cv2.error as error:
            raise WeightsCorrupt(
                f"{model_path}: OpenCV cannot load it", hint="pirctl models pull sface --force"
            ) from error

    def alike(self, stretches: Sequence[Stretch]) -> NDArray[np.float64]:
        """(N, N) cosine of the mean vectors."""
        vectors = np.stack([self._vector(stretch) for stretch in stretches])
        return np.asarray(vectors @ vectors.T, np.float64)

    def _vector(self, stretch: Stretch) -> FloatArray:
        total = np.zeros(128, np.float32)
        for sighting in stretch.best(_LOOKED_AT):
            total += self.vector(sighting)
        return total / max(1e-9, float(np.linalg.norm(total)))

    def vector(self, sighting: Sighting) -> FloatArray:
        """(128,) of length 1."""
        assert sighting.points is not None
        row = np.zeros((1, 15), np.float32)
        row[0, 4:14] = sighting.points.ravel()
        upright = self._network.alignCrop(open_portrait(sighting)[..., ::-1].copy(), row)
        found = np.asarray(self._network.feature(upright), np.float32).ravel()
        return found / max(1e-9, float(np.linalg.norm(found)))


class ColourRecogniser:
    """By place and size in the picture, and the colours of head and clothes; needs no file."""

    # Measured on the same: one person's halves 0.87 at least, two people's 0.59 at most, in one
    # light and in the same clothes.
    threshold = 0.65

    def alike(self, stretches: Sequence[Stretch]) -> NDArray[np.float64]:
        """(N, N) overlap of histograms, a fifth less where places differ."""
        histograms = np.stack([self._histogram(stretch) for stretch in stretches])
        shared = np.minimum(histograms[:, None], histograms[None]).sum(-1)
        places = np.stack([stretch.place for stretch in stretches])
        sizes = np.maximum(places[:, None, 2], places[None, :, 2])
        apart = np.hypot(*np.moveaxis(places[:, None, :2] - places[None, :, :2], -1, 0)) / sizes
        return np.asarray(shared - 0.2 * np.minimum(apart, 1), np.float64)

    @staticmethod
    def _histogram(stretch: Stretch) -> FloatArray:
        import cv2

        total = np.zeros((8, 6, 6), np.float32)
        for sighting in stretch.best(_LOOKED_AT):
            colours = cv2.cvtColor(open_portrait(sighting), cv2.COLOR_RGB2HSV)
            ranges = [0, 180, 0, 256, 0, 256]
            total += cv2.calcHist([colours], [0, 1, 2], None, [8, 6, 6], ranges)
        return (total / max(1.0, float(total.sum()))).ravel()


def sight(
    frame: Frame, points: FloatArray, time_s: float, scale: float, *, with_portrait: bool = True
) -> Sighting:
    """What is kept of a face.

    Args:
        frame: (H, W, 3) RGB in which it was found.
        points: (478, 2) of the mesh, pixels of the frame.
        time_s: when.
        scale: pixels of the frame per pixel of the video.
        with_portrait: whether to keep a picture of the head.
    """
    from pirctl.face.landmarks import mouth_opening

    low, high = points.min(0), points.max(0)
    centre, size = (low + high) / 2, float((high - low).max())
    five = np.stack(
        [points[list(pair)].mean(0) for pair in (_RIGHT_EYE, _LEFT_EYE)]
        + [points[_NOSE]] + [points[corner] for corner in _CORNERS]
    )  # fmt: skip
    eyes = five[1] - five[0]
    # Seen from the front the tip of the nose lies midway between the eyes.
    along = float((five[2] - five[0]) @ eyes / max(1e-6, float(eyes @ eyes)))
    side = _PORTRAIT_SCALE * size
    zoom, corner = _PORTRAIT_PX / side, centre - side / 2
    return Sighting(
        time_s=time_s,
        place=np.array([*centre, size], np.float32) / scale,
        mouth=float(mouth_opening(points)),
        turned=min(1.0, 2 * abs(along - 0.5)),
        portrait=_portrait(frame, corner, zoom) if with_portrait else b"",
        points=((five - corner) * zoom).astype(np.float32),
    )


def _portrait(frame: Frame, corner: FloatArray, zoom: float) -> bytes:
    """The square of a frame from `corner` on as a JPEG; beyond the frame its border goes on."""
    import cv2

    matrix = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])
    portrait = cv2.warpAffine(
        frame, matrix, (_PORTRAIT_PX, _PORTRAIT_PX), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    _, packed = cv2.imencode(".jpg", portrait[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return packed.tobytes()


def open_portrait(sighting: Sighting) -> Frame:
    """The portrait (192, 192, 3) RGB of a sighting."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(sighting.portrait, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "a portrait is a JPEG of our own"
    return np.ascontiguousarray(picture[..., ::-1])
