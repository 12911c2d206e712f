"""The training loop, and what happens around it.

- `Trainer`, the loop
- callbacks: `Callback`, `ProgressBar`, `EarlyStopping`, `ReduceOnPlateau`, `LearningRate`, `MaxNorm`, `Insight`
- runs that go on: `Checkpoint`, `restore`, `DamagedCheckpoint`
- numbers that are not finite: `TrainingDiverged`, `SkipBatches`, `RollBack`, `on_nan`
- what estimators share: `Estimator`, `NotFittedError`
"""

from miniae.training.callbacks import (
    Callback,
    EarlyStopping,
    LearningRate,
    MaxNorm,
    ProgressBar,
    ReduceOnPlateau,
    callback_list,
)
from miniae.training.checkpoint import Checkpoint, DamagedCheckpoint, restore
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
from miniae.training.insight import Insight, LayerLook
from miniae.training.ranks import RanksDiffer
from miniae.training.trainer import Trainer, epochs_for
from miniae.training.trouble import ON_NAN, NumericalTrouble, RollBack, SkipBatches, TrainingDiverged, on_nan

__all__ = [
    "ON_NAN", "Callback", "Checkpoint", "DamagedCheckpoint", "EarlyStopping", "Estimator", "Insight", "LayerLook",
    "LearningRate", "MaxNorm", "NotFittedError", "NumericalTrouble", "ProgressBar", "RanksDiffer", "ReduceOnPlateau",
    "RollBack", "SkipBatches", "Trainer", "TrainingDiverged", "callback_list", "check_count", "check_finite",
    "check_number", "check_rows", "check_samples", "check_unit_interval", "epochs_for", "on_nan", "restore",
]
