"""Z, the sum of exp(-E) over all states of a machine: what turns its free energies into probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from miniae.backend import Backend
from miniae.backend.arena import Arena
from miniae.backend.philox import Generator
from miniae.rbm.machine import Machine
from miniae.training import check_count

Array = Any

# So many units have a million states, which takes seconds.
_MOST_UNITS = 20
# How many states are worked on at once.
_CHUNK = 1024

SCHEDULE = np.concatenate([np.linspace(0.0, 0.5, 500, endpoint=False), np.linspace(0.5, 0.9, 4000, endpoint=False),
                           np.linspace(0.9, 1.0, 10000)])
"""The 14,500 inverse temperatures of Salakhutdinov and Murray's experiments, 2008."""


def exact_log_partition(machine: Machine) -> float:
    """log Z in nats, by going through all states of the smaller side, the other being summed out by hand:

        Z = sum_v exp(a.v) prod_j (1 + exp(b_j + (vW)_j)) = sum_h exp(b.h) prod_i (1 + exp(a_i + (hW')_i)).

    In float64. Raises `ValueError` where both sides have more than 20 units, or one of them is not Bernoulli.
    """
    _check_units(machine)
    be = machine.be
    w, a, b = (p._data.astype("float64") for p in (machine.weight, machine.visible_bias, machine.hidden_bias))
    if len(a) > len(b):
        w, a, b = w.T, b, a
    n = len(a)
    if n > _MOST_UNITS:
        raise ValueError(f"the smaller side has {n} units, so 2^{n} states: go through them for at most {_MOST_UNITS}, "
                         "and estimate Z of larger machines by annealed_importance_sampling")
    log_z, arena = -math.inf, Arena(be.allocate)
    for start in range(0, 2**n, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, 2**n))
        states = be.asarray(number[:, None] >> np.arange(n) & 1, "float64")
        with be.arena(arena):
            terms = be.sum(be.softplus(be.affine(states, w, b)), axis=1)
            be.add(terms, be.matmul(states, a.reshape(n, 1)).reshape(-1), out=terms)
            log_z = np.logaddexp(log_z, np.logaddexp.reduce(be.to_host(terms)))
    return float(log_z)


@dataclass(frozen=True)
class PartitionEstimate:
    """An estimate of Z by M independent chains, everything in nats.

    The mean of the chains' weights is an unbiased estimate of Z, with the standard error s = sd(weights) / sqrt(M).
    """

    log_z: float
    """log of the mean weight. On average it is below log Z, the more so the less the chains agree."""
    standard_error: float
    """Of log_z, by the delta method: s / Z."""
    low: float
    """log(Z - 3 s); -inf where that is not positive."""
    high: float
    """log(Z + 3 s)."""
    log_weights: np.ndarray
    """The chains' log-weights (M,)."""

    @classmethod
    def of(cls, log_weights: np.ndarray) -> PartitionEstimate:
        """The estimate that at least two log-weights give, in float64."""
        m = len(log_weights)
        log_z = float(np.logaddexp.reduce(log_weights)) - math.log(m)
        error = float(np.exp(log_weights - log_z).std(ddof=1)) / math.sqrt(m)
        low = log_z + math.log1p(-3.0 * error) if error < 1.0 / 3.0 else -math.inf
        return cls(log_z, error, low, log_z + math.log1p(3.0 * error), log_weights)


