"""Greedy layer-wise pretraining, and unrolling into a deep autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from miniae.autodiff import no_grad
from miniae.backend import Backend, get
from miniae.data.rows import Kept
from miniae.data.sparse import Sparse
from miniae.data.stream import Stream
from miniae.models.autoencoder import Autoencoder
from miniae.models.classifier import Classifier
from miniae.models.contractive import ContractiveAutoencoder
from miniae.models.estimator import check_sizes
from miniae.nn import Build, Dense, Layer, Masking, Sequential, TiedDense
from miniae.rbm import RBM, get_units
from miniae.training import Callback, check_rows

__all__ = ["PRETRAINING", "Stack", "pretrain"]

PRETRAINING = ("rbm", "autoencoder", "denoising", "contractive")
"""The ways to pretrain a layer."""

_CHUNK = 4096


@dataclass(frozen=True)
class Pair:
    """One pretrained layer: the way up and the way down, both built, with their activations.

    `rbm` is the trained machine they are copies of, where it was one: what samples and energies come from.
    """

    up: Dense
    down: Dense
    rbm: RBM | None = None


@dataclass
class Stack:
    """Layers that were pretrained one on top of the other.

    `pairs` holds each layer's way up and way down, `histories` how each was trained.
    """

    pairs: list[Pair] = field(default_factory=list)
    histories: list[list[dict[str, float]]] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """Units from the input to the top."""
        return [*self.pairs[0].up.input_shape, *[pair.up.units for pair in self.pairs]] if self.pairs else []

    def add(self, pair: Pair, history: list[dict[str, float]]) -> None:
        """Put a layer on top."""
        self.pairs.append(pair)
        self.histories.append(history)

    def encode(self, X: Any) -> np.ndarray:
        """All the way up: (N, features) to (N, code)."""
        return _through([pair.up for pair in self.pairs], X)

    def reconstruct(self, X: Any) -> np.ndarray:
        """All the way up and down again, by means: (N, features) to (N, features)."""
        return self.decode(self.encode(X))

    def decode(self, codes: Any) -> np.ndarray:
        """All the way down, by means: (N, code) to (N, features)."""
        return _through([pair.down for pair in reversed(self.pairs)], codes)

    def unroll(self, loss: str | None = None, tied: bool = False, **training: Any) -> Autoencoder:
        """The symmetric deep autoencoder whose layers are those of the stack: up through all, then down.

        Before any training it reconstructs what the stack does; `fit` then fine-tunes all layers together. The weights
        are copies, so a stack may be unrolled more than once. With `tied`, the decoder uses the transposes of the
        encoder's weights, which are the same numbers for a stack of RBMs, except where visible units have learned their
        variance s^2: there the way up has W / s^2, and tied weights begin from something else. `loss` is "bce" when
        None and the visible units are probabilities, else "mse"; further arguments are those of `Autoencoder` (`lr`,
        `epochs`, ...), where `dtype` and `backend` are the stack's own unless given.
        Raises `ValueError` for a stack with softmax groups, whose activation has no name among those of networks.
        Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.
        """
        place, ups = self._ups(training)
        first = self.pairs[0]
        output = first.down.activation
        downs: list[Layer] = []
        for i, pair in reversed(list(enumerate(self.pairs))):
            activation = pair.down.activation if i else None  # the last one belongs to the reconstruction
            if tied:
                down = TiedDense(ups[i], activation)
                down.build(pair.down.input_shape, place)
                down.bias.assign(pair.down.bias.numpy())
                downs.append(down)
            else:
                downs.append(_copy(pair.down, activation, place))
        return Autoencoder(
            hidden=[pair.up.units for pair in self.pairs[:-1]], code=self.pairs[-1].up.units,
            activation=first.up.activation, code_activation=self.pairs[-1].up.activation, tied=tied,
            loss=loss or ("bce" if output == "sigmoid" else "mse"),
            output_activation=None if loss == "multinomial" else output,
            encoder=Sequential(ups, dtype=place.dtype, backend=place.backend),
            decoder=Sequential(downs, dtype=place.dtype, backend=place.backend),
            dtype=place.dtype, backend=place.backend, seed=place.seed, **training,
        )

    def classifier(self, **training: Any) -> Classifier:
        """A classifier whose hidden layers are those of the stack, up to the top one, under a new softmax layer.

            model = pretrain(X, [784, 500, 500, 2000], code_unit="bernoulli").classifier(epochs=20).fit(X, y)

        The weights are copies, so that a stack may be used more than once. The arguments are those of `Classifier`
        (`lr`, `head_epochs`, ...), where `dtype` and `backend` are the stack's own unless given.
        """
        place, ups = self._ups(training)
        return Classifier(hidden=self.sizes[1:], activation=self.pairs[0].up.activation,
                          encoder=Sequential(ups, dtype=place.dtype, backend=place.backend),
                          dtype=place.dtype, backend=place.backend, seed=place.seed, **training)

    def _ups(self, training: dict[str, Any]) -> tuple[Build, list[Dense]]:
        """Copies of the way up, and the place they are built in: the stack's own but for what `training` gives up."""
        if not self.pairs:
            raise ValueError("this stack has no layers: pretrain it first")
        if not all(isinstance(layer.activation, str) for pair in self.pairs for layer in (pair.up, pair.down)):
            raise ValueError("this stack has softmax groups, for which networks have no activation: use its encode and "
                             "reconstruct, or pretrain with bernoulli units in their place")
        own = self.pairs[0].up.place
        place = Build("", training.pop("seed", own.seed), training.pop("dtype", own.dtype),
                      get(training.pop("backend", own.backend)))
        return place, [_copy(pair.up, pair.up.activation, place) for pair in self.pairs]


