"""The `Autoencoder` estimator."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miniae.backend import Backend
from miniae.data.scaling import Identity, Scaler
from miniae.models.classifier import Classifier
from miniae.models.estimator import CHUNK, NetworkEstimator, Scaled, check_sizes
from miniae.models.network import AutoencoderNetwork
from miniae.models.reconstruction import RECONSTRUCTION_LOSSES
from miniae.nn import Activation, BatchNorm, Dense, Dropout, Flatten, Layer, Reshape, Sequential, TiedDense
from miniae.nn.layer import Shape
from miniae.training import (
    Callback,
    EarlyStopping,
    MaxNorm,
    callback_list,
    check_count,
    check_number,
    check_samples,
)
from miniae.training.conventions import Transformer

if TYPE_CHECKING:
    from typing_extensions import Self


class Autoencoder(Transformer, NetworkEstimator):
    """Learns a short code from which its input can be computed back.

    x (N, features) -> hidden layers -> code (N, code) -> hidden layers in reverse -> reconstruction (N, features);
    trained to minimise the loss between x and its reconstruction, summed over features and averaged over samples.

    Parameters
    ----------
    hidden : sizes of the encoder's hidden layers, from the input to the code; the decoder has them in reverse.
    code : size of the code.
    decoder_hidden : sizes of the decoder's hidden layers, where they differ from the reverse of `hidden`.
    activation, code_activation : of the hidden layers and of the code: names from `functions.ACTIVATIONS`.
    loss : "mse", "mae", "huber", "bce" for data in [0, 1], or "multinomial" for shares of a whole (counts of words,
        divided by their sum), also in [0, 1].
    output_activation : None takes the one that fits the loss: sigmoid for "bce", softmax for "multinomial", linear for
        the others.
    tied : the decoder uses the transposes of the encoder's weights.
    corruption : layers that disturb the input in training (`nn.GaussianNoise`, `nn.Masking`, `nn.SaltAndPepper`).
    l1, l2 : strengths of penalties on the weights.
    dropout : the share of every hidden layer's outputs that is set to 0 in training (`nn.Dropout`).
    batch_norm : whether hidden layers are normalised over the batch, before their activation (`nn.BatchNorm`).
    max_norm : after every update the weights into a unit are scaled down to at most this length; None is no bound.
    patience : end training when the validation loss has not fallen for so many epochs, with the best weights (see
        `training.EarlyStopping`); None trains all epochs.
    scaling : None, "minmax" or "standard": fitted on the training data, applied on the way in, undone on the way out;
        or a `data.Scaler` that is fitted already, and stays as it is.
    init : initial weights, a name from `nn.init.INITIALIZERS`.
    optimizer, lr, batch_size, epochs : how to train.
    clip : the largest norm of the gradient, None for no bound.
    encoder, decoder : layers of your own instead of `hidden`, `code`, `activation`, `tied` (the decoder without its
        output activation). `fit` trains copies of them, `encoder_` and `decoder_`, from their weights where they are
        built already.
    seed : decides initial weights, shuffling and noise. The same seed gives the same model on the same backend.
    dtype : "float32" or "float64".
    backend : "numpy", "cupy", "cupy:1" (the second GPU, ...), "auto" or None for the default one.

    Attributes
    ----------
    network_ : the `AutoencoderNetwork`; `encoder_` and `decoder_` are its parts.
    history_ : one dict an epoch (see `training.Trainer`).

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    >>> codes = Autoencoder(hidden=[6], code=2, epochs=3).fit(X).transform(X)
    >>> codes.shape
    (100, 2)

    Rumelhart, Hinton and Williams, "Learning internal representations by error propagation", 1986; Hinton and
    Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.
    """

    network_: AutoencoderNetwork
    _trainer: Any  # a `Trainer`, once there is training

    in_network: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "corruption")
    needs_labels: ClassVar[bool] = False
    """Whether whatever takes samples takes a label for each, too."""
    monitor: ClassVar[str] = "val_loss"
    """What of the history tells how well training goes on, smaller being better: what `patience` watches."""
    losses: ClassVar[tuple[str, ...]] = RECONSTRUCTION_LOSSES
    """What `loss` can be."""
    takes_labels: ClassVar[bool] = False
    """Whether `fit` can make use of labels."""
    network_class: ClassVar[type[AutoencoderNetwork]] = AutoencoderNetwork
    """What a variant's network is, where it is not a plain one."""
    network_settings: ClassVar[tuple[str, ...]] = ("loss", "output_activation", "l1", "l2")
    """The parameters that the network is made with, beside encoder, decoder and corruption."""

    def __init__(self, hidden: Sequence[int] = (128,), code: int = 32, *, decoder_hidden: Sequence[int] | None = None,
                 activation: str = "relu", code_activation: str = "linear", loss: str = "mse",
                 output_activation: str | None = None, tied: bool = False, corruption: Sequence[Layer] = (),
                 l1: float = 0.0, l2: float = 0.0, dropout: float = 0.0, batch_norm: bool = False,
                 max_norm: float | None = None, patience: int | None = None, scaling: str | Scaler | None = None,
                 init: str = "glorot_uniform", optimizer: str = "adam", lr: float = 1e-3, batch_size: int = 128,
                 epochs: int = 20, clip: float | None = None, encoder: Layer | None = None,
                 decoder: Layer | None = None, seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None):
        self.hidden, self.code, self.decoder_hidden = hidden, code, decoder_hidden
        self.activation, self.code_activation = activation, code_activation
        self.loss, self.output_activation, self.tied = loss, output_activation, tied
        self.corruption, self.l1, self.l2, self.scaling, self.init = corruption, l1, l2, scaling, init
        self.dropout, self.batch_norm, self.max_norm, self.patience = dropout, batch_norm, max_norm, patience
        self.optimizer, self.lr, self.batch_size, self.epochs, self.clip = optimizer, lr, batch_size, epochs, clip
        self.encoder, self.decoder = encoder, decoder
        self.seed, self.dtype, self.backend = seed, dtype, backend

    # ---------------------------------------------------------------- training

    def fit(self, X: Any, y: Any = None, *, validation: Any = None, callbacks: Sequence[Callback] = ()) -> Self:
        """Train from the start (from the given weights, where `encoder` and `decoder` are built) for `epochs` epochs.

        The same call again gives the same model again; `partial_fit` goes on from where it stands. X: (N, ...), finite
        numbers. Bytes, and arrays in mapped files (`np.load(path, mmap_mode="r")`), are not copied: each batch is read,
        scaled and converted when its turn comes, to the same numbers. `validation` is data of the same kind, evaluated
        every epoch. y is used by models that know labels, one for each sample (N,), whose `validation` is then a pair
        (X, y). Raises `ValueError` for data that can't be used and `TrainingDiverged` when the loss stops being finite.
        """
        callbacks = callback_list(callbacks)
        with self._unless_refused():
            rows = self._beside(self._begin(X, y), y)
            held_out = None if validation is None else self._held_out(validation)
            self._ready()
            try:
                self._train(rows, self.epochs, held_out, self._watches(held_out) + callbacks)
            finally:
                self._trainer.backend.release()
        self._look_over(rows)
        return self

    def partial_fit(self, X: Any, y: Any = None, *, callbacks: Sequence[Callback] = ()) -> Self:
        """Train for one more epoch, on this data: for data that come in parts, and to go on with a loaded model.

        The scaling is fitted on the first part, which must have each of the labels where these are used. A file does
        not hold the optimizer's moments, which start at 0.
        """
        callbacks = callback_list(callbacks)
        with self._unless_refused():
            rows = self._beside(self._scaled(X) if hasattr(self, "network_") else self._begin(X, y), y)
            self._ready()
            self._train(rows, self._trainer.epoch + 1, None, self._bounds() + callbacks)
        return self

    # What a variant has to override that trains with labels.

    def _begin(self, X: Any, y: Any) -> Scaled:
        """Make the network and the scaling for these samples and labels; return the scaled samples."""
        self._learn_names(X)
        return self._prepare(X)

    def _beside(self, scaled: Scaled, y: Any, name: str = "y") -> Any:
        """What the trainer takes: the samples, and what the network is told of their labels."""
        return scaled

    def _held_out(self, validation: Any) -> Any:
        """What the trainer takes of held-out data."""
        return self._scaled(validation, name="validation")

    def _look_over(self, rows: Any) -> None:
        """Say what there is to say of the training data, once `fit` has trained on them."""

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_sizes()
        if self.patience is not None:
            check_count("patience", self.patience)
        if not isinstance(self.batch_norm, bool):
            raise ValueError(f"batch_norm is True or False, got {self.batch_norm!r}")
        check_number("dropout", self.dropout)
        if self.max_norm is not None:
            check_number("max_norm", self.max_norm)

    def _check_sizes(self) -> None:
        """Raise `ValueError` for sizes of layers that can't be."""
        check_count("code", self.code)
        check_sizes("hidden", self.hidden)
        check_sizes("decoder_hidden", () if self.decoder_hidden is None else self.decoder_hidden)

    def _make_network(self, input_shape: Shape) -> AutoencoderNetwork:
        """The network these parameters describe, not yet built."""
        if (self.encoder is None) != (self.decoder is None):
            raise ValueError("give both an encoder and a decoder, or neither")
        # Copied together, so that a decoder that shares the encoder's weights shares those of its copy.
        encoder, decoder, corruption = copy.deepcopy((self.encoder, self.decoder, list(self.corruption)))
        if encoder is None or decoder is None:
            encoder, decoder = self._layers(input_shape)
        settings = {name: getattr(self, name) for name in self.network_settings}
        return self.network_class(encoder, decoder, corruption=corruption, **settings)

    def _layers(self, input_shape: Shape) -> tuple[Sequential, Sequential]:
        """The encoder and the decoder that the parameters describe."""
        encoder = self._dense_encoder(input_shape)
        return encoder, self._dense_decoder(input_shape, encoder)

    def _dense_encoder(self, input_shape: Shape) -> Sequential:
        flatten = [] if len(input_shape) == 1 else [Flatten()]
        hidden = [part for units in check_sizes("hidden", self.hidden) for part in self._hidden(self._dense(units))]
        return Sequential([*flatten, *hidden, Dense(int(self.code), self.code_activation, self.init)])

    def _dense(self, units: int) -> Callable[[str | None], Layer]:
        return lambda activation: Dense(units, activation, self.init)

    def _hidden(self, layer: Callable[[str | None], Layer]) -> list[Layer]:
        """A hidden layer, `layer` of its activation, with what the options put around that."""
        after = [Dropout(self.dropout)] if self.dropout else []
        if self.batch_norm:
            return [layer(None), BatchNorm(), Activation(self.activation), *after]
        return [layer(self.activation), *after]

    def _dense_decoder(self, input_shape: Shape, encoder: Sequential) -> Sequential:
        """The encoder's sizes in reverse, or `decoder_hidden`; the last layer is linear."""
        reshape = [] if len(input_shape) == 1 else [Reshape(input_shape)]
        parts: list[Callable[[str | None], Layer]]
        if self.tied:
            if self.decoder_hidden is not None:
                raise ValueError("a tied decoder mirrors the encoder: leave decoder_hidden out, or tied")
            sources = [layer for layer in reversed(encoder.layers) if isinstance(layer, Dense)]
            parts = [functools.partial(TiedDense, source) for source in sources]
        else:
            sizes = list(self.hidden)[::-1] if self.decoder_hidden is None else self.decoder_hidden
            parts = [self._dense(units) for units in check_sizes("decoder_hidden", [*sizes, math.prod(input_shape)])]
        *hidden, last = parts
        return Sequential([*[part for layer in hidden for part in self._hidden(layer)], last(None), *reshape])

    def _ready(self) -> None:
        """Make the trainer, if there is none."""
        if self._trainer is None:
            self._trainer = self._make_trainer(self.network_.parameters())
            self.history_ = self._trainer.history

    def _bounds(self) -> list[Callback]:
        """The callbacks of all training, by `fit` or `partial_fit`: what holds weights while they are trained."""
        return [] if self.max_norm is None else [MaxNorm(self.max_norm, self.network_.penalised())]

    def _watches(self, held_out: Any) -> list[Callback]:
        """The callbacks that the parameters of `fit` ask for."""
        if self.patience is not None and held_out is None:
            raise ValueError(f"a patience of {self.patience} watches the loss of held-out data: give fit validation "
                             "data, or leave patience out")
        return self._bounds() + ([] if self.patience is None else [EarlyStopping(self.patience, self.monitor)])

    def _train(self, rows: Any, epochs: int, held_out: Any, callbacks: list[Callback]) -> None:
        self._trainer.callbacks = callbacks
        self._trainer.fit(rows, epochs, validation=held_out)

    def _set_fitted(self, network: Any, scaler: Scaler) -> None:
        super()._set_fitted(network, scaler)
        self._trainer = None

    def _unit_interval(self, network: Any) -> bool:
        return network.reconstruction.unit_interval

    def _set_loaded(self, header: dict[str, Any]) -> None:
        network = self.network_
        encoder, decoder, self.corruption = copy.deepcopy((network.encoder, network.decoder, network.corruption))
        if header.get("own_layers"):
            self.encoder, self.decoder = encoder, decoder

    # ---------------------------------------------------------------- use

    @property
    def encoder_(self) -> Layer:
        """The trained encoder, a layer: (N, ...) to (N, code)."""
        return self._network().encoder

    @property
    def decoder_(self) -> Layer:
        """The trained decoder, a layer, without its output activation."""
        return self._network().decoder

    def transform(self, X: Any) -> np.ndarray:
        """The codes of X: (N, ...) to (N, code)."""
        return self._through(self._network().encode, self._scaled(X))

    def _features_out(self) -> int:
        return math.prod(self._network().code_shape)

    def classifier(self, **training: Any) -> Classifier:
        """A classifier whose hidden layers are this model's, from the input to the code, under a new softmax layer.

            model.classifier(head_epochs=5, epochs=20).fit(X, y)     the head first, then all layers
            model.classifier(head_epochs=100, epochs=0).fit(X, y)    the head only: codes stay what they are

        The weights are copies, so that a model may be used more than once; codes are those of `transform` (means, where
        the code is a distribution), flattened where they are feature maps. The scaling is this model's, too, and is not
        fitted again; samples that this model refuses, as they are not in [0, 1], are refused. The arguments are those
        of `Classifier`, where `seed`, `dtype` and `backend` are this model's unless given. Raises `ValueError` for a
        model whose codes need more than samples: labels, or ratings.
        """
        network = self._network()
        layers = [part for layer in copy.deepcopy(network.code_layers())
                  for part in (layer if isinstance(layer, Sequential) else [layer])]
        if len(network.code_shape) > 1:
            layers.append(Flatten())
        place = network.place
        own = {"seed": place.seed, "dtype": place.dtype, "backend": place.backend,
               "scaling": None if isinstance(self.scaler_, Identity) else self.scaler_,
               "unit_interval": self._unit_interval(network)}
        return Classifier(encoder=Sequential(layers, dtype=place.dtype, backend=place.backend), **{**own, **training})

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """The reconstructions from codes: (N, code) to (N, ...), in the units of the data."""
        codes = check_samples(codes, self._network().code_shape, name="codes")
        return self.scaler_.inverse_transform(self._through(self._network().decode, codes))

    def reconstruct(self, X: Any) -> np.ndarray:
        """X through encoder and decoder: (N, ...) to (N, ...), in the units of the data."""
        return self.scaler_.inverse_transform(self._through(self._network(), self._scaled(X)))

    def as_batch(self, X: Any, y: Any = None) -> tuple[np.ndarray, ...]:
        """What the network's `loss_terms` takes of samples X (N, ...), and of their labels y where it needs them: host
        arrays, the scaled samples first."""
        rows = self._beside(self._scaled(X), y)
        return tuple(np.asarray(a) for a in (rows if isinstance(rows, tuple) else (rows,)))

    def interpolate(self, A: Any, B: Any, steps: int = 9, *, labels: Any = None) -> np.ndarray:
        """What lies between samples: the decoder along straight lines between the codes of A and of B.

        A, B: (N, ...), as many of each; returns (N, steps, ...) in the units of the data, from the reconstructions of A
        to those of B. `labels`, one for all pairs or (N,), are for models that need them.
        """
        check_count("steps", steps, least=2)
        start, end = self._encode_for(A, labels), self._encode_for(B, labels)
        if len(start) != len(end):
            raise ValueError(f"A has {len(start)} samples and B has {len(end)}: give as many of each")
        share = np.linspace(0, 1, steps, dtype=start.dtype).reshape(1, steps, *[1] * (start.ndim - 1))
        return self._decode_grid((1 - share) * start[:, None] + share * end[:, None], 2, labels)

    def traverse(self, X: Any, units: int | Sequence[int] | None = None, span: tuple[float, float] = (-3.0, 3.0),
                 steps: int = 9, *, labels: Any = None) -> np.ndarray:
        """What single units of the code do: X's reconstructions with one unit set to values across `span`.

        X: (N, ...), with codes that are vectors. Returns (N, units, steps, ...) in the units of the data; `units` are
        numbers of units, all of them by default. `span` is in units of the code, of which a standard normal prior has a
        deviation of 1. `labels`, one for all or (N,), are for models that need them.
        """
        codes = self._encode_for(X, labels)
        if codes.ndim != 2:
            raise ValueError(f"a traversal is of codes that are vectors, these have shape {codes.shape[1:]}: train a "
                             "model whose code is a vector")
        chosen: Any = range(codes.shape[1]) if units is None else units
        units = [chosen] if np.ndim(chosen) == 0 else list(chosen)
        for unit in units:
            if check_count("a latent unit's number", unit, least=0) >= codes.shape[1]:
                raise ValueError(f"there is no latent unit {unit}: they are numbered from 0 to {codes.shape[1] - 1}")
        low, high = (check_number("an end of span", end, least=-math.inf) for end in span)
        grid = np.tile(codes[:, None, None, :], (1, len(units), check_count("steps", steps), 1))
        for i, unit in enumerate(units):
            grid[:, i, :, unit] = np.linspace(low, high, steps)
        return self._decode_grid(grid, 3, labels)

    def _decode_grid(self, codes: np.ndarray, axes: int, labels: Any) -> np.ndarray:
        """The reconstructions from codes with so many axes before their own, the first of which has the labels."""
        shape = codes.shape[:axes]
        if labels is not None and np.ndim(labels):
            labels = np.repeat(labels, math.prod(shape[1:]))
        decoded = self._decode_for(codes.reshape(-1, *codes.shape[axes:]), labels)
        return decoded.reshape(*shape, *decoded.shape[1:])

    # What a variant has to override where the encoder or the decoder is told labels.

    def _encode_for(self, X: Any, labels: Any) -> np.ndarray:
        """The codes of samples of these labels."""
        self._without(labels)
        return self._codes(X)

    def _decode_for(self, codes: np.ndarray, labels: Any) -> np.ndarray:
        """The reconstructions from codes of these labels."""
        self._without(labels)
        return self.inverse_transform(codes)

    def _without(self, labels: Any) -> None:
        if labels is not None:
            raise ValueError(f"labels were given, but this {type(self).__name__} was trained without: leave them out")

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the squared reconstruction error of each sample, on the scaled data: larger is more normal. (N,)."""
        return self._minus_errors(self._scaled(X))

    def _minus_errors(self, *rows: Scaled) -> np.ndarray:
        """`score_samples` of what the network is given: the scaled samples first."""
        errors = np.empty(len(rows[0]))
        for start in range(0, len(errors), CHUNK):
            part = [a[start:start + CHUNK] for a in rows]
            difference = self._through(self._network().forward, *part).astype(np.float64) - part[0]
            errors[start:start + CHUNK] = np.square(difference).reshape(len(difference), -1).sum(axis=1)
        return -errors

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: larger is better."""
        return float(self.score_samples(X).mean())
