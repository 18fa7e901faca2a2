"""Training of the three stages, and loading what was trained."""

from pirctl.perform.loading import check_trained, load_stage
from pirctl.training.stages import TrainReport, run

__all__ = ["TrainReport", "check_trained", "load_stage", "run"]
