from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pirctl.face.draw import (
    contact_sheet,
    draw_label_colours,
    draw_mask,
    draw_mesh,
    draw_points,
    draw_text,
    fit_into_square,
    label_colours,
    plot_curves,
    write_image,
)

GREY = np.full((64, 64, 3), 100, np.uint8)


def test_a_point_is_drawn_at_its_pixel_and_the_frame_is_left_alone() -> None:
    drawn = draw_points(GREY, np.array([[20.5, 40.5]], np.float32), (255, 0, 0))
    assert drawn[40, 20].tolist() == [255, 0, 0]
    assert (drawn != GREY).any(-1).sum() < 20
    assert (GREY == 100).all()


def test_points_that_are_no_numbers_or_far_outside_do_no_harm() -> None:
    draw_points(GREY, np.array([[np.nan, 1e9], [-1e9, np.inf]], np.float32))


def test_a_mesh_is_drawn_along_its_edges() -> None:
    points = np.array([[10, 10], [50, 10], [10, 50]], np.float32)
    drawn = draw_mesh(GREY, points, np.array([[0, 1, 2]]), (255, 255, 255))
    assert drawn[10, 25:35].min() > 105
    assert (drawn[20:25, 15:20] == 100).all()


def test_a_mask_colours_what_it_covers() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    drawn = draw_mask(GREY, mask)
    assert drawn[5, 5].tolist() == [100, 100, 100]
    assert drawn[5, 60].tolist() == [178, 125, 66]


def test_every_label_has_its_own_colour_and_background_none() -> None:
    colours = label_colours()
    assert len(np.unique(colours, axis=0)) == 19
    labels = np.zeros((64, 64), np.uint8)
    labels[0, 0] = 17
    drawn = draw_label_colours(GREY, labels)
    assert (drawn != GREY).any(-1).sum() == 1


def test_a_sheet_has_the_size_of_its_rows_and_columns() -> None:
    sheet = contact_sheet([[GREY, GREY], [GREY]], captions=["a", "b"], side_px=32)
    assert sheet.shape == (2 * (22 + 36), 68, 3)
    assert sheet[22 + 5, 5].tolist() == [100, 100, 100]
    assert sheet[22 + 36 + 22 + 5, 40].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="captions"):
        contact_sheet([[GREY]], captions=["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([[]])


def test_a_tall_picture_keeps_its_shape_in_a_square() -> None:
    square = fit_into_square(np.full((80, 20, 3), 255, np.uint8), 40)
    assert square.shape == (40, 40, 3)
    assert square[20].any(-1).sum() == 10


def test_text_is_drawn() -> None:
    assert (draw_text(GREY, "frame 7") != GREY).any()


def test_pictures_and_curves_are_written_whole(tmp_path: Path) -> None:
    import cv2

    write_image(tmp_path / "ü.png", np.dstack([GREY[..., 0], GREY[..., 0] * 0, GREY[..., 0] * 0]))
    back = cv2.imdecode(np.frombuffer((tmp_path / "ü.png").read_bytes(), np.uint8), 1)
    assert back[0, 0].tolist() == [0, 0, 100]
    time = np.arange(10, dtype=np.float32)
    plot_curves(tmp_path / "c.png", {"a": {"x": time, "y": -time}, "b": {"z": time}}, seconds=time)
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "ü.png"]
