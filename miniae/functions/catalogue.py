"""Every function with inputs to check it on: what the tests, `miniae gradcheck` and the README's table go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from miniae import functions as F
from miniae.autodiff import Tensor, gradcheck, gradcheck_jvp
from miniae.backend import Backend, get
from miniae.backend.philox import Generator, host_generator

__all__ = ["Example", "Row", "check", "check_all", "examples"]


@dataclass(frozen=True)
class Example:
    """A function of tensors, and how to draw inputs that stay away from its kinks and poles."""

    name: str
    function: Callable[..., Tensor]
    draw: Callable[[np.random.Generator], list[np.ndarray]]
    has_jvp: bool = True

    def inputs(self, dtype: str = "float64", backend: str | Backend | None = None) -> list[Tensor]:
        """The inputs, the same at every call."""
        return [Tensor(a, dtype=dtype, backend=backend) for a in self.draw(host_generator(0, self.name))]


@dataclass(frozen=True)
class Row:
    """The worst relative errors of one function: of its gradients, and of its tangent and the gradient of that."""

    name: str
    gradient_error: float
    jvp_error: float | None


def check_all(backend: str | Backend | None = None) -> list[Row]:
    """Compare every function's backward and jvp with central differences in float64, on a backend."""
    return [check(example, backend) for example in examples()]


def check(example: Example, backend: str | Backend | None = None) -> Row:
    """Compare one function's backward and jvp with central differences in float64, on a backend."""
    inputs = example.inputs(backend=get(backend))
    gradient = gradcheck(example.function, inputs).error
    return Row(example.name, gradient, gradcheck_jvp(example.function, inputs).error if example.has_jvp else None)


def examples() -> list[Example]:
    """All functions, the ones with several behaviours more than once: `conv2d`, `conv2d: same, dilated`, ..."""
    return [*_arithmetic(), *_elementwise(), *_activations(), *_reductions(), *_shapes(), *_images(),
            *_normalisation(), *_losses()]


def _normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def _between(low: float, high: float, *shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.uniform(low, high, shape) for shape in shapes]


def _apart(*shape: int) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """Numbers no two of which are near each other or near 0: for maxima, and for what has a kink at 0."""
    return lambda rng: [(rng.permutation(int(np.prod(shape))).reshape(shape) + 0.5) / 7.0 - 1.0]


def _arithmetic() -> list[Example]:
    two = _normal((3, 4), (4,))
    return [
        Example("add", F.add, two),
        Example("subtract", F.subtract, two),
        Example("multiply", F.multiply, two),
        Example("divide", F.divide, lambda rng: [rng.standard_normal((3, 4)), rng.uniform(0.5, 2, (3, 1))]),
        Example("negative", F.negative, _normal((3, 4))),
        Example("power", lambda x: F.power(x, 2.5), _between(0.5, 2, (3, 4))),
        Example("matmul", F.matmul, _normal((3, 4), (4, 2))),
        Example("dense", F.dense, _normal((3, 4), (4, 2), (2,))),
        Example("dense: tanh", lambda x, w, b: F.dense(x, w, b, F.tanh), _normal((3, 4), (4, 2), (2,))),
    ]


def _elementwise() -> list[Example]:
    return [
        Example("exp", F.exp, _normal((3, 4))),
        Example("log", F.log, _between(0.5, 2, (3, 4))),
        Example("sqrt", F.sqrt, _between(0.5, 2, (3, 4))),
        Example("absolute", F.absolute, _apart(3, 4)),
        Example("clip", lambda x: F.clip(x, -0.4, 0.3), _apart(3, 4)),
        Example("straight_through", lambda x: F.straight_through(x, x.detach() + 0.5), _normal((3, 4))),
        Example("dropout", lambda x: F.dropout(x, 0.4, Generator(1, "mask", x.backend)), _normal((5, 4))),
    ]


def _activations() -> list[Example]:
    softsign = F.activation(lambda xp, x: x / (1 + xp.abs(x)), lambda xp, x: 1 / (1 + xp.abs(x)) ** 2,
                            lambda xp, x: -2 * xp.sign(x) / (1 + xp.abs(x)) ** 3)
    named = [Example(name, F.ACTIVATIONS[name], _apart(3, 4)) for name in F.ACTIVATIONS]
    return [*named, Example("activation: softsign", softsign, _apart(3, 4))]


def _reductions() -> list[Example]:
    return [
        Example("sum", F.sum, _normal((3, 4))),
        Example("sum: axes", lambda x: F.sum(x, (0, 2), keepdims=True), _normal((3, 4, 2))),
        Example("mean", lambda x: F.mean(x, 1), _normal((3, 4))),
        Example("max", lambda x: F.max(x, 1), _apart(3, 4)),
        Example("min", F.min, _apart(3, 4)),
        Example("top_k", lambda x: F.top_k(x, 2), _apart(3, 4)),
        Example("top_k: images", lambda x: F.top_k(x, 7), _apart(2, 2, 3, 2)),
        Example("logsumexp", F.logsumexp, _normal((3, 4))),
        Example("softmax", F.softmax, _normal((3, 4))),
        Example("log_softmax", F.log_softmax, _normal((3, 4))),
    ]


