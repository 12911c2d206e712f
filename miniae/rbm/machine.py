"""The restricted Boltzmann machine itself: an energy, its conditional distributions, its free energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae.autodiff import Tensor
from miniae.backend.philox import Generator, host_generator
from miniae.nn import Layer
from miniae.nn.layer import Shape
from miniae.rbm.divergence import ContrastiveDivergence
from miniae.rbm.units import get_units

Array = Any


class Machine(Layer):
    """p(v, h) = exp(-E(v, h)) / Z with E(v, h) = -a.v - b.h - v'Wh for Bernoulli units on both sides.

    A Gaussian side has (v - a)^2 / 2 in place of -a.v, or (h - b)^2 / 2 in place of -b.h. `weight` W is (visible,
    hidden), `visible_bias` a, `hidden_bias` b. Given one side, the units of the other are independent:

        p(h | v): each hidden unit sees b + vW,    p(v | h): each visible unit sees a + hW'.

    As a layer it maps visible states to hidden means. Smolensky 1986; Hinton, "Training products of experts by
    minimizing contrastive divergence", Neural Computation 14, 2002; Welling, Rosen-Zvi and Hinton, "Exponential family
    harmoniums", NIPS 2004, for the Gaussian units.
    """

    def __init__(self, hidden: int, visible_units: str = "bernoulli", hidden_units: str = "bernoulli",
                 init_std: float = 0.1, k: int = 1, persistent: int = 0, sample_visible: bool = False,
                 weight_cost: float = 0.0, sparsity_target: float = 0.0, sparsity_cost: float = 0.0):
        super().__init__()
        self.hidden, self.init_std, self.k, self.persistent = hidden, init_std, k, persistent
        self.visible_units, self.hidden_units = get_units(visible_units), get_units(hidden_units)
        self.draw_visible = sample_visible
        self.weight_cost, self.sparsity_target, self.sparsity_cost = weight_cost, sparsity_target, sparsity_cost

    def make(self, input_shape: Shape) -> None:
        (visible,) = input_shape
        drawn = host_generator(self.place.seed, self.place.child("weight").name).standard_normal((visible, self.hidden))
        self.weight = self.add_parameter("weight", drawn * self.init_std)
        self.visible_bias = self.add_parameter("visible_bias", np.zeros(visible))
        self.hidden_bias = self.add_parameter("hidden_bias", np.zeros(self.hidden))
        self.rng = self.generator("gibbs")
        self.be = self.place.backend
        if self.persistent:
            start = host_generator(self.place.seed, self.place.child("chains").name).random((self.persistent, visible))
            self.chains = self.add_buffer("chains", start < 0.5 if self.visible_units.unit_interval else start - 0.5)

    # ---------------------------------------------------------------- conditional distributions, on raw arrays

    def hidden_mean(self, v: Array) -> Array:
        """E[h | v], for v (N, visible): (N, hidden)."""
        return self.hidden_units.mean(self.be, self.be.affine(v, self.weight._data, self.hidden_bias._data))

    def visible_mean(self, h: Array) -> Array:
        """E[v | h], for h (N, hidden): (N, visible)."""
        return self.visible_units.mean(self.be, self.be.affine(h, self.weight._data.T, self.visible_bias._data))

    def sample_hidden(self, v: Array, rng: Generator | None = None) -> Array:
        """A random h given v."""
        return self.hidden_units.sample(self.be, self.hidden_mean(v), rng or self.rng)

    def sample_visible(self, h: Array, rng: Generator | None = None) -> Array:
        """A random v given h."""
        return self.visible_units.sample(self.be, self.visible_mean(h), rng or self.rng)

    def free_energy(self, v: Array) -> Array:
        """F(v) = -log sum_h exp(-E(v, h)), a number a row; p(v) = exp(-F(v)) / Z."""
        x = self.be.affine(v, self.weight._data, self.hidden_bias._data)
        own = self.visible_units.self_energy(self.be, v, self.visible_bias._data)
        return own - self.hidden_units.log_partition(self.be, x, self.hidden_bias._data)

    # ---------------------------------------------------------------- as a layer, and as something to train

    def forward(self, v: Tensor) -> Tensor:
        return Tensor._wrap(self.hidden_mean(v._data), self.be)

    def loss_terms(self, v: Tensor) -> dict[str, Tensor]:
        """The squared error of the one-step reconstruction, whose "gradient" is that of contrastive divergence."""
        return {"reconstruction": ContrastiveDivergence(self)(v, self.weight, self.visible_bias, self.hidden_bias)}

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.hidden,)

    def config(self) -> dict[str, Any]:
        return {"hidden": self.hidden, "visible_units": self.visible_units.name,
                "hidden_units": self.hidden_units.name, "init_std": self.init_std, "k": self.k,
                "persistent": self.persistent, "sample_visible": self.draw_visible, "weight_cost": self.weight_cost,
                "sparsity_target": self.sparsity_target, "sparsity_cost": self.sparsity_cost}
