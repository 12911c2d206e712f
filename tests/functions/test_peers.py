"""Every function against PyTorch in float64: value, gradients, tangent."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import functions as F
from miniae.autodiff import Tensor, jvp
from miniae.backend.philox import Generator, host_generator
from miniae.functions.catalogue import examples

torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'miniae[peers]'")
tf = torch.nn.functional

RNG = host_generator(0, "targets")
TARGETS, ROWS = torch.tensor(RNG.random((3, 4))), torch.tensor(RNG.dirichlet(np.ones(4), 3))
KNOWN = torch.arange(12).reshape(3, 4) % 3 != 0
ZEROS = torch.zeros(3, 4, dtype=torch.float64)


def summed(loss, *args, **kwargs):
    """The convention of this library, from PyTorch's sum over everything: the mean over the batch of three."""
    return loss(*args, reduction="sum", **kwargs) / 3


def batch_norm(training):
    def function(x, gamma, beta):
        channels = torch.arange(1.0, x.shape[1] + 1, dtype=torch.float64)
        if training:
            return tf.batch_norm(x, None, None, gamma, beta, True, 0.1, 1e-5)
        return tf.batch_norm(x, channels / 10, channels, gamma, beta, False, 0.1, 1e-5)
    return function


def dropout(x):
    keep = Generator(1, "mask", "numpy").uniform(tuple(x.shape), "float64") >= 0.4
    return x * torch.tensor(keep / 0.6)


def same(x, w, b):
    # height 6, stride 2, kernel 3: one row below; width 5, stride 1, kernel 2: one column to the right
    return tf.conv2d(tf.pad(x, (0, 1, 0, 1)), w, b, stride=(2, 1))


def same_transposed(x, w, b):
    # the full result is 9 x 6; the image of twice the size leaves the last row out
    return tf.conv_transpose2d(x, w, b, stride=2)[:, :, :8, :6]


def multiquadratics(d):
    return sum(c / (c + d) for c in (0.5, 2.0))


def apart(x, y):
    return (x[:, None] - y[None]).square().sum(-1)


def among(x):
    """The mean of the kernel over pairs of different rows."""
    pairs = torch.triu_indices(len(x), len(x), offset=1)
    return multiquadratics((x[pairs[0]] - x[pairs[1]]).square().sum(1)).mean()


def weighted(loss, y):
    """Element by element, times the catalogue's weights."""
    return (torch.arange(12.0, dtype=torch.float64).reshape(3, 4) / 5 * loss(y, TARGETS, reduction="none")).sum() / 3


def top_k(k):
    def function(x):
        rows = x.flatten(1)
        values, where = rows.topk(k, dim=1)
        return torch.zeros_like(rows).scatter(1, where, values).reshape(x.shape)
    return function


def kl_sparsity(h):
    r = h.mean(0)
    return (0.1 * torch.log(0.1 / r) + 0.9 * torch.log(0.9 / (1 - r))).sum()


def code_length(y, m, log_scale):
    cdf = torch.distributions.TransformedDistribution(
        torch.distributions.Uniform(0.0, 1.0, validate_args=False),
        [torch.distributions.SigmoidTransform().inv, torch.distributions.AffineTransform(m, log_scale.exp())],
        validate_args=False).cdf
    return -(cdf(y + 0.5) - cdf(y - 0.5)).log().sum() / 3