def annealed_importance_sampling(machine: Machine, betas: Any = None, chains: int = 100, seed: int = 0,
                                 base_bias: Any = None,
                                 progress: Callable[[int, int], None] | None = None) -> PartitionEstimate:
    """An estimate of Z of a Bernoulli-Bernoulli machine of any size.

    Chains start at independent visible units with the biases a0 = `base_bias`, whose Z is known, and move to the
    machine through the distributions

        p_beta(v) ~ exp((1 - beta) a0.v + beta a.v) prod_j (1 + exp(beta x_j)),    x = b + vW,

    by one step of Gibbs sampling at each inverse temperature beta, which rises from 0 to 1. A chain's weight is Z of
    p_0 times the product over betas of p_next(v) / p_beta(v), both without their normalisation.

    `betas` rise from 0 to 1 (None: `SCHEDULE`). `base_bias` (visible,) is best the log-odds of the data's means; None
    stands for the machine's own visible biases. `chains` is at least 2. The machine's dtype and backend do the work,
    log-weights are added up in float64, and `seed` decides all of it. `progress(done, total)` is called after every
    beta. Raises `ValueError` for other units and arguments.

    The interval from `low` to `high` trusts the spread of the chains: where none of them has found a mode of the
    distribution, log Z is underestimated, and likelihoods look too good, without a sign of it. A standard error above
    1/3, and so `low` = -inf, says that a few chains carry the estimate. More betas help.

    Neal, "Annealed importance sampling", Statistics and Computing 11, 2001; Salakhutdinov and Murray, "On the
    quantitative analysis of deep belief networks", ICML 2008.
    """
    _check_units(machine)
    betas = _check_betas(SCHEDULE if betas is None else betas)
    if check_count("chains", chains) < 2:
        raise ValueError("chains is 1, expected at least 2: the error is estimated from their spread")
    own = machine.visible_bias.numpy().astype(np.float64)
    base = own if base_bias is None else _check_bias(base_bias, len(own))

    be, dtype = machine.be, machine.place.dtype
    w, b = machine.weight._data, machine.hidden_bias._data
    rng = Generator(seed, "annealed importance sampling", be)
    own_bias, base_bias = be.asarray(own, dtype), be.asarray(base, dtype)
    difference = be.asarray((own - base)[:, None], dtype)
    v, x = be.empty((chains, len(own)), dtype), be.empty((chains, machine.hidden), dtype)
    total, gain = be.zeros((chains,), "float64"), be.zeros((chains,), "float64")

    start = be.sigmoid(be.asarray(np.broadcast_to(base, v.shape), dtype))
    be.less(rng.uniform(v.shape, dtype), start, out=v)
    arena = Arena(be.allocate)

    def step(before: float, beta: float) -> None:
        be.affine(v, w, b, out=x)
        visible = be.multiply(be.matmul(v, difference).reshape(-1), beta - before)
        be.copy(be.add(visible, _hidden_gain(be, x, before, beta), out=visible), out=gain)
        be.add(total, gain, out=total)
        if beta < 1.0:
            bias = be.add(be.multiply(base_bias, 1.0 - beta), be.multiply(own_bias, beta))
            _gibbs_step(be, v, x, w, bias, beta, rng)

    for i in range(1, len(betas)):
        with be.arena(arena):
            step(float(betas[i - 1]), float(betas[i]))
        if progress is not None:
            progress(i, len(betas) - 1)
    log_base = np.logaddexp(0.0, base).sum() + machine.hidden * math.log(2.0)
    return PartitionEstimate.of(be.to_host(total) + log_base)


def _hidden_gain(be: Backend, x: Array, before: float, beta: float) -> Array:
    """sum_j log(1 + exp(beta x_j)) - log(1 + exp(before x_j)), a number a row.

    The two are nearly the same, so their difference is written without subtracting them:

        (beta - before) max(x, 0) + log(1 + sigmoid(-before |x|) (exp((before - beta) |x|) - 1)).
    """
    xp = be.xp
    size = be.elementwise(xp.abs, x)
    share = be.multiply(size, -before)
    be.sigmoid(share, out=share)
    be.multiply(size, before - beta, out=size)
    xp.expm1(size, out=size)
    be.multiply(size, share, out=size)
    xp.log1p(size, out=size)
    positive = be.elementwise(xp.maximum, x, 0.0, out=share)
    be.multiply(positive, beta - before, out=positive)
    return be.sum(be.add(size, positive, out=size), axis=1)


def _gibbs_step(be: Backend, v: Array, x: Array, w: Array, bias: Array, beta: float, rng: Generator) -> None:
    """v is drawn anew, by way of h, at the inverse temperature beta: x = b + vW is overwritten, `bias` annealed."""
    be.multiply(x, beta, out=x)
    h = be.less(rng.uniform(x.shape, x.dtype), be.sigmoid(x, out=x), out=x)
    y = be.matmul(h, w.T)
    be.multiply(y, beta, out=y)
    be.sigmoid(be.add(y, bias, out=y), out=y)
    be.less(rng.uniform(v.shape, v.dtype), y, out=v)


# -------------------------------------------------------------------- what is refused

def _check_units(machine: Machine) -> None:
    kinds = machine.visible_units.name, machine.hidden_units.name
    if kinds != ("bernoulli", "bernoulli"):
        raise ValueError(f"Z is found for bernoulli units on both sides, this machine has {kinds[0]} visible and "
                         f"{kinds[1]} hidden ones: compare its free energies instead")


def _check_betas(betas: Any) -> np.ndarray:
    betas = np.asarray(betas, dtype=np.float64)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not (np.diff(betas) > 0).all():
        raise ValueError("betas must rise from 0 to 1, each above the one before: np.linspace(0, 1, 1000), say")
    return betas


def _check_bias(bias: Any, visible: int) -> np.ndarray:
    bias = np.asarray(bias, dtype=np.float64)
    if bias.shape != (visible,) or not np.isfinite(bias).all():
        raise ValueError(f"base_bias must be {visible} finite numbers, one for each visible unit; got shape "
                         f"{bias.shape}{'' if np.isfinite(bias).all() else ' with values that are not finite'}")
    return bias
