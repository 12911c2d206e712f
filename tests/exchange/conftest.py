"""A small trained model of every class that files may hold."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest

from miniae import models


def _data(name: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(name)).random(shape, np.float32)


BASES = {"MatchedAutoencoder", "GenerativeAutoencoder", "Recommender"}
"""What others are made of, and no models themselves."""


@functools.cache
def small(name: str) -> tuple[Any, tuple[np.ndarray, ...]]:
    """A model of this class, trained for an epoch or two, and what its network takes: samples, and labels' rows.

    Its parameters are moved from where training left them: biases, say, are not near 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", models.PosteriorCollapse)
        model, arrays = _trained(models.MODELS[name])
    rng = np.random.default_rng(1)
    for parameter in model.network_.parameters():
        parameter.assign(parameter.numpy() + rng.normal(scale=0.1, size=parameter.shape).astype(np.float32))
    return model, arrays


def _trained(kind: Any) -> tuple[Any, tuple[np.ndarray, ...]]:
    name = kind.__name__
    if issubclass(kind, models.Recommender):
        rng = np.random.default_rng(0)
        users, items = np.divmod(rng.permutation(20 * 15)[:150], 15)
        model = kind([6], 3, epochs=2).fit((users, items, rng.integers(1, 6, 150).astype(np.float32)))
        rows = model._rows_of(model.ratings_)
        return model, (rows.rows(np.arange(len(rows))),)
    training = {"epochs": 2, "batch_size": 16, "activation": "tanh"}
    X = _data(name, 40, 12)
    labels = np.arange(40) % 3
    if issubclass(kind, models.Classifier):
        return kind([8, 6], head_epochs=1, epochs=1, scaling="standard").fit(X, labels), (X,)
    if issubclass(kind, models.SeriesAutoencoder):
        return kind((4, 5), 3, series_shape=(2, 6), scaling="standard", **training).fit(X), (X,)
    if issubclass(kind, models.VectorQuantisedAutoencoder):
        images = _data(name, 40, 2, 9, 7)
        return kind((4, 5), codebook=16, dim=4, **training).fit(images), (images,)
    if issubclass(kind, models.ConvolutionalAutoencoder):
        images = _data(name, 40, 2, 9, 7)
        return kind((4, 5), None, downsampling="pooling", **training).fit(images), (images,)
    if issubclass(kind, models.ContractiveAutoencoder):
        return kind(3, scaling="minmax", **training).fit(X), (X,)
    if issubclass(kind, models.ConditionalVariationalAutoencoder):
        model = kind([8], 3, **training).fit(X, labels)
        return model, (X, np.eye(3, dtype=np.float32)[labels])
    if issubclass(kind, models.RestoringAutoencoder):
        return kind([8], 3, scaling="standard", **training).fit(X, X), (X,)
    scaling = {} if issubclass(kind, models.VariationalAutoencoder) else {"scaling": "standard"}
    return kind([8], 3, **scaling, **training).fit(X), (X,)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`any_model`: the names of all classes that files may hold, so that none can be forgotten."""
    if "any_model" in metafunc.fixturenames:
        metafunc.parametrize("any_model", [name for name, kind in models.MODELS.items() if name not in BASES
                                           and kind.__module__.startswith("miniae.")])


@pytest.fixture
def small_model():
    return small
