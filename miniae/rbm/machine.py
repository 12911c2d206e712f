"""The restricted Boltzmann machine itself: an energy, its conditional distributions, its free energy."""

from __future__ import annotations

from typing import Any

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor
from miniae.backend.philox import Generator, host_generator
from miniae.nn import Layer
from miniae.nn.layer import Shape
from miniae.nn.parameter import Parameter
from miniae.rbm.divergence import ContrastiveDivergence
from miniae.rbm.units import get_units

Array = Any


class Machine(Layer):
    """p(v, h) = exp(-E(v, h)) / Z with E(v, h) = -a.v - b.h - v'Wh for Bernoulli units on both sides.

    A Gaussian side has (v - a)^2 / 2 in place of -a.v, or (h - b)^2 / 2 in place of -b.h; other kinds of units say in
    their docstrings what they have. `weight` W is (visible, hidden), `visible_bias` a, `hidden_bias` b. Given one side,
    the units of the other are independent (those of a softmax group are one choice):

        p(h | v): each hidden unit sees b + vW,    p(v | h): each visible unit sees a + hW'.

    Visible units of the kind "gaussian_learned" have v / s^2 in the place of v in v'Wh and vW, and the parameter
    `log_variance`. Persistent chains are kept as their hidden states, in the buffer `chains`; with `fast_lr` there are
    the buffers `fast_weight`, `fast_visible_bias` and `fast_hidden_bias` too (see `ContrastiveDivergence`).

    As a layer it maps visible states to hidden means. Smolensky 1986; Hinton, "Training products of experts by
    minimizing contrastive divergence", Neural Computation 14, 2002; Welling, Rosen-Zvi and Hinton, "Exponential family
    harmoniums", NIPS 2004, for the Gaussian units.
    """

    log_variance: Parameter  # of visible units that learn it

    def __init__(self, hidden: int, visible_units: str = "bernoulli", hidden_units: str = "bernoulli",
                 init_std: float = 0.1, k: int = 1, persistent: int = 0, sample_visible: bool = False,
                 weight_cost: float = 0.0, sparsity_target: float = 0.0, sparsity_cost: float = 0.0,
                 fast_lr: float | None = None):
        super().__init__()
        self.hidden, self.init_std, self.k, self.persistent = hidden, init_std, k, persistent
        self.visible_units, self.hidden_units = get_units(visible_units), get_units(hidden_units)
        self.draw_visible = sample_visible or self.visible_units.always_drawn
        if fast_lr is not None and not persistent:
            raise ValueError(f"fast_lr={fast_lr} is the rate of the fast weights that persistent chains are drawn by: "
                             "ask for persistent chains too")
        self.fast_lr = fast_lr
        self.weight_cost, self.sparsity_target, self.sparsity_cost = weight_cost, sparsity_target, sparsity_cost

    def make(self, input_shape: Shape) -> None:
        (visible,) = input_shape
        drawn = host_generator(self.place.seed, self.place.child("weight").name).standard_normal((visible, self.hidden))
        self.weight = self.add_parameter("weight", drawn * self.init_std)
        self.visible_bias = self.add_parameter("visible_bias", np.zeros(visible))
        self.hidden_bias = self.add_parameter("hidden_bias", np.zeros(self.hidden))
        self.rng = self.generator("gibbs")
        self.be = self.place.backend
        for units, side, size in ((self.visible_units, "visible", visible), (self.hidden_units, "hidden", self.hidden)):
            units.check(side, size)
            units.make(self, side, size)
        if self.persistent:
            start = host_generator(self.place.seed, self.place.child("chains").name)
            uniform = start.random((self.persistent, self.hidden))
            self.chains = self.add_buffer("chains", self.hidden_units.start(uniform))
        if self.fast_lr is not None:
            self.fast_weight = self.add_buffer("fast_weight", np.zeros((visible, self.hidden)))
            self.fast_visible_bias = self.add_buffer("fast_visible_bias", np.zeros(visible))
            self.fast_hidden_bias = self.add_buffer("fast_hidden_bias", np.zeros(self.hidden))

    def values(self) -> tuple[Array, Array, Array]:
        """W, a and b as raw arrays."""
        return self.weight._data, self.visible_bias._data, self.hidden_bias._data

    def fast(self) -> tuple[Array, Array, Array]:
        """What is added to W, a and b where persistent chains are drawn by fast weights, as raw arrays."""
        return self.fast_weight._data, self.fast_visible_bias._data, self.fast_hidden_bias._data

    def chain_values(self) -> tuple[Array, Array, Array]:
        """W, a and b by which the persistent chains are drawn."""
        if self.fast_lr is None:
            return self.values()
        w, a, b = (self.be.add(value, fast) for value, fast in zip(self.values(), self.fast(), strict=True))
        return w, a, b

    # ---------------- conditional distributions, on raw arrays, by `values()` unless others are given

    def hidden_input(self, v: Array, values: tuple[Array, Array, Array] | None = None) -> Array:
        """What the hidden units see of v (N, visible): b + vW, (N, hidden)."""
        w, _, b = values or self.values()
        return self.be.affine(self.visible_units.scaled(self.be, v), w, b)

    def visible_input(self, h: Array, values: tuple[Array, Array, Array] | None = None) -> Array:
        """What the visible units see of h (N, hidden): a + hW', (N, visible)."""
        w, a, _ = values or self.values()
        return self.be.affine(h, w.T, a)

    def hidden_mean(self, v: Array, values: tuple[Array, Array, Array] | None = None) -> Array:
        """E[h | v], for v (N, visible): (N, hidden)."""
        return self.hidden_units.mean(self.be, self.hidden_input(v, values))

    def visible_mean(self, h: Array, values: tuple[Array, Array, Array] | None = None) -> Array:
        """E[v | h], for h (N, hidden): (N, visible)."""
        return self.visible_units.mean(self.be, self.visible_input(h, values))

    def sample_hidden(self, v: Array, rng: Generator | None = None,
                      values: tuple[Array, Array, Array] | None = None) -> Array:
        """A random h given v."""
        _, drawn = self.hidden_units.draw(self.be, self.hidden_input(v, values), rng or self.rng)
        return drawn

    def sample_visible(self, h: Array, rng: Generator | None = None,
                       values: tuple[Array, Array, Array] | None = None) -> Array:
        """A random v given h."""
        _, drawn = self.visible_units.draw(self.be, self.visible_input(h, values), rng or self.rng)
        return drawn

    def free_energy(self, v: Array) -> Array:
        """F(v) = -log sum_h exp(-E(v, h)), a number a row; p(v) = exp(-F(v)) / Z."""
        x = self.hidden_input(v)
        own = self.visible_units.self_energy(self.be, v, self.visible_bias._data)
        return own - self.hidden_units.log_partition(self.be, x, self.hidden_bias._data)

    # ---------------------------------------------------------------- as a layer, and as something to train

    def forward(self, v: Tensor) -> Tensor:
        for log_variance in self.visible_units.parameters():
            v = v * F.exp(-log_variance)
        return F.dense(v, self.weight, self.hidden_bias, F.get_activation(self.hidden_units.activation))

    def loss_terms(self, v: Tensor) -> dict[str, Tensor]:
        """The squared error of the one-step reconstruction, whose "gradient" is that of contrastive divergence."""
        parameters = self.weight, self.visible_bias, self.hidden_bias, *self.visible_units.parameters()
        return {"reconstruction": ContrastiveDivergence(self)(v, *parameters)}

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.hidden,)

    def config(self) -> dict[str, Any]:
        return {"hidden": self.hidden, "visible_units": self.visible_units.name,
                "hidden_units": self.hidden_units.name, "init_std": self.init_std, "k": self.k,
                "persistent": self.persistent, "sample_visible": self.draw_visible, "weight_cost": self.weight_cost,
                "sparsity_target": self.sparsity_target, "sparsity_cost": self.sparsity_cost, "fast_lr": self.fast_lr}
