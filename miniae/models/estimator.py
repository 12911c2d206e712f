"""What the estimators around one network share: scaled data in, training, rows through the network, files."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.backend import Backend
from miniae.data.arrays import column_names
from miniae.data.rows import Kept, scaled
from miniae.data.scaling import Scaler, make_scaler
from miniae.data.sparse import Sparse
from miniae.data.stream import Stream
from miniae.models.scales import MixedScales, unlike_scales
from miniae.nn import Build, Layer
from miniae.nn.layer import Shape
from miniae.nn.parameter import Parameter
from miniae.optim import ClipByNorm, get_optimizer
from miniae.training import (
    Estimator,
    NotFittedError,
    Trainer,
    check_count,
    check_finite,
    check_number,
    check_rows,
    check_unit_interval,
)
from miniae.training.notice import warn

# How many samples go through the network at once when nothing is learned.
CHUNK = 1024

Scaled = np.ndarray | Kept | Sparse
"""Scaled samples, a slice of which is an array."""

MODELS: dict[str, type[NetworkEstimator]] = {}
"""Every model class by name: what a model file may mention."""


class NetworkEstimator(Estimator):
    """An estimator whose `fit` makes a network `network_` and a scaling `scaler_`, and trains on scaled data.

    A subclass has the parameters `scaling`, `optimizer`, `lr`, `batch_size`, `epochs`, `clip`, `seed`, `dtype` and
    `backend`, and writes `_make_network` and what its files need beside that network.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        MODELS[cls.__name__] = cls

    scaling: str | Scaler | None
    optimizer: str
    lr: float
    batch_size: int
    epochs: int
    clip: float | None
    encoder: Layer | None
    seed: int
    dtype: str
    backend: str | Backend | None

    network_: Any  # a layer with `loss_terms`: each kind of estimator says which
    scaler_: Scaler
    n_features_in_: int
    history_: list[dict[str, float]]
    extra_: dict[str, Any]

    in_network: ClassVar[tuple[str, ...]] = ()
    """The parameters that the network's own description holds: a file has no other record of them."""
    loss_of_real_data: ClassVar[str] = "mse"
    """The loss that fits data outside [0, 1]."""

    # ---------------------------------------------------------------- what a subclass writes

    def _make_network(self, input_shape: Shape, *args: Any, **kwargs: Any) -> Any:
        """The network these parameters describe, not yet built."""
        raise NotImplementedError(f"{type(self).__name__} has no network")

    def _unit_interval(self, network: Any) -> bool:
        """Whether the network's data must lie in [0, 1]."""
        return False

    def _header(self) -> dict[str, Any]:
        """What a file holds beside parameters, network and scaling, as JSON."""
        return {}

    def _arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file holds beside the network's and the scaling's."""
        return {}

    def _set_arrays(self, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take from a file what `_arrays` and `_header` gave."""

    def _set_loaded(self, header: dict[str, Any]) -> None:
        """Take from a file's header what `_header` wrote, and from `network_` what `in_network` names."""

    # ---------------------------------------------------------------- training

    def _prepare(self, X: Any, *outputs: int) -> Scaled:
        """Make the network (with so many outputs, if they are not X's) and the scaling; return the scaled data."""
        self._check_parameters()
        names, X = column_names(X), check_rows(X)
        if isinstance(X, Stream):
            self._learn_names(X)
        scaler = self.scaling if isinstance(self.scaling, Scaler) else make_scaler(self.scaling).fit(X)
        rows = scaled(X, scaler)
        network = self._make_network(X.shape[1:], *outputs)
        if scaler.state():
            check_finite("X", rows)
        if self._unit_interval(network):
            check_unit_interval("X", rows, "this loss and output need values in [0, 1]: scale the data "
                                f"(scaling='minmax'), or choose loss={self.loss_of_real_data!r} with a linear output")
        network.build(X.shape[1:], Build("", self.seed, self.dtype, self.backend))
        if self.scaling is None:
            reason = unlike_scales(X, getattr(getattr(network, "reconstruction", None), "activation", None), names)
            if reason is not None:
                warn(reason, MixedScales)
        self._set_fitted(network, scaler)
        return rows

    def _check_parameters(self) -> None:
        check_count("batch_size", self.batch_size)
        check_count("epochs", self.epochs, least=0)
        check_number("lr", self.lr)
        for name in ("l1", "l2", "clip"):
            if getattr(self, name, None) is not None:
                check_number(name, getattr(self, name))

    def _make_trainer(self, parameters: list[Parameter]) -> Trainer:
        """A trainer of the network whose optimizer changes these parameters."""
        optimizer = get_optimizer(self.optimizer)(parameters, lr=self.lr)
        return Trainer(self.network_, optimizer, batch_size=self.batch_size, seed=self.seed,
                       clip=None if self.clip is None else ClipByNorm(self.clip))

    def _set_fitted(self, network: Any, scaler: Scaler) -> None:
        self.network_, self.scaler_ = network, scaler
        self.n_features_in_ = int(np.prod(network.input_shape))
        self.history_ = []

    # ---------------------------------------------------------------- use

    def _through(self, function: Callable[..., Tensor], *arrays: Scaled) -> np.ndarray:
        """`function` of these arrays' rows, some at a time: host arrays in, a host array out."""
        network = self._network()
        network.eval()
        backend, parts = network.place.backend, []
        with no_grad(), backend.silent():
            for start in range(0, len(arrays[0]), CHUNK):
                rows = (Tensor(a[start:start + CHUNK], dtype=network.place.dtype, backend=backend) for a in arrays)
                parts.append(function(*rows).numpy())
        return np.concatenate(parts)

    def _scaled(self, X: Any, name: str = "X") -> Scaled:
        network = self._network()
        rows = scaled(self._samples(X, network.input_shape, name), self.scaler_)
        if self._unit_interval(network) and self.scaling is None:
            check_unit_interval(name, rows, "this model was trained on values in [0, 1]: bring it to the same scale "
                                            "(bytes of images: divide by 255)")
        return rows

    def _network(self) -> Any:
        return self.network_

    if not TYPE_CHECKING:  # where it would make every attribute one that there is
        def __getattr__(self, name: str) -> Any:
            """Called for attributes that there are not, and properties that found none.

            What ends in an underscore is made by `fit`.
            """
            made = name.endswith("_") and not name.endswith("__")
            if (made or isinstance(getattr(type(self), name, None), property)) and "network_" not in vars(self):
                raise NotFittedError(f"this {type(self).__name__} is not trained yet: call fit first, or load one")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, architecture and scaling to one safetensors file: all that `miniae.load` needs."""
        from miniae.models.files import save

        save(path, self)


def check_sizes(name: str, sizes: Any) -> list[int]:
    """The sizes of layers as ints. Raises `ValueError` for anything but a list of integers of at least 1."""
    if isinstance(sizes, (str, numbers.Real)):
        raise ValueError(f"{name} is a list of layer sizes, [256, 64] for instance; got {sizes!r}")
    return [check_count(f"every size in {name}", size) for size in sizes]
