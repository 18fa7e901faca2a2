"""Training of the three stages."""

from pirctl.training.stages import TrainReport, run

__all__ = ["TrainReport", "run"]
