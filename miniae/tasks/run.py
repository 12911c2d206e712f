"""A training run: from a name for the data to a folder with a model, its measures and its pictures."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from miniae.backend import get, use_backend
from miniae.backend.sharing import ALONE, current_ranks, use_ranks
from miniae.data import Dataset, about_columns, find, make_scaler, split, write_json, write_text
from miniae.models import (
    PCA,
    VARIANTS,
    Autoencoder,
    MixedScales,
    PosteriorCollapse,
    Stack,
    VectorQuantisedAutoencoder,
    pretrain,
    save,
)
from miniae.report import metrics, pictures
from miniae.tasks.config import RunConfig
from miniae.tasks.table_defaults import for_table
from miniae.tasks.variants import make_model, own_measures, own_pictures, with_labels
from miniae.training import Callback, DamagedCheckpoint, NumericalTrouble, TrainingDiverged, on_nan

__all__ = ["Run", "find_data"]

_TEST_SHARE = 0.2  # of the user's own data, which come without a test set
_SHOWN = 10  # reconstructions in the picture
_LARGEST = 1e100  # what can be squared and summed in float64 without overflow
_REPORTED = (PosteriorCollapse, NumericalTrouble, DamagedCheckpoint)


def find_data(name: str, label: str | None = None, seed: int = 0, drop: Sequence[str] = ()) -> Dataset:
    """The data set of that name, or the user's own file with a fifth of its samples held out for testing."""
    samples = find(name, label, drop)
    if isinstance(samples, Dataset):
        return samples
    kept, held_out = split(len(samples.X), _TEST_SHARE, seed)
    labels, others = (None, None) if samples.labels is None else (samples.labels[kept], samples.labels[held_out])
    return Dataset(Path(name).name, samples.X[kept], samples.X[held_out], labels, others, samples.image_shape,
                   samples.feature_names, samples.dropped, samples.note)


