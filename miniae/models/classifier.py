"""The `Classifier` estimator: hidden layers, pretrained or not, and a softmax on top."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor, no_grad
from miniae.backend import Backend
from miniae.data.scaling import Scaler
from miniae.data.storage import labels_of
from miniae.models.estimator import NetworkEstimator, Scaled, check_sizes
from miniae.models.network import check_place
from miniae.nn import Dense, Dropout, Flatten, Layer, Sequential
from miniae.nn.layer import Shape
from miniae.optim import L2
from miniae.training import (
    Callback,
    Trainer,
    callback_list,
    check_count,
    check_number,
    check_rows,
    check_unit_interval,
)
from miniae.training.conventions import column_vector_warning

__all__ = ["Classifier", "ClassifierNetwork"]


class ClassifierNetwork(Layer):
    """x -> encoder -> head -> z (N, classes), with p(class k | x) = softmax(z)_k.

    L = -1/N sum_n log p(class of n | x_n), targets t being one-hot rows, plus l2 times the sum of squared weights.
    While `frozen`, only the head learns: the encoder computes as in use, and no gradient reaches it. In training each
    output of an encoder's `Dense` layers is dropped with probability `dropout` otherwise.
    """

    def __init__(self, encoder: Sequential, head: Layer, dropout: float = 0.0, l2: float = 0.0):
        super().__init__()
        self.encoder, self.head = encoder, head
        dense = [i for i, layer in enumerate(encoder.layers) if isinstance(layer, Dense)]
        self.dropouts = {i: Dropout(dropout) for i in dense if dropout}
        if dropout and not dense:
            raise ValueError(f"dropout={dropout} goes after Dense layers, and the encoder {encoder!r} has none: "
                             "leave it out, or put nn.Dropout layers where you want them")
        self.penalty = L2(l2)
        self.frozen = False
        self._settings = {"dropout": dropout, "l2": l2}

    def make(self, input_shape: Shape) -> None:
        features = self.encoder.build(input_shape, self.place.child("encoder"))  # built layers keep weights
        self.head.join(features, self.place.child("head"))
        for i, dropout in self.dropouts.items():
            dropout.build((self.encoder[i].units,), self.place.child(f"dropout.{i}"))
        check_place(self)

    def features(self, x: Tensor) -> Tensor:
        """What the head sees."""
        for i, layer in enumerate(self.encoder):
            x = layer(x)
            x = self.dropouts[i](x) if i in self.dropouts else x
        return x

    def forward(self, x: Tensor) -> Tensor:
        if not self.frozen:
            return self.head(self.features(x))
        with no_grad():
            features = self.features(x)
        return self.head(features)

    def loss_terms(self, x: Tensor, t: Tensor) -> dict[str, Tensor]:
        """What training minimises the sum of: the cross-entropy, and the penalty on what learns (in training only)."""
        terms = {"cross_entropy": F.cross_entropy(self(x), t)}
        if self.training and self.penalty.strength:
            terms["l2"] = self.penalty((self.head if self.frozen else self).parameters())
        return terms

    def train(self, mode: bool = True) -> ClassifierNetwork:
        super().train(mode)
        if self.frozen:
            for layer in (self.encoder, *self.dropouts.values()):
                layer.eval()
        return self

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.head.output_shape(self.encoder.output_shape(input_shape))

    def children(self) -> dict[str, Layer]:
        return {"encoder": self.encoder, "head": self.head,
                **{f"dropout.{i}": layer for i, layer in self.dropouts.items()}}

    def config(self) -> dict[str, Any]:
        return {"encoder": self.encoder, "head": self.head, **self._settings}


class HeadFirst(Callback):
    """Trains only the network's head for `epochs` epochs, then all of it by a new optimizer of the same kind.

    The trainer begins with an optimizer of the head's parameters, unless `epochs` is 0. A network that has just been
    put on top of good features must not spoil them while its head is still random.
    """

    def __init__(self, epochs: int):
        self.epochs = epochs

    def on_train_begin(self, trainer: Trainer) -> None:
        trainer.model.frozen = trainer.epoch < self.epochs

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        if trainer.epoch == self.epochs:  # here, so that the epoch's snapshot fits the optimizer of the next
            self._learns(trainer, frozen=False)

    def before_restore(self, trainer: Trainer, epoch: int) -> None:
        if trainer.model.frozen != (epoch < self.epochs):
            self._learns(trainer, epoch < self.epochs)

    def _learns(self, trainer: Trainer, frozen: bool) -> None:
        trainer.model.frozen = frozen
        learning = trainer.model.head if frozen else trainer.model
        trainer.optimizer = type(trainer.optimizer)(learning.parameters(), lr=trainer.optimizer.lr)

    def on_train_end(self, trainer: Trainer) -> None:
        trainer.model.frozen = False

    def fixed_settings(self) -> dict[str, Any]:
        return {"head_epochs": self.epochs}


class Accuracy(Callback):
    """Adds `val_accuracy` to the epoch's logs: the share of scaled samples X whose class is the one of number k."""

    only_device = True

    def __init__(self, model: Classifier, X: Scaled, k: np.ndarray):
        self.model, self.X, self.k = model, X, k

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, float]) -> None:
        scores = self.model._through(trainer.model, self.X)
        logs["val_accuracy"] = float((scores.argmax(axis=1) == self.k).mean())


