"""What a training run is made of, as plain values that a JSON file can hold."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniae.data import SCALINGS, DataError
from miniae.functions import ACTIVATIONS
from miniae.models import PRETRAINING, RECONSTRUCTION_LOSSES
from miniae.optim import OPTIMIZERS
from miniae.training import check_count

__all__ = ["RunConfig"]

_CHOICES = {
    "activation": tuple(ACTIVATIONS),
    "pretrain": (*PRETRAINING, "none"),
    "optimizer": tuple(OPTIMIZERS),
    "loss": ("auto", *RECONSTRUCTION_LOSSES),
    "scaling": ("auto", "none", *SCALINGS),
    "dtype": ("float32", "float64"),
    "backend": ("auto", "numpy", "cupy", "strict"),
}


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run. Raises `ValueError`, naming the setting, for values that make no sense.

    `layers` are the encoder's sizes from the first hidden layer to the code; `scaling` "auto" leaves data in [0, 1] as
    they are and standardises others, and `loss` "auto" is "bce" for data in [0, 1] and "mse" for others.
    """

    data: str = "digits"
    label: str | None = None
    layers: tuple[int, ...] = (512, 256, 16)
    activation: str = "sigmoid"
    pretrain: str = "rbm"
    epochs: int = 20
    pretrain_epochs: int = 5
    batch_size: int = 128
    optimizer: str = "adam"
    lr: float = 2e-3
    loss: str = "auto"
    scaling: str = "auto"
    tied: bool = False
    validation: float = 0.1
    backend: str = "auto"
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.data, str) or not isinstance(self.label, (str, type(None))):
            raise ValueError(f"data and label are names, got {self.data!r} and {self.label!r}")
        if not isinstance(self.tied, bool):
            raise ValueError(f"tied is true or false, got {self.tied!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: expected one of {', '.join(choices)}")
        if not isinstance(self.layers, (list, tuple)) or not self.layers:
            raise ValueError(f"layers are the sizes of the hidden layers and of the code, got {self.layers!r}")
        object.__setattr__(self, "layers", tuple(check_count("every size in layers", n) for n in self.layers))
        for name, least in {"epochs": 1, "pretrain_epochs": 1, "batch_size": 1, "seed": 0}.items():
            check_count(name, getattr(self, name), least)
        if self.seed + len(self.layers) > 2**63:  # each layer is pretrained with the next seed
            raise ValueError(f"seed must be below 2**63 less the number of layers, got {self.seed}")
        if not _is_number(self.lr) or not 0 < self.lr <= sys.float_info.max:
            raise ValueError(f"lr must be a positive number, got {self.lr!r}")
        if not _is_number(self.validation) or not 0 <= self.validation < 1:
            raise ValueError(f"validation is the share of samples held out, from 0 to below 1; got {self.validation!r}")
        if self.pretrain == "rbm" and self.activation != "sigmoid":
            raise ValueError(f"pretraining by RBMs makes sigmoid units, got activation {self.activation!r}: choose "
                             "sigmoid, or pretrain by autoencoder or none")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**dataclasses.asdict(self), "layers": list(self.layers)}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        """The settings in a JSON file, for `RunConfig(**settings)`. Raises `DataError` when they can't be used."""
        path = Path(path)
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist: give a config.json that a run wrote, or one like it") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as why:
            raise DataError(f"{path} can't be read as JSON ({why}): give a config.json that a run wrote") from None
        if not isinstance(settings, dict):
            raise DataError(f"{path} holds a {type(settings).__name__}, expected a JSON object of settings")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(settings.keys() - known)
        if unknown:
            raise DataError(f"{path} has the unknown setting {unknown[0]!r}: expected {', '.join(sorted(known))}")
        return settings


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
