"""What a run does for each kind of autoencoder: make it, and measure and draw what is its own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data import Dataset
from miniae.models import VARIANTS, Autoencoder
from miniae.tasks.config import RunConfig

__all__ = ["make_model", "own_measures", "own_pictures"]


def make_model(config: RunConfig, unit_interval: bool, image_shape: Sequence[int] | None,
               training: dict[str, Any]) -> Autoencoder:
    """The model that a run's settings describe, untrained. Its outputs are sigmoids for data in the unit interval.

    `training` are the arguments of all models. Raises `ValueError` for a convolutional model of data without a shape.
    """
    kind = VARIANTS[config.model]
    names = kind._parameter_names()
    *hidden, code = config.layers
    arguments = {**training, "activation": config.activation, "code": code,
                 "output_activation": "sigmoid" if unit_interval else "linear"}
    if config.tied:
        arguments["tied"] = True
    if "filters" in names:
        if image_shape is None:
            raise ValueError(f"the model {config.model} is for images, and {config.data} holds none: choose another")
        arguments |= {"filters": hidden, "image_shape": image_shape}
    else:
        arguments["hidden"] = hidden
    unknown = sorted(arguments.keys() - set(names))
    if unknown:
        raise ValueError(f"the model {config.model} has no {unknown[0]}: leave it out")
    return kind(**{**arguments, **config.settings})


@functools.singledispatch
def own_measures(model: Autoencoder, test: np.ndarray) -> dict[str, float]:
    """Measures of the test samples beside those of every model: none for a plain autoencoder."""
    return {}


@functools.singledispatch
def own_pictures(model: Autoencoder, folder: Path, data: Dataset) -> None:
    """Pictures in `folder` beside those of every model: none for a plain autoencoder."""