def pretrain(X: Any, sizes: Sequence[int], *, method: str = "rbm", unit: str = "bernoulli",
             visible_unit: str = "bernoulli", code_unit: str = "gaussian", epochs: int | Sequence[int] = 10,
             lr: float | Sequence[float] | None = None, batch_size: int = 100, noise: float = 0.25,
             activation: str = "sigmoid", seed: int = 0, dtype: str = "float32",
             backend: str | Backend | None = None, stack: Stack | None = None,
             callbacks: Callable[[str], Sequence[Callback]] = lambda title: (), **settings: Any) -> Stack:
    """Train a stack of layers, one at a time, each on the hidden means of the one below.

    X: (N, features), an array or a `data.Stream`; of a stream, those means are computed batch by batch in every pass.
    `sizes` goes from the input to the code, [784, 1000, 500, 250, 30] for instance. `method` is "rbm" (contrastive
    divergence), "autoencoder" (each layer an autoencoder of one hidden layer), "denoising" (the same from inputs of
    which a share `noise` is set to 0; Vincent et al., JMLR 11, 2010) or "contractive" (Rifai et al., ICML 2011). Units
    are "bernoulli" (means by a sigmoid), "gaussian" (linear), "rectified" (ReLU), and for the data also
    "gaussian_learned" (linear; the way up divides by the variances): `visible_unit` for the data, `code_unit` for the
    last layer, `unit` for those between. RBMs may have groups "softmax:K" too, but such a stack can't be unrolled. The
    layers between may have another `activation` than the sigmoid when `method` is not "rbm".

    `epochs` and `lr` are one number, or one a layer. Without `lr`, RBMs take 0.1, or 0.001 where a side is Gaussian or
    rectified, and autoencoders Adam's 0.001. `callbacks` is called with each layer's title, for a progress bar say.
    Further `settings` go to the `RBM`, `Autoencoder` or `ContractiveAutoencoder` of every layer: `k`, `l2`, `strength`.

    Layers are added to `stack`, where one is given, above those it has, which are not trained again. So a caller who
    gives an empty one finds there what was trained before a `KeyboardInterrupt`: the layer at work, too, if it has
    finished an epoch.

        stack = pretrain(X, [784, 1000, 500, 250, 30], epochs=50)
        deep = stack.unroll(epochs=20).fit(X)

    Hinton and Salakhutdinov, Science 313, 2006; Bengio et al., "Greedy layer-wise training", NIPS 2006.
    """
    if method not in PRETRAINING:
        raise ValueError(f"unknown pretraining {method!r}: expected one of {', '.join(PRETRAINING)}")
    sizes = check_sizes("sizes", sizes)
    if settings.get("scaling") is not None:
        raise ValueError("a stack has no scaling between its layers: scale the data before pretraining, and leave "
                         "scaling out")
    data = plain_rows(check_rows(X, (sizes[0],) if sizes else None))
    if len(sizes) < 2:
        raise ValueError(f"sizes goes from the input to the code, at least two numbers; got {sizes}")
    if method == "rbm" and activation != "sigmoid":
        raise ValueError(f"RBMs have sigmoid units, got activation {activation!r}: pretrain by autoencoders instead")
    if method != "rbm":
        for name in (visible_unit, unit, code_unit):
            if not isinstance(get_units(name).activation, str):
                raise ValueError(f"{name} units are for method 'rbm', autoencoders have no such activation: got method "
                                 f"{method!r}")
    stack, layers = Stack() if stack is None else stack, len(sizes) - 1
    if stack.sizes != sizes[:len(stack.sizes)]:
        raise ValueError(f"the stack has layers of {'-'.join(map(str, stack.sizes))}, which sizes do not begin with: "
                         f"{'-'.join(map(str, sizes))}")
    if stack.pairs and len(stack.sizes) < len(sizes) and stack.pairs[-1].up.activation == "linear" and \
            get_units(unit).unit_interval and method == "rbm":
        raise ValueError("the top of the stack has linear units, and RBMs above it would need values in [0, 1]: "
                         "pretrain the stack with code_unit='bernoulli', or go on with unit='gaussian'")
    all_epochs, all_lr = _per_layer("epochs", epochs, layers), _per_layer("lr", lr, layers)
    units = [visible_unit, *[unit] * (layers - 1), code_unit]
    models: list[RBM | Autoencoder] = []
    for i, size in enumerate(sizes[1:]):
        common = {"epochs": all_epochs[i], "lr": all_lr[i], "batch_size": batch_size, "seed": seed + i, "dtype": dtype,
                  "backend": backend, **settings}
        if method == "rbm":
            models.append(RBM(size, visible_units=units[i], hidden_units=units[i + 1], **common))
        else:
            above, below = get_units(units[i + 1]).activation, get_units(units[i]).activation
            up = activation if i < layers - 1 and above == "sigmoid" else above
            down = activation if i and below == "sigmoid" else below
            models.append(_of_one_layer(method, size, up, down, noise, common))
        models[i]._check_parameters()  # all layers', before hours may go into the first
    for i, model in enumerate(models):
        if i:
            data = activations(stack.pairs[i - 1].up, data)
        if i >= len(stack.pairs):
            try:
                model.fit(data, callbacks=callbacks(layer_title(sizes, i)))
            except KeyboardInterrupt:
                if getattr(model, "history_", None):  # else no epoch was finished
                    stack.add(pair_of(model), model.history_)
                raise
            stack.add(pair_of(model), model.history_)
    return stack