def _shapes() -> list[Example]:
    return [
        Example("reshape", lambda x: F.reshape(x, (2, 6)), _normal((3, 4))),
        Example("flatten", F.flatten, _normal((3, 2, 2))),
        Example("transpose", lambda x: F.transpose(x, 2, 0, 1), _normal((3, 4, 2))),
        Example("getitem", lambda x: F.getitem(x, (slice(1, None), None, slice(None, None, 2))), _normal((3, 4))),
        Example("getitem: repeated", lambda x: F.getitem(x, [0, 2, 0]), _normal((3, 4))),
        Example("broadcast_to", lambda x: F.broadcast_to(x, (2, 3, 4)), _normal((3, 1))),
        Example("concatenate", lambda a, b: F.concatenate([a, b], 1), _normal((3, 1), (3, 2))),
        Example("pad", lambda x: F.pad(x, [(1, 0), (0, 2)], 0.5), _normal((3, 4))),
    ]


def _images() -> list[Example]:
    conv, transposed = _normal((2, 3, 6, 5), (4, 3, 3, 2), (4,)), _normal((2, 3, 4, 3), (3, 4, 3, 2), (4,))
    return [
        Example("conv2d", F.conv2d, conv),
        Example("conv2d: same, strided", lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding="same"), conv),
        Example("conv2d: padded, dilated", lambda x, w, b: F.conv2d(x, w, b, padding=2, dilation=2), conv),
        Example("conv2d: sigmoid", lambda x, w, b: F.conv2d(x, w, b, activation=F.sigmoid), conv),
        Example("conv_transpose2d", F.conv_transpose2d, transposed),
        Example("conv_transpose2d: tanh", lambda x, w, b: F.conv_transpose2d(x, w, b, activation=F.tanh), transposed),
        Example("conv_transpose2d: same, strided",
                lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding="same"), transposed),
        Example("conv_transpose2d: padded, longer",
                lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), transposed),
        Example("max_pool2d", lambda x: F.max_pool2d(x, 2), _apart(2, 3, 5, 6)),
        Example("max_pool2d: overlapping", lambda x: F.max_pool2d(x, 3, 2), _apart(2, 3, 5, 6)),
        Example("max_pool2d: same", lambda x: F.max_pool2d(x, 2, padding="same"), _apart(2, 3, 5, 6)),
        Example("avg_pool2d", lambda x: F.avg_pool2d(x, (2, 3), 1), _normal((2, 3, 5, 6))),
        Example("upsample2d", lambda x: F.upsample2d(x, (2, 3)), _normal((2, 3, 2, 3))),
    ]


def _normalisation() -> list[Example]:
    def norm(training: bool) -> Callable[..., Tensor]:
        def function(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
            channels = np.arange(1.0, x.shape[1] + 1)
            mean, variance = (Tensor(v, dtype=x.dtype, backend=x.backend) for v in (channels / 10, channels))
            return F.batch_norm(x, gamma, beta, mean, variance, training=training)
        return function

    return [
        Example("batch_norm", norm(True), _normal((5, 4), (4,), (4,))),
        Example("batch_norm: images", norm(True), _normal((3, 2, 3, 2), (2,), (2,))),
        Example("batch_norm: inference", norm(False), _normal((5, 4), (4,), (4,))),
        Example("layer_norm", F.layer_norm, _normal((3, 4), (4,), (4,))),
        Example("unit_norm", F.unit_norm, _normal((3, 4))),
    ]


def _losses() -> list[Example]:
    rng = host_generator(0, "targets")
    targets, rows = rng.random((3, 4)), rng.dirichlet(np.ones(4), 3)
    weights = np.arange(12.0).reshape(3, 4) / 5
    incomplete = np.where(np.arange(12).reshape(3, 4) % 3 == 0, np.nan, targets)
    away = _normal((3, 4))
    return [
        Example("squared_error", lambda y: F.squared_error(y, targets), away),
        Example("absolute_error", lambda y: F.absolute_error(y, np.zeros((3, 4))), _apart(3, 4)),
        Example("huber", lambda y: F.huber(y, np.zeros((3, 4)), 0.4), _apart(3, 4)),
        Example("binary_cross_entropy", lambda p: F.binary_cross_entropy(p, targets), _between(0.1, 0.9, (3, 4))),
        Example("binary_cross_entropy_with_logits", lambda z: F.binary_cross_entropy_with_logits(z, targets), away),
        Example("masked_squared_error", lambda y: F.masked_squared_error(y, incomplete), away),
        Example("weighted_squared_error", lambda y: F.weighted_squared_error(y, targets, weights), away),
        Example("weighted_binary_cross_entropy_with_logits",
                lambda z: F.weighted_binary_cross_entropy_with_logits(z, targets, weights), away),
        Example("cross_entropy", lambda z: F.cross_entropy(z, rows), away),
        Example("gaussian_kl", F.gaussian_kl, _normal((3, 4), (3, 4))),
        Example("gaussian_code", F.gaussian_code, _normal((3, 8), (3, 4))),
        Example("gaussian_code_kl", F.gaussian_code_kl, _normal((3, 8))),
        Example("gaussian_code_kl: free nats", lambda h: F.gaussian_code_kl(h, 0.6), _normal((3, 8))),
        Example("gaussian_negative_log_likelihood",
                lambda y, s: F.gaussian_negative_log_likelihood(y, targets, s), _normal((3, 4), ())),
        Example("logistic_code_length", F.logistic_code_length, _normal((3, 4, 2), (4, 1), (3, 1, 1))),
        Example("inverse_multiquadratics", lambda d: F.inverse_multiquadratics(d, (0.5, 2.0)), _between(0, 3, (3, 4))),
        Example("squared_distances", F.squared_distances, _normal((3, 2), (4, 2))),
        Example("mmd", lambda x, y: F.mmd(x, y, (0.5, 2.0)), _normal((5, 2), (4, 2))),
        Example("kl_sparsity", lambda h: F.kl_sparsity(h, 0.1), _between(0.1, 0.9, (5, 4))),
    ]
