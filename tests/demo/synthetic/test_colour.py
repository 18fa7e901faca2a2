from __future__ import annotations

import numpy as np

from pirctl.demo.synthetic.colour import display_table, to_linear


def test_what_is_shown_comes_back_through_the_table() -> None:
    shown = np.arange(256)
    table = display_table()
    place = np.round(to_linear(shown / 255) * (len(table) - 1)).astype(int)
    # The table's steps are coarse in the darkest tones only.
    assert np.abs(table[place].astype(int) - shown).max() <= 1


def test_light_is_between_0_and_1_and_grows_with_what_is_shown() -> None:
    light = to_linear(np.linspace(-1, 2, 301))
    assert (light.min(), light.max()) == (0, 1)
    assert (np.diff(light) >= 0).all()
