"""Convolution and transposed convolution, over strides, paddings, dilations and kernels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.autodiff import gradcheck_jvp, jvp
from miniae.backend import get
from miniae.backend.base import Backend
from miniae.functions import avg_pool2d, conv2d, conv_transpose2d, max_pool2d, squared_error, tanh, upsample2d
from miniae.nn import Parameter
from miniae.optim import SGD

KERNELS = [(1, 1), (2, 2), (3, 3), (4, 4), (2, 3), (3, 1)]
STRIDES = [(1, 1), (2, 2), (2, 1), (5, 3)]
PADDINGS = [0, (2, 1), "same"]
DILATIONS = [(1, 1), (2, 1)]

# kernel, stride, padding, dilation: a small choice of the above for the slower gradient checks
SETTINGS = [
    ((3, 3), 2, "same", 1), ((2, 2), 1, 1, 1), ((2, 2), 3, 0, 1), ((1, 1), 2, "valid", 1),
    ((2, 3), (2, 1), (2, 1), (1, 2)), ((3, 1), 1, "same", 2),
]


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def by_definition(x, w, b, stride, zeros, dilation):
    """Every output element by itself, from the image with its zeros around it."""
    x = np.pad(x, ((0, 0), (0, 0), *zeros))
    (kh, kw), (sh, sw), (dh, dw) = w.shape[2:], stride, dilation
    height, width = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1, (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((len(x), len(w), height, width))
    for n, o, r, c in np.ndindex(y.shape):
        seen = x[n, :, r * sh:r * sh + dh * (kh - 1) + 1:dh, c * sw:c * sw + dw * (kw - 1) + 1:dw]
        y[n, o, r, c] = np.sum(seen * w[o]) + b[o]
    return y


def zeros_around(padding, image, kernel, stride, dilation):
    """((above, below), (left, right)) for any padding."""
    if padding == "same":
        sides = []
        for n, k, s, d in zip(image, kernel, stride, dilation, strict=True):
            total = max((int(np.ceil(n / s)) - 1) * s + (k - 1) * d + 1 - n, 0)
            sides.append((total // 2, (total + 1) // 2))
        return tuple(sides)
    p, q = (0, 0) if padding == "valid" else np.broadcast_to(padding, 2).tolist()
    return (p, p), (q, q)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("kernel, stride, padding, dilation", SETTINGS)
def test_conv2d_is_its_definition(kernel, stride, padding, dilation, backend):
    x, w, b = normal(2, 3, 6, 5), normal(2, 3, *kernel), normal(2)
    y = conv2d(Tensor(x), w, b, stride, padding, dilation)
    stride, dilation = (tuple(np.broadcast_to(v, 2).tolist()) for v in (stride, dilation))
    zeros = zeros_around(padding, (6, 5), kernel, stride, dilation)
    np.testing.assert_allclose(y.numpy(), by_definition(x, w, b, stride, zeros, dilation), rtol=1e-10, atol=1e-12)


def test_a_convolution_worked_by_hand(backend):
    x = Tensor(np.arange(9.0).reshape(1, 1, 3, 3))
    w = [[[[1.0, 2.0], [0.0, -1.0]]]]
    assert conv2d(x, w).numpy().tolist() == [[[[-2.0, 0.0], [4.0, 6.0]]]]
    # "same" puts the odd zeros below and to the right
    assert conv2d(x, w, padding="same").numpy()[0, 0].tolist() == [[-2.0, 0.0, 2.0], [4.0, 6.0, 5.0], [20.0, 23.0, 8.0]]
    y = conv_transpose2d(Tensor([[[[1.0, 10.0]]]]), w, [0.5], stride=2)
    assert y.numpy().tolist() == [[[[1.5, 2.5, 10.5, 20.5], [0.5, -0.5, 0.5, -9.5]]]]


def compare_with_torch(ours, theirs, arrays, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.functional")
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    peers = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*tensors), theirs(*peers)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-11)
    seed = normal(*y.shape, seed=1)
    y.backward(seed)
    z.backward(torch.tensor(seed))
    for t, peer in zip(tensors, peers, strict=True):
        np.testing.assert_allclose(backend.to_host(t.grad), peer.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("stride", STRIDES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_conv2d_and_its_gradients_are_those_of_pytorch(kernel, stride, backend):
    tf = pytest.importorskip("torch", reason="compares with torch.nn.functional").nn.functional
    arrays = normal(2, 3, 8, 7), normal(4, 3, *kernel), normal(4)
    for padding, dilation in product(PADDINGS, DILATIONS):
        (above, below), (left, right) = zeros_around(padding, (8, 7), kernel, stride, dilation)

        def ours(x, w, b, padding=padding, dilation=dilation):
            return conv2d(x, w, b, stride, padding, dilation)

        def theirs(x, w, b, sides=(left, right, above, below), dilation=dilation):
            return tf.conv2d(tf.pad(x, sides), w, b, stride=stride, dilation=dilation)

        compare_with_torch(ours, theirs, arrays, backend)


@pytest.mark.parametrize("stride", STRIDES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_conv_transpose2d_and_its_gradients_are_those_of_pytorch(kernel, stride, backend):
    tf = pytest.importorskip("torch", reason="compares with torch.nn.functional").nn.functional
    arrays = normal(2, 3, 4, 3), normal(3, 4, *kernel), normal(4)
    extras = {(0, 0), (stride[0] - 1, stride[1] - 1), (stride[0] - 1, 0)}
    for padding, dilation, extra in product([0, (1, 0)], DILATIONS, sorted(extras)):
        settings = dict(stride=stride, padding=padding, output_padding=extra, dilation=dilation)

        def ours(x, w, b, settings=settings):
            return conv_transpose2d(x, w, b, **settings)

        def theirs(x, w, b, settings=settings):
            return tf.conv_transpose2d(x, w, b, **settings)

        compare_with_torch(ours, theirs, arrays, backend)


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (5, 2)])
def test_same_padding_divides_and_multiplies_the_size(kernel, stride, backend):
    down, across = (stride, stride) if isinstance(stride, int) else stride
    x, w = Tensor(normal(1, 2, 7, 6)), normal(2, 2, *kernel)
    assert conv2d(x, w, None, stride, "same").shape == (1, 2, -(-7 // down), -(-6 // across))
    assert conv_transpose2d(x, w, None, stride, "same").shape == (1, 2, 7 * down, 6 * across)


# ---------------------------------------------------------------- derivatives


@pytest.mark.parametrize("kernel, stride, padding, dilation", SETTINGS)
def test_conv2d_gradients_and_tangents(kernel, stride, padding, dilation, backend):
    def f(x, w, b):
        return conv2d(x, w, b, stride, padding, dilation)

    inputs = [Tensor(normal(2, 1, 5, 4)), Tensor(normal(2, 1, *kernel)), Tensor(normal(2))]
    assert gradcheck(f, inputs, entries=20)
    assert gradcheck_jvp(f, inputs)


@pytest.mark.parametrize("kernel, stride, padding, dilation", SETTINGS)
def test_conv_transpose2d_gradients_and_tangents(kernel, stride, padding, dilation, backend):
    def f(x, w, b):
        return conv_transpose2d(x, w, b, stride, padding, dilation=dilation)

    inputs = [Tensor(normal(2, 1, 4, 3)), Tensor(normal(1, 2, *kernel)), Tensor(normal(2))]
    assert gradcheck(f, inputs, entries=20)
    assert gradcheck_jvp(f, inputs)


@pytest.mark.parametrize("function", [conv2d, conv_transpose2d])
def test_the_tangent_of_each_operand_by_itself(function, backend):
    """J v for one moving operand, against the difference that it makes: exact, as the function is linear in each."""
    operands = [Tensor(normal(2, 3, 4, 4)), Tensor(normal(3, 3, 2, 2)), Tensor(normal(3))]
    for k, moving in enumerate(operands):
        def f(t, k=k):
            return function(*operands[:k], t, *operands[k + 1:], stride=2)

        direction = normal(*moving.shape, seed=2)
        _, tangent = jvp(f, [moving], [Tensor(direction)])
        difference = f(Tensor(moving.numpy() + direction)).numpy() - f(moving).numpy()
        np.testing.assert_allclose(tangent.numpy(), difference, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("stride", STRIDES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_the_two_are_adjoint(kernel, stride, backend):
    """<conv(x), y> = <x, conv_transpose(y)>, with the same weight."""
    x, w = normal(2, 3, 8, 7), normal(4, 3, *kernel)
    for padding, dilation in product([0, (2, 1)], [(1, 1), (1, 2)]):
        forward = conv2d(Tensor(x), w, None, stride, padding, dilation)
        y = normal(*forward.shape, seed=1)
        p = np.broadcast_to(padding, 2)
        extra = tuple(int((n + 2 * q - d * (k - 1) - 1) % s) for n, q, d, k, s in
                      zip((8, 7), p, dilation, kernel, stride, strict=True))
        back = conv_transpose2d(Tensor(y), w, None, stride, padding, extra, dilation)
        assert back.shape == x.shape
        assert np.sum(forward.numpy() * y) == pytest.approx(np.sum(x * back.numpy()), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_two_are_adjoint_with_same_padding(stride, backend):
    x, w = normal(2, 3, 6, 12), normal(4, 3, 3, 2)
    forward = conv2d(Tensor(x), w, None, stride, "same")
    y = normal(*forward.shape, seed=1)
    back = conv_transpose2d(Tensor(y), w, None, stride, "same")
    assert np.sum(forward.numpy() * y) == pytest.approx(np.sum(x * back.numpy()), rel=1e-9)


def test_a_weight_shared_by_both(backend):
    """An encoder and a decoder of one weight: its gradient is the sum of what each contributes."""
    assert gradcheck(lambda x, w: conv_transpose2d(tanh(conv2d(x, w, stride=2)), w, stride=2),
                     [Tensor(normal(2, 2, 5, 5)), Tensor(normal(3, 2, 3, 3))], entries=20)


# ---------------------------------------------------------------- shapes and dtypes at the edge


@pytest.mark.parametrize("function", [conv2d, conv_transpose2d])
@pytest.mark.parametrize("n", [0, 1])
def test_batches_of_none_and_one(function, n, backend):
    x, w, b = (Tensor(a, requires_grad=True) for a in (normal(n, 2, 4, 4), normal(2, 2, 3, 3), normal(2)))
    y = function(x, w, b, padding="same")
    assert y.shape == (n, 2, 4, 4)
    y.backward(np.ones(y.shape))
    assert x.grad.shape == (n, 2, 4, 4)
    assert backend.to_host(b.grad).tolist() == [16.0 * n] * 2
    if n == 0:
        assert not backend.to_host(w.grad).any()


def test_images_of_one_pixel(backend):
    x, w = normal(3, 2, 1, 1), normal(4, 2, 1, 1)
    dense = x[:, :, 0, 0] @ w[:, :, 0, 0].T
    np.testing.assert_allclose(conv2d(Tensor(x), w).numpy()[:, :, 0, 0], dense, rtol=1e-12)
    around = normal(4, 2, 3, 3)  # only the middle of the window meets the image
    np.testing.assert_allclose(conv2d(Tensor(x), around, padding="same").numpy()[:, :, 0, 0],
                               x[:, :, 0, 0] @ around[:, :, 1, 1].T, rtol=1e-12)
    w = normal(2, 5, 3, 2)
    np.testing.assert_allclose(conv_transpose2d(Tensor(x), w).numpy(), np.einsum("ncij,cohw->nohw", x, w), rtol=1e-12)


def test_zeros_that_no_pixel_is_among(backend):
    """With much padding, whole windows lie outside the image; there only the bias is left."""
    f = conv2d(Tensor(normal(1, 1, 2, 2)), normal(1, 1, 2, 2), [7.0], padding=4)
    assert f.shape == (1, 1, 9, 9)
    assert f.numpy()[0, 0, 0].tolist() == [7.0] * 9
    assert gradcheck(lambda x, w: conv2d(x, w, stride=3, padding=4, dilation=2),
                     [Tensor(normal(1, 1, 2, 2)), Tensor(normal(1, 1, 2, 3))])


@pytest.mark.parametrize("function", [conv2d, conv_transpose2d])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(function, dtype, backend):
    x, w = (Tensor(a, requires_grad=True, dtype=dtype) for a in (normal(2, 2, 5, 5), normal(2, 2, 3, 3)))
    y = function(x, w, [0.5, 1.0], 2, "same")
    y.sum().backward()
    assert {str(d) for d in (y.dtype, x.grad.dtype, w.grad.dtype)} == {dtype}


@pytest.mark.parametrize("function", [conv2d, conv_transpose2d])
def test_no_bias_is_a_bias_of_zeros(function, backend):
    x, w = normal(2, 2, 5, 5), normal(2, 2, 3, 3)
    np.testing.assert_array_equal(function(Tensor(x), w).numpy(), function(Tensor(x), w, np.zeros(2)).numpy())


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize("function", [conv2d, conv_transpose2d])
@pytest.mark.parametrize("x, w, options, message", [
    ((2, 5, 5), (2, 2, 3, 3), {}, r"takes images \(N, in, H, W\).*\(2, 5, 5\)"),
    ((1, 2, 5, 5), (2, 3, 3), {}, r"takes images .*\(2, 3, 3\)"),
    ((1, 2, 5, 5), (2, 2, 0, 3), {}, r"takes images .*\(2, 2, 0, 3\)"),
    ((1, 4, 5, 5), (2, 2, 3, 3), {}, r"images of 4 channels .* a weight for 2"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"bias": np.zeros(3)}, r"bias of shape \(2,\), got \(3,\)"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": 0}, "stride must be an integer of at least 1.*got 0"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": 1.5}, "stride must be .*got 1.5"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": (1, 1, 1)}, "stride must be"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"dilation": -1}, "dilation must be"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": -1}, "padding must be an integer of at least 0"),
    ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": "reflect"}, "unknown padding 'reflect'"),
])
def test_what_both_refuse(function, x, w, options, message, backend):
    with pytest.raises(ValueError, match=message):
        function(Tensor(np.zeros(x)), np.zeros(w), **options)


@pytest.mark.parametrize("options", [{}, {"padding": 1, "dilation": 3}, {"padding": (0, 5)}])
def test_a_window_that_does_not_fit(options, backend):
    with pytest.raises(ValueError, match=r"can't fit a window of \(4, 4\).*into images of \(3, 3\)"):
        conv2d(Tensor(np.zeros((1, 1, 3, 3))), np.zeros((1, 1, 4, 4)), **options)


@pytest.mark.parametrize("options, message", [
    ({"stride": 2, "output_padding": 2}, "output_padding 2 not below the stride"),
    ({"output_padding": -1}, "output_padding must be an integer of at least 0"),
    ({"padding": 9}, "padding 9 is too large"),
    ({"stride": 2, "padding": "same", "output_padding": 1}, "leave output_padding 0"),
])
def test_sizes_that_a_transposed_convolution_can_not_make(options, message, backend):
    with pytest.raises(ValueError, match=message):
        conv_transpose2d(Tensor(np.zeros((1, 1, 3, 3))), np.zeros((1, 1, 3, 3)), **options)


# ---------------------------------------------------------------- in a recorded step


def training_step(be):
    rng = np.random.default_rng(0)
    shapes = [(4, 1, 3, 3), (4,), (3, 4, 2, 2), (3, 4, 3, 3), (4, 1, 4, 4), (1,)]
    parameters = [Parameter(rng.standard_normal(s) / 4, dtype="float32", backend=be) for s in shapes]
    w1, b1, w2, w3, w4, b4 = parameters
    update = SGD(parameters, lr=1e-3)
    x = Tensor(rng.random((5, 1, 13, 12)), dtype="float32", backend=be)

    def step():
        update.zero_grad()
        h = max_pool2d(tanh(conv2d(x, w1, b1, padding="same")), 2)
        h = avg_pool2d(conv2d(h, w2), 2, 1)
        h = upsample2d(tanh(conv_transpose2d(h, w3, padding=1)), (2, 2))
        y = conv_transpose2d(h, w4, b4, stride=(1, 1), padding=(1, 2), dilation=(2, 2))
        squared_error(y, Tensor._wrap(x._data[:, :, :y.shape[2], :y.shape[3]], be)).backward()
        update.step()

    return parameters, step


def test_five_replays_of_a_recorded_step_equal_five_steps():
    strict = get("strict")
    parameters, step = training_step(strict)
    replay = strict.capture(step, warmup=2)
    for _ in range(5):
        replay()
    expected, eager = training_step(Backend(np))  # whose kernels are those of the strict backend
    before = [p.numpy() for p in expected]
    for _ in range(2 + 5):
        eager()
    for p, q, b in zip(parameters, expected, before, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
        assert np.isfinite(q.numpy()).all() and not np.array_equal(q.numpy(), b)
