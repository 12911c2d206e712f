"""The training loop, and what happens around it."""

from miniae.training.callbacks import (
    Callback,
    EarlyStopping,
    LearningRate,
    MaxNorm,
    ProgressBar,
    ReduceOnPlateau,
    callback_list,
)
from miniae.training.checkpoint import Checkpoint, restore
from miniae.training.estimator import (
    Estimator,
    NotFittedError,
    check_count,
    check_finite,
    check_number,
    check_rows,
    check_samples,
    check_unit_interval,
)
from miniae.training.trainer import Trainer, TrainingDiverged, epochs_for

__all__ = [
    "Callback", "Checkpoint", "EarlyStopping", "Estimator", "LearningRate", "MaxNorm", "NotFittedError", "ProgressBar",
    "ReduceOnPlateau", "Trainer", "TrainingDiverged", "callback_list", "check_count", "check_finite", "check_number",
    "check_rows", "check_samples", "check_unit_interval", "epochs_for", "restore",
]
