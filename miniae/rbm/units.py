"""Kinds of units, visible or hidden.

In a restricted Boltzmann machine a unit sees one number, its total input x: its bias plus the weighted states of the
other side. A kind of unit says what that means: its mean state, a random state, and two terms of the energy. Arrays are
raw arrays of the backend `be`, one row a sample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend import Backend
from miniae.backend.philox import Generator
from miniae.data.pieces import pieces
from miniae.data.scaling import row_sum

if TYPE_CHECKING:
    from miniae.data.rows import Kept
    from miniae.nn.parameter import Parameter
    from miniae.rbm.machine import Machine

Array = Any


class Units:
    """What all kinds share. A kind adds `name`, `unit_interval`, `activation`, `mean`, `sample`, `self_energy` and
    `log_partition`, as `Bernoulli` has them."""

    if TYPE_CHECKING:
        name: str
        unit_interval: bool
        activation: Any
        def mean(self, be: Backend, x: Array) -> Array: ...
        def sample(self, be: Backend, mean: Array, rng: Generator) -> Array: ...
        def self_energy(self, be: Backend, states: Array, bias: Array) -> Array: ...
        def log_partition(self, be: Backend, x: Array, bias: Array) -> Array: ...
        def slope(self, be: Backend, v: Array, bias: Array, field: Array) -> Array: ...  # where there are parameters

    always_drawn = False
    """Whether contrastive divergence may not put means in the place of random visible states."""

    def check(self, side: str, size: int) -> None:
        """Raise `ValueError` unless there can be `size` units of this kind on the "visible" or "hidden" side."""

    def make(self, machine: Machine, side: str, size: int) -> None:
        """Get ready to be the `size` units on the "visible" or "hidden" side, which `check` has passed."""

    def parameters(self) -> list[Parameter]:
        """Parameters of the visible units besides their bias. They belong to the machine."""
        return []

    def scaled(self, be: Backend, v: Array) -> Array:
        """What the weights multiply, of visible states v: in the energy's -v'Wh it has the place of v."""
        return v

    def draw(self, be: Backend, x: Array, rng: Generator) -> tuple[Array, Array]:
        """The mean and a random state, given the total input x, which may be written over."""
        mean = self.mean(be, x)
        return mean, self.sample(be, mean, rng)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        """States to begin sampling from, made of numbers uniform in [0, 1), on the host."""
        return uniform - 0.5

    def data_bias(self, X: np.ndarray | Kept) -> np.ndarray:
        """The biases that give the data's means when the weights are 0, on the host: here those means."""
        return _mean(X)


class Bernoulli(Units):
    """States 0 and 1: p(1) = 1 / (1 + exp(-x)); a visible unit may also hold a probability. Energy -bias s."""

    name = "bernoulli"
    unit_interval = True
    """States lie in [0, 1]."""
    activation = "sigmoid"
    """The activation that computes the mean state, when the machine becomes part of a network."""

    def mean(self, be: Backend, x: Array) -> Array:
        """E[s] = sigmoid(x). Written over x."""
        return be.sigmoid(x, out=x)

    def sample(self, be: Backend, mean: Array, rng: Generator) -> Array:
        """A random state, given the mean."""
        return rng.bernoulli(mean)

    def self_energy(self, be: Backend, states: Array, bias: Array) -> Array:
        """The energy of the states by themselves, a number a row: -sum bias s."""
        return -be.xp.sum(states * bias, axis=1)

    def log_partition(self, be: Backend, x: Array, bias: Array) -> Array:
        """log sum_s exp(-energy + (x - bias) s), summed over units, a number a row: sum log(1 + exp(x))."""
        return be.xp.sum(be.softplus(x), axis=1)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return uniform < 0.5

    def data_bias(self, X: np.ndarray | Kept) -> np.ndarray:
        """The log-odds of the data's means, which are held between 1/N and 1 - 1/N."""
        return np.array([math.log(p / (1.0 - p)) for p in _held_mean(X)])


