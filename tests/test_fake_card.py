"""Training and painting on a card, with the full sizes of the presets, without a card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pirctl import config
from pirctl.face.camera import FLIP
from pirctl.networks.face import FaceNetwork
from pirctl.networks.inference import default_precision, prepare_inference
from pirctl.networks.perceptual import PerceptualLoss
from pirctl.networks.renderer import Renderer
from pirctl.perform.painter import Batch, Inpainting, Painter
from pirctl.settings import Settings
from pirctl.speech import build_encoder
from pirctl.target import Track
from pirctl.target.checkpoint import CheckpointAbout
from pirctl.training import loop
from pirctl.training.audio import AudioTrainer, Speech
from pirctl.training.face import FaceTrainer
from pirctl.training.footage import Footage
from pirctl.training.render import RenderTrainer
from pirctl.training.trainer import Trainer
from tests.fake_card import fake_card

PRESETS = ("paper", "fast")
FRAMES, IDENTITY, EXPRESSION, SIZE = 12, 80, 64, 512

# What transformers' own defaults, those of the base model, leave to say of the large one.
LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096,
}  # fmt: skip


def one_step(preset: str) -> Settings:
    """The preset, for one step of each stage: the adversary from the start, a short window."""
    stages = ("audio", "face", "render")
    short = [f"train.{stage}.{key}" for stage in stages for key in ("max_steps=1", "min_steps=0")]
    return config.load(preset, [*short, "loss.adversary_from=0", "audio2exp.window_frames=6"])


def poses(frames: int) -> dict[str, Tensor]:
    return {
        "z_id": torch.zeros(IDENTITY),
        "z_exp": torch.rand(frames, EXPRESSION),
        "R": FLIP.expand(frames, 3, 3).clone(),
        "t": torch.tensor([0.0, 0.0, 8.0]).expand(frames, 3).clone(),
        "K": torch.tensor([[2.2 * SIZE, 0, SIZE / 2], [0, 2.2 * SIZE, SIZE / 2], [0, 0, 1]]),
    }


def footage(device: torch.device) -> Footage:
    """Pictures in the machine's memory, as where they do not fit on the card."""
    mask = torch.zeros(FRAMES, SIZE, SIZE, dtype=torch.uint8)
    mask[:, 200:420, 150:360] = 255
    return Footage(
        device=device,
        usable=torch.arange(FRAMES),
        frames=torch.zeros(FRAMES, SIZE, SIZE, 3, dtype=torch.uint8),
        maps={"head": mask, "mask": mask, "mouth": mask},
        **{name: value.to(device) for name, value in poses(FRAMES).items()},
    )


def audio_trainer(settings: Settings, device: torch.device) -> Trainer:
    size = LARGE if "large" in settings.speech.model else {}
    with device:
        encoder = build_encoder(settings.speech, 25, 16000, {"config": size, "normalise": True})
    encoder.to(device)  # What transformers makes without asking for a device.
    frames = settings.audio2exp.window_frames
    rows = frames + 2 * encoder.context_frames
    speech = Speech(
        inputs=torch.zeros(rows, encoder.input_width).to(device),
        z_exp=torch.rand(frames, EXPRESSION).to(device),
        valid=torch.ones(frames, 1).to(device),
        z_id=torch.zeros(1, IDENTITY).to(device),
        device=device,
    )
    return AudioTrainer(speech, encoder, settings, tuple(str(k) for k in range(EXPRESSION)))


def perceptual(settings: Settings, device: torch.device) -> PerceptualLoss:
    return PerceptualLoss(Path("vgg16.pth"), settings.loss.perceptual_layers).to(device)


def face_trainer(settings: Settings, device: torch.device) -> Trainer:
    return FaceTrainer(footage(device), settings, perceptual(settings, device))


def render_trainer(settings: Settings, device: torch.device) -> Trainer:
    face = FaceNetwork(settings.face, IDENTITY, EXPRESSION, SIZE)
    return RenderTrainer(footage(device), settings, face, perceptual(settings, device))


BUILDERS = {"audio": audio_trainer, "face": face_trainer, "render": render_trainer}


# deepcopy asks for it, once in a process.
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("stage", BUILDERS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_of_every_stage_runs_on_a_card(
    preset: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda *_, **given: saved.extend(given["weights"]))
    monkeypatch.setattr(PerceptualLoss, "_read", lambda *_: None)
    settings = one_step(preset)
    about = CheckpointAbout(
        stage=stage, step=0, total_steps=0, epoch=0.0, loss=0.0, face_model="bfm",
        face_model_hash="", source_sha256="", size_px=SIZE, identity_width=IDENTITY,
        expression_width=EXPRESSION, train_frames=FRAMES,
    )  # fmt: skip
    with fake_card(monkeypatch) as device:
        trainer = BUILDERS[stage](settings, device)
        for network in trainer.networks.values():
            assert {weight.device for weight in network.parameters()} == {device}
        report = loop.train_stage(
            trainer, folder=tmp_path, settings=settings, about=about, device=device, resume=False,
            on_progress=lambda _: None,
        )  # fmt: skip
        # Every weight that is trained has got a gradient, in float32.
        for network in trainer.networks.values():
            for name, weight in network.named_parameters():
                assert not weight.requires_grad or weight.grad is not None, name
    assert report.new_steps == 1
    assert saved
    assert (tmp_path / "preview.png").is_file()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_is_painted_on_a_card(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config.load(preset)
    given = {name: value.numpy() for name, value in poses(FRAMES).items()}
    track = Track(
        landmarks=np.zeros((FRAMES, 468, 2), np.float32), valid=np.ones(FRAMES, bool),
        error_px=np.zeros(FRAMES, np.float32), **given,
    )  # fmt: skip
    with fake_card(monkeypatch) as device:
        precision = default_precision(device)
        assert precision == "bfloat16"
        face = FaceNetwork(settings.face, IDENTITY, EXPRESSION, SIZE)
        renderer = Renderer(settings.renderer, settings.face.feature_channels, SIZE)
        ready = prepare_inference(face, device, precision)
        painter = Painter(
            track=track,
            face=ready,
            brush=Inpainting(
                track=track,
                face=ready,
                renderer=prepare_inference(renderer, device, precision),
                feature_size=settings.renderer.feature_size,
            ),
            mask_of=lambda number, z_exp: np.ones((SIZE, SIZE), np.float32),
            device=device,
        )
        frames = np.zeros((4, SIZE, SIZE, 3), np.uint8)
        batch = Batch(numbers=[0, 1, 2, 3], frames=frames, z_exp=given["z_exp"][:4])
        painted = painter.paint(batch)
        pictures = painter.pictures(batch)
    for result in (painted.frames, pictures.masked, pictures.face, pictures.painted):
        assert (result.shape, result.dtype) == ((4, SIZE, SIZE, 3), np.uint8)
