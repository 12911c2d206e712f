"""The `RBM` estimator."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.philox import Generator, host_generator
from miniae.data.rows import Kept, scaled
from miniae.data.scaling import Identity
from miniae.nn import Build
from miniae.optim import Momentum
from miniae.rbm.machine import Machine
from miniae.rbm.max_norm import MaxNormMomentum
from miniae.rbm.partition import PartitionEstimate, annealed_importance_sampling
from miniae.rbm.units import Bernoulli, get_units
from miniae.training import (
    Callback,
    Estimator,
    NotFittedError,
    Trainer,
    callback_list,
    check_count,
    check_number,
    check_rows,
    check_samples,
    check_unit_interval,
)
from miniae.training.conventions import Transformer

# How many samples are worked on at once when nothing is learned.
_CHUNK = 4096


class MomentumSwitch(Callback):
    """Raises the momentum from `first` to `then` after `epochs` epochs, once the weights have found their direction."""

    def __init__(self, first: float, then: float, epochs: int):
        self.first, self.then, self.epochs = first, then, epochs

    def on_epoch_begin(self, trainer: Trainer) -> None:
        optimizer: Any = trainer.optimizer  # one with momentum
        optimizer.momentum = self.first if trainer.epoch < self.epochs else self.then

    def fixed_settings(self) -> dict[str, Any]:
        return {"momentum": [self.first, self.then], "momentum_switch": self.epochs}


class RBM(Transformer, Estimator):
    """A restricted Boltzmann machine (see `Machine` for the mathematics), trained by contrastive divergence.

    Parameters
    ----------
    hidden : number of hidden units.
    visible_units, hidden_units : "bernoulli" (data in [0, 1]), "softmax:K" (groups of K of which one is on: one-hot
        data), "gaussian" (real data: standardise them first), "rectified" (noisy rectified linear units), and for
        visible units "gaussian_learned" (real data, every unit learns its variance). See `miniae.rbm.units`.
    lr : None means 0.1 where all states lie in [0, 1], and 0.001 where a side is Gaussian or rectified.
    epochs, batch_size : how long to train, and on how many samples at a time.
    k : steps of Gibbs sampling an update.
    sample_visible : draw the visible states of CD's chains instead of taking means: better densities, noisier features.
    persistent : True for persistent contrastive divergence, with `batch_size` chains.
    fast_lr : with `persistent`, a learning rate for fast weights, 0.1 say, that keep the chains moving (Tieleman and
        Hinton 2009, see `ContrastiveDivergence`). None means none.
    max_norm : after every update, the weights into a hidden unit are scaled down to at most this length; None is none.
    momentum : (at first, after `momentum_switch` epochs).
    weight_cost : pulls the weights towards 0; biases are left alone.
    sparsity_target, sparsity_cost : the mean activity wanted of hidden units, and how hard to pull.
    init_std : standard deviation of the initial weights.
    visible_bias : "zero", or "data" for those that give the data's means when the weights are 0.
    seed, dtype, backend : as in `Autoencoder`.

    The defaults are the recipe of Hinton and Salakhutdinov, Science 313, 2006.

    Attributes
    ----------
    machine_ : the trained `Machine`, with `weight`, `visible_bias` and `hidden_bias`.
    history_ : one dict an epoch; `loss` is the squared reconstruction error a sample.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).integers(0, 2, (200, 12)).astype("float32")
    >>> RBM(hidden=4, epochs=2).fit(X).transform(X).shape
    (200, 4)
    """

    def __init__(self, hidden: int = 64, *, visible_units: str = "bernoulli", hidden_units: str = "bernoulli",
                 lr: float | None = None, epochs: int = 10, batch_size: int = 100, k: int = 1, persistent: bool = False,
                 sample_visible: bool = False, momentum: tuple[float, float] = (0.5, 0.9), momentum_switch: int = 5,
                 weight_cost: float = 2e-4,
                 sparsity_target: float = 0.1, sparsity_cost: float = 0.0, init_std: float = 0.1,
                 visible_bias: str = "zero", seed: int = 0, dtype: str = "float32",
                 backend: str | Backend | None = None, fast_lr: float | None = None, max_norm: float | None = None):
        self.hidden, self.visible_units, self.hidden_units = hidden, visible_units, hidden_units
        self.lr, self.epochs, self.batch_size, self.k, self.persistent = lr, epochs, batch_size, k, persistent
        self.sample_visible = sample_visible
        self.momentum, self.momentum_switch, self.weight_cost = momentum, momentum_switch, weight_cost
        self.sparsity_target, self.sparsity_cost = sparsity_target, sparsity_cost
        self.init_std, self.visible_bias = init_std, visible_bias
        self.seed, self.dtype, self.backend = seed, dtype, backend
        self.fast_lr, self.max_norm = fast_lr, max_norm

    # ---------------------------------------------------------------- training

    def fit(self, X: Any, y: Any = None, *, validation: Any = None, callbacks: Sequence[Callback] = ()) -> RBM:
        """Train from the start. X: (N, visible), in [0, 1] for Bernoulli units; y is not used.

        `validation` is data of the same kind, whose reconstruction error is found after every epoch.
        """
        with self._unless_refused():
            X = self._begin(X)
            held_out = None if validation is None else visible_states(self.machine_, validation, "validation")
            try:
                self._train(X, self.epochs, callbacks, held_out)
            finally:
                self._trainer.backend.release()
        return self

    def partial_fit(self, X: Any, y: Any = None, *, callbacks: Sequence[Callback] = ()) -> RBM:
        """Train for one more epoch, on these rows: for data that come in parts. X: (N, visible); y is not used.

        The velocities of the momentum and the persistent chains go on; `momentum_switch` counts calls as epochs. With
        `visible_bias` "data" the biases begin at those of the first part.
        """
        with self._unless_refused():
            X = self._check(X) if hasattr(self, "machine_") else self._begin(X)
            self._train(X, self._trainer.epoch + 1, callbacks)
        return self

    def _begin(self, X: Any) -> np.ndarray | Kept:
        """Make the machine and its trainer for these data; return their states."""
        self._check_parameters()
        machine = Machine(self.hidden, self.visible_units, self.hidden_units, self.init_std, self.k,
                          self.batch_size if self.persistent else 0, self.sample_visible, self.weight_cost,
                          self.sparsity_target, self.sparsity_cost, self.fast_lr)
        X = self._first_samples(X)
        if len(X.shape) != 2:
            raise ValueError(f"an RBM takes vectors, X of shape (N, features); got {X.shape}: reshape it first")
        machine.build(X.shape[1:], Build("", self.seed, self.dtype, self.backend))
        X = visible_states(machine, X)
        if self.visible_bias == "data":
            machine.visible_bias.assign(machine.visible_units.data_bias(X).astype(self.dtype))
        self.machine_, self.n_features_in_ = machine, X.shape[1]
        settings = {"lr": self.learning_rate(), "momentum": self.momentum[0]}
        optimizer = (Momentum(machine.parameters(), **settings) if self.max_norm is None else
                     MaxNormMomentum(machine.parameters(), machine.weight, self.max_norm, **settings))
        self._trainer = Trainer(machine, optimizer, batch_size=self.batch_size, seed=self.seed)
        self.history_ = self._trainer.history
        return X

    def _train(self, X: Any, epochs: int, callbacks: Sequence[Callback], validation: Any = None) -> None:
        self._trainer.callbacks = [MomentumSwitch(*self.momentum, self.momentum_switch), *callback_list(callbacks)]
        try:
            self._trainer.fit(X, epochs, validation=validation)
        finally:
            self._trainer.callbacks = []  # which may hold data, and need not be what a pickle can hold

    def learning_rate(self) -> float:
        """`lr`, or the default for these units."""
        if self.lr is not None:
            return self.lr
        bounded = all(get_units(name).unit_interval for name in (self.visible_units, self.hidden_units))
        return 0.1 if bounded else 0.001

    def _check_parameters(self) -> None:
        for name in ("hidden", "k", "batch_size"):
            check_count(name, getattr(self, name))
        for name in ("epochs", "momentum_switch"):
            check_count(name, getattr(self, name), least=0)
        optional = [name for name in ("lr", "fast_lr") if getattr(self, name) is not None]
        for name in ("weight_cost", "sparsity_cost", "init_std", *optional):
            check_number(name, getattr(self, name))
        if not isinstance(self.sparsity_target, numbers.Real) or not math.isfinite(self.sparsity_target):
            raise ValueError(f"sparsity_target must be a finite number, got {self.sparsity_target!r}")
        pair = self.momentum if isinstance(self.momentum, (tuple, list)) else ()
        if len(pair) != 2 or not all(isinstance(m, numbers.Real) and 0 <= m < 1 for m in pair):
            raise ValueError(f"momentum is a pair of numbers in [0, 1), at first and later; got {self.momentum!r}")
        if self.fast_lr is not None and not self.persistent:
            raise ValueError(f"fast_lr={self.fast_lr!r} is the rate of the fast weights that persistent chains are "
                             "drawn by: set persistent=True too")
        if self.max_norm is not None and (not isinstance(self.max_norm, numbers.Real)
                                          or not 0 < self.max_norm < math.inf):
            raise ValueError(f"max_norm must be a finite number above 0, or None; got {self.max_norm!r}")
        if self.visible_bias not in ("zero", "data"):
            raise ValueError(f"unknown visible_bias {self.visible_bias!r}: expected zero or data")
        get_units(self.hidden_units).check("hidden", self.hidden)
        if self.visible_units in ("gaussian", "gaussian_learned") and self.hidden_units == "gaussian":
            raise ValueError("an RBM with Gaussian units on both sides is not a distribution unless its weights are "
                             "small: make one side bernoulli")

    # ---------------------------------------------------------------- use

    def transform(self, X: Any) -> np.ndarray:
        """The means of the hidden units: (N, visible) to (N, hidden)."""
        return self._rows(self._machine().hidden_mean, self._check(X))

    def inverse_transform(self, H: Any) -> np.ndarray:
        """The means of the visible units: (N, hidden) to (N, visible)."""
        machine = self._machine()
        return self._rows(machine.visible_mean, check_samples(H, (machine.hidden,), name="H"))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Up and down again, by means: (N, visible) to (N, visible)."""
        machine = self._machine()
        return self._rows(lambda v: machine.visible_mean(machine.hidden_mean(v)), self._check(X))

    def free_energy(self, X: Any) -> np.ndarray:
        """F(v), with p(v) = exp(-F(v)) / Z: smaller is more likely. (N, visible) to (N,).

        Raises `ValueError` for rectified visible units, which have none.
        """
        return self._rows(self._machine().free_energy, self._check(X))

    def score_samples(self, X: Any) -> np.ndarray:
        """-F(v), the log-probability up to a constant: larger is more normal. (N, visible) to (N,)."""
        return -self.free_energy(X)

    def pseudo_likelihood(self, X: Any, seed: int = 0) -> np.ndarray:
        """An estimate of log p(v_1 | others) + log p(v_2 | others) + ..., a number a row: (N, visible) to (N,).

        It needs no Z, and larger is better. One unit i a row is drawn by `seed`, and its term counts for all `visible`:
        log p(v_i | others) = -softplus(F(v) - F(v with v_i flipped)). For Bernoulli visible units in states 0 and 1;
        raises `ValueError` for others. Besag, "Statistical analysis of non-lattice data", 1975.
        """
        return pseudo_likelihood(self._machine(), np.asarray(self._check(X)), seed)

    def log_partition(self, X: Any = None, *, betas: Any = None, chains: int = 100, seed: int = 0,
                      progress: Callable[[int, int], None] | None = None) -> PartitionEstimate:
        """An estimate of log Z by `annealed_importance_sampling`, for Bernoulli units on both sides.

        The chains start at independent pixels with the means of `X` (N, visible), the training data say; without `X`
        with the means that the visible biases give.
        """
        machine = self._machine()
        base = None if X is None else machine.visible_units.data_bias(self._check(X))
        return annealed_importance_sampling(machine, betas, chains, seed, base, progress)

    def log_likelihood(self, X: Any, log_z: float | PartitionEstimate) -> np.ndarray:
        """log p(v) = -F(v) - log Z in nats, a number a row: (N, visible) to (N,). For states: X > 0.5 of grey pixels.

        `log_z` is what `log_partition` returned, or a number: `exact_log_partition(rbm.machine_)`.
        """
        return self.score_samples(X) - getattr(log_z, "log_z", log_z)

    def sample(self, n: int = 1, steps: int = 1000, seed: int = 0, start: Any = None) -> np.ndarray:
        """`n` visible states (n, visible) after `steps` steps of Gibbs sampling, from `start` or from random states."""
        machine = self._machine()
        check_count("n", n, least=0)
        check_count("steps", steps, least=0)
        rng = Generator(seed, "sample", machine.be)
        if start is None:
            mean = rng.uniform((n, self.n_features_in_), machine.place.dtype)
            v = machine.visible_units.sample(machine.be, mean, rng)
        else:
            v = machine.be.asarray(np.asarray(self._check(start)), machine.place.dtype)
        for _ in range(steps):
            v = machine.sample_visible(machine.sample_hidden(v, rng), rng)
        return machine.be.to_host(v)

    def _rows(self, function: Callable[[Any], Any], X: np.ndarray | Kept) -> np.ndarray:
        return rows(self._machine(), function, X)

    def _features_out(self) -> int:
        return self._machine().hidden

    def _check(self, X: Any) -> np.ndarray | Kept:
        machine = self._machine()
        return visible_states(machine, self._samples(X, machine.input_shape))

    def _machine(self) -> Machine:
        if not hasattr(self, "machine_"):
            raise NotFittedError("this RBM is not trained yet: call fit(X) first")
        return self.machine_