class Classifier(NetworkEstimator):
    """Learns to tell classes apart: hidden layers, and a softmax layer, the head, with an output for each class.

    p(class | x) = softmax(head(hidden layers(x))); trained to minimise the cross-entropy -log p(class of x | x), the
    mean over samples in nats. At first only the head learns, for `head_epochs`; then all layers together. From
    pretrained layers, `pretrain(...).classifier()`, this is the supervised half of Hinton and Salakhutdinov's method.
    `Autoencoder.classifier()` puts one on a trained autoencoder's encoder; with epochs=0 that stays as it is.

    Parameters
    ----------
    hidden, activation, init : sizes of the hidden layers, their activation and initial weights, as in `Autoencoder`.
    encoder : layers of your own instead of `hidden` and `activation`. `fit` trains a copy of them, `encoder_`, from
        their weights where they are built already.
    head_epochs, epochs : how long only the head learns, and then how long all layers do.
    dropout : the share of the outputs of `Dense` hidden layers that is set to 0 in training, once all layers learn.
    unit_interval : refuse samples that are not in [0, 1], where nothing scales them: for hidden layers that have learnt
        from such, which would tell something of bytes up to 255, too.
    l2 : strength of a penalty on the squared weights.
    scaling, optimizer, lr, batch_size, clip, seed, dtype, backend : as in `Autoencoder`. The head's own epochs and
        those of all layers have an optimizer each.

    Attributes
    ----------
    classes_ : the labels, sorted; columns of `predict_proba` are in this order.
    network_ : the `ClassifierNetwork`; `encoder_` and `head_` are its parts.
    history_ : one dict an epoch (see `training.Trainer`).

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    >>> y = np.where(X[:, 0] > X[:, 1], "left", "right")
    >>> model = Classifier(hidden=[16], head_epochs=0, epochs=100, lr=1e-2).fit(X, y)
    >>> model.classes_.tolist(), model.score(X, y) > 0.9
    (['left', 'right'], True)

    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006, and their
    program backpropclassify; Erhan et al., "Why does unsupervised pre-training help deep learning?", JMLR 11, 2010.
    """

    _trainer: Any  # of `partial_fit`: a `Trainer`, once there is training

    in_network = ("encoder",)
    estimator_kind = "classifier"
    needs_labels: ClassVar[bool] = False
    """Whether what takes samples takes a label for each, too; `fit` does."""
    takes_labels: ClassVar[bool] = True
    """Whether `fit` can make use of labels."""

    def __init__(self, hidden: Sequence[int] = (500, 500, 2000), *, activation: str = "relu",
                 init: str = "glorot_uniform", encoder: Layer | None = None, head_epochs: int = 5, epochs: int = 20,
                 dropout: float = 0.0, l2: float = 0.0, scaling: str | Scaler | None = None, optimizer: str = "adam",
                 lr: float = 1e-3, batch_size: int = 128, clip: float | None = None, seed: int = 0,
                 dtype: str = "float32", backend: str | Backend | None = None, unit_interval: bool = False):
        self.unit_interval = unit_interval
        self.hidden, self.activation, self.init, self.encoder = hidden, activation, init, encoder
        self.head_epochs, self.epochs, self.dropout, self.l2 = head_epochs, epochs, dropout, l2
        self.scaling, self.optimizer, self.lr, self.batch_size, self.clip = scaling, optimizer, lr, batch_size, clip
        self.seed, self.dtype, self.backend = seed, dtype, backend

    # ---------------------------------------------------------------- training

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, Any] | None = None,
            callbacks: Sequence[Callback] = ()) -> Classifier:
        """Train from the start (from the given weights, where `encoder` is built): head first, then all layers.

        X: (N, ...), finite numbers; y: (N,), a label each, integers or strings of two kinds at least. `validation` is a
        pair (X, y) like them, of which the history has `val_loss` and `val_accuracy` every epoch. To `callbacks` the
        head's epochs are the first of one training: `EarlyStopping` may stop within them. Raises `ValueError` or
        `TypeError` for what can't be used and `TrainingDiverged` when the loss stops being finite.
        """
        source, X = X, check_rows(X)
        if self._unit_interval():
            check_unit_interval("X", X, "the hidden layers were trained on values in [0, 1]: bring it to the same "
                                        "scale (bytes of images: divide by 255)")
        y = check_labels(y, len(X))
        classes = _different(y, "y")
        watch: list[Callback] = [HeadFirst(self.head_epochs)]
        held_out = None
        with self._unless_refused():
            self._learn_names(source)
            X = self._prepare(X, len(classes))
            self.classes_ = classes
            if validation is not None:
                held_out, numbers = self._held_out(validation)
                watch.append(Accuracy(self, held_out[0], numbers))
            trainer = self._make_trainer((self.head_ if self.head_epochs else self.network_).parameters())
            trainer.callbacks = [*watch, *callback_list(callbacks)]
            self.history_ = trainer.history
            try:
                trainer.fit((X, self._one_hot(np.searchsorted(classes, y))), self.head_epochs + self.epochs, held_out)
            finally:
                trainer.backend.release()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, *, callbacks: Sequence[Callback] = ()) -> Classifier:
        """Train all layers for one more epoch, on this data: for data that come in parts.

        `classes` are all the labels there will be; the first part needs them where its y has not each of them. The
        scaling is fitted on the first part.
        """
        callbacks = callback_list(callbacks)
        with self._unless_refused():
            if "network_" in vars(self):
                rows = self._scaled(X)
            else:
                self._learn_names(X)
                known = y if classes is None else classes
                self.classes_ = _different(check_labels(known, len(known)), "y" if classes is None else "classes")
                rows = self._prepare(X, len(self.classes_))
            numbers = self._numbers(y, len(rows), "y")
            if self._trainer is None:
                self._trainer = self._make_trainer(self.network_.parameters())
                self.history_ = self._trainer.history
            self._trainer.callbacks = callbacks
            self._trainer.fit((rows, self._one_hot(numbers)), self._trainer.epoch + 1)
        return self

    def _set_fitted(self, network: Layer, scaler: Scaler) -> None:
        super()._set_fitted(network, scaler)
        self._trainer = None

    def _unit_interval(self, network: Layer | None = None) -> bool:
        return self.unit_interval and self.scaling is None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("head_epochs", self.head_epochs, least=0)
        check_number("dropout", self.dropout)
        check_sizes("hidden", self.hidden)

    def _make_network(self, input_shape: Shape, classes: int) -> ClassifierNetwork:
        """The network these parameters describe, not yet built."""
        encoder = copy.deepcopy(self.encoder)
        if encoder is None:
            flatten = [] if len(input_shape) == 1 else [Flatten()]
            encoder = Sequential([*flatten, *[Dense(int(units), self.activation, self.init) for units in self.hidden]])
        elif not isinstance(encoder, Sequential):
            encoder = Sequential([encoder])
        return ClassifierNetwork(encoder, Dense(classes, None, self.init), self.dropout, self.l2)

    def _held_out(self, validation: Any) -> tuple[tuple[Scaled, np.ndarray], np.ndarray]:
        """The validation data as the trainer takes it, and its class numbers."""
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ValueError(f"validation is a pair (X, y), got {type(validation).__name__}: give labels with the data")
        X = self._scaled(validation[0], "validation")
        numbers = self._numbers(validation[1], len(X), "validation")
        return (X, self._one_hot(numbers)), numbers

    def _numbers(self, y: Any, n: int, name: str) -> np.ndarray:
        """The places of n labels in `classes_`. Raises `ValueError` for one that is not there."""
        y = self._labels(y, n, name)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            missing_in = "y does not" if name != "y" else "the classes do not"
            raise ValueError(f"{name} holds the label {unknown[0].item()!r}, which {missing_in}: expected one of "
                             f"{', '.join(map(repr, self.classes_.tolist()))}")
        return np.searchsorted(self.classes_, y)

    def _labels(self, y: Any, n: int, name: str = "y") -> np.ndarray:
        """`y` as `n` labels of the kind the model was trained on. Raises `TypeError` for strings among numbers."""
        y = check_labels(y, n, name)
        if (y.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise TypeError(f"{name} holds labels like {y[0].item()!r}, this model was trained on labels like "
                            f"{self.classes_[0].item()!r}: give labels of the same type")
        return y

    def _one_hot(self, numbers: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(numbers), len(self.classes_)), self.dtype)
        rows[np.arange(len(numbers)), numbers] = 1
        return rows

    # ---------------------------------------------------------------- use

    @property
    def encoder_(self) -> Sequential:
        """The trained hidden layers."""
        return self._network().encoder

    @property
    def head_(self) -> Dense:
        """The trained softmax layer, without the softmax: features to one score a class."""
        return self._network().head

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class: (N, ...) to (N, classes), in the order of `classes_`."""
        network = self._network()
        return self._through(lambda x: F.softmax(network(x)), self._scaled(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable labels: (N, ...) to (N,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any) -> float:
        """The accuracy: the share of samples whose predicted label is the one in y, from 0 to 1."""
        predicted = self.predict(X)
        return float((predicted == self._labels(y, len(predicted))).mean())

    # ---------------------------------------------------------------- files

    def _header(self) -> dict[str, Any]:
        return {"classes": {"dtype": self.classes_.dtype.str, "labels": self.classes_.tolist()}}

    def _set_loaded(self, header: dict[str, Any]) -> None:
        self.classes_ = labels_of(header["classes"], "labels")
        if len(self.classes_) != self.head_.units:
            raise ValueError(f"{len(self.classes_)} classes for {self.head_.units} outputs")
        if header.get("own_layers"):
            self.encoder = copy.deepcopy(self.network_.encoder)


def _different(labels: np.ndarray, name: str) -> np.ndarray:
    """The different labels, sorted. Raises `ValueError` where there is only one."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"{name} holds only the label {classes[0].item()!r}, expected two different ones or more "
                         "(there is 1 class): give samples of every class")
    return classes