def layer_title(sizes: Sequence[int], i: int) -> str:
    """What the training of layer number i is called."""
    return f"layer {i + 1}/{len(sizes) - 1} ({sizes[i]}-{sizes[i + 1]})"


def plain_rows(X: np.ndarray | Sparse | Stream) -> np.ndarray | Stream:
    """X as layers are trained on it: without names of features, which layers above the first have none of."""
    if isinstance(X, Stream):
        return X if X.names is None else Stream(X.batches, X.shuffle)
    return X[:] if isinstance(X, Sparse) else X


def activations(layer: Dense, data: np.ndarray | Stream) -> np.ndarray | Stream:
    """What the layer above is trained on: of a stream a stream, which computes them in every pass."""
    if isinstance(data, Stream):
        return Stream(lambda: (_through([layer], batch) for batch in data.batches()), data.shuffle)
    return _through([layer], data)


def pair_of(model: RBM | Autoencoder) -> Pair:
    """The way up and the way down of a model of one layer."""
    if isinstance(model, Autoencoder):
        encoder: Any = model.encoder_
        decoder: Any = model.decoder_
        down = decoder[0]
        weight = down.source.weight.numpy().T if isinstance(down, TiedDense) else down.weight.numpy()
        return Pair(encoder[0],
                    _dense(weight, down.bias.numpy(), model.network_.reconstruction.activation, down.place))
    machine = model.machine_
    weight = machine.weight.numpy()
    # Where variances are learned the hidden units see v / s^2: the way up has W / s^2.
    way_up = machine.be.to_host(machine.visible_units.scaled(machine.be, machine.weight._data.T)).T
    return Pair(_dense(way_up, machine.hidden_bias.numpy(), machine.hidden_units.activation, machine.place),
                _dense(weight.T, machine.visible_bias.numpy(), machine.visible_units.activation, machine.place), model)


def _of_one_layer(method: str, size: int, up: str, down: str, noise: float, common: dict[str, Any]) -> Autoencoder:
    """An autoencoder of one hidden layer."""
    settings = {"code_activation": up, "output_activation": down, "loss": "bce" if down == "sigmoid" else "mse",
                **common, "lr": 1e-3 if common["lr"] is None else common["lr"]}
    if method == "contractive":
        return ContractiveAutoencoder(size, **settings)
    return Autoencoder((), size, corruption=[Masking(noise)] if method == "denoising" and noise else [], **settings)


def _dense(weight: np.ndarray, bias: np.ndarray, activation: str | None, place: Build) -> Dense:
    """A built layer with these values."""
    layer = Dense(weight.shape[1], activation)
    layer.build((weight.shape[0],), place)
    layer.weight.assign(weight)
    layer.bias.assign(bias)
    return layer


def _copy(layer: Dense, activation: str | None, place: Build) -> Dense:
    return _dense(layer.weight.numpy(), layer.bias.numpy(), activation, place)


def _through(layers: Sequence[Dense], X: Any) -> np.ndarray:
    """X after these layers, none of which leave it as it is."""
    X = X if isinstance(X, Kept) else np.asarray(X)
    if not layers:
        return np.asarray(X)
    model = Sequential(layers, dtype=layers[0].place.dtype, backend=layers[0].place.backend)
    with no_grad():
        return np.concatenate([model(X[i:i + _CHUNK]).numpy() for i in range(0, max(len(X), 1), _CHUNK)])


def _per_layer(name: str, value: Any, layers: int) -> list[Any]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * layers
    if len(values) != layers:
        raise ValueError(f"{name} is one number or one for each of the {layers} layers, got {len(values)}: {values}")
    return values
