"""Autoencoders from first principles, on NumPy, and on NVIDIA GPUs by CuPy.

    import miniae

    digits = miniae.data.load("digits")
    model = miniae.Autoencoder(hidden=[256, 64], code=16, loss="bce").fit(digits.train)
    codes = model.transform(digits.test)

What most programs need is here:

- autoencoders: `Autoencoder`, `VariationalAutoencoder`, `ConditionalVariationalAutoencoder`, `SemanticHashing`, and
  more kinds in `miniae.models`
- restricted Boltzmann machines, and what is pretrained by them: `RBM`, `pretrain`, `Stack`, `DeepBeliefNetwork`
- labels and ratings: `Classifier`, `AutoRec`, `MultinomialVAE`
- tasks: `AnomalyDetector`, `SeriesDetector`, `TextureInspector`, `PatchDenoiser`, `ImageCompressor`, `SemanticIndex`,
  `CodeMap`
- what autoencoders are compared with: `PCA`
- parts, for models and training of your own: `Sequential`, `Trainer`, `Tensor`, `Function`, `gradcheck`, `jvp`,
  `no_grad`
- files and devices: `load`, `use_backend`

All else is in packages, which, as the names above, are loaded when they are first used:

- `miniae.models`: autoencoders of every kind, pretraining, classifiers, recommenders
- `miniae.rbm`: restricted Boltzmann machines
- `miniae.tasks`: what people do with autoencoders; runs
- `miniae.data`: data sets, files, scaling, ratings
- `miniae.training`: the loop, callbacks, checkpoints
- `miniae.report`: metrics and pictures
- `miniae.nn`: layers
- `miniae.optim`: optimizers, schedules, penalties
- `miniae.functions`: differentiable functions
- `miniae.autodiff`: tensors, and the tape between them
- `miniae.backend`: what an array is, on every kind of device
- `miniae.exchange`: models for other programs
- `miniae.cli`: the command line
- `miniae.gpucheck`: checks of a GPU
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