PEERS = {
    "add": torch.add, "subtract": torch.subtract, "multiply": torch.multiply, "divide": torch.divide,
    "negative": torch.neg, "power": lambda x: x**2.5, "matmul": torch.matmul,
    "dense": lambda x, w, b: tf.linear(x, w.T, b),
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "absolute": torch.abs,
    "clip": lambda x: torch.clamp(x, -0.4, 0.3), "dropout": dropout,
    "straight_through": lambda x: x + ((x.detach() + 0.5) - x).detach(),
    "linear": lambda x: x * 1.0, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
    "leaky_relu": tf.leaky_relu, "elu": tf.elu, "selu": tf.selu, "softplus": tf.softplus,
    "gelu": lambda x: tf.gelu(x, approximate="tanh"), "silu": tf.silu, "activation: softsign": tf.softsign,
    "sum": torch.sum, "sum: axes": lambda x: x.sum((0, 2), keepdim=True), "mean": lambda x: x.mean(1),
    "max": lambda x: x.amax(1), "min": torch.amin, "top_k": top_k(2),
    "top_k: images": top_k(7), "logsumexp": lambda x: torch.logsumexp(x, -1),
    "softmax": lambda x: torch.softmax(x, -1), "log_softmax": lambda x: torch.log_softmax(x, -1),
    "reshape": lambda x: x.reshape(2, 6), "flatten": lambda x: x.reshape(3, 4),
    "transpose": lambda x: x.permute(2, 0, 1), "getitem": lambda x: x[1:, None, ::2],
    "getitem: repeated": lambda x: x[[0, 2, 0]], "broadcast_to": lambda x: x.expand(2, 3, 4),
    "concatenate": lambda a, b: torch.cat([a, b], 1), "pad": lambda x: tf.pad(x, (0, 2, 1, 0), value=0.5),
    "dense: tanh": lambda x, w, b: torch.tanh(x @ w + b),
    "conv2d: sigmoid": lambda x, w, b: torch.sigmoid(tf.conv2d(x, w, b)),
    "conv_transpose2d: tanh": lambda x, w, b: torch.tanh(tf.conv_transpose2d(x, w, b)),
    "conv2d": tf.conv2d, "conv2d: same, strided": same,
    "conv2d: padded, dilated": lambda x, w, b: tf.conv2d(x, w, b, padding=2, dilation=2),
    "conv_transpose2d": tf.conv_transpose2d, "conv_transpose2d: same, strided": same_transposed,
    "conv_transpose2d: padded, longer":
        lambda x, w, b: tf.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
    "max_pool2d": lambda x: tf.max_pool2d(x, 2), "max_pool2d: overlapping": lambda x: tf.max_pool2d(x, 3, 2),
    "max_pool2d: same": lambda x: tf.max_pool2d(x, 2, ceil_mode=True),
    "avg_pool2d": lambda x: tf.avg_pool2d(x, (2, 3), 1),
    "upsample2d": lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 3),
    "batch_norm": batch_norm(True), "batch_norm: images": batch_norm(True), "batch_norm: inference": batch_norm(False),
    "layer_norm": lambda x, gamma, beta: tf.layer_norm(x, (4,), gamma, beta),
    "unit_norm": lambda x: tf.normalize(x, dim=-1),
    "masked_squared_error": lambda y: ((y - TARGETS)[KNOWN]**2).sum() / 3,
    "squared_error": lambda y: summed(tf.mse_loss, y, TARGETS),
    "absolute_error": lambda y: summed(tf.l1_loss, y, ZEROS),
    "huber": lambda y: summed(tf.huber_loss, y, ZEROS, delta=0.4),
    "binary_cross_entropy": lambda p: summed(tf.binary_cross_entropy, p, TARGETS),
    "binary_cross_entropy_with_logits": lambda z: summed(tf.binary_cross_entropy_with_logits, z, TARGETS),
    "cross_entropy": lambda z: summed(tf.cross_entropy, z, ROWS),
    "weighted_squared_error": lambda y: weighted(tf.mse_loss, y),
    "weighted_binary_cross_entropy_with_logits": lambda z: weighted(tf.binary_cross_entropy_with_logits, z),
    "gaussian_kl": lambda m, lv: 0.5 * (m**2 + torch.exp(lv) - lv - 1).sum() / 3,
    "kl_sparsity": kl_sparsity,
    "inverse_multiquadratics": multiquadratics,
    "squared_distances": lambda x, y: apart(x, y),
    "mmd": lambda x, y: among(x) + among(y) - 2 * multiquadratics(apart(x, y)).mean(),
    "gaussian_code": lambda h, e: code(h).loc + code(h).scale * e,
    "gaussian_code_kl": lambda h: code_kl(h).sum(),
    "gaussian_code_kl: free nats": lambda h: code_kl(h).clamp(min=0.6).sum(),
    "gaussian_negative_log_likelihood":
        lambda y, s: -torch.distributions.Normal(y, s.exp()).log_prob(TARGETS).sum() / 3,
    "logistic_code_length": code_length,
}


def code(h):
    return torch.distributions.Normal(h[:, :4], (h[:, 4:] / 2).exp())


def code_kl(h):
    prior = torch.distributions.Normal(torch.zeros(4), torch.ones(4))
    return torch.distributions.kl_divergence(code(h), prior).mean(0)


def test_no_function_is_left_out():
    assert {e.name for e in examples()} == set(PEERS)


@pytest.mark.parametrize("example", examples(), ids=lambda e: e.name)
def test_like_pytorch(example, backend):
    peer = PEERS[example.name]
    ours = example.inputs()
    theirs = [torch.tensor(t.numpy(), requires_grad=True) for t in ours]
    for t in ours:
        t.requires_grad = True
    y, z = example.function(*ours), peer(*theirs)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)

    seed = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(backend.to_host(a.grad), b.grad.numpy(), rtol=1e-9, atol=1e-11)

    directions = [np.random.default_rng(2).standard_normal(t.shape) for t in ours]
    _, tangent = jvp(example.function, ours, [Tensor(d) for d in directions])
    _, expected = torch.autograd.functional.jvp(peer, tuple(t.detach() for t in theirs),
                                                tuple(torch.tensor(d) for d in directions))
    np.testing.assert_allclose(tangent.numpy(), expected.numpy(), rtol=1e-8, atol=1e-10)


def test_code_lengths_of_wide_and_narrow_densities_have_exact_derivatives():
    """(1/s) / (exp(1/s) - 1) goes to 1 for a large scale s and to 0 for a small one, in float32 as well."""
    y = Tensor(np.zeros((1, 1), np.float32))
    for log_scale in (-5.0, 0.0, 8.0, 16.0):
        s = np.exp(np.float64(log_scale))
        u = 0.5 / s
        expected = 2 * u / (1 + np.exp(u)) + (1 / s) / np.expm1(1 / s)
        log_scales = Tensor(np.full((1, 1), log_scale, np.float32))
        _, slope = jvp(lambda t: F.logistic_code_length(y, 0.0, t), [log_scales], [np.ones((1, 1), np.float32)])
        assert slope.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
