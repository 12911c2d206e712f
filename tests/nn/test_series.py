"""The layers on series: convolutions, pooling and repeating over time."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import AvgPool1D, Conv1D, ConvTranspose1D, Crop1D, MaxPool1D, UpSample1D

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind, arguments", [
    (Conv1D, dict(size=5, stride=2, activation="tanh")), (Conv1D, dict(size=3, padding="valid", dilation=2)),
    (ConvTranspose1D, dict(size=4, stride=2, padding=1)), (ConvTranspose1D, dict(size=3, stride=3, activation="tanh"))])
def test_gradcheck_and_output_shape(kind, arguments, backend):
    layer = kind(3, **arguments)
    x = Tensor(RNG.standard_normal((2, 2, 9)))
    y = layer(x)
    assert y.shape[1:] == layer.output_shape((2, 9))
    assert gradcheck(layer, [x], layer.parameters(), entries=60)


@pytest.mark.parametrize("kind, peer, arguments", [
    (Conv1D, "Conv1d", dict(stride=2, padding=1, dilation=2)), (Conv1D, "Conv1d", dict(padding=0)),
    (ConvTranspose1D, "ConvTranspose1d", dict(stride=3, padding=1))])
def test_convolutions_like_pytorch(kind, peer, arguments, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    layer, other = kind(4, 5, **arguments), getattr(torch.nn, peer)(2, 4, 5, **arguments).double()
    x = Tensor(RNG.standard_normal((3, 2, 17)), requires_grad=True)
    layer(x)
    layer.load_state_dict({"weight": other.weight.detach().numpy()[:, :, None], "bias": other.bias.detach().numpy()})
    t = torch.tensor(x.numpy(), requires_grad=True)
    ours, theirs = layer(x), other(t)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    seed = RNG.standard_normal(ours.shape)
    ours.backward(seed)
    theirs.backward(torch.tensor(seed))
    for mine, its in ((x.grad, t), (layer.weight.grad[:, :, 0], other.weight), (layer.bias.grad, other.bias)):
        np.testing.assert_allclose(backend.to_host(mine), its.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_pooling_and_repeating_like_pytorch(backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    x = RNG.standard_normal((3, 2, 11))
    for ours, theirs in ((MaxPool1D(3, 2), torch.nn.MaxPool1d(3, 2)), (AvgPool1D(4), torch.nn.AvgPool1d(4)),
                         (UpSample1D(3), torch.nn.Upsample(scale_factor=3))):
        np.testing.assert_allclose(ours(Tensor(x)).numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-12)
    np.testing.assert_array_equal(Crop1D(4)(Tensor(x)).numpy(), x[:, :, :4])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_keeps_the_length_times_or_over_the_stride(stride):
    assert Conv1D(4, 5, stride).build((2, 7)) == (4, -(-7 // stride))
    assert ConvTranspose1D(4, 5, stride).build((2, 7)) == (4, 7 * stride)


@pytest.mark.parametrize("kind", [Conv1D, ConvTranspose1D])
def test_empty_batches_and_single_moments(kind, backend):
    layer = kind(3, 3, activation="relu")
    assert layer(np.ones((0, 2, 1), "float32")).shape == (0, 3, 1)
    y = layer(np.ones((2, 2, 1), "float32"))
    y.sum().backward()
    assert y.shape == (2, 3, 1) and y.dtype == layer.weight.grad.dtype == np.float32
    assert MaxPool1D(1)(np.ones((2, 2, 1), "float32")).shape == (2, 2, 1)


def test_refuses_what_makes_no_sense():
    for kind in (Conv1D, ConvTranspose1D, UpSample1D):
        with pytest.raises(ValueError, match=r"takes series \(N, channels, time\).*\(1, 28, 28\)"):
            kind(4).build((1, 28, 28))
    for make, message in ((lambda: Conv1D(4, (3, 3)), "the size of a Conv1D"), (lambda: Conv1D(4, 3, 0), "the stride"),
                          (lambda: AvgPool1D(0), "the size"), (lambda: MaxPool1D(2, 1.5), "the stride"),
                          (lambda: Crop1D(0), "the time"), (lambda: Conv1D(0), "at least 1 filter")):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(ValueError, match="Crop1D can't keep"):
        Crop1D(9).build((2, 8))
