"""Initial weights, drawn on the host in float64 from a named stream, so that every backend starts from the same ones.

An initializer is a function of (shape, seed, stream). A weight is (in, out) in a dense layer and (out, in, kh, kw) in a
convolution; *fan in* is the number of inputs a unit adds up, *fan out* the number of units an input goes to.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from miniae.backend.philox import host_generator

Shape = tuple[int, ...]
Initializer = Callable[[Shape, int, str], np.ndarray]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan in, fan out) of a weight (in, out) or (out, in, kh, kw). Raises `ValueError` for other shapes."""
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) == 4:
        out, into, kh, kw = shape
        return into * kh * kw, out * kh * kw
    raise ValueError(f"a weight is (in, out) or (out, in, kh, kw), got shape {shape}")


def glorot_uniform(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Uniform, of variance 2 / (fan in + fan out). Glorot and Bengio, AISTATS 2010, section 4.2."""
    return _uniform(shape, 2.0 / max(sum(fans(shape)), 1), seed, stream)


def glorot_normal(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Normal, of variance 2 / (fan in + fan out). Glorot and Bengio, AISTATS 2010, section 4.2."""
    return _normal(shape, 2.0 / max(sum(fans(shape)), 1), seed, stream)


def he_uniform(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Uniform, of variance 2 / fan in: for the ReLU. He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10."""
    return _uniform(shape, 2.0 / max(fans(shape)[0], 1), seed, stream)


def he_normal(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Normal, of variance 2 / fan in: for the ReLU. He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10."""
    return _normal(shape, 2.0 / max(fans(shape)[0], 1), seed, stream)


def lecun_uniform(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Uniform, of variance 1 / fan in. LeCun et al., "Efficient BackProp", 1998, section 4.6."""
    return _uniform(shape, 1.0 / max(fans(shape)[0], 1), seed, stream)


def lecun_normal(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Normal, of variance 1 / fan in: for the SELU too (Klambauer et al., NeurIPS 2017). LeCun et al., 1998."""
    return _normal(shape, 1.0 / max(fans(shape)[0], 1), seed, stream)


def orthogonal(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """The weight as a matrix with one column per unit has orthonormal columns, or rows where there are fewer of those.

    Uniform among such matrices: Q of the QR decomposition of a normal one, with the signs that make R's diagonal
    positive. Saxe et al., "Exact solutions to the nonlinear dynamics of learning", ICLR 2014.
    """
    rows, columns = _matrix_shape(shape)
    drawn = host_generator(seed, stream).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)
    return _as_weight(q if rows >= columns else q.T, shape)


def sparse(shape: Shape, seed: int, stream: str, connections: int = 15) -> np.ndarray:
    """Each unit gets `connections` nonzero incoming weights, standard normal; all of them where it has fewer inputs.

    Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5.
    """
    rows, columns = _matrix_shape(shape)
    rng = host_generator(seed, stream)
    weight = np.zeros((rows, columns))
    for unit in range(columns):
        chosen = rng.choice(rows, min(connections, rows), replace=False)
        weight[chosen, unit] = rng.standard_normal(len(chosen))
    return _as_weight(weight, shape)


def normal(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """Normal, of standard deviation 0.01: for RBMs. Hinton, "A practical guide to training RBMs", 2010, section 8."""
    return _normal(shape, 0.01**2, seed, stream)


def zeros(shape: Shape, seed: int, stream: str) -> np.ndarray:
    """All zero: for biases."""
    return np.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    f.__name__: f for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal,
                            orthogonal, sparse, normal, zeros)
}
"""The initializers by name. Add your own: a function of (shape, seed, stream) that returns a NumPy array."""


def get_initializer(init: str | Initializer) -> Initializer:
    """The initializer of that name; a function is returned as it is. Raises `ValueError` for an unknown name."""
    if callable(init):
        return init
    if init not in INITIALIZERS:
        raise ValueError(f"unknown initializer {init!r}: expected one of {', '.join(INITIALIZERS)}")
    return INITIALIZERS[init]


def _uniform(shape: Shape, variance: float, seed: int, stream: str) -> np.ndarray:
    limit = math.sqrt(3.0 * variance)
    return host_generator(seed, stream).uniform(-limit, limit, shape)


def _normal(shape: Shape, variance: float, seed: int, stream: str) -> np.ndarray:
    return host_generator(seed, stream).standard_normal(shape) * math.sqrt(variance)


def _matrix_shape(shape: Shape) -> Shape:
    """(inputs of a unit, units)."""
    return fans(shape)[0], shape[1] if len(shape) == 2 else shape[0]


def _as_weight(matrix: np.ndarray, shape: Shape) -> np.ndarray:
    """A matrix with one column per unit, in the weight's own layout."""
    return matrix if len(shape) == 2 else matrix.T.reshape(shape)
