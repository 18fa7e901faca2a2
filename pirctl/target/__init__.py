"""The target folder: what preprocess found, what training made, and where all targets are."""

from pirctl.target.folder import Target, TargetAbout, Track

__all__ = ["Target", "TargetAbout", "Track"]
