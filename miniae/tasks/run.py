"""A training run: from a name for the data to a folder with a model, its measures and its pictures."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from miniae.backend import get
from miniae.data import (
    DATASETS,
    Dataset,
    StorageError,
    load,
    make_scaler,
    read,
    split,
    write_json,
    write_text,
)
from miniae.models import PCA, Autoencoder, Stack, pretrain, save
from miniae.report import metrics, pictures
from miniae.tasks.config import RunConfig
from miniae.training import Callback

__all__ = ["Run", "find_data", "new_folder"]

_TEST_SHARE = 0.2  # of the user's own data, which come without a test set
_SHOWN = 10  # reconstructions in the picture


def find_data(name: str, label: str | None = None, seed: int = 0) -> Dataset:
    """The data set of that name, or the user's own file with a fifth of its samples held out for testing."""
    if name in DATASETS:
        return load(name)
    samples = read(name, label)
    kept, held_out = split(len(samples.X), _TEST_SHARE, seed)
    labels = [None, None] if samples.labels is None else [samples.labels[kept], samples.labels[held_out]]
    return Dataset(Path(name).name, samples.X[kept], samples.X[held_out], *labels, samples.image_shape)


def new_folder(name: str, parent: str | os.PathLike[str] = "runs") -> Path:
    """Make `parent/name-1`, or with the next number that is free: an older run is never overwritten."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).stem) or "run"
    number = 1
    while True:
        folder = Path(parent) / f"{stem}-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not Path(parent).is_dir():
                raise StorageError(f"{parent} is not a folder: choose another place for the results") from None
            number += 1
        except OSError as why:
            raise StorageError(f"can't make the folder {folder}: {why.strerror}. Choose a writable one") from None


class Run:
    """Pretrains, unrolls, fine-tunes and measures a stacked autoencoder, and writes the results to a folder.

    `say` is given one line of text at a time; `progress` makes the callbacks of a stage from its title.
    """

    def __init__(self, config: RunConfig, say: Callable[[str], None] = lambda line: None,
                 progress: Callable[[str], Sequence[Callback]] = lambda title: ()):
        self.config, self.say, self.progress = config, say, progress
        self.backend = get(config.backend)
        self.data = find_data(config.data, config.label, config.seed)
        self.stack: Stack | None = None
        self.model: Autoencoder | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Hold out validation data and settle what "auto" means for these data."""
        config, data = self.config, self.data
        self.train, self.validation = data.train, None
        if config.validation and len(data.train) > 1:
            kept, held_out = split(len(data.train), config.validation, config.seed)
            self.train, self.validation = data.train[kept], data.train[held_out]
        in_unit_interval = bool(self.train.min() >= 0 and self.train.max() <= 1)
        self.scaling = config.scaling if config.scaling != "auto" else "none" if in_unit_interval else "standard"
        scaled_to_unit = self.scaling == "minmax" or (self.scaling == "none" and in_unit_interval)
        self.loss = config.loss if config.loss != "auto" else "bce" if scaled_to_unit else "mse"
        if self.loss == "bce" and not scaled_to_unit:
            raise ValueError(f"loss bce needs data in [0, 1], these range from {self.train.min():g} to "
                             f"{self.train.max():g}: choose scaling minmax, or loss mse")
        self.visible_unit = "bernoulli" if scaled_to_unit else "gaussian"

    @property
    def sizes(self) -> list[int]:
        """Units from the input to the code."""
        return [self.train.shape[1], *self.config.layers]

    def execute(self) -> Autoencoder:
        """Pretrain and fine-tune. After a KeyboardInterrupt in fine-tuning, `model` is what had been trained."""
        config, began = self.config, time.perf_counter()
        architecture = "-".join(map(str, self.sizes))
        self.say(f"{self.data.name}: {len(self.train):,} training and {len(self.data.test):,} test samples, "
                 f"autoencoder {architecture} on {self.backend.name}")
        scaler = make_scaler(self.scaling).fit(self.train)
        scaled = scaler.transform(self.train)
        training = {"epochs": config.epochs, "batch_size": config.batch_size, "optimizer": config.optimizer,
                    "lr": config.lr, "seed": config.seed, "dtype": config.dtype, "backend": self.backend}
        if config.pretrain == "none":
            output = "sigmoid" if self.visible_unit == "bernoulli" and self.loss == "bce" else "linear"
            self.model = Autoencoder(config.layers[:-1], config.layers[-1], activation=config.activation,
                                     loss=self.loss, output_activation=output, tied=config.tied, **training)
        else:
            self.stack = pretrain(scaled, self.sizes, method=config.pretrain, activation=config.activation,
                                  visible_unit=self.visible_unit, epochs=config.pretrain_epochs, seed=config.seed,
                                  dtype=config.dtype, backend=self.backend, callbacks=self.progress)
            self.model = self.stack.unroll(loss=self.loss, tied=config.tied, **training)
        self.model.set_params(scaling=None if self.scaling == "none" else self.scaling)
        try:
            self.model.fit(self.train, validation=self.validation, callbacks=self.progress("fine-tuning"))
        finally:
            self.seconds = time.perf_counter() - began
        return self.model

    def measure(self) -> dict[str, Any]:
        """The measures of metrics.json, errors being in the units of the data."""
        config, model, test = self.config, self.model, self.data.test
        reconstruction = model.reconstruct(test)
        components = min(config.layers[-1], *self.train.shape)
        pca = PCA(components).fit(self.train).reconstruct(test)
        fine_tuning = sum(row["seconds"] for row in model.history_)
        result = {
            "test_squared_error": metrics.squared_error(test, reconstruction),
            "test_mse": metrics.mse(test, reconstruction),
            "pca_squared_error": metrics.squared_error(test, pca),
            "pca_components": components,
            "epochs": len(model.history_),
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(len(self.train) * len(model.history_) / max(fine_tuning, 1e-9), 1),
            "backend": self.backend.name,
            "seed": config.seed,
            "parameters": sum(p.size for p in model.network_.parameters()),
        }
        if self.loss == "bce" and self.scaling == "none":
            result |= {"test_bce": metrics.bce(test, reconstruction), "test_bce_floor": metrics.bce_floor(test)}
        return result

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the model, settings, history, measures and pictures into `folder`; return the measures."""
        model, data = self.model, self.data
        save(folder / "model.safetensors", model, extra={"data": data.name, "image_shape": data.image_shape})
        write_json(folder / "config.json", self.config.to_dict())
        write_text(folder / "history.csv", _as_csv(self._history()))
        measures = self.measure()
        write_json(folder / "metrics.json", measures)
        reconstruction = model.reconstruct(data.test[:1000])
        components = min(self.config.layers[-1], *self.train.shape)
        pca = PCA(components).fit(self.train).reconstruct(data.test[:1000])
        pictures.reconstructions(folder / "reconstructions.png", data.test[:1000],
                                 {"autoencoder": reconstruction, "PCA": pca}, data.image_shape, columns=_SHOWN)
        if model.history_:
            pictures.loss_curves(folder / "loss.png", model.history_, self.stack.histories if self.stack else ())
        first = next(p for p in model.encoder_.parameters() if p.ndim > 1)
        pictures.filters(folder / "filters.png", first.numpy(), data.image_shape)
        pictures.latent(folder / "latent.png", model.transform(data.test), data.test_labels)
        return measures

    def _history(self) -> list[dict[str, Any]]:
        rows = []
        for i, history in enumerate(self.stack.histories if self.stack else []):
            rows += [{"stage": f"pretrain {i + 1}", **row} for row in history]
        return rows + [{"stage": "train", **row} for row in self.model.history_]


def _as_csv(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

