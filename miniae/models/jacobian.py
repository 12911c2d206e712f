"""The size of an encoder's Jacobian, |dcode/dx|^2 = the sum of its squared entries, the mean over samples.

As a number that can be trained: `contraction`, the closed form for one layer; and for any encoder, from its
`Linearization` at the batch, exactly, by columns or by rows of the Jacobian, or estimated from random directions.
And `jacobian_norm`, exact, for reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from miniae.autodiff import Linearization, Tensor, no_grad
from miniae.backend.philox import Generator
from miniae.models.autoencoder import Autoencoder
from miniae.models.estimator import CHUNK
from miniae.models.network import AutoencoderNetwork
from miniae.nn import BatchNorm, Dense, Flatten, Layer, Sequential
from miniae.training import check_samples

__all__ = [
    "contraction", "jacobian_norm", "mixes_samples", "norm_by_columns", "norm_by_probes", "norm_by_rows", "only_layer",
]

_LINEAR = (None, "linear")
# dh/dx of an activation, written in h itself.
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda h: h * (1.0 - h),
    "tanh": lambda h: 1.0 - h * h,
}


def contraction(layer: Dense, h: Tensor) -> Tensor:
    """The squared Frobenius norm of the Jacobian dh/dx of a layer h = s(xW + b), the mean over samples.

        |dh/dx|^2 = sum_j s'_j^2 sum_i W_ij^2,  s' = h (1 - h) for the sigmoid, 1 - h^2 for tanh, 1 for a linear layer.

    `h` (N, units) is the layer's output. As it is composed of differentiable functions, its gradient reaches W both
    directly and by way of h. Raises `ValueError` for other activations. Rifai et al., "Contractive auto-encoders", ICML
    2011, equation 7.
    """
    lengths = (layer.weight * layer.weight).sum(0)
    if layer.activation in _LINEAR:
        return lengths.sum()
    if layer.activation not in _SLOPES:
        raise ValueError(f"the contraction of a layer has this closed form for {', '.join(_SLOPES)} and linear units, "
                         f"got {layer.activation!r}")
    slope = _SLOPES[layer.activation](h)
    return (slope * slope * lengths).sum() * (1.0 / max(len(h), 1))


def only_layer(encoder: Layer) -> Any:
    """The layer whose `contraction` is the encoder's, where that is but one such layer, or None."""
    layers = list(encoder) if isinstance(encoder, Sequential) else [encoder]
    layers = layers[1:] if layers and isinstance(layers[0], Flatten) else layers
    if len(layers) == 1 and isinstance(layers[0], Dense) and layers[0].activation in (*_SLOPES, *_LINEAR):
        return layers[0]
    return None


def norm_by_columns(at: Linearization) -> Tensor:
    """|J|^2 = sum_j |J e_j|^2, e_j being the unit directions of the input: exact, a J v for each number in it."""
    return _sum(_squares(at.push(unit)) for unit in _units(at.x)) * _share(at.x)


def norm_by_rows(at: Linearization) -> Tensor:
    """|J|^2 = sum_i |r_i|^2, r_i = J' e_i being the rows: exact, a u' J and a J v for each number in the code.

    A row comes from backward, which can't be differentiated again. But with r_i held constant e_i . J r_i is |r_i|^2
    too, and its gradient is half of the wanted one, d|r_i|^2 = 2 dr_i . r_i = 2 e_i . (dJ) r_i. So

        |J|^2 = 2 T - t,  T = sum_i e_i . J r_i,  t the value of T held constant.
    """
    total = _sum((at.push(at.pull(unit)) * unit).sum() for unit in _units(at.y)) * _share(at.x)
    return total * 2.0 - total.detach()


def norm_by_probes(at: Linearization, random: Generator, probes: int = 1) -> Tensor:
    """The mean of |J v|^2 over so many directions v ~ N(0, I), drawn for each sample on its own: an estimate of |J|^2.

    As E v v' = I its mean is |J|^2. Its variance is 2 |J'J|^2 / probes for one sample: at most 2 |J|^4 / probes, where
    J has rank 1, and less the more directions the code follows. Hutchinson, "A stochastic estimator of the trace of the
    influence matrix for Laplacian smoothing splines", Communications in Statistics 18, 1989; for these directions,
    Avron and Toledo, "Randomized algorithms for estimating the trace of an implicit symmetric positive semi-definite
    matrix", Journal of the ACM 58, 2011.
    """
    x = at.x
    draws = (Tensor._wrap(random.normal(x.shape, x.dtype), x.backend) for _ in range(probes))
    return _sum(_squares(at.push(v)) for v in draws) * (_share(x) / probes)


def mixes_samples(encoder: Layer) -> bool:
    """Whether in training the code of a sample depends on the other samples of the batch."""
    return any(isinstance(layer, BatchNorm) for _, layer in encoder.named_layers())


def jacobian_norm(model: Autoencoder | Layer, X: Any) -> float:
    """The squared Frobenius norm of dcode/dx at the rows of X, the mean over them: exact.

    `model` is a trained autoencoder, whose code is what `transform` gives and whose x is scaled as in training, or an
    encoder by itself, a layer that is built. It is used as after training (no dropout, batch normalisation by the
    running statistics). In closed form for one layer of sigmoid, tanh or linear units, else by as many passes as the
    input or the code has numbers, whichever is less. X: (N, ...), finite numbers of the model's kind; raises
    `ValueError` for others, `TypeError` for other models.
    """
    if isinstance(model, Autoencoder):
        network, X = model._network(), model._scaled(X)
        plain = type(network).encode is AutoencoderNetwork.encode
        layer, encode = network, network.encoder if plain else network.encode
    elif isinstance(model, Layer) and model.input_shape is not None:
        layer, encode, X = model, model, check_samples(X, model.input_shape)
    else:
        raise TypeError(f"jacobian_norm takes a trained autoencoder or an encoder that is built, got {model!r}")
    only = only_layer(encode) if isinstance(encode, Layer) else None
    squares = _squares_by_passes if only is None else lambda encode, x: len(x) * contraction(only, encode(x)).item()
    training = layer.training
    layer.eval()
    try:
        with no_grad():
            parts = (Tensor(X[start:start + CHUNK], dtype=layer.place.dtype, backend=layer.place.backend)
                     for start in range(0, len(X), CHUNK))
            return sum(squares(encode, part) for part in parts) / len(X)
    finally:
        layer.train(training)


def _squares_by_passes(encode: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The sum of the squares of all entries of all samples' Jacobians."""
    at = Linearization(encode, x)
    if _size(x) <= _size(at.y):
        columns_or_rows = (at.push(unit) for unit in _units(x))
    else:
        columns_or_rows = (at.pull(unit) for unit in _units(at.y))
    return sum(float(np.square(part.numpy(), dtype=np.float64).sum()) for part in columns_or_rows)


def _units(like: Tensor) -> Iterator[Tensor]:
    """1 at one place of every sample and 0 elsewhere, for each place in turn."""
    be, n, size = like.backend, len(like), _size(like)
    for i in range(size):
        unit = be.empty((n, size), like.dtype)
        be.fill(unit, 0.0)
        be.fill(unit[:, i], 1.0)
        yield Tensor._wrap(unit.reshape(like.shape), be)


def _size(x: Tensor) -> int:
    """The numbers in one sample."""
    return math.prod(x.shape[1:])


def _share(x: Tensor) -> float:
    return 1.0 / max(len(x), 1)


def _squares(t: Tensor) -> Tensor:
    return (t * t).sum()


def _sum(terms: Iterator[Tensor]) -> Tensor:
    total = next(terms)
    for term in terms:
        total = total + term
    return total
