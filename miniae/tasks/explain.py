"""What a page needs to explain a run: its model from the inside, and how it, and a twin, come to be as they learn."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data import DataError
from miniae.models import Autoencoder, load
from miniae.models.network import AutoencoderNetwork
from miniae.nn import Activation
from miniae.report.computation import computation
from miniae.report.decoder import NotInPage, decoder_steps
from miniae.report.explanation import Explanation, Twin, latent_plane
from miniae.tasks.config import RunConfig
from miniae.tasks.folder import RunFolder
from miniae.tasks.run import Run
from miniae.tasks.variants import with_labels
from miniae.training import Callback, Insight, TrainingDiverged, check_count

__all__ = ["explain"]

_PROBED = 256  # samples that layers are looked at with
_SHOWN = 10  # samples whose reconstructions are shown
_MAPPED = 2000  # samples on the map
_MEASURED = ("test_squared_error", "pca_squared_error", "pca_components")

Progress = Callable[[str], Sequence[Callback]]


def explain(folder: str | os.PathLike[str], epochs: int = 10, backend: str | None = None,
            say: Callable[[str], None] = lambda line: None,
            progress: Progress = lambda title: ()) -> Explanation:
    """Look into the run in `folder`, and train its model anew for its first epochs, `epochs` at most, looking on.

    A plain autoencoder is trained twice, as the run was and the same with pretraining, or without: vanishing gradients
    are then seen side by side. Other models are trained once. With 0 epochs nothing is trained. `backend` is the run's
    own when None. A run that was interrupted is shown as far as it came. Raises `DataError` for a folder that holds no
    run, or one that was killed and left no model, or whose data have changed their width.
    """
    folder = Path(folder)
    check_count("epochs", epochs, least=0)
    settings = RunConfig.read(folder / "config.json")
    config = RunConfig(**{**settings, **({} if backend is None else {"backend": backend})})
    resume = f"miniae train --resume {folder}"
    unfinished = RunFolder(folder).is_unfinished
    if unfinished and not (folder / "model.safetensors").exists():
        raise DataError(f"the run in {folder} has written no model yet; if it was stopped, {resume} goes on with it")
    model = load(folder / "model.safetensors", backend=config.backend)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{folder} holds a model of class {type(model).__name__}, expected an autoencoder: give the "
                        "folder of a run of miniae train")
    vars(model).pop("feature_names_in_", None)  # the run's data come as arrays, their columns in its order
    measures = _measures(folder / "metrics.json")
    # Of fewer layers than it was to have, where it was interrupted while they were pretrained.
    run = Run(dataclasses.replace(config, layers=measures.pop("layers", config.layers)))
    data = run.data
    if data.train.shape[1] != model.n_features_in_:
        raise DataError(f"{config.data} has {data.train.shape[1]} features a sample, the model in {folder} was made "
                        f"for {model.n_features_in_}: the data have changed since that run")
    stages = _history(folder / "history.csv")
    chosen = _one_of_each(data.test_labels, len(data.test))
    X, told = data.test[chosen], model.needs_labels or config.use_labels
    batch = model.as_batch(X, _of(data.test_labels, chosen) if told else None)
    twins = _twins(config, min(epochs, config.epochs or epochs), batch, stages, say, progress) if epochs else []
    decoder, refused = None, None
    try:
        decoder = decoder_steps(model)
    except NotInPage as why:
        refused = why
    facts = {"data": data.name, "train": len(run.train), "test": len(data.test), "model": config.model,
             "layers": run.architecture(), "parameters": sum(p.size for p in model.network_.parameters()),
             "activations": _activations(model.network_), "loss": run.loss, "scaling": run.scaling,
             "optimizer": config.optimizer, "lr": config.lr, "batch": config.batch_size,
             "epochs": len(stages.get("train", ())), "epochs_wanted": config.epochs,
             "resume": resume if unfinished else None, "pretraining": config.pretrain,
             "pretrain_epochs": config.pretrain_epochs, "seed": config.seed, **measures}
    first = slice(config.batch_size)
    step = model.as_batch(run.train[first], _of(run.labels, first) if told else None)
    mapped, labels = data.test[:_MAPPED], _of(data.test_labels, slice(_MAPPED))
    codes = model._codes(*with_labels(model, mapped, labels))
    return Explanation(model, facts, stages, computation(model.network_, step), twins, X[:_SHOWN], data.image_shape,
                       data.feature_names, data.test.min(axis=0), data.test.max(axis=0), latent_plane(codes, labels),
                       decoder, refused)


def _of(labels: np.ndarray | None, rows: Any) -> np.ndarray | None:
    """The labels of those samples, if there are labels."""
    return None if labels is None else labels[rows]


def _one_of_each(labels: np.ndarray | None, n: int) -> np.ndarray:
    """The numbers of samples to look at: as far as there are labels, one of each comes first."""
    first = [] if labels is None else np.sort(np.unique(labels, return_index=True)[1])[:_SHOWN].tolist()
    if labels is not None:
        first.sort(key=lambda i: labels[i])
    rest = [i for i in range(min(n, _PROBED + _SHOWN)) if i not in first]
    return np.array([*first, *rest][:_PROBED])


def _history(path: Path) -> dict[str, list[dict[str, float]]]:
    """The rows of a run's history by stage; nothing where the run has none. Raises `DataError` for another table."""
    if not path.exists():
        return {}
    stages: dict[str, list[dict[str, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if "stage" not in (table.fieldnames or ()):
                raise ValueError("it has no column stage")
            for row in table:
                stages.setdefault(row.pop("stage"), []).append({k: float(v) for k, v in row.items() if v})
    except (OSError, UnicodeDecodeError, KeyError, ValueError, TypeError) as why:
        raise DataError(f"{path} can't be read ({why}): expected the history.csv that a run wrote") from None
    return stages


def _measures(path: Path) -> dict[str, Any]:
    """Of the run's measures those that the page shows; none where it has none. Raises `DataError` for another file."""
    if not path.exists():
        return {}
    try:
        measures = json.loads(path.read_text(encoding="utf-8"))
        found = {name: float(measures[name]) for name in _MEASURED if name in measures}
        if not all(map(math.isfinite, found.values())):
            raise ValueError("not all of them are finite numbers")
        return {**found, "layers": measures["layers"]}
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, RecursionError) as why:
        raise DataError(f"{path} can't be read ({why}): expected the metrics.json that a run wrote") from None


def _activations(network: AutoencoderNetwork) -> list[str]:
    """The activations of the encoder's and the decoder's layers by name; "linear" only where there is no other."""
    layers = [layer for part in (network.encoder, network.decoder) for _, layer in part.named_layers()]
    found = {layer.function if isinstance(layer, Activation) else getattr(layer, "activation", None)
             for layer in layers}
    return sorted(name for name in found if isinstance(name, str) and name != "linear") or ["linear"]


def _twins(config: RunConfig, epochs: int, batch: Sequence[np.ndarray], stages: dict[str, list[dict[str, float]]],
           say: Callable[[str], None], progress: Progress) -> list[Twin]:
    """The run's training repeated, and of a plain autoencoder then the same without pretraining, or with it."""
    ways = [config.pretrain]
    if config.model == "autoencoder" and not config.settings:
        pretraining = "rbm" if config.activation == "sigmoid" else "autoencoder"
        ways.append(pretraining if config.pretrain == "none" else "none")
    twins = []
    for way in ways:
        words = "this run" if way == config.pretrain else \
            "the same without pretraining" if way == "none" else f"the same with pretraining ({way})"
        say(f"training {epochs} epochs and looking on: {words}")
        insight = Insight(batch, _SHOWN)

        def callbacks(title: str, words: str = words, insight: Insight = insight) -> list[Callback]:
            return [*progress(f"{words}: {title}"), *([insight] if title in ("training", "fine-tuning") else [])]

        again = Run(dataclasses.replace(config, pretrain=way, epochs=epochs), progress=callbacks)
        try:
            history = again.execute().history_
        except TrainingDiverged as why:
            say(f"{words}: ended early, {why}")
            history = [] if again.model is None else again.model.history_
        if insight.epochs:
            repeats = _repeats(stages.get("train", []), history, epochs) if way == config.pretrain else None
            twins.append(Twin(way, insight, history, repeats))
    return twins


def _repeats(known: list[dict[str, float]], again: list[dict[str, float]], epochs: int) -> bool | None:
    """Whether a training has had the losses of the run in its first `epochs`; None for a run without any, which was
    interrupted before."""
    losses = [row["loss"] for row in known][:epochs]
    if not losses:
        return None
    return len(again) >= len(losses) and bool(np.allclose(losses, [row["loss"] for row in again][:len(losses)],
                                                          rtol=1e-4))
