"""Importance weights of a variational autoencoder's codes: what its likelihood is estimated from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from miniae.autodiff import Tensor, no_grad
from miniae.backend.philox import Generator
from miniae.functions.latent import BOUND

if TYPE_CHECKING:
    from miniae.models.estimator import Scaled
    from miniae.models.variational import VariationalNetwork

__all__ = ["log_mean_exp", "log_weights"]

# How many codes are drawn at once, where one sample does not ask for more.
_CODES = 4096
# How many values the decoder gives at once: few enough to stay in a processor's cache, enough to fill a GPU.
_VALUES = {"numpy": 1 << 18, "cupy": 1 << 26}


def log_weights(network: VariationalNetwork, rows: tuple[Scaled, ...], k: int, seed: int,
                ratio: bool = True) -> Iterator[np.ndarray]:
    """log w = log p(x | z) + log p(z) - log q(z | x) for k codes z ~ q(z | x) of each sample: (some, k), float64.

    With z = m + exp(l/2) e the two normal densities leave log p(z) - log q(z | x) = 1/2 sum e^2 + l - z^2. Without
    `ratio` only log p(x | z). `rows` are x and what else the encoder is told. The same seed draws the same codes.
    """
    network.eval()
    be, dtype = network.place.backend, network.place.dtype
    noise = Generator(seed, "importance", be)
    at_once = max(1, _CODES // k)
    for start in range(0, len(rows[0]), at_once):
        with no_grad(), be.silent():
            part = [Tensor(a[start:start + at_once], dtype=dtype, backend=be) for a in rows]
            yield be.to_host(_weights(network, part, k, noise, ratio)).astype(np.float64)


def log_mean_exp(a: np.ndarray) -> np.ndarray:
    """log 1/k sum_k exp(a_nk) without overflow: (N, k) to (N,)."""
    high = a.max(axis=1, keepdims=True)
    return (high + np.log(np.exp(a - high).mean(axis=1, keepdims=True)))[:, 0]


def _weights(network: VariationalNetwork, rows: list[Tensor], k: int, noise: Generator, ratio: bool) -> Any:
    """The logarithms of the weights of k codes for each row: (N, k), on the device."""
    be, n, units = network.place.backend, len(rows[0]), network.code
    statistics = network.statistics(*rows)._data.reshape(n, 1, 2 * units)
    mean, log_variance = statistics[..., :units], be.xp.clip(statistics[..., units:], -BOUND, BOUND)
    e = noise.normal((n, k, units), mean.dtype)
    z = be.add(be.multiply(e, be.elementwise(be.xp.exp, be.multiply(log_variance, 0.5))), mean)
    x = rows[0]._data.reshape(n, 1, -1)
    densities = be.empty((n, k), mean.dtype)
    step = max(1, _VALUES.get(be.name, _VALUES["numpy"]) // (n * x.shape[2]))
    for start in range(0, k, step):
        codes = z[:, start:start + step]
        told = [Tensor._wrap(be.xp.repeat(t._data, codes.shape[1], axis=0), be) for t in rows[1:]]
        outputs = network.outputs(Tensor._wrap(codes.reshape(-1, units), be), *told)._data
        y = outputs.reshape(n, codes.shape[1], math.prod(outputs.shape[1:]))
        be.copy(network.reconstruction.log_density(y, x), out=densities[:, start:start + step])
    if not ratio:
        return densities
    squares = be.subtract(be.multiply(e, e), be.multiply(z, z))
    return be.add(densities, be.multiply(be.sum(be.add(squares, log_variance), axis=2), 0.5))
