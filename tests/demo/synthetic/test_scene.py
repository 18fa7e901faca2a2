from __future__ import annotations

import cv2
import numpy as np
import torch

from pirctl.demo.synthetic.scene import Scene
from pirctl.demo.synthetic.speaker import make_scene
from pirctl.face.camera import FLIP, project, rotation_from_vector, transform
from pirctl.face.landmarks import FACE_OVAL, LIPS_OUTER, NOSE_TIP

Pose = tuple[np.ndarray, np.ndarray]
MOUTH, UPPER_LIP, LOWER_LIP, HAIR, NECK, CLOTH, LEFT_EYE, RIGHT_EYE = 11, 12, 13, 17, 14, 16, 4, 5


def _expression(scene: Scene, **values: float) -> np.ndarray:
    z_exp = scene.rest.copy()
    for name, value in values.items():
        z_exp[scene.model.axis(name)] += value
    return z_exp


def test_landmarks_are_the_projected_model(scene: Scene, pose: Pose) -> None:
    z_exp = _expression(scene, jawOpen=0.4, mouthSmileLeft=0.5)
    R = (FLIP @ rotation_from_vector(torch.tensor([0.05, 0.12, 0.03]))).numpy()
    shown = scene.render(z_exp, R, pose[1])
    vertices = torch.from_numpy(scene.vertices(z_exp))
    camera = transform(torch.from_numpy(R), torch.from_numpy(pose[1]), vertices)
    expected = project(camera, torch.from_numpy(scene.K)).numpy()
    assert np.allclose(shown.landmarks[:468], expected, atol=1e-2)
    assert shown.landmarks.shape == (478, 2)


def test_labels_agree_with_geometry(scene: Scene, pose: Pose) -> None:
    shown = scene.render(_expression(scene, jawOpen=0.6), *pose)
    inner = shown.landmarks[[13, 14]].mean(0).astype(int)
    assert shown.labels[inner[1], inner[0]] == MOUTH
    tip = shown.landmarks[NOSE_TIP].astype(int)
    assert shown.labels[tip[1], tip[0]] == 10
    lips = np.isin(shown.labels, (MOUTH, UPPER_LIP, LOWER_LIP))
    rows, columns = np.nonzero(lips)
    ring = shown.landmarks[list(LIPS_OUTER)]
    assert abs(rows.min() - ring[:, 1].min()) < 3
    assert abs(rows.max() - ring[:, 1].max()) < 3
    assert abs(columns.min() - ring[:, 0].min()) < 3
    assert abs(columns.max() - ring[:, 0].max()) < 3
    # The subject's left eye is on the right of the picture.
    assert np.nonzero(shown.labels == LEFT_EYE)[1].mean() > 96
    assert np.nonzero(shown.labels == RIGHT_EYE)[1].mean() < 96
    for label in (HAIR, NECK, CLOTH, 0, 1, 2, 3):
        assert (shown.labels == label).mean() > 0.001, label


def test_no_gap_shows_the_room_inside_the_face(scene: Scene) -> None:
    for yaw in (-0.15, 0.0, 0.15):
        R = (FLIP @ rotation_from_vector(torch.tensor([0.05, yaw, 0.0]))).numpy()
        shown = scene.render(_expression(scene, jawOpen=0.5), R, scene.t_rest)
        oval = shown.landmarks[list(FACE_OVAL)]
        inner = oval.mean(0) + 0.93 * (oval - oval.mean(0))
        face = np.zeros((192, 192), np.uint8)
        cv2.fillPoly(face, [np.round(inner).astype(np.int32)], 1)
        assert (shown.labels[face == 1] > 0).all()


def test_lids_close_over_the_eyes(scene: Scene, pose: Pose) -> None:
    def white(z_exp: np.ndarray) -> int:
        return int(np.isin(scene.render(z_exp, *pose).labels, (LEFT_EYE, RIGHT_EYE)).sum())

    k = [scene.model.axis(f"eyeBlink{side}") for side in ("Left", "Right")]
    closed = scene.rest.copy()
    closed[k] = scene.blink
    assert white(closed) < 0.45 * white(scene.rest)


def test_teeth_show_when_the_jaw_opens(scene: Scene, pose: Pose) -> None:
    shown = scene.render(_expression(scene, jawOpen=0.5), *pose)
    inside = shown.picture[shown.labels == MOUTH].astype(float)
    assert len(inside) > 40
    brightness = inside.mean(1)
    # Teeth are bright and hardly red, the hollow behind them is dark.
    assert (brightness > 110).sum() > 8
    assert (brightness < 50).sum() > 8


def test_lips_meet_at_rest(scene: Scene, pose: Pose) -> None:
    assert abs(scene.lip_gap(scene.rest)) < 1e-3
    shut = scene.render(scene.rest, *pose)
    opened = scene.render(_expression(scene, jawOpen=0.5), *pose)
    assert (shut.labels == MOUTH).sum() < 0.1 * (opened.labels == MOUTH).sum()


def test_the_same_seed_gives_the_same_picture(scene: Scene, pose: Pose) -> None:
    again, _ = make_scene(192, seed=0)
    z_exp = _expression(scene, jawOpen=0.3)
    assert np.array_equal(scene.render(z_exp, *pose).picture, again.render(z_exp, *pose).picture)


def test_another_seed_is_another_person(scene: Scene, pose: Pose) -> None:
    other, _ = make_scene(192, seed=1)
    assert np.abs(other.vertices(other.rest) - scene.vertices(scene.rest)).max() > 0.02


def test_the_face_has_the_size_of_a_talking_head_shot(scene: Scene, pose: Pose) -> None:
    points = scene.render(scene.rest, *pose).landmarks
    share = (points[152, 1] - points[[105, 334], 1].mean()) / 192
    assert 0.33 < share < 0.45