def rows(machine: Machine, function: Callable[[Any], Any], X: np.ndarray | Kept) -> np.ndarray:
    """`function`, from arrays to arrays of the machine's backend, of all rows of `X`, some at a time."""
    be, dtype = machine.be, machine.place.dtype
    parts = [be.to_host(function(be.asarray(X[i:i + _CHUNK], dtype))) for i in range(0, len(X), _CHUNK)]
    return np.concatenate(parts)


def pseudo_likelihood(machine: Machine, states: np.ndarray, seed: int = 0) -> np.ndarray:
    """What `RBM.pseudo_likelihood` says, of `visible_states`."""
    if not isinstance(machine.visible_units, Bernoulli):
        raise ValueError(f"the pseudo-likelihood flips states 0 and 1: it is not for {machine.visible_units.name} "
                         "visible units")
    if not ((states == 0) | (states == 1)).all():
        raise ValueError("X holds values between 0 and 1, the pseudo-likelihood needs states: use X > 0.5, say")
    n, visible = states.shape
    row, chosen = np.arange(n), host_generator(seed, "pseudo-likelihood").integers(visible, size=n)
    flipped = states.copy()
    flipped[row, chosen] = 1 - states[row, chosen]
    rise = rows(machine, machine.free_energy, states) - rows(machine, machine.free_energy, flipped)
    return -visible * np.logaddexp(0.0, rise)


def visible_states(machine: Machine, X: Any, name: str = "X", owner: str = "this model") -> np.ndarray | Kept:
    """`X` as states of the machine's visible units, in its dtype, or `Kept` where it is sparse or comes in batches.

    Raises `ValueError` or `TypeError` if it can't be."""
    X = check_rows(X, machine.input_shape, name, owner)
    if machine.visible_units.unit_interval:
        check_unit_interval(name, X, f"{machine.visible_units.name} visible units need values in [0, 1]: scale the "
                                     "data, or choose visible_units='gaussian'")
    return X.astype(machine.place.dtype, copy=False) if isinstance(X, np.ndarray) else scaled(X, Identity())
