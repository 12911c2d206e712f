"""Conv2D and ConvTranspose2D."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import Conv2D, ConvTranspose2D, Dense, Flatten, Reshape, Sequential

RNG = np.random.default_rng(0)

CONVS = [dict(size=3), dict(size=3, stride=2), dict(size=(3, 2), stride=(2, 1), padding="valid"),
         dict(size=3, padding=1, dilation=2, activation="tanh"), dict(size=1, padding=0), dict(size=4, padding="same")]
TRANSPOSED = [dict(size=3), dict(size=3, stride=2), dict(size=(3, 2), stride=(2, 1), padding="valid"),
              dict(size=4, stride=2, padding=1, activation="tanh"), dict(size=2, stride=2)]
BOTH = [(Conv2D, c) for c in CONVS] + [(ConvTranspose2D, c) for c in TRANSPOSED]


@pytest.mark.parametrize("kind, arguments", BOTH)
def test_gradcheck_and_output_shape(kind, arguments, backend):
    layer = kind(3, **arguments)
    x = Tensor(RNG.standard_normal((2, 2, 6, 5)))
    y = layer(x)
    assert y.shape[1:] == layer.output_shape((2, 6, 5))
    assert gradcheck(layer, [x], layer.parameters(), entries=60)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_keeps_the_size_times_or_over_the_stride(stride, backend):
    assert Conv2D(4, 3, stride).build((2, 7, 6)) == (4, -(-7 // stride), -(-6 // stride))
    assert ConvTranspose2D(4, 3, stride).build((2, 7, 6)) == (4, 7 * stride, 6 * stride)


@pytest.mark.parametrize("kind, peer, arguments", [
    (Conv2D, "Conv2d", dict(stride=2, padding=1, dilation=1)),
    (Conv2D, "Conv2d", dict(stride=1, padding=2, dilation=2)),
    (ConvTranspose2D, "ConvTranspose2d", dict(stride=2, padding=1)),
    (ConvTranspose2D, "ConvTranspose2d", dict(stride=1, padding=0)),
])
def test_like_pytorch(kind, peer, arguments, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    layer, other = kind(4, 3, **arguments), getattr(torch.nn, peer)(2, 4, 3, **arguments).double()
    x = Tensor(RNG.standard_normal((3, 2, 8, 7)), requires_grad=True)
    layer(x)
    assert layer.weight.shape == tuple(other.weight.shape)
    layer.load_state_dict({"weight": other.weight.detach().numpy(), "bias": other.bias.detach().numpy()})
    t = torch.tensor(x.numpy(), requires_grad=True)
    ours, theirs = layer(x), other(t)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    seed = RNG.standard_normal(ours.shape)
    ours.backward(seed)
    theirs.backward(torch.tensor(seed))
    for mine, its in ((x, t), (layer.weight, other.weight), (layer.bias, other.bias)):
        np.testing.assert_allclose(backend.to_host(mine.grad), its.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [Conv2D, ConvTranspose2D])
def test_float32_and_an_empty_batch(kind, backend):
    layer = kind(3, 3, 2, activation="relu")
    y = layer(np.ones((2, 1, 6, 6), "float32"))
    y.sum().backward()
    assert y.dtype == layer.weight.grad.dtype == np.float32
    assert layer(np.ones((0, 1, 6, 6), "float32")).shape == (0, *y.shape[1:])


def test_initial_variance_follows_the_fans(backend):
    """He: 2 over the number of inputs that one output adds up, for a convolution of stride 1 either way."""
    for layer in (Conv2D(64, 3, init="he_normal"), ConvTranspose2D(64, 3, init="he_normal")):
        layer.build((32, 8, 8))
        assert layer.weight.numpy().var() == pytest.approx(2 / (32 * 9), rel=0.05)


@pytest.mark.parametrize("kind", [Conv2D, ConvTranspose2D])
def test_refuses_what_makes_no_sense(kind, backend):
    with pytest.raises(ValueError, match="at least 1 filter"):
        kind(0, 3)
    with pytest.raises(ValueError, match=r"takes images \(N, channels, height, width\).*\(784,\)"):
        kind(4, 3).build((784,))
    with pytest.raises(ValueError, match="padding"):
        kind(4, 3, padding="reflect").build((1, 8, 8))


def test_a_kernel_larger_than_the_image(backend):
    with pytest.raises(ValueError):
        Conv2D(4, 9, padding="valid").build((1, 8, 8))


def test_a_convolutional_autoencoder(backend):
    model = Sequential([
        Conv2D(4, 3, 2, activation="relu"), Conv2D(8, 3, 2, activation="relu"), Flatten(), Dense(6),
        Dense(8 * 7 * 7, "relu"), Reshape((8, 7, 7)), ConvTranspose2D(4, 3, 2, activation="relu"),
        ConvTranspose2D(1, 3, 2),
    ], input_shape=(1, 28, 28))
    assert model.output_shape((1, 28, 28)) == (1, 28, 28)
    y = model(np.ones((2, 1, 28, 28)))
    assert y.shape == (2, 1, 28, 28)
    y.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