class Gaussian(Units):
    """Real states: normal with mean x and variance 1. Energy (s - bias)^2 / 2."""

    name = "gaussian"
    unit_interval = False
    activation = "linear"

    def mean(self, be: Backend, x: Array) -> Array:
        """E[s] = x."""
        return x

    def sample(self, be: Backend, mean: Array, rng: Generator) -> Array:
        """A random state, given the mean."""
        noise = rng.normal(mean.shape, mean.dtype)
        return be.add(noise, mean, out=noise)

    def self_energy(self, be: Backend, states: Array, bias: Array) -> Array:
        """The energy of the states by themselves, a number a row: sum (s - bias)^2 / 2."""
        return 0.5 * be.xp.sum((states - bias) ** 2, axis=1)

    def log_partition(self, be: Backend, x: Array, bias: Array) -> Array:
        """log of the integral of exp(-energy + (x - bias) s) ds, over its value at x = bias: sum (x^2 - bias^2) / 2."""
        return 0.5 * be.xp.sum(x * x - bias * bias, axis=1)


class GaussianLearned(Gaussian):
    """Real visible states, normal with mean x and a variance s^2 = exp(z) that each unit learns. The energy is

        E(v, h) = sum (v - a)^2 / (2 s^2) - b.h - sum (v / s^2) W h,

    so that a visible unit sees x = a + hW' and a hidden one b + (v / s^2) W. `log_variance` z is a parameter of the
    machine that starts at 0, and

        -dE/dz = exp(-z) ((v - a)^2 / 2 - v (hW')).

    A mean has no variance, so contrastive divergence always draws these states. For the visible side only. Cho, Ilin
    and Raiko, "Improved learning of Gaussian-Bernoulli restricted Boltzmann machines", ICANN 2011, section 3.
    """

    name = "gaussian_learned"
    always_drawn = True

    def check(self, side: str, size: int) -> None:
        if side != "visible":
            raise ValueError("gaussian_learned units are for the visible side: use gaussian for hidden units")

    def make(self, machine: Machine, side: str, size: int) -> None:
        machine.log_variance = self.log_variance = machine.add_parameter("log_variance", np.zeros(size))

    def parameters(self) -> list[Parameter]:
        return [self.log_variance]

    def scaled(self, be: Backend, v: Array) -> Array:
        """v / s^2."""
        return be.multiply(v, self._power(be, -1.0))

    def sample(self, be: Backend, mean: Array, rng: Generator) -> Array:
        """A random state, given the mean."""
        noise = rng.normal(mean.shape, mean.dtype)
        be.multiply(noise, self._power(be, 0.5), out=noise)
        return be.add(noise, mean, out=noise)

    def slope(self, be: Backend, v: Array, bias: Array, field: Array) -> Array:
        """The mean over rows of -dE/dz, for states v and the field hW' that they are in; `field` is written over."""
        deviation = be.subtract(v, bias)
        be.multiply(deviation, deviation, out=deviation)
        be.multiply(deviation, 0.5, out=deviation)
        be.subtract(deviation, be.multiply(field, v, out=field), out=deviation)
        mean = be.sum(deviation, axis=0)
        be.multiply(mean, 1.0 / max(len(v), 1), out=mean)
        return be.multiply(mean, self._power(be, -1.0), out=mean)

    def self_energy(self, be: Backend, states: Array, bias: Array) -> Array:
        """The energy of the states by themselves, a number a row: sum (v - a)^2 / (2 s^2)."""
        return 0.5 * be.xp.sum(self.scaled(be, (states - bias) ** 2), axis=1)

    def log_partition(self, be: Backend, x: Array, bias: Array) -> Array:
        """log of the integral of exp(-energy + (x - bias) v / s^2) dv, over its value at x = bias:
        sum (x^2 - bias^2) / (2 s^2)."""
        return 0.5 * be.xp.sum(self.scaled(be, x * x - bias * bias), axis=1)

    def _power(self, be: Backend, exponent: float) -> Array:
        """(s^2)^exponent = exp(exponent z)."""
        power = be.multiply(self.log_variance._data, exponent)
        return be.xp.exp(power, out=power)


