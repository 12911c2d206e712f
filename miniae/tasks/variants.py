"""What a run does for each kind of autoencoder: make it, and measure and draw what is its own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae import report
from miniae.data import Dataset
from miniae.models import (
    COLLAPSED,
    VARIANTS,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    GaussianMixture,
    GenerativeAutoencoder,
    KSparseAutoencoder,
    L1SparseAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    VectorQuantisedAutoencoder,
    WassersteinAutoencoder,
    jacobian_norm,
)
from miniae.models.adversarial import known_labels
from miniae.models.classifier import check_labels
from miniae.models.priors import check_parts, get_prior
from miniae.report import metrics
from miniae.tasks.config import RunConfig

__all__ = ["make_model", "own_measures", "own_pictures", "with_labels"]


def make_model(config: RunConfig, unit_interval: bool, image_shape: Sequence[int] | None,
               training: dict[str, Any], labels: np.ndarray | None = None) -> Autoencoder:
    """The model that a run's settings describe, untrained.

    Its prior, where it has one that the settings leave open, has a part for each of the `labels` it is trained with.

    Its outputs are sigmoids for data in the unit interval, where the loss does not say what they are.
    `training` are the arguments of all models. Raises `ValueError` for a convolutional model of data without a shape.
    """
    kind = VARIANTS[config.model]
    names = kind._parameter_names()
    *hidden, code = config.layers or ()
    arguments = {**training, "activation": config.activation, "tied": config.tied}
    if not issubclass(kind, VariationalAutoencoder) and config.loss != "multinomial":  # which decide themselves
        arguments["output_activation"] = "sigmoid" if unit_interval else "linear"
    if labels is not None and "prior" in names:
        classes = len(known_labels(check_labels(labels, len(labels))))
        arguments["prior"] = GaussianMixture(classes)
        check_parts(get_prior(config.settings.get("prior", arguments["prior"])), classes)
    if "filters" not in names:
        arguments |= {"hidden": hidden, "code": code}
    elif image_shape is None:
        raise ValueError(f"the model {config.model} is for images, and {config.data} holds none: choose another")
    elif config.model == "vector-quantised":
        arguments |= {"filters": config.layers, "image_shape": image_shape}
    else:
        arguments |= {"filters": hidden, "code": code, "image_shape": image_shape}
    unknown = sorted(arguments.keys() - set(names))
    if unknown:
        raise ValueError(f"the model {config.model} has no {unknown[0]}: leave it out")
    return kind(**{**arguments, **config.settings})


def with_labels(model: Autoencoder, X: np.ndarray, labels: np.ndarray | None) -> tuple[Any, ...]:
    """What the model's methods take: samples, and of models that need them their labels."""
    return (X, labels) if model.needs_labels else (X,)


# How many samples are looked at where that takes long.
_FEW, _SOME = 200, 2000


@functools.singledispatch
def own_measures(model: Autoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    """Measures of a model on samples X beside those that every model has: none for a plain autoencoder.

    Those that take long are of the first samples only.
    """
    return {}


@own_measures.register
def _(model: DenoisingAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    scale, noisy = model.scaler_.transform, model.corrupt(X)
    return {"noisy_squared_error": metrics.squared_error(scale(X), scale(noisy)),
            "denoised_squared_error": metrics.squared_error(scale(X), scale(model.denoise(noisy)))}


@own_measures.register
def _(model: SparseAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    return _sparseness(model._codes(X), threshold=0.1)  # sigmoid units are never quite off


@own_measures.register(L1SparseAutoencoder)
@own_measures.register(KSparseAutoencoder)
def _(model: Autoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    return _sparseness(model._codes(X), threshold=0.0)


def _sparseness(codes: np.ndarray, threshold: float) -> dict[str, float]:
    """What `report.sparsity` says of codes; means leave out units that are always off, and samples without any on."""
    codes = codes.reshape(len(codes), -1)
    measures = {"mean_activity": report.mean_activity(codes).mean(),
                "active_fraction": report.active_fraction(codes, threshold),
                "dead_units": report.dead_units(codes, threshold)}
    if min(codes.shape) > 1 and codes.any():
        measures |= {"lifetime_sparsity": np.nanmean(report.lifetime_sparsity(codes)),
                     "population_sparsity": np.nanmean(report.population_sparsity(codes))}
    return {name: float(value) for name, value in measures.items()}


@own_measures.register
def _(model: ContractiveAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    return {"jacobian_norm": jacobian_norm(model, X[:_FEW])}


@own_measures.register
def _(model: VectorQuantisedAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    return model.usage(X)


@own_measures.register
def _(model: VariationalAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    rows = with_labels(model, X, labels)
    few = [a[:_FEW] for a in rows]
    kl = model.kl(*rows)
    return {"elbo": float(model.elbo(*rows).mean()), "kl": float(kl.sum(axis=1).mean()),
            "idle_units": int((kl.mean(axis=0) < COLLAPSED).sum()),
            f"log_likelihood_of_{len(few[0])}_by_100": float(model.log_likelihood(*few, samples=100).mean())}


@own_measures.register(AdversarialAutoencoder)
@own_measures.register(WassersteinAutoencoder)
def _(model: GenerativeAutoencoder, X: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    if len(X) < 4:  # too few to be compared
        return {}
    codes = model._codes(X[:_SOME])
    drawn = model.draw_codes(len(codes))
    return {"mmd_of_codes_and_prior": report.mmd(codes, drawn).value,
            "codes_told_from_prior": report.classifier_test(codes, drawn)}


@functools.singledispatch
def own_pictures(model: Autoencoder, folder: Path, data: Dataset) -> None:
    """Pictures in `folder` beside those that every model has: none for a plain autoencoder."""


@own_pictures.register
def _(model: DenoisingAutoencoder, folder: Path, data: Dataset) -> None:
    noisy = model.corrupt(data.test)
    scale = model.scaler_.transform
    report.reconstructions(folder / "denoised.png", scale(data.test),
                           {"noisy": scale(noisy), "denoised": scale(model.denoise(noisy))}, data.image_shape,
                           names=data.feature_names)


@own_pictures.register
def _(model: GenerativeAutoencoder, folder: Path, data: Dataset) -> None:
    if data.image_shape is None:
        return
    classes = model.classes_ if model.takes_labels else ()
    labels = np.resize(classes, 100) if len(classes) else None
    report.sample_grid(folder / "samples.png", model.sample(100, labels=labels), data.image_shape, columns=10,
                       title="Samples" + (", a column for each label" if len(classes) == 10 else ""))
    if model.network_.code_shape == (2,) and isinstance(model, VariationalAutoencoder) and not model.needs_labels:
        report.manifold(folder / "manifold.png", model, data.image_shape)
