"""A stage that counts as trained for the pictures of a target: settings and frames, no weights."""

from __future__ import annotations

from pirctl.settings import Settings
from pirctl.target import Target
from pirctl.target.checkpoint import CheckpointAbout, save_checkpoint


def pretend_trained(target: Target, stage: str, settings: Settings, train_frames: int) -> None:
    """Write the checkpoint of a stage."""
    about = target.about
    save_checkpoint(
        target.stage_folder(stage) / "checkpoint",
        weights={},
        resume={},
        settings=settings,
        about=CheckpointAbout(
            stage=stage, step=1, total_steps=1, epoch=1.0, loss=0.1, face_model=about.face_model,
            face_model_hash=about.face_model_hash, source_sha256=about.source_sha256,
            size_px=about.size_px, identity_width=1, expression_width=1, train_frames=train_frames,
        ),
    )  # fmt: skip