class Rectified(Units):
    """Noisy rectified linear units: the mean is max(0, x), a random state max(0, x + noise) with noise from
    N(0, sigmoid(x)). Their states are whole intensities where a Bernoulli unit knows on and off.

    They stand for infinitely many Bernoulli copies with the same weights and biases lower by 1/2, 3/2, 5/2, ..., of
    which the state counts those that are on: a count of mean sum_i sigmoid(x - i + 1/2), close to log(1 + exp(x)), and
    of variance close to sigmoid(x). The free energy is exactly that of the copies. Means and random states are the
    faster approximations above, so no long sampling makes contrastive divergence the gradient of that free energy.

    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.
    """

    name = "rectified"
    unit_interval = False
    activation = "relu"

    # exp(1/2 - i), i = 1, 2, ...: the odds of the copies at x = 0; the next are nothing beside 1 in float64.
    _ODDS = tuple(math.exp(0.5 - i) for i in range(1, 41))
    _TWICE_AT_ZERO = 2.0 * sum(math.log1p(odds) for odds in _ODDS)

    def mean(self, be: Backend, x: Array) -> Array:
        """max(0, x). Written over x."""
        return be.leaky_relu(x, 0.0, out=x)

    def sample(self, be: Backend, x: Array, rng: Generator) -> Array:
        """A random state, given the total input: the mean does not tell it, being 0 for all x below 0."""
        deviation = be.sigmoid(x)
        be.xp.sqrt(deviation, out=deviation)
        state = rng.normal(x.shape, x.dtype)
        be.multiply(state, deviation, out=state)
        be.add(state, x, out=state)
        return be.leaky_relu(state, 0.0, out=state)

    def draw(self, be: Backend, x: Array, rng: Generator) -> tuple[Array, Array]:
        state = self.sample(be, x, rng)
        return self.mean(be, x), state

    def self_energy(self, be: Backend, states: Array, bias: Array) -> Array:
        """Raises `ValueError`: it depends on which copies are on, and a state between two counts has none."""
        raise ValueError("rectified visible units have no energy of their own, so there is no free energy: use them as "
                         "hidden units, or bernoulli or gaussian ones as visible units")

    def log_partition(self, be: Backend, x: Array, bias: Array) -> Array:
        """That of the copies, sum S(x) with S(x) = sum_i log(1 + exp(x - i + 1/2)), a number a row.

        S is close to the integral of log(1 + exp(x)), and found in closed form: it is a short sum for x <= 0, and
        S(x) + S(-x) = x^2 / 2 + 2 S(0) but for ripples below 2e-8 (Jacobi's triple product).
        """
        xp = be.xp
        small = xp.exp(-xp.abs(x))
        product = 1.0 + small * self._ODDS[0]
        for odds in self._ODDS[1:]:
            product *= 1.0 + small * odds
        below = xp.log(product)  # S(-|x|)
        above = 0.5 * x * x + self._TWICE_AT_ZERO - below
        return xp.sum(xp.where(x > 0, above, below), axis=1)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        return uniform


