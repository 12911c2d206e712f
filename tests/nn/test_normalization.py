"""BatchNorm and LayerNorm."""

from __future__ import annotations

import numpy as np
import pytest

from miniae import Tensor, gradcheck
from miniae.nn import BatchNorm, LayerNorm, Sequential

RNG = np.random.default_rng(0)
SHAPES = [(6, 4), (3, 4, 2, 3)]


def affine(layer):
    """Scales and shifts that are not 1 and 0."""
    for p in layer.parameters():
        p.assign(RNG.uniform(0.5, 1.5, p.shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
@pytest.mark.parametrize("training", [True, False])
def test_gradcheck(kind, shape, training, backend):
    layer = kind()
    x = Tensor(RNG.standard_normal(shape))
    layer.train()
    layer(x)
    affine(layer)
    layer.train(training)
    assert gradcheck(layer, [x], layer.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_like_pytorch_over_training_and_after(shape, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.BatchNorm")
    layer = BatchNorm()
    peer = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(4).double()
    layer.train()
    for _ in range(3):
        x = 2.0 + 3.0 * RNG.standard_normal(shape)
        np.testing.assert_allclose(layer(Tensor(x)).numpy(), peer(torch.tensor(x)).detach().numpy(), rtol=1e-9,
                                   atol=1e-12)
    layer.eval(), peer.eval()
    x = RNG.standard_normal(shape)
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), peer(torch.tensor(x)).detach().numpy(), rtol=1e-9)
    state = layer.state_dict()
    np.testing.assert_allclose(state["running_mean"], peer.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(state["running_variance"], peer.running_var.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_like_pytorch(shape, backend):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.LayerNorm")
    layer, peer = LayerNorm(), torch.nn.LayerNorm(shape[1:]).double()
    x = Tensor(2.0 + 3.0 * RNG.standard_normal(shape))
    layer(x)
    affine(layer)
    with torch.no_grad():
        for mine, its in zip(layer.parameters(), (peer.weight, peer.bias), strict=True):
            its.copy_(torch.tensor(np.broadcast_to(mine.numpy(), shape[1:]).copy()))
    np.testing.assert_allclose(layer(x).numpy(), peer(torch.tensor(x.numpy())).detach().numpy(), rtol=1e-9, atol=1e-12)


def test_batch_norm_in_training_gives_mean_0_and_variance_1(backend):
    layer = BatchNorm().train()
    y = layer(5.0 + 3.0 * RNG.standard_normal((200, 3))).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-4)


def test_evaluation_changes_nothing(backend):
    layer = BatchNorm()
    layer(RNG.standard_normal((5, 3)))
    before = layer.state_dict()
    layer(RNG.standard_normal((5, 3)))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(before["running_mean"], np.zeros(3))
    np.testing.assert_array_equal(before["running_variance"], np.ones(3))


def test_state_carries_the_running_statistics(backend):
    model, other = (Sequential([BatchNorm()], input_shape=(3,), dtype="float64") for _ in range(2))
    model.train()(5.0 + RNG.standard_normal((50, 3)))
    assert [n for n, _ in model.named_parameters()] == ["0.scale", "0.shift"]
    other.load_state_dict(model.eval().state_dict())
    x = RNG.standard_normal((4, 3))
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_float32_stays(kind, backend):
    layer = kind().train()
    y = layer(RNG.standard_normal((5, 3)).astype("float32"))
    y.sum().backward()
    assert y.dtype == np.float32
    assert {v.dtype for v in layer.state_dict().values()} == {np.dtype("float32")}


def test_refuses_what_makes_no_sense(backend):
    with pytest.raises(ValueError, match="epsilon"):
        BatchNorm(epsilon=-1.0)
    with pytest.raises(ValueError, match="momentum"):
        BatchNorm(momentum=1.5)
