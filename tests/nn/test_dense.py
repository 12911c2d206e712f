"""Dense and TiedDense."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import Build, Dense, Sequential, TiedDense

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("activation", [None, "tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("batch", [3, 1, 0])
def test_gradcheck(activation, batch, backend):
    layer = Dense(4, activation)
    x = Tensor(RNG.standard_normal((batch, 5)))
    layer(x)
    assert gradcheck(layer, [x], layer.parameters())


def test_forward_by_formula(backend):
    layer = Dense(4, "tanh")
    x = RNG.standard_normal((3, 5))
    y = layer(Tensor(x))
    layer.bias.assign(np.arange(4.0))
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), np.tanh(x @ layer.weight.numpy() + np.arange(4.0)), rtol=1e-12)
    assert layer.weight.shape == (5, 4) and y.shape == (3, 4) and y.dtype == np.float64


def test_like_pytorch(backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.Linear")
    layer, peer = Dense(4), torch.nn.Linear(5, 4).double()
    x = Tensor(RNG.standard_normal((3, 5)), requires_grad=True)
    layer(x)
    layer.weight.assign(peer.weight.detach().numpy().T)
    layer.bias.assign(peer.bias.detach().numpy())
    t = torch.tensor(x.numpy(), requires_grad=True)
    ours, theirs = layer(x), peer(t)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12)
    seed = RNG.standard_normal((3, 4))
    ours.backward(seed)
    theirs.backward(torch.tensor(seed))
    for mine, other in ((x, t.grad), (layer.weight, peer.weight.grad.T), (layer.bias, peer.bias.grad)):
        np.testing.assert_allclose(backend.to_host(mine.grad), other.numpy(), rtol=1e-12)


def test_refuses_what_makes_no_sense(backend):
    with pytest.raises(ValueError, match="at least 1 unit, got 0"):
        Dense(0)
    with pytest.raises(ValueError, match="unknown initializer"):
        Dense(3, init="xavier")
    with pytest.raises(ValueError, match="put a Flatten layer before it"):
        Dense(3).build((1, 28, 28))


def tied_pair(dtype="float64"):
    encoder = Dense(3, "tanh")
    return Sequential([encoder, TiedDense(encoder, "sigmoid")], input_shape=(5,), dtype=dtype)


def test_tied_forward_and_one_parameter_with_two_uses(backend):
    model = tied_pair()
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    x = RNG.standard_normal((4, 5))
    w, c = model[0].weight.numpy(), RNG.standard_normal(5)
    model[1].bias.assign(c)
    np.testing.assert_allclose(model(x).numpy(), 1 / (1 + np.exp(-(np.tanh(x @ w) @ w.T + c))), rtol=1e-12)


def test_tied_gradients_add_up(backend):
    """With linear units y = x W W': the encoder's use and the decoder's use of W each have their term."""
    encoder = Dense(3)
    model = Sequential([encoder, TiedDense(encoder)], input_shape=(5,), dtype="float64")
    x, seed = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    w = encoder.weight.numpy()
    for _ in range(2):
        encoder.weight.zero_grad()
        model(x).backward(seed)
        expected = x.T @ seed @ w + seed.T @ (x @ w)
        np.testing.assert_allclose(backend.to_host(encoder.weight.grad), expected, rtol=1e-12)


def test_tied_gradcheck(backend):
    model = tied_pair()
    assert gradcheck(model, [Tensor(RNG.standard_normal((4, 5)))], model.parameters())


def test_tied_refuses(backend):
    with pytest.raises(TypeError, match="shares the weight of a Dense layer"):
        TiedDense(Sequential())
    with pytest.raises(ValueError, match="built first"):
        TiedDense(Dense(3)).build((3,))
    source = Dense(3)
    source.build((5,), Build(dtype="float64"))
    with pytest.raises(ValueError, match="the 3 outputs of .* back into its 5 inputs, got inputs of 4 features"):
        TiedDense(source).build((4,))
