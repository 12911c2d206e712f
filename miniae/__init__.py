"""miniae: autoencoders from first principles, on NumPy and CuPy.

    import miniae

    digits = miniae.data.load("digits")
    model = miniae.Autoencoder(hidden=[256, 64], code=16, loss="bce").fit(digits.train)
    codes = model.transform(digits.test)

The names below, and the packages `autodiff`, `functions`, `nn`, `optim`, `rbm`, `models`, `training`, `data`, `report`,
`tasks` and `exchange`, are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

from miniae import functions  # gives Tensor its operators
from miniae.autodiff import Function, Tensor, gradcheck, jvp, no_grad
from miniae.backend import use_backend

if TYPE_CHECKING:
    from miniae import data as data
    from miniae import models as models
    from miniae import nn as nn
    from miniae import optim as optim
    from miniae import rbm as rbm
    from miniae import report as report
    from miniae import tasks as tasks
    from miniae import training as training
    from miniae.models import (
        PCA,
        Autoencoder,
        AutoRec,
        Classifier,
        ConditionalVariationalAutoencoder,
        DeepBeliefNetwork,
        MultinomialVAE,
        SemanticHashing,
        Stack,
        VariationalAutoencoder,
        load,
        pretrain,
    )
    from miniae.nn import Sequential
    from miniae.rbm import RBM
    from miniae.tasks import (
        AnomalyDetector,
        CodeMap,
        ImageCompressor,
        PatchDenoiser,
        SemanticIndex,
        SeriesDetector,
        TextureInspector,
    )
    from miniae.training import Trainer

_PACKAGES = ("data", "exchange", "models", "nn", "optim", "rbm", "report", "tasks", "training")
_HOMES = {
    "AnomalyDetector": "tasks", "Autoencoder": "models", "AutoRec": "models", "Classifier": "models",
    "CodeMap": "tasks", "ConditionalVariationalAutoencoder": "models", "DeepBeliefNetwork": "models",
    "ImageCompressor": "tasks", "load": "models", "MultinomialVAE": "models", "PatchDenoiser": "tasks", "PCA": "models",
    "pretrain": "models", "RBM": "rbm", "SemanticHashing": "models", "SemanticIndex": "tasks", "Sequential": "nn",
    "SeriesDetector": "tasks", "Stack": "models", "TextureInspector": "tasks", "Trainer": "training",
    "VariationalAutoencoder": "models",
}

__all__ = [
    "PCA", "RBM", "AnomalyDetector", "AutoRec", "Autoencoder", "Classifier", "CodeMap",
    "ConditionalVariationalAutoencoder", "DeepBeliefNetwork", "Function", "ImageCompressor", "MultinomialVAE",
    "PatchDenoiser", "SemanticHashing", "SemanticIndex", "Sequential", "SeriesDetector", "Stack", "Tensor",
    "TextureInspector", "Trainer", "VariationalAutoencoder", "functions", "gradcheck", "jvp", "load", "no_grad",
    "pretrain", "use_backend",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"miniae.{name}")
    if name in _HOMES:
        globals()[name] = value = getattr(importlib.import_module(f"miniae.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module 'miniae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PACKAGES, *_HOMES})
