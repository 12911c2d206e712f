"""Kinds of units, visible or hidden.

In a restricted Boltzmann machine a unit sees one number, its total input x: its bias plus the weighted states of the
other side. A kind of unit says what that means: its mean state, a random state, and two terms of the energy. Arrays are
raw arrays of the backend `be`, one row a sample.
"""

from __future__ import annotations

from typing import Any

from miniae.backend import Backend
from miniae.backend.philox import Generator

Array = Any


class Bernoulli:
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


class Gaussian:
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


UNITS: dict[str, Any] = {kind.name: kind for kind in (Bernoulli, Gaussian)}
"""The kinds of units by name. Add your own: a class with these methods."""


def get_units(name: str) -> Any:
    """Units of that kind. Raises `ValueError` for an unknown name."""
    if name not in UNITS:
        raise ValueError(f"unknown kind of units {name!r}: expected one of {', '.join(UNITS)}")
    return UNITS[name]()
