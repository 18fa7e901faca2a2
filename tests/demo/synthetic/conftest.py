from __future__ import annotations

import numpy as np
import pytest

from pirctl.demo.synthetic.scene import Scene
from pirctl.demo.synthetic.speaker import make_scene


@pytest.fixture(scope="session")
def scene() -> Scene:
    return make_scene(192, seed=0)[0]


@pytest.fixture
def pose(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    from pirctl.face.camera import FLIP

    return FLIP.numpy().astype(np.float32), scene.t_rest
