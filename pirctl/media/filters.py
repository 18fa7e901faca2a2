"""ffmpeg's filters run in process on decoded frames, the same that `reader` runs in the program."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirctl.media.crop import Crop, Step, crop_steps, scale_step
from pirctl.media.picture import PictureFormat

_KEPT_GRAPHS = 8
# How a turn is carried out, by ffmpeg's own rule; the eight ways of `PictureFormat.turn`.
_TURNS: dict[tuple[int, int, int, int], list[Step]] = {
    (1, 0, 0, 1): [],
    (-1, 0, 0, 1): [("hflip", {})],
    (1, 0, 0, -1): [("vflip", {})],
    (-1, 0, 0, -1): [("hflip", {}), ("vflip", {})],
    (0, 1, -1, 0): [("transpose", {"dir": "clock"})],
    (0, -1, 1, 0): [("transpose", {"dir": "cclock"})],
    (0, 1, 1, 0): [("transpose", {"dir": "cclock_flip"})],
    (0, -1, -1, 0): [("transpose", {"dir": "clock_flip"})],
}


class Filters:
    """ffmpeg's filters in process, one graph per square and size, shared by a video's frames."""

    def __init__(self, form: PictureFormat) -> None:
        self._form = form
        self._graphs: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def copied(self, frame: Any) -> Any:
        """A frame of its own memory, with all that the decoder says of it."""
        return self._run("copy", [("copy", {})], frame)

    def rgb(self, frame: Any, box: Crop | None, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Cut out, resolve and resample, as `read_frames` does."""
        form = self._form
        steps: list[Step] = [*_TURNS[form.turn]]
        before = form.shown_size
        if box is not None:
            before = (int(box.side), int(box.side))
            cutting = crop_steps(form.shown_size, box, form.has_square_pixels)
            if cutting[0][0] == "crop" and form.turn != (1, 0, 0, 1):
                # Cut first, where it is stored: turning a whole frame takes longer than the rest.
                stored = _stored_cut(form, cutting[0])
                steps, cutting = ([stored, *steps], cutting[1:]) if stored else (steps, cutting)
            steps += cutting
        steps += [scale_step(before, size), ("format", {"pix_fmts": "rgb24"})]
        picture: NDArray[np.uint8] = self._run((box, size), steps, frame).to_ndarray()
        return picture

    def _run(self, key: Any, steps: list[Step], frame: Any) -> Any:
        with self._lock:
            graph = self._graphs.get(key) or self._graph(steps, frame)
            self._graphs[key] = graph
            self._graphs.move_to_end(key)
            if len(self._graphs) > _KEPT_GRAPHS:
                self._graphs.popitem(last=False)
            graph.vpush(frame)
            return graph.vpull()

    def _graph(self, steps: list[Step], frame: Any) -> Any:
        import av

        graph = av.filter.Graph()
        graph.threads = 1  # A cut-out is too small to share.
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base,
        )
        nodes = [source]
        for name, options in steps:
            nodes.append(graph.add(name, **{key: str(value) for key, value in options.items()}))
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        return graph


def _stored_cut(form: PictureFormat, cut: Step) -> Step | None:
    """The same cut before the turn; None: it would not begin at a whole sample of colour."""
    options = {key: int(value) for key, value in cut[1].items()}
    x0, y0, x1, y1 = stored_box(form, (
        options["x"], options["y"], options["x"] + options["w"], options["y"] + options["h"],
    ))  # fmt: skip
    if x0 % 2 or y0 % 2:
        return None
    return "crop", {"w": x1 - x0, "h": y1 - y0, "x": x0, "y": y0}


def stored_box(form: PictureFormat, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Corners in the stored picture (of square pixels) of a box of the shown one."""
    (width, height), (a, b, c, d) = form.shown_size, form.turn
    # Shown from stored is x' = a x + c y, y' = b x + d y about the middle; the inverse transposes.
    x0, y0, x1, y1 = box
    flipped_x = (width - x1, width - x0) if a + c < 0 else (x0, x1)
    flipped_y = (height - y1, height - y0) if b + d < 0 else (y0, y1)
    across, down = (flipped_x, flipped_y) if a else (flipped_y, flipped_x)
    return across[0], down[0], across[1], down[1]