class Run:
    """Pretrains, unrolls, fine-tunes and measures a stacked autoencoder, and writes the results to a folder.

    `say` is given one line of text at a time; `progress` makes the callbacks of a stage from its title.
    """

    def __init__(self, config: RunConfig, say: Callable[[str], None] = lambda line: None,
                 progress: Callable[[str], Sequence[Callback]] = lambda title: ()):
        self.config, self.say, self.progress = config, say, progress
        self.backend = get(current_ranks().device(config.backend))
        self.data = find_data(config.data, config.label, config.seed, config.drop)
        self.stack = Stack()  # empty without pretraining
        self.model: Any = None  # an `Autoencoder`, once one is trained
        self._prepare()

    def _prepare(self) -> None:
        """Hold out validation data and settle what "auto" means for these data."""
        config, data = self.config, self.data
        self.train, self.validation = data.train, None
        self.labels = self.held_out_labels = data.train_labels
        if config.validation and len(data.train) > 1:
            kept, held_out = split(len(data.train), config.validation, config.seed)
            self.train, self.validation = data.train[kept], data.train[held_out]
            if self.labels is not None:
                self.labels, self.held_out_labels = self.labels[kept], self.labels[held_out]
        if data.image_shape is None:
            self.config = for_table(config, *self.train.shape)
        low = min(float(part.min()) for part in (data.train, data.test))
        high = max(float(part.max()) for part in (data.train, data.test))
        if max(-low, high) > _LARGEST:
            raise ValueError(f"the data range from {low:g} to {high:g}, of which the squares are too large for sums: "
                             "divide them by a constant")
        in_unit_interval = low >= 0 and high <= 1
        self.scaling = config.scaling if config.scaling != "auto" else "none" if in_unit_interval else "standard"
        scaled_to_unit = self.scaling == "minmax" or (self.scaling == "none" and in_unit_interval)
        real = VARIANTS[config.model].loss_of_real_data
        self.loss = config.loss if config.loss != "auto" else "bce" if scaled_to_unit else real
        if self.loss == "bce" and not scaled_to_unit:
            raise ValueError(f"loss bce needs data in [0, 1], these range from {low:g} to {high:g}: choose scaling "
                             f"minmax, or loss {real}")
        self.visible_unit = "bernoulli" if scaled_to_unit else "gaussian"

    @property
    def layers(self) -> list[int]:
        """Of the trained model: fewer than asked for, where pretraining was interrupted."""
        return self.stack.sizes[1:] if self.stack.pairs else list(self.config.layers or ())

    @property
    def sizes(self) -> list[int]:
        """Units from the input to the code."""
        return [self.train.shape[1], *(self.config.layers or ())]

    def architecture(self) -> str:
        """From the input to the code as far as there are layers: 784-500-30, or 28x28-16-32-30 for filters."""
        image = self.data.image_shape if "filters" in VARIANTS[self.config.model]._signature() else None
        return "-".join(["x".join(map(str, image or self.train.shape[1:])), *map(str, self.layers)])

    def execute(self) -> Autoencoder:
        """Pretrain and fine-tune; return the model.

        When that ends early (`KeyboardInterrupt`, `TrainingDiverged`, `MemoryError`), `model` is what was trained by
        then: of the layers that pretraining had come to, if need be. It stays None when no epoch was complete.
        """
        with use_backend(self.backend, self.config.precision), self._saying():
            return self._execute()

    def _execute(self) -> Autoencoder:
        config, began = self.config, time.perf_counter()
        if self.data.note:
            self.say(self.data.note)
        self.say(f"{self.data.name}: {len(self.train):,} training and {len(self.data.test):,} test samples, "
                 f"{config.model} {self.architecture()} on {self.backend.name}")
        training: dict[str, Any] = {
            "epochs": config.epochs, "batch_size": config.batch_size, "optimizer": config.optimizer, "lr": config.lr,
            "seed": config.seed, "dtype": config.dtype, "backend": self.backend, "loss": self.loss,
            "scaling": None if self.scaling == "none" else self.scaling}
        model: Any = None
        try:
            if config.pretrain == "none":
                model = make_model(config, self.visible_unit == "bernoulli", self.data.image_shape, training,
                                   self.labels if config.use_labels else None)
            else:
                self._pretrain()
                model = self.stack.unroll(tied=bool(config.tied), **training)
            title = "training" if config.pretrain == "none" else "fine-tuning"
            rows, held_out = self._with_labels(model)
            model.fit(*rows, validation=held_out, callbacks=self._callbacks(title))
        except (KeyboardInterrupt, TrainingDiverged, MemoryError):
            if not getattr(model, "history_", None):  # no epoch of fine-tuning is complete
                model = None
                if self.stack.pairs:
                    with use_ranks(ALONE):  # the others may still be at work
                        model = self.stack.unroll(tied=bool(config.tied), **{**training, "epochs": 0}).fit(self.train)
            raise
        finally:
            self.model = model
            self.seconds = time.perf_counter() - began
        return model

    def _callbacks(self, title: str) -> list[Callback]:
        return [*self.progress(title), *on_nan(self.config.on_nan)]

    @contextlib.contextmanager
    def _saying(self) -> Iterator[None]:
        """A block whose warnings about training are lines of the run's report."""
        try:
            with warnings.catch_warnings(record=True) as noticed:
                for kind in _REPORTED:
                    warnings.simplefilter("always", kind)
                warnings.simplefilter("ignore", MixedScales)  # the run's settings say how data are scaled
                yield
        finally:
            for w in noticed:
                if issubclass(w.category, _REPORTED):
                    self.say(str(w.message))
                else:
                    warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)

    def _with_labels(self, model: Autoencoder) -> tuple[tuple[Any, ...], Any]:
        """What `fit` is given, and what it is to hold out: samples, and labels where these are wanted."""
        if not model.needs_labels and not self.config.use_labels:
            return (self.train,), self.validation
        if self.labels is None:
            needs = f"the model {self.config.model} needs labels" if model.needs_labels else "use_labels needs labels"
            raise ValueError(f"{needs}, and {self.config.data} has none: name the label column of a table with "
                             f"--label, or {'choose another model' if model.needs_labels else 'leave it out'}")
        held_out = None if self.validation is None else (self.validation, self.held_out_labels)
        return (self.train, self.labels), held_out

    def _pretrain(self) -> None:
        config = self.config
        scaled = make_scaler(self.scaling).fit(self.train).transform(self.train)
        # A single RBM can't have Gaussian units on both sides.
        single = config.pretrain == "rbm" and len(self.sizes) == 2
        code_unit = "bernoulli" if single and self.visible_unit == "gaussian" else "gaussian"
        pretrain(scaled, self.sizes, method=config.pretrain, activation=config.activation, code_unit=code_unit,
                 visible_unit=self.visible_unit, epochs=config.pretrain_epochs or 0, seed=config.seed,
                 dtype=config.dtype, backend=self.backend, callbacks=self._callbacks, stack=self.stack)

    def measure(self) -> dict[str, Any]:
        """The measures of metrics.json: errors of the test samples, scaled as the model sees them.

        (Unscaled, the features with the largest numbers would decide alone.)
        """
        config, model = self.config, self.model
        test, reconstruction, pca = self.rows
        fine_tuning = sum(row["seconds"] for row in model.history_)
        trained = fine_tuning + sum(row["seconds"] for history in self.stack.histories for row in history)
        yardstick = {} if pca is None or self.pca is None else {"pca_squared_error": metrics.squared_error(test, pca),
                                            "pca_components": self.pca.components}
        result = {
            "test_squared_error": metrics.squared_error(test, reconstruction),
            "test_mse": metrics.mse(test, reconstruction),
            **yardstick,
            "epochs": len(model.history_),
            "seconds": round(max(self.seconds, trained), 3),  # of earlier processes, too, where it has gone on
            "samples_per_second": round(len(self.train) * len(model.history_) / max(fine_tuning, 1e-9), 1),
            "backend": self.backend.name,
            "seed": config.seed,
            "scaling": self.scaling,
            "model": config.model,
            "layers": self.layers,
            "complete": len(model.history_) == config.epochs,
            "parameters": sum(p.size for p in model.network_.parameters()),
        }
        if self.loss == "bce" and self.scaling == "none":
            result |= {"test_bce": metrics.bce(test, reconstruction), "test_bce_floor": metrics.bce_floor(test)}
        own = own_measures(model, self.data.test, self.data.test_labels)
        return result | {f"test_{name}": value if math.isfinite(value) else None for name, value in own.items()}

    @functools.cached_property
    def pca(self) -> PCA | None:
        """The yardstick: as many principal components as the code has units, or as there can be.

        None for codes that are choices from a codebook, a few bits each, where components are numbers.
        """
        if isinstance(self.model, VectorQuantisedAutoencoder):
            return None
        code = math.prod(self.model.network_.code_shape)
        return PCA(min(code, *self.train.shape)).fit(self.model.scaler_.transform(self.train))

    @property
    def _test(self) -> tuple[np.ndarray, ...]:
        """What the model's methods are given of the test samples."""
        return with_labels(self.model, self.data.test, self.data.test_labels)

    @functools.cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The test samples, scaled, and their reconstructions by the model and, where there is one, by PCA."""
        scale = self.model.scaler_.transform
        test = scale(self.data.test)
        pca = None if self.pca is None else self.pca.reconstruct(test)
        return test, scale(self.model.reconstruct(*self._test)), pca

    def write_model(self, folder: Path) -> None:
        """Write the model alone."""
        data = self.data
        save(folder / "model.safetensors", self.model, extra={
            "data": data.name, "image_shape": data.image_shape, **about_columns(data)})

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the model, settings, history, measures and pictures into `folder`; return the measures.

        The model comes first: nothing that happens later can lose it.
        """
        model, data = self.model, self.data
        self.write_model(folder)
        write_json(folder / "config.json", self.config.portable())
        histories = self.stack.histories
        write_text(folder / "history.csv", _as_csv(histories, model.history_))
        measures = self.measure()
        write_json(folder / "metrics.json", measures)
        test, reconstruction, pca = self.rows
        shown = {"autoencoder": reconstruction} if pca is None else {"autoencoder": reconstruction, "PCA": pca}
        pictures.reconstructions(folder / "reconstructions.png", test, shown, data.image_shape, columns=_SHOWN,
                                 names=data.feature_names)
        if model.history_:
            pictures.loss_curves(folder / "loss.png", model.history_, histories)
        first = next((p.numpy() for p in model.network_.parameters() if p.ndim > 1), None)
        if first is not None and len(first) == data.test.shape[1]:  # not a convolution's
            pictures.filters(folder / "filters.png", first, data.image_shape, names=data.feature_names)
        codes = model._codes(*self._test)
        pictures.latent(folder / "latent.png", codes.reshape(len(codes), -1), data.test_labels,
                        of=self.config.label or "label")
        own_pictures(model, folder, data)
        return measures


def _as_csv(pretraining: list[list[dict[str, Any]]], training: list[dict[str, Any]]) -> str:
    """One row an epoch, with its stage."""
    stages = [(f"pretrain {i + 1}", history) for i, history in enumerate(pretraining)] + [("train", training)]
    rows = [{"stage": stage, **row} for stage, history in stages for row in history]
    columns = list(dict.fromkeys(["stage", *[name for row in rows for name in row]]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