class Softmax(Units):
    """Groups of K units side by side, of which exactly one is on: p(unit k) = exp(x_k) / sum_j exp(x_j) over its group.
    Energy -bias s. The name is "softmax:K", "softmax:5" for ratings of one to five stars as one-hot vectors.

    A visible group may also hold probabilities, or zeros alone where nothing was observed. The total input of a group
    may be raised by any constant, so its biases and weights are determined up to one. Salakhutdinov, Mnih and Hinton,
    "Restricted Boltzmann machines for collaborative filtering", ICML 2007, section 2.
    """

    name = "softmax"
    unit_interval = True

    def __init__(self, group: int):
        if group < 2:
            raise ValueError(f"a softmax group has at least 2 units, got {group}")
        self.group, self.name = group, f"softmax:{group}"

    def check(self, side: str, size: int) -> None:
        if size % self.group:
            raise ValueError(f"{self.name} units come in groups of {self.group}: {size} {side} units can't be divided "
                             "into such groups")

    def activation(self, x: Tensor) -> Tensor:
        """The mean state in a network: the softmax within each group."""
        return F.softmax(x.reshape(len(x), x.shape[1] // self.group, self.group), axis=-1).reshape(*x.shape)

    def mean(self, be: Backend, x: Array) -> Array:
        """E[s] = exp(x) / sum over the group of exp(x). Written over x."""
        groups = self._groups(x)
        be.subtract(groups, self._largest(be, groups), out=groups)
        be.xp.exp(groups, out=groups)
        be.divide(groups, be.sum(groups, axis=2, keepdims=True), out=groups)
        return x

    def sample(self, be: Backend, mean: Array, rng: Generator) -> Array:
        """A random state, given the means, or numbers in proportion to them: in each group the first unit whose
        cumulated mean is above one uniform number."""
        groups = self._groups(mean)
        cumulated = be.xp.cumsum(groups, axis=2, out=be.empty_like(groups))
        threshold = rng.uniform((*groups.shape[:2], 1), mean.dtype)
        be.multiply(threshold, cumulated[:, :, -1:], out=threshold)
        above = be.less(threshold, cumulated, out=be.empty_like(groups))
        be.fill(above[:, :, -1:], 1.0)  # rounding must not leave a group without a unit
        state = be.copy(above)
        later = state[:, :, 1:]
        be.subtract(later, above[:, :, :-1], out=later)
        return state.reshape(mean.shape)

    def self_energy(self, be: Backend, states: Array, bias: Array) -> Array:
        """The energy of the states by themselves, a number a row: -sum bias s."""
        return -be.xp.sum(states * bias, axis=1)

    def log_partition(self, be: Backend, x: Array, bias: Array) -> Array:
        """log sum_s exp(-energy + (x - bias) s), a number a row: the sum over groups of log sum_k exp(x_k)."""
        groups = self._groups(x)
        largest = self._largest(be, groups)
        total = be.xp.sum(be.xp.exp(groups - largest), axis=2)
        return be.xp.sum(be.xp.log(total) + largest[:, :, 0], axis=1)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        groups = uniform.reshape(len(uniform), -1, self.group)
        return np.eye(self.group)[groups.argmax(axis=2)].reshape(uniform.shape)

    def data_bias(self, X: np.ndarray | Kept) -> np.ndarray:
        """The logarithms of the data's means, which are held between 1/N and 1 - 1/N."""
        return np.array([math.log(p) for p in _held_mean(X)])

    def _groups(self, x: Array) -> Array:
        return x.reshape(len(x), x.shape[1] // self.group, self.group)

    def _largest(self, be: Backend, groups: Array) -> Array:
        return be.xp.max(groups, axis=2, keepdims=True, out=be.empty((*groups.shape[:2], 1), groups.dtype))


def _mean(X: np.ndarray | Kept) -> np.ndarray:
    """The mean of each feature, in float64."""
    if isinstance(X, np.ndarray):
        return X.mean(axis=0, dtype=np.float64)
    return row_sum(X[rows] for rows in pieces(X)) / len(X)


def _held_mean(X: np.ndarray | Kept) -> np.ndarray:
    """Means of states in [0, 1], between 1/N and 1 - 1/N: a pixel that is always 0 has no finite log-odds.

    Hinton 2010, section 8.1.
    """
    smallest = 1.0 / max(len(X), 2)
    return np.clip(_mean(X), smallest, 1.0 - smallest)


UNITS: dict[str, Any] = {kind.name: kind for kind in (Bernoulli, Gaussian, Rectified, GaussianLearned, Softmax)}
"""The kinds of units by name. Add your own: a subclass of `Units`."""


def get_units(name: str) -> Units:
    """Units of that kind; a number after a colon goes to the kind, as in "softmax:5".

    Raises `ValueError` for an unknown name.
    """
    kind, colon, number = name.partition(":") if isinstance(name, str) else (name, "", "")
    takes_number = kind == Softmax.name
    if kind not in UNITS or bool(colon) != takes_number or colon and not number.isdecimal():
        names = ", ".join("softmax:K (K units a group, as in softmax:5)" if n == Softmax.name else n for n in UNITS)
        raise ValueError(f"unknown kind of units {name!r}: expected one of {names}")
    return UNITS[kind](int(number)) if takes_number else UNITS[kind]()
