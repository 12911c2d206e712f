"""What a page needs to explain a run: its model from the inside, and how it, and a twin, come to be as they learn."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.data import DataError
from miniae.models import Autoencoder, load
from miniae.report.computation import computation
from miniae.report.decoder import NotInPage, decoder_steps
from miniae.report.explanation import Explanation, Twin, latent_plane
from miniae.tasks.config import RunConfig
from miniae.tasks.run import Run
from miniae.tasks.variants import with_labels
from miniae.training import Callback, Insight, TrainingDiverged, check_count

__all__ = ["explain"]

_PROBED = 256  # samples that layers are looked at with
_SHOWN = 10  # samples whose reconstructions are shown
_MAPPED = 2000  # samples on the map

Progress = Callable[[str], Sequence[Callback]]


def explain(folder: str | os.PathLike[str], epochs: int = 10, backend: str | None = None,
            say: Callable[[str], None] = lambda line: None,
            progress: Progress = lambda title: ()) -> Explanation:
    """Look into the run in `folder`, and train its model anew for its first epochs, `epochs` at most, looking on.

    A plain autoencoder is trained twice, with pretraining and without, all else being the same: vanishing gradients are
    then seen side by side. Other models are trained once. With 0 epochs nothing is trained. `backend` is the run's own
    when None. Raises `DataError` for a folder that holds no run, or whose data have changed their width.
    """
    folder = Path(folder)
    check_count("epochs", epochs, least=0)
    settings = RunConfig.read(folder / "config.json")
    config = RunConfig(**{**settings, **({} if backend is None else {"backend": backend})})
    model = load(folder / "model.safetensors", backend=config.backend)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{folder} holds a model of class {type(model).__name__}, expected an autoencoder: give the "
                        "folder of a run of miniae train")
    run = Run(config)
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
             "loss": run.loss, "optimizer": config.optimizer, "lr": config.lr, "batch": config.batch_size,
             "epochs": len(stages.get("train", ())), "pretraining": config.pretrain,
             "pretrain_epochs": config.pretrain_epochs, "seed": config.seed}
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


def _twins(config: RunConfig, epochs: int, batch: Sequence[np.ndarray], stages: dict[str, list[dict[str, float]]],
           say: Callable[[str], None], progress: Progress) -> list[Twin]:
    """The run's training repeated, and of a plain autoencoder the same with pretraining, or without."""
    ways = [config.pretrain]
    if config.model == "autoencoder" and not config.settings:
        pretrained = config.pretrain if config.pretrain != "none" else \
            "rbm" if config.activation == "sigmoid" else "autoencoder"
        ways = [pretrained, "none"]
    twins = []
    for way in ways:
        words = f"pretrained ({way})" if way != "none" else "not pretrained" if len(ways) > 1 else "the run"
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
        known = [row["loss"] for row in stages.get("train", ())][:epochs]
        same = len(known) == len(history) and bool(np.allclose(known, [row["loss"] for row in history], rtol=1e-4))
        if insight.epochs:
            twins.append(Twin(way, insight, history, same if way == config.pretrain else None))
    return twins