def check_labels(y: Any, n: int, name: str = "y") -> np.ndarray:
    """`y` as a NumPy array (n,) of labels: integers, strings, booleans, or floats that are whole numbers.

    Raises `ValueError` or `TypeError` with what was given and what was expected.
    """
    if y is None:
        raise ValueError(f"requires y to be passed, but the target y is None: {name} must hold a label for each sample")
    mixed = isinstance(y, (list, tuple)) and len({isinstance(label, str) for label in y}) > 1
    array = np.asarray(y, dtype=object if mixed else None)  # else NumPy would make strings of numbers
    if array.dtype.kind == "O":  # strings in a list of objects, as tables keep them
        kinds = sorted({type(label).__name__ for label in array.ravel()})
        if kinds != ["str"]:
            raise TypeError(f"{name} holds values of type {', '.join(kinds)}, expected labels of one type: integers or "
                            f"strings. Unknown label type: {', '.join(kinds)}")
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise TypeError(f"{name} holds values of type {array.dtype}, expected labels: integers or strings")
    if array.shape == (n, 1):
        column_vector_warning()
        array = array[:, 0]
    if array.shape != (n,):
        hint = ": for one-hot rows use y.argmax(axis=1)" if array.ndim == 2 else ""
        raise ValueError(f"{name} has labels of shape {array.shape}, expected one for each of the {n} samples, "
                         f"({n},){hint}")
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        odd = array[~(np.isfinite(array) & (array == np.floor(array)))][0]
        raise ValueError(f"{name} holds {odd}, expected labels: integers or strings, not measurements. Unknown label "
                         "type: continuous")
    return array
